"""The command line as tests run it: in this process, which has loaded torch already, or in one of its own."""

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from click.testing import CliRunner

from geoclip.cli import main

WHOLE_EVERY = 25
"""After so many commands everything is collected, and not only what is new."""


class Done(NamedTuple):
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str


def _on_stderr(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    """Show a warning as Python does; pytest would keep it."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


_made_once = cache(typer.main.get_command)
"""All commands with their options, which take longer to make than many of them take to run."""
_runs = count()


def _give_memory_back() -> None:
    """Collect what a command left, as the end of a process would; what is older is looked at now and then only."""
    if next(_runs) % WHOLE_EVERY == 0:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


def geoclip(*arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] = {}) -> Done:
    """Run `geoclip ARGUMENTS` in this process; an error that is not told in a sentence is raised."""
    before, exit_code = sys.argv, 0
    with (
        CliRunner().isolation(stdin, environment) as (out, err, _),
        warnings.catch_warnings(),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(typer.main, "get_command", _made_once)
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _on_stderr
        sys.argv = ["geoclip", *map(str, arguments)]
        try:
            main()
        except SystemExit as end:
            exit_code = int(end.code or 0)
        finally:
            sys.argv = before
            _give_memory_back()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # a closed pipe takes it away
                stream.flush()
        written = (stream.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err))
        return Done(exit_code, *written)


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `geoclip ARGUMENTS` as a process of its own."""
    return [sys.executable, "-m", "geoclip", *map(str, arguments)]


def geoclip_process(*arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] = {}) -> Done:
    """Run `geoclip ARGUMENTS` as a user does: slow, for what needs a process."""
    done = subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )
    return Done(done.returncode, *(text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr)))


def assert_refused(done: Done, words: str) -> None:
    """A command did nothing and said why in one sentence."""
    assert done.exit_code == 2, done
    assert done.stdout == ""
    assert words in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("geoclip: ")
