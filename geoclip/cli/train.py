"""`geoclip train`."""

from importlib.util import find_spec

from geoclip.errors import InputError

NEEDED = ("lightning", "jsonargparse", "tensorboard")


def run(arguments: list[str]) -> None:
    """Hand the arguments to Lightning's command line.

    Raises:
        InputError: a package of the extra `train` is missing, or the arguments cannot be used.
    """
    need_train_extra()
    from geoclip.train.cli import run as train

    train(arguments)


def need_train_extra() -> None:
    """Complain of packages that only training needs.

    Raises:
        InputError: one is missing.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(
            f"Training needs {', '.join(missing)}, which is not installed; run `pip install 'geoclip-planet[train]'`."
        )
