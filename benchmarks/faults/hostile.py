"""Indexes, releases and checkpoints from a stranger, with right digests: refused in a sentence or answered from.

Every try runs in a process that tells what it opens to write, removes, renames, starts or connects to, so that what
happens outside its folder is seen.
"""

import io
import json
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from safetensors.numpy import load_file, save

from benchmarks.faults.children import forkserver
from benchmarks.faults.damaged import SMALL
from benchmarks.faults.mutations import changed, changed_json
from benchmarks.faults.outcome import Outcome
from geoclip.files import sha256_of
from geoclip.release.directory import CONFIG, GALLERY, WEIGHTS, write_description
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from index.storage.manifest import MANIFEST, SUMS, BadIndexError
from tests.helpers.commands import geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.sealing import resealed, write_sums
from tests.helpers.small_release import small_release
from tests.helpers.synthetic import encode, queries, small_index

ALL = Question(k=300, resolution=7, effort=EffortName.EXHAUSTIVE, prior_weight=0.5)
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
    tempfile.tempdir = str(work)
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


def _of_command(*arguments: str | Path) -> str:
    """Run a command; it answers without NaN or says one sentence."""
    done = geoclip(*arguments)
    assert done.exit_code in (0, 2), done
    assert "NaN" not in done.stdout, done.stdout[:200]
    assert done.exit_code == 0 or len(done.stderr.splitlines()) == 1, done.stderr[:500]
    return "answered" if done.exit_code == 0 else "refused"


# -- indexes ----------------------------------------------------------------------------------------------------------


def _indexes(work: Path) -> Try:
    names = sorted(path.name for path in small_index(SMALL).iterdir() if path.name != SUMS and path.stat().st_size)
    original = {name: (small_index(SMALL) / name).read_bytes() for name in [*names, SUMS]}
    folder = work / "planet"
    folder.mkdir()
    asked = queries(np.array([(46.6, 8.2), (46.5, 8.1)]))

    def attempt(rng: random.Random, _: Path) -> str:
        for name, content in original.items():
            (folder / name).write_bytes(content)
        name = rng.choice(names)
        content = original[name]
        if name.endswith(".safetensors"):
            content = _changed_safetensors(rng, content)
        elif name == MANIFEST and rng.random() < 0.5:
            content = changed_json(rng, content)
        else:
            content = changed(rng, content)
        if name == MANIFEST:
            (folder / name).write_bytes(content)
            write_sums(folder)
        else:
            resealed(folder, files={name: content})
            if name.endswith(".lists"):
                with_right_checksums(folder, name.removesuffix(".lists"))
        return asked_of(folder, asked)

    return attempt


def asked_of(folder: Path, asked: Any) -> str:
    """Open an index and ask it for everything; raises where it is neither refused in words nor answers with numbers."""
    try:
        hits = Planet.open(folder, encode).search(asked, ALL, with_posteriors=True)
    except BadIndexError as error:
        assert str(error).startswith(str(folder)), error
        assert "\n" not in str(error), error
        return "refused"
    real = hits.cells > 0
    assert np.isfinite(hits.scores[real]).all(), "a score is not finite"
    assert np.isfinite(hits.lat_lng[real]).all(), "a place is not finite"
    assert (np.abs(hits.lat_lng[real]) <= (90, 180)).all(), "a place is not on Earth"
    assert all(np.isfinite(posterior.mass).all() for posterior in hits.posteriors), "a probability is not finite"
    return "answered"


def with_right_checksums(folder: Path, level: str) -> None:
    """Give the lists of a level the checksums of what they hold, as far as sizes make sense."""
    parts = load_file(folder / f"{level}.safetensors")
    content = (folder / f"{level}.lists").read_bytes()
    ends = np.append(0, np.cumsum(parts["sizes"].astype(np.int64)))
    width = len(content) // max(int(ends[-1]), 1)
    checksums = [crc32(content[a * width : b * width]) for a, b in pairwise(ends.tolist())]
    parts["checksums"] = np.array(checksums, np.uint32)
    resealed(folder, files={f"{level}.safetensors": save(parts)})


def _changed_safetensors(rng: random.Random, content: bytes) -> bytes:
    """Change the header as JSON, or numbers to others of odd values, or any bytes."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], bytearray(content[8 + size :])
    match rng.randrange(3):
        case 0:
            header = changed_json(rng, header)
        case 1 if len(data) > 4:
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data) // 4) * 4
                data[at : at + 4] = np.float32(rng.choice([np.nan, np.inf, -np.inf, 1e38, -1, 0])).tobytes()
        case _:
            return changed(rng, content)
    return len(header).to_bytes(8, "little") + header + bytes(data)


# -- releases ---------------------------------------------------------------------------------------------------------


def _releases(work: Path) -> Try:
    small = small_release(work / "model")
    photo = make_photo(work / "photo.png", 1)
    (work / "places.csv").write_text("lat,lng\n1,2\n")
    original = {name: (small.weights / name).read_bytes() for name in (CONFIG, WEIGHTS, GALLERY)}
    asked: list[list[str | Path]] = [
        ["locate", photo, "--index", "none", "-f", "jsonl", *small.options],
        ["locate", "--text", "snow", "--index", "none", "-f", "jsonl", *small.options],
        ["embed", work / "places.csv", "-o", work / "out.parquet", "--overwrite", "--weights", small.weights],
    ]

    def attempt(rng: random.Random, _: Path) -> str:
        for name, content in original.items():
            (small.weights / name).write_bytes(content)
        name = rng.choice([*original])
        content = original[name]
        if name == CONFIG:
            content = changed_json(rng, content) if rng.random() < 0.7 else changed(rng, content)
        elif name == WEIGHTS:
            content = _changed_safetensors(rng, content)
        else:
            content = changed(rng, content)
        (small.weights / name).write_bytes(content)
        resealed_release(small.weights)
        return _of_command(*rng.choice(asked))

    return attempt


def resealed_release(folder: Path, **config: Any) -> None:
    """Change the description of a release and write its digests anew, as a stranger would."""
    try:
        described = json.loads((folder / CONFIG).read_text()) | config
        described["sha256"] = {
            name: sha256_of(folder / name) for name in (WEIGHTS, GALLERY) if (folder / name).exists()
        }
    except (ValueError, TypeError):  # no JSON, or no object
        return
    write_description(folder, described)


# -- checkpoints ------------------------------------------------------------------------------------------------------


class _Runs:
    """What runs something when it is unpickled."""

    def __init__(self, rng: random.Random, canary: Path) -> None:
        self._call: tuple[Any, tuple[Any, ...]] = rng.choice([
            (os.system, (f"touch {canary}",)),
            (os.remove, (str(canary),)),
            (eval, (f"open({str(canary)!r}, 'w')",)),
            (torch.hub.load_state_dict_from_url, ("http://127.0.0.1:9/x",)),
            (torch.load, ("/etc/hostname",)),
            (os.getpid, ()),
        ])  # fmt: skip

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def _checkpoints(work: Path) -> Try:
    from safetensors.torch import load_file as load_tensors

    small = small_release(work / "model")
    photo = make_photo(work / "photo.png", 1)
    state = load_tensors(small.clip)
    trained = _trained(work)
    canary = work.parent / "canary"  # outside

    def attempt(rng: random.Random, folder: Path) -> str:
        canary.write_text("of another")
        training = rng.random() < 0.4
        path = folder / rng.choice(["hostile.pt", "hostile.bin", "hostile.safetensors", "hostile.ckpt"])
        whole: Any = trained if training else state
        if path.suffix == ".safetensors":
            path.write_bytes(_changed_safetensors(rng, small.clip.read_bytes()))
        else:
            path.write_bytes(_changed_archive(rng, whole, canary))
        if training:
            out = folder / "release"
            done = _of_command("export", path, "-o", out, "--overwrite")
        else:
            clip: list[str | Path] = ["--weights", small.weights, "--clip-checkpoint", path]
            what: list[str | Path] = [photo] if rng.random() < 0.7 else ["--text", "snow"]
            done = _of_command("locate", *what, "--index", "none", "-f", "jsonl", *clip)
        path.unlink()
        assert canary.read_text() == "of another", "a file outside was written"
        return done

    return attempt


def _trained(work: Path) -> dict[str, Any]:
    from tests.helpers.train_world import scratch

    module = scratch()
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, work / "whole.ckpt")
    return content


def _changed_archive(rng: random.Random, state: dict[str, Any], canary: Path) -> bytes:
    """Return a file of torch.save, hostile: odd values, code in its pickle, other bytes, or another archive."""
    file, given = io.BytesIO(), dict(state)
    names = list(given)
    kind = rng.randrange(6)
    if kind == 0:  # odd values
        given[rng.choice(names)] = rng.choice(
            [None, "x", torch.tensor(torch.nan), torch.zeros(0), torch.ones(3, 3), []]
        )
    elif kind == 1:
        given[rng.choice([*names, "x"])] = _Runs(rng, canary)
    torch.save(given, file, _use_new_zipfile_serialization=rng.random() < 0.8)
    content = file.getvalue()
    if kind == 2:
        return changed(rng, content)
    if kind == 3:
        return pickle.dumps(_Runs(rng, canary))
    if kind >= 4 and zipfile.is_zipfile(io.BytesIO(content)):
        return _rezipped(rng, content)
    return content


def _rezipped(rng: random.Random, content: bytes) -> bytes:
    """Write an archive again with one of its members changed, so that its checksums are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        names = given.namelist()
        pickled = next(name for name in names if name.endswith("data.pkl"))
        chosen = pickled if rng.random() < 0.7 else rng.choice(names)
        for name in names:
            data = given.read(name)
            made.writestr(name, changed(rng, data) if name == chosen else data)
        if rng.random() < 0.3:  # taken for TorchScript
            made.writestr(pickled.replace("data.pkl", "constants.pkl"), pickle.dumps(()))
    return out.getvalue()


KINDS: dict[str, Callable[[Path], Try]] = {
    "indexes": _indexes,
    "releases": _releases,
    "checkpoints": _checkpoints,
}
