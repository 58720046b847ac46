"""Results as JSON Lines: each line says what was measured, on what, by which command and when."""

import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import command, machine

Line = dict[str, Any]
SHOWN = 8
"""Facts of a line that are printed; the file has all."""


@dataclass(frozen=True)
class Size:
    """How much a run does.

    `quick` is the smallest that still shows every effect; `full` is what the report quotes.
    """

    name: str
    region: str
    """Of the search suite: explicit grids hold all its cells."""
    resolution: int
    """Of those cells."""
    queries: int
    """Of each kind."""
    singles: int
    """Queries timed alone."""
    rounds: int
    """Turns of each timed task."""
    graphs: bool
    """Also build the graph indexes (HNSW, usearch), which take minutes."""
    budget_s: float
    """What one kind of call of one setting may take in the search suite; slow systems are called fewer times, and three
    times as long may go into answers whose recall is measured."""


QUICK = Size("quick", "country:SI", 8, 256, 40, 3, False, 2.0)
FULL = Size("full", "country:CH", 8, 1024, 200, 5, True, 4.0)


@dataclass
class Records:
    """Collects lines and appends each to a file as it comes."""

    path: Path | None
    seed: int
    about: Line = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.about = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["benchmarks/bench.py", *command()[1:]]),
            "seed": self.seed,
            "machine": machine(),
        }

    def add(self, suite: str, **facts: Any) -> Line:
        """Write one line, and print its words and its first numbers."""
        line = {"suite": suite, **facts, "at_s": time.perf_counter() - self.begun}
        self.lines.append(line)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | self.about) + "\n")
        print(*(_short(name, value) for name, value in list(line.items())[:SHOWN]), sep="  ", flush=True)
        return line


def evict(folder: Path) -> int:
    """Drop a folder's files from the system's cache, so that the next to read them waits for the disk; return bytes.

    Files that a process has mapped stay.
    """
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # what is not yet on the disk cannot be dropped
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            total += path.stat().st_size
    return total


def timed(run: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def in_turns(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time tasks in turns, so that all meet the same machine; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(rounds + 1):
        for name, task in tasks.items():
            spent = timed(task)
            if turn:
                seconds[name].append(spent)
    return seconds


def spread(seconds: Sequence[float]) -> Line:
    """Return the median of timings, and what they lie between."""
    return {
        "median_s": float(np.median(seconds)),
        "least_s": min(seconds),
        "most_s": max(seconds),
        "rounds": len(seconds),
    }


def percentiles(seconds: Sequence[float]) -> Line:
    """Return p50, p95 and p99 in milliseconds."""
    p50, p95, p99 = (1000 * float(p) for p in np.percentile(seconds, (50, 95, 99)))
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def _short(name: str, value: object) -> str:
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown if name == "suite" else f"{name} {shown}"
