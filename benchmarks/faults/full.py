"""Commands on a disk that is too small: one sentence, nothing lost; with more room the same bytes as ever."""

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults.children import said, start
from benchmarks.faults.killed import ENDLESS_S
from benchmarks.faults.outcome import Outcome
from tests.helpers.small_release import SmallRelease

EARLIER = b"of an earlier run"
ROOM = 64 << 20
"""Bytes of a disk that is large enough for all of this."""


class Written(NamedTuple):
    """A command, the file it makes, and whether a stopped run can be gone on with."""

    arguments: tuple[str, ...]
    output: str
    resumable: bool = False
    option: str = "-o"


COMMANDS = (
    Written(("search", "a.npy", "b.npy", "-k", "2"), "o.jsonl", True),
    Written(("search", "a.npy", "b.npy", "-k", "2"), "o.parquet"),
    Written(("embed", "places.csv"), "o.parquet", True),
    Written(("search", "a.npy", "-k", "2"), "o.geojson"),
    Written(("search", "a.npy", "-k", "2"), "o.kml"),
    Written(("locate", "photos", "--workers", "1"), "o.csv", True),
    Written(("locate", "photos", "--workers", "1"), "o.exiftool.csv", True),
    Written(("embed", "photos", "--workers", "1"), "o.parquet", True),
    Written(("search", "a.npy", "-k", "2", "-f", "csv"), "o.html", option="--map"),
)
"""The first two are what a test tries."""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Make a folder a disk of so many bytes, where this user may mount one; yields whether it is.

    Else files cannot grow beyond that size: see `start`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-o", f"size={size}"]
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False)
    mounted = done.returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def full(kind: Written, tries: int, *, inputs: Path, towers: SmallRelease, folder: Path, rng: random.Random) -> Outcome:
    """Run a command on disks of random sizes below what it needs, then with room.

    Args:
        kind: the command.
        tries: how many disks.
        inputs: of `killed.make_inputs`.
        towers: the model, of the size `SMALL`.
        folder: to work in.
        rng: says how small.
    """
    given = [str(inputs / each) if (inputs / each).exists() else each for each in kind.arguments]
    given += towers.options
    outcome, log, name = Outcome(), folder / "log.txt", f"{' '.join(kind.arguments[:2])} to {kind.output}"

    def run(output: Path, *flags: str, most_bytes: int = 0) -> int | None:
        child = start([*given, kind.option, str(output), *flags], log=log, most_bytes=most_bytes)
        child.join(ENDLESS_S)
        child.kill()
        child.join()
        return child.exitcode

    whole = folder / f"whole-{kind.output}"
    code = run(whole)
    if not whole.exists():
        return Outcome(wrong=[f"{name} ended with {code}: {said(log)}"])
    size = whole.stat().st_size
    for number in range(tries):
        disk = folder / f"disk {kind.output} {number}"
        limit = max(rng.randrange(size), 1)
        with small_disk(disk, max(limit // 4096, 1) * 4096) as mounted:
            outcome.counts["disks" if mounted else "limits on files"] += 1
            output = disk / kind.output
            overwrite = ["--overwrite"] * (kind.option == "-o" and not kind.resumable)
            if overwrite or kind.option != "-o":
                output.write_bytes(EARLIER)
            code = run(output, *overwrite, most_bytes=0 if mounted else limit)
            words = said(log)
            if code in (0, 1):
                outcome.counts["had room"] += 1
            elif code != 2 or "Traceback" in words or not ("No space left" in words or "too large" in words):
                outcome.wrong.append(f"{name} on {limit} of {size} bytes ended with {code}: {words[-500:]}")
            else:
                outcome.counts["said"] += 1
                if not kind.resumable and output.read_bytes() != EARLIER:
                    outcome.wrong.append(f"{name}: the earlier file is lost")
                if left := [each.name for each in disk.iterdir() if each.name.endswith(".tmp")]:
                    outcome.wrong.append(f"{name} left {left}")
            if mounted:
                subprocess.run(["mount", "-o", f"remount,size={ROOM}", str(disk)], check=True)
            resume = ["--resume"] if kind.resumable else overwrite
            code = run(output, *resume)
            if output.read_bytes() != whole.read_bytes():
                outcome.wrong.append(f"{name}: other bytes after a full disk ({code}): {said(log)[-300:]}")
    outcome.counts["tries"] = tries
    return outcome
