"""`geoclip train`."""

from collections.abc import Callable

from geoclip.cli.terminal import say
from geoclip.errors import InputError
from geoclip.extras import need


def run(arguments: list[str], show_help: Callable[[], object] = lambda: None) -> None:
    """Hand the arguments to Lightning's command line; where it is not installed, `show_help` answers --help.

    Raises:
        InputError: a package of the extra `train` is missing, or the arguments cannot be used.
    """
    try:
        need("train", "Training")
    except InputError as error:
        if not {"-h", "--help"} & set(arguments):
            raise
        show_help()
        say(str(error))
        return
    from geoclip.train.cli import run as train

    train(arguments)
