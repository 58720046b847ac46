"""Releases and checkpoints of a stranger: sound ones changed, with right digests; archives that would run code."""

import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.mutations import changed, changed_json, changed_safetensors
from geoclip.files import sha256_of
from geoclip.release.directory import CONFIG, GALLERY, WEIGHTS, write_description
from tests.helpers.commands import geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import small_release


def hostile_releases(work: Path) -> Callable[[random.Random, Path], str]:
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
            content = changed_safetensors(rng, content)
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


def hostile_checkpoints(work: Path) -> Callable[[random.Random, Path], str]:
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
            path.write_bytes(changed_safetensors(rng, small.clip.read_bytes()))
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


def _of_command(*arguments: str | Path) -> str:
    """Run a command; it answers without NaN or says one sentence."""
    done = geoclip(*arguments)
    assert done.exit_code in (0, 2), done
    assert "NaN" not in done.stdout, done.stdout[:200]
    assert done.exit_code == 0 or len(done.stderr.splitlines()) == 1, done.stderr[:500]
    return "answered" if done.exit_code == 0 else "refused"
