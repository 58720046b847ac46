"""Processes of their own: workers that are asked for one task at a time, children that measure, peak memory.

A worker stays for the whole run and computes only when asked, so that all sides meet the same machine. The released
package shares this project's import name: its worker runs in its own environment, with the checkout last on the path.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import timed
from benchmarks.results import ROOT, Line, read

_BOOT = (
    f"import runpy, sys; sys.path.append({str(ROOT)!r}); sys.argv.pop(0); "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_PEAK = (
    "import os, subprocess, sys; process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "_, status, usage = os.wait4(process.pid, 0); print(usage.ru_maxrss); sys.exit(os.waitstatus_to_exitcode(status))"
)
"""A small process in between: the system counts a child's memory from before its own program starts."""


class Task(NamedTuple):
    """Something that a worker can be asked for."""

    run: Callable[[], object]
    amount: float = 1
    """How many `unit`s one run does."""
    unit: str = "photos"
    times: int = 1
    """Runs that make one timing."""


def serve(tasks: Mapping[str, Task], **about: object) -> None:
    """Answer on stdout until stdin ends: what there is, then for each task named on a line its seconds."""
    _reply(
        {
            "tasks": {name: {"amount": task.amount * task.times, "unit": task.unit} for name, task in tasks.items()},
            **about,
        }
    )
    for line in sys.stdin:
        task = tasks[line.strip()]
        _reply(timed(task.run, task.times))


def _reply(message: object) -> None:
    print(json.dumps(message), flush=True)


class Worker:
    """A process that serves: a module, in the environment of an interpreter."""

    def __init__(self, python: str, module: str, *arguments: object) -> None:
        command = [*program(python, module), *map(str, arguments)]
        own = environment(python)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own)
        self.about = self._answer()
        self.tasks: dict[str, Line] = self.about["tasks"]

    def seconds(self, task: str) -> float:
        """Return what one run of a task takes."""
        assert self._process.stdin is not None
        print(task, file=self._process.stdin, flush=True)
        return float(self._answer())

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The worker {self._process.args!r} ended with {self._process.wait()}.")
        return json.loads(line)


def program(python: str, module: str) -> list[str]:
    """Return the words that run a module of the checkout in an environment that may have another `geoclip`."""
    return [python, "-W", "ignore", "-c", _BOOT, module]


def environment(python: str) -> dict[str, str]:
    """Return the variables of a process; only this project's interpreter is led to the checkout."""
    path = str(ROOT) if python == sys.executable else ""
    return os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def measured(module: str, *arguments: str | Path) -> list[Line]:
    """Run a benchmark in a process of its own and return its results."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.jsonl"
        command = [sys.executable, "-m", module, *map(str, arguments), "--out", str(out)]
        subprocess.run(command, env=environment(sys.executable), stdout=subprocess.DEVNULL, check=True)
        return read(out)


def peak_mb(command: list[str]) -> float:
    """Run a command and return its largest resident memory in MB (10**6 bytes), mapped files included.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    small = [sys.executable, "-I", "-S", "-c", _PEAK, *command]
    done = subprocess.run(small, env=environment(command[0]), stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e6


def peak_so_far_mb() -> float:
    """Return this process's largest resident memory since the last call, and forget it (Linux: VmHWM, clear_refs)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024 / 1e6
