"""Commands in processes of their own that begin at once: a server that has imported everything forks them."""

import contextlib
import multiprocessing
import os
import resource
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = ("benchmarks.faults.children", "benchmarks.faults.warm", "geoclip.cli.app", "geoclip.cli.search")


def forkserver(*modules: str) -> ForkServerContext:
    """Return the way to start processes that have imported these modules; the first call in a process decides."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *modules])
    return context


def start(
    arguments: Sequence[str], *, log: Path, folder: Path | None = None, most_bytes: int = 0, **environment: str
) -> BaseProcess:
    """Start `geoclip ARGUMENTS`, in small steps each of which is kept.

    Args:
        arguments: of the command.
        log: what it says on stdout and stderr goes there.
        folder: to run in.
        most_bytes: no file grows beyond that; 0 sets no limit.
        environment: variables to set.
    """
    child = forkserver().Process(target=_run, args=(list(arguments), log, folder, most_bytes, environment))
    child.start()
    return child


def _run(arguments: list[str], log: Path, folder: Path | None, most_bytes: int, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if folder is not None:
        os.chdir(folder)
    in_small_steps()
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.argv = ["geoclip", *arguments]
    from geoclip.cli import main

    main()


def in_small_steps() -> None:
    """Let this process keep what it did after every few rows, so that a kill finds it in the middle."""
    from geoclip import embed_files
    from geoclip.cli import search
    from geoclip.tables import vectors
    from geoclip.writers import output

    small: list[tuple[Any, str, float]] = [
        (output, "SAVE_SECONDS", 0.0),
        (vectors, "PART_ROWS", 100),
        (embed_files, "COORDINATE_ROWS", 70),
        (search, "_TOGETHER", 3),
    ]
    for module, name, value in small:
        assert hasattr(module, name)
        setattr(module, name, value)


def said(log: Path) -> str:
    """Return what a command said."""
    with contextlib.suppress(FileNotFoundError):
        return log.read_text(encoding="utf-8", errors="replace")
    return ""
