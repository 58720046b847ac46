"""Indexes, releases and checkpoints from a stranger, with right digests: refused in a sentence or answered from.

Every try runs in a process that tells what it opens to write, removes, renames, starts or connects to, so that what
happens outside its folder is seen.
"""

import os
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.children import forkserver
from benchmarks.faults.hostile_indexes import hostile_indexes
from benchmarks.faults.hostile_models import hostile_checkpoints, hostile_releases
from benchmarks.faults.outcome import Outcome

MEMORY_BYTES = 6 << 30
"""Address space a try may take beside what is loaded; reading any of these files takes far less."""
TRY_S = 120
_WRITING = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
_STARTING = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect"}

Try = Callable[[random.Random, Path], str]
"""Makes a hostile file in a folder and opens it; returns how it ended, and raises where it should not have."""


def hostile(kind: str, tries: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Try hostile files of a kind of `KINDS`, in processes that may crash; a try that does is one sentence.

    Args:
        kind: of `KINDS`.
        tries: how many.
        folder: to work in; made.
        seed: of the files.
    """
    folder.mkdir(parents=True)
    outcome, at = Outcome(), 0
    processes = forkserver("benchmarks.faults.hostile")
    while at < tries:
        reader, writer = processes.Pipe(duplex=False)
        child = processes.Process(target=_serve, args=(kind, range(at, tries), folder, seed, writer))
        child.start()
        writer.close()
        try:
            while at < tries:
                ending, wrong = reader.recv()
                outcome.counts[ending] += 1
                outcome.wrong += [f"{kind} {at} (seed {seed}): {each}" for each in wrong]
                at += 1
        except EOFError:
            child.join()
            outcome.wrong.append(f"{kind} {at} (seed {seed}): the process ended with {child.exitcode}")
            at += 1
        child.join()
    outcome.counts["tries"] = tries
    return outcome


def _serve(kind: str, numbers: Sequence[int], folder: Path, seed: int, pipe: Any) -> None:
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - of this process
    touched: list[str] = []
    work = folder / f"{kind} {numbers[0]}"
    work.mkdir()
    tempfile.tempdir = os.environ["NUMBA_CACHE_DIR"] = str(work)  # else what is compiled is kept beside the source
    os.chdir(work)
    attempt = KINDS[kind](work)
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, now + MEMORY_BYTES))
    sys.addaudithook(partial(_seen, str(folder), touched))
    for number in numbers:
        signal.alarm(TRY_S)
        wrong: list[str] = []
        try:
            ending = attempt(random.Random(f"{seed} {number}"), work)
        except BaseException as error:
            ending, wrong = "wrong", [f"{error!r:.300}"]
        signal.alarm(0)
        pipe.send((ending, wrong + [f"touched {each}" for each in touched]))
        touched.clear()


def _seen(folder: str, touched: list[str], event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = args
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) > 0
        writes = writes or (isinstance(mode, str) and bool(set(mode) & set("wax+")))
        if not writes or not isinstance(path, str | bytes | os.PathLike):
            return
        where = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - called for every file that is opened
        cache = os.environ.get("GEOCLIP_CACHE", folder)
        if not where.startswith((folder, cache, "/dev/null", "/dev/shm/")):
            touched.append(where)
    elif event in _WRITING:
        if not os.path.abspath(os.fsdecode(args[0])).startswith((folder, os.environ.get("GEOCLIP_CACHE", folder))):  # noqa: PTH100
            touched.append(f"{event} {args[0]}")
    elif event in _STARTING and "geoclip.photos.worker" not in str(args):
        touched.append(f"{event} {str(args)[:200]}")


KINDS: dict[str, Callable[[Path], Try]] = {
    "indexes": hostile_indexes,
    "releases": hostile_releases,
    "checkpoints": hostile_checkpoints,
}
