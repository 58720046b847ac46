"""Files of answers that are written whole or not at all."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TextIO, TypeVar

from geoclip.files import written_whole

T = TypeVar("T")


def open_whole(path: Path, opened: Callable[[Path], AbstractContextManager[T]]) -> tuple[ExitStack, T]:
    """Open a temporary file that takes the name `path` when the returned stack is closed without an error.

    Args:
        path: the file to make.
        opened: opens the temporary file.

    Raises:
        InputError: the file cannot be made.
    """
    with ExitStack() as stack:
        temporary = stack.enter_context(written_whole(path))
        file = stack.enter_context(opened(temporary))
        return stack.pop_all(), file


def text_file(path: Path) -> TextIO:
    """Open a text file to write, in UTF-8 and with the same line ends everywhere."""
    return path.open("w", encoding="utf-8", newline="\n")
