"""Indexes of a stranger, with right digests: files of a sound one changed."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from safetensors.numpy import load_file, save

from benchmarks.faults.damaged import SMALL
from benchmarks.faults.mutations import changed, changed_json, changed_safetensors
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from index.storage.manifest import MANIFEST, SUMS, BadIndexError
from tests.helpers.sealing import resealed, write_sums
from tests.helpers.synthetic import encode, queries, small_index

ALL = Question(k=300, resolution=7, effort=EffortName.EXHAUSTIVE, prior_weight=0.5)


def hostile_indexes(work: Path) -> Callable[[random.Random, Path], str]:
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
            content = changed_safetensors(rng, content)
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
