"""What every benchmark measures with: its options, its clock, and a cold start."""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Spread = dict[str, float]


def parser(doc: str | None, *, index: bool = True, out: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the options that most benchmarks share; `doc` is what --help says."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if index:
        made.add_argument("index", type=Path, help="a folder that `geoclip build` made")
    if out:
        made.add_argument("--out", type=Path, metavar="FILE.jsonl", help="add the results to this file")
    return made


def timed(run: Callable[[], object], times: int = 1) -> float:
    """Return the seconds that calls take."""
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - begun


def some_points(count: int) -> NDArray[np.float64]:
    """Return points (count, 2) in degrees, anywhere but about the poles; the same each time."""
    return np.random.default_rng(0).uniform((-60, -180), (70, 180), (count, 2))


def calls_a_timing(batch: int) -> int:
    """Return how many encodings of a batch make one timing: some tenths of a second, but one at least."""
    return max(1, 1024 // batch if batch > 1 else 200)


def in_turns(timers: Mapping[str, Callable[[], float]], rounds: int, *, pause_s: float = 0.0) -> dict[str, list[float]]:
    """Ask timers for seconds in turns, so that all meet the same machine; a first round warms up and is not counted.

    Where they are other processes, a pause lets the threads of the one before stop spinning.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for turn in range(rounds + 1):
        for name, timer in timers.items():
            time.sleep(pause_s)
            spent = timer()
            if turn:
                seconds[name].append(spent)
    return seconds


def spread(seconds: Sequence[float]) -> Spread:
    """Return the median of timings, and what they lie between."""
    return {
        "median_s": float(np.median(seconds)),
        "least_s": min(seconds),
        "most_s": max(seconds),
        "rounds": len(seconds),
    }


def percentiles(seconds: Sequence[float], prefix: str = "") -> Spread:
    """Return p50, p95 and p99 in milliseconds."""
    found = np.percentile(seconds, (50, 95, 99))
    return {f"{prefix}p{p}_ms": 1000 * float(value) for p, value in zip((50, 95, 99), found, strict=True)}


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
