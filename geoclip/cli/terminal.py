"""What the commands say to people on stderr: progress, messages, and errors as one sentence with an exit code."""

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, ParamSpec, TextIO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from geoclip.errors import GeoclipError
from geoclip.files import STDOUT, cannot_write
from geoclip.writers.wording import one_line

P = ParamSpec("P")
R = TypeVar("R")

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def print_rows(rows: dict[str, str], file: TextIO) -> None:
    """Print named facts, one a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name, Text(one_line(value)))
    Console(file=file, highlight=False).print(table)


def say(message: str) -> None:
    """Print one line for people."""
    stderr.print(one_line(message), markup=False)


def with_exit_codes(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors a command raises on purpose into one sentence on stderr and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = command(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()
        except GeoclipError as error:
            _end(f"geoclip: {error}", 2, error)
        except KeyboardInterrupt:
            _end("geoclip: stopped.", 130)
        except BrokenPipeError:  # the reader of our output has seen enough
            _end("", 0)
        except OSError as error:
            _end(f"geoclip: {cannot_write(Path(error.filename) if error.filename else STDOUT, error)}", 2, error)
        return result

    return wrapped


def _end(message: str, exit_code: int, cause: BaseException | None = None) -> NoReturn:
    """Say why and leave; what stdout did not take is dropped, or Python would complain of it at the very end."""
    if message:
        say(message)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        sys.stdout = None
    raise SystemExit(exit_code) from cause


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


_RESUMING_S = 5.0  # what a resumed job reports at once was done before, and is not its rate


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show the stages of a long job, with rate and time left; yields `report(stage, done, total)`.

    Where stderr is no terminal, a line is printed when a stage begins and about once a minute.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown = stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=not shown, redirect_stdout=False) as bar:
        tasks: dict[str, TaskID] = {}
        first: dict[str, float] = {}
        begun: dict[str, tuple[float, int]] = {}
        last_line = 0.0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal last_line
            now = time.monotonic()
            new = stage not in tasks
            if new:
                for task in tasks.values():
                    bar.stop_task(task)
                tasks[stage] = bar.add_task(stage, total=total or None, rate="")
                first[stage] = now
            if now - first[stage] < _RESUMING_S:
                begun[stage] = (now, done)
            seconds, rate = now - begun[stage][0], ""
            if seconds > 1:
                rate = f"{(done - begun[stage][1]) / seconds:,.0f} a second"
            bar.update(tasks[stage], completed=done, total=total or None, rate=rate)
            if not shown and (new or now - last_line > 60 or (total and done == total)):
                last_line = now
                say(f"{stage}: {done:,} of {total:,} {rate}".rstrip() if total else f"{stage} ...")

        yield report
