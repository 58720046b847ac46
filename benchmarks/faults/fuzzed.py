"""Files changed byte by byte, given to the readers: sound files of a corpus first, then changes of them.

Where atheris is installed (`pip install atheris`) it looks for bytes that reach new lines of this project's code;
without it, and in the tests, changes are random.
"""

import importlib.util
import json
import logging
import os
import random
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

from benchmarks.faults.children import forkserver
from benchmarks.faults.mutations import changed, flipped
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.readers import READERS, Reader

FILES = 20
"""Of a reader's corpus, at least: sound files, then the sound ones with a change that keeps most of them."""


def corpus(reader: Reader, rng: random.Random) -> list[bytes]:
    """Return files to begin with."""
    sound = reader.corpus(rng)
    return sound + [changed(rng, rng.choice(sound)) for _ in range(FILES - len(sound))]


def replayed(name: str, tries: int, *, seed: int = 0) -> Outcome:
    """Give a reader its corpus, then random changes of it.

    Args:
        name: of the reader.
        tries: how many changes.
        seed: of the changes.
    """
    reader, rng, outcome = READERS[name], random.Random(f"{name} {seed}"), Outcome()
    files = corpus(reader, rng)
    read = [_ending(reader, content) for content in reader.corpus(rng)]
    if "read" not in read:
        outcome.wrong.append(f"{name}: not one sound file was read: {read[0]}")
    for number in range(len(files) + tries):
        content = files[number] if number < len(files) else rng.choice(files)
        if number >= len(files):
            content = flipped(rng, content)[0] if content and rng.random() < 0.2 else changed(rng, content)
        ending = _ending(reader, content)
        outcome.counts["tries"] += 1
        if ending in ("read", "refused"):
            outcome.counts[ending] += 1
        else:
            outcome.wrong.append(f"{name}, try {number} of seed {seed}: {ending}")
    outcome.counts["corpus"] = len(files)
    return outcome


def _ending(reader: Reader, content: bytes) -> str:
    log = logging.getLogger("geoclip")
    before = log.level
    log.setLevel(logging.CRITICAL)  # a line for every row that cannot be used would be many
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(content)
    except reader.refusals as error:
        return "refused" if "\n" not in str(error) else f"more than a line: {error!r:.300}"
    except Exception as error:
        return f"{error!r:.200} at {traceback.extract_tb(error.__traceback__)[-1]}"
    finally:
        log.setLevel(before)
    return "read"


def fuzzed(name: str, *, seconds: float, folder: Path, seed: int = 0) -> Outcome:
    """Fuzz a reader for so long, in a process of its own, which may crash.

    Args:
        name: of the reader.
        seconds: how long.
        folder: to work in.
        seed: of the changes.
    """
    outcome, path = Outcome(), folder.with_suffix(".log")
    child = forkserver("benchmarks.faults.fuzzed").Process(target=_fuzz, args=(name, folder, seconds, seed, path))
    child.start()
    child.join()
    log = path.read_text(encoding="utf-8", errors="replace")
    if found := re.findall(r"^counts (\{.*\})$", log, re.MULTILINE):
        outcome.counts.update(json.loads(found[-1]))
    if child.exitcode:
        outcome.wrong.append(f"{name}: ended with {child.exitcode}: {log[-1500:]}")
    return outcome


def _fuzz(name: str, folder: Path, seconds: float, seed: int, log: Path) -> None:
    """Fuzz until the time is over; the counts are printed at the end."""
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    reader, rng = READERS[name], random.Random(seed)
    files = corpus(reader, rng)
    counts = {"corpus": len(files), "tries": 0, "read": 0, "refused": 0}

    def attempt(content: bytes) -> None:
        ending = _ending(reader, content)
        counts["tries"] += 1
        if ending not in counts:
            (folder / "wrong").write_bytes(content)
            print(f"counts {json.dumps(counts)}", flush=True)
            raise AssertionError(f"{ending}; the file: {content[:200]!r}")
        counts[ending] += 1

    if importlib.util.find_spec("atheris") is None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            attempt(changed(rng, rng.choice(files)))
        print(f"counts {json.dumps(counts)}", flush=True)
        return
    import atheris

    for number, content in enumerate(files):
        (folder / f"{number:04}").write_bytes(content)
    for function in _functions():
        atheris.instrument_func(function)
    until = time.monotonic() + seconds

    def once(content: bytes) -> None:
        attempt(content)
        if time.monotonic() > until:
            print(f"counts {json.dumps(counts)}", flush=True)
            os._exit(0)

    options = ["-rss_limit_mb=6000", "-timeout=60", f"-seed={seed + 1}", "-max_len=65536", "-verbosity=0"]
    atheris.Setup([sys.argv[0], str(folder), *options], once)
    atheris.Fuzz()


def _functions() -> Iterator[FunctionType]:
    """Yield this project's functions and methods, as far as they are imported."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in ("geoclip", "index")]
    for module in modules:
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) == module.__name__:
                found = list(vars(value).values()) if isinstance(value, type) else [value]
                yield from (each for each in found if isinstance(each, FunctionType))
