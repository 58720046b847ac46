"""What the commands say to people on stderr: progress, messages, and errors as one sentence with an exit code."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from geoclip.errors import GeoclipError
from geoclip.writers import one_line

P = ParamSpec("P")
R = TypeVar("R")

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Print one line for people."""
    stderr.print(one_line(message), markup=False)


def with_exit_codes(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors a command raises on purpose into one sentence on stderr and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except GeoclipError as error:
            say(f"geoclip: {error}")
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            say("geoclip: stopped.")
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output has seen enough
            sys.stdout = None  # nothing is left to flush into
            raise typer.Exit(0) from None

    return wrapped


@contextmanager
def progress(
    what: str, total: int | None = None, *, beside_answers: bool = False
) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar while the body runs, if stderr is a terminal; yields `update(done, total)`.

    Args:
        what: what is going on.
        total: how many there are, if known.
        beside_answers: the body writes answers to stdout; if that is a terminal they are progress enough.
    """
    shown = stderr.is_terminal and not (beside_answers and sys.stdout.isatty())
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=stderr,
        transient=True,
        disable=not shown,
        redirect_stdout=False,  # else what we write to stdout would go to this console, which is stderr
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task(what, total=total)

        def update(done: int, total: int | None = None) -> None:
            bar.update(task, completed=done, total=total)

        yield update
