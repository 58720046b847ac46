"""`geoclip train`."""

from geoclip.extras import need


def run(arguments: list[str]) -> None:
    """Hand the arguments to Lightning's command line.

    Raises:
        InputError: a package of the extra `train` is missing, or the arguments cannot be used.
    """
    need("train", "Training")
    from geoclip.train.cli import run as train

    train(arguments)
