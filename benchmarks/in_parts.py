"""A large job in parts: the same bytes, whoever makes them and however often they are killed; memory; rates.

    python -m benchmarks.in_parts WORK [--photos 20000] [--vectors 1000000] [--index DIR] [--ray] [--out FILE.jsonl]
                                  [--ways two,killed,ray-killed]

Photos are made up (small JPEGs, seeded), vectors are seeded noise around a few thousand directions. Both jobs are run
by one process, by two, by two of which three are killed, and with --ray by two actors of Ray, undisturbed and with
three killed; --ways chooses among these. The folders of parts must be the same to the last byte as that of the first
way that is run. Each process computes with one thread; --pinned keeps it, and the one that decodes its photos, on a
core of its own.

CLIP's towers are small and random, so answers mean nothing. Without --index the whole model is small (200 places, 64
numbers a vector), which makes a million lookups a matter of minutes; with it, the released location encoder is behind
the small tower, and --effort, --resolution say what a lookup costs.

Rates count from the moment that every process has written its first file, so that loading is left out. Memory is the
largest resident memory of any process in the first and in the last third of its files, decoders apart.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.harness import parser
from benchmarks.results import ROOT, Results
from geoclip.writers.parts import MANIFEST

SEED, PLACES, KILLS = 17, 4096, 3
BAD = 100
"""One of so many photos is not a photo."""
HERE = {"one": "one", "two": "two", "killed": "two, killed"}
ON_RAY = {"ray": "Ray", "ray-killed": "Ray, killed"}
WAYS = HERE | ON_RAY
"""Ways to run a job: as --ways has them, and as results call them."""


class Job(NamedTuple):
    """A command without its folder of parts."""

    name: str
    words: tuple[str, ...]
    inputs: int
    rows: int
    """Of a file."""

    @property
    def files(self) -> int:
        return -(-self.inputs // self.rows)


class Ended(NamedTuple):
    """What was seen of a way to run a job."""

    seconds: float
    per_second: float
    early_mb: float
    late_mb: float
    killed: int


# -- what is worked on ------------------------------------------------------------------------------------------------


def make_photos(folder: Path, count: int) -> None:
    """Write small JPEGs, a thousand a folder."""
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % BAD == BAD - 1:
            path.write_bytes(b"not a photo")
            continue
        blobs = np.random.default_rng((SEED, number)).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blobs).resize((160, 120), Image.Resampling.BICUBIC).save(path, quality=80)


def make_vectors(path: Path, count: int, dim: int) -> None:
    """Write unit vectors (count, dim): a few thousand directions, each with noise of half its length."""
    rng = np.random.default_rng(SEED)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, dim))
    directions = rng.normal(size=(PLACES, dim)).astype(np.float32) / np.sqrt(dim)
    for start in range(0, count, PLACES):
        some = min(PLACES, count - start)
        noisy = directions[:some] + rng.normal(size=(some, dim)).astype(np.float32) / (2 * np.sqrt(dim))
        array[start : start + some] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    array.flush()


def model_options(work: Path, index: str | None) -> tuple[list[str], int]:
    """Make the model; return the options that name it, and the length of its vectors."""
    from geoclip.release.directory import Release, released_path
    from tests.helpers.small_release import SmallRelease, small_release, with_small_towers

    if index is None:
        shutil.rmtree(work / "model", ignore_errors=True)
        made = small_release(work / "model")
        return [*made.options, "--index", "none"], made.release.config.dim
    cache = work / "cache"
    if not cache.exists():
        cache.mkdir(parents=True)
        with_small_towers(Release.open(released_path()), cache)
    made = SmallRelease.in_cache(cache)
    return [*made.options, "--index", index], made.release.config.dim


# -- how it is run ----------------------------------------------------------------------------------------------------


class Runner:
    """Starts processes of the command, and watches them."""

    def __init__(self, work: Path, *, pinned: bool) -> None:
        self._pinned = pinned
        self._log = (work / "said.txt").open("w", encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "RAY_DEDUP_LOGS": "0"}

    def start(self, words: Sequence[str], core: int | None = None) -> "subprocess.Popen[bytes]":
        """Start a process, on one core where processes are pinned."""
        command = [sys.executable, "-m", "geoclip", *words]
        cores = sorted(os.sched_getaffinity(0))
        if self._pinned and core is not None and core < len(cores):
            command = ["taskset", "-c", f"{cores[core]}", *command]
        return subprocess.Popen(command, stderr=self._log, env=self._environment, cwd=ROOT)

    def run(self, job: Job, folder: Path, parts: int, kills: int = 0) -> Ended:
        """Run a job by so many processes side by side; those that are killed are started again."""
        words = [*job.words, "--parts", str(folder), "--part-rows", str(job.rows)]
        choice = random.Random(SEED)

        def start(part: int) -> "subprocess.Popen[bytes]":
            return self.start([*words, "--part", f"{part + 1}/{parts}"], part)

        return self._watched(job, folder, [partial(start, part) for part in range(parts)], kills, choice, own)

    def by(self, way: str, job: Job, folder: Path) -> Ended:
        """Run a job in one of the `WAYS`."""
        kills = KILLS if way.endswith("killed") else 0
        if way in ON_RAY:
            return self.on_ray(job, folder, 2, kills)
        return self.run(job, folder, 1 if way == "one" else 2, kills)

    def on_ray(self, job: Job, folder: Path, actors: int, kills: int) -> Ended:
        """Run a job by actors of Ray on this machine."""
        words = [*job.words, "--parts", str(folder), "--part-rows", str(job.rows)]
        starts = [partial(self.start, [*words, "--on", "ray", "--actors", f"{actors}"])]
        return self._watched(job, folder, starts, kills, random.Random(SEED), actors_of, makers=actors)

    def finish(self, job: Job, folder: Path) -> None:
        """Write the manifest."""
        words = [*job.words, "--parts", str(folder), "--part-rows", str(job.rows), "--finish"]
        self._ended(self.start(words))

    def _watched(
        self,
        job: Job,
        folder: Path,
        starts: Sequence[Callable[[], "subprocess.Popen[bytes]"]],
        kills: int,
        choice: random.Random,
        working: Callable[["subprocess.Popen[bytes]"], list[psutil.Process]],
        makers: int | None = None,
    ) -> Ended:
        begun, killed, seen = time.monotonic(), set[int](), list[tuple[int, float]]()
        after = range(1, max(job.files, kills + 2))
        at = sorted(choice.sample(after, kills))  # after so many files a process is killed
        running = [(start, start()) for start in starts]
        while running:
            time.sleep(0.2)
            done = len(list(folder.glob("part-*.parquet")))
            processes = [each for _, process in running for each in working(process)]
            seen += [(done, memory_mb(each)) for each in processes]
            fresh = [each for each in processes if each.pid not in killed]
            if fresh and len(killed) < kills and done >= at[len(killed)]:
                victim = choice.choice(fresh)
                with suppress(psutil.NoSuchProcess):
                    victim.send_signal(signal.SIGKILL)
                    killed.add(victim.pid)
            for one in [each for each in running if each[1].poll() is not None]:
                running.remove(one)
                start, process = one
                if process.returncode == -signal.SIGKILL:
                    running.append((start, start()))
                else:
                    self._ended(process)
        seconds, third = time.monotonic() - begun, max(1, job.files // 3)
        early = [mb for done, mb in seen if 1 <= done <= third] or [0.0]
        late = [mb for done, mb in seen if done > job.files - third] or [0.0]
        rate = per_second(job, folder, makers or len(starts))
        return Ended(seconds, rate, max(early), max(late), len(killed))

    def _ended(self, process: "subprocess.Popen[bytes]") -> None:
        if process.wait() not in (0, 1):  # 1: some photos failed
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}; see said.txt in the folder of work.")


def own(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the process itself."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(process.pid)]
    return []


def actors_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the actors of Ray that a process has started."""
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        for each in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                if each.cmdline() and each.cmdline()[0].startswith("ray::FileMaker"):
                    found.append(each)
    return found


def memory_mb(process: psutil.Process) -> float:
    """Return resident memory of its own: what is mapped from files does not count."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        told = process.memory_info()
        return float(told.rss - told.shared) / 1e6
    return 0.0


def per_second(job: Job, folder: Path, makers: int) -> float:
    """Return the rows a second, from when each process has written a file to the last."""
    written = sorted(path.stat().st_mtime for path in folder.glob("part-*.parquet"))
    later = written[makers:]
    if not later or later[-1] <= written[makers - 1]:
        return float("nan")
    rows = min(job.inputs, len(written) * job.rows) - makers * job.rows
    return rows / (later[-1] - written[makers - 1])


def same(folders: Sequence[Path]) -> bool:
    """Return whether folders hold the same files."""
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    return all(each == names[0] for each in names) and all(
        (folder / name).read_bytes() == (folders[0] / name).read_bytes() for folder in folders[1:] for name in names[0]
    )


def counted(folder: Path) -> tuple[int, int]:
    """Return how many rows there are, and how many have an error, read from the files themselves."""
    errors = pq.read_table(sorted(folder.glob("part-*.parquet")), columns=["error"])["error"]
    return len(errors), len(errors) - errors.null_count


# -- the run ----------------------------------------------------------------------------------------------------------


def jobs(arguments: Namespace) -> Iterator[Job]:
    """Make inputs and yield the jobs."""
    work: Path = arguments.work
    model, dim = model_options(work, arguments.index)
    machine = ["--device", "cpu", "--precision", "fp32"]
    search = [] if arguments.index is None else ["--effort", arguments.effort, "--resolution", arguments.resolution]
    if arguments.photos:
        make_photos(work / "photos", arguments.photos)
        words = ("locate", str(work / "photos"), *model, *machine, *search, "--workers", "1")
        yield Job("locate", words, arguments.photos, min(arguments.rows, -(-arguments.photos // 12)))
    if arguments.vectors:
        make_vectors(work / "vectors.npy", arguments.vectors, dim)
        words = ("search", str(work / "vectors.npy"), *model, *machine, *search)
        yield Job("search", words, arguments.vectors, min(arguments.rows, -(-arguments.vectors // 12)))


def some_ways(text: str) -> list[str]:
    """Return the ways that are named, in the order of `WAYS`.

    Raises:
        ArgumentTypeError: there is no such way.
    """
    named = text.split(",")
    if unknown := [each for each in named if each not in WAYS]:
        raise ArgumentTypeError(f"there is no way {unknown[0]!r}; choose from {','.join(WAYS)}")
    return [way for way in WAYS if way in named]


def main() -> int:
    """Run everything; return 1 if bytes or counts differ."""
    options = parser(__doc__, index=False)
    options.add_argument("work", type=Path, help="a folder to work in; what an earlier run left there is replaced")
    options.add_argument("--photos", type=int, default=300)
    options.add_argument("--vectors", type=int, default=3000)
    options.add_argument("--rows", type=int, default=4096, help="of a file; fewer where there would be less than 12")
    options.add_argument("--index", help="of the released model; default: none, and a small model")
    options.add_argument("--effort", default="fast")
    options.add_argument("--resolution", default="7")
    options.add_argument("--ray", action="store_true", help="also run by two actors of Ray")
    only = f"only these of {','.join(WAYS)}; default: all, those of Ray with --ray"
    options.add_argument("--ways", type=some_ways, metavar="WAY,...", help=only)
    options.add_argument("--pinned", action="store_true", help="each process on a core of its own")
    arguments = options.parse_args()
    arguments.work = arguments.work.absolute()
    arguments.work.mkdir(parents=True, exist_ok=True)
    ways = arguments.ways or list(WAYS if arguments.ray else HERE)
    results, runner, good = Results(arguments.out, SEED), Runner(arguments.work, pinned=arguments.pinned), True
    for job in jobs(arguments):
        folders, rates = [], dict[str, float]()
        for way in ways:
            folder = arguments.work / f"{job.name}-{way}"
            shutil.rmtree(folder, ignore_errors=True)
            ended = runner.by(way, job, folder)
            runner.finish(job, folder)
            folders.append(folder)
            rates[way] = ended.per_second
            rows, failed = counted(folder)
            wanted = job.inputs // BAD if job.name == "locate" else 0
            as_first = same([folders[0], folder])
            good &= as_first and (rows, failed) == (job.inputs, wanted) and (folder / MANIFEST).is_file()
            values: dict[str, Any] = {
                "wall_s": ended.seconds,
                "rows_per_second": ended.per_second,
                "early_mb": ended.early_mb,
                "late_mb": ended.late_mb,
                "killed": ended.killed,
                "files": job.files,
                "failed": failed,
                "same_bytes": as_first,
            }
            if "one" in rates:
                values["over_one"] = ended.per_second / rates["one"]
            parameters = {"command": job.name, "way": WAYS[way], "inputs": job.inputs, "rows_a_file": job.rows}
            parameters |= {"index": "none, 200 places"}
            if arguments.index is not None:
                parameters |= {"index": Path(arguments.index).name, "effort": arguments.effort}
                parameters |= {"resolution": int(arguments.resolution)}
            results.add("in parts", parameters | {"pinned": arguments.pinned, "tower": "small, random"}, values)
    print("All bytes are the same and all counts add up." if good else "BYTES OR COUNTS DIFFER.", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
