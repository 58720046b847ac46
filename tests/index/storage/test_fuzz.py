"""Files of an index changed at random, with digests and checksums that are right: refused in words, or answered from.

`GEOCLIP_FUZZ=2000 pytest tests/index/storage/test_fuzz.py` tries more than the usual run does.
"""

import os
import random
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from index.storage.manifest import MANIFEST, SUMS, BadIndexError
from tests.helpers.sealing import resealed, write_sums
from tests.helpers.synthetic import encode, queries, small_index

TRIES = int(os.environ.get("GEOCLIP_FUZZ", "200"))
SMALL = Region.of_cells(cells_at([(46.6, 8.2)], 3))
ALL = Question(k=300, resolution=7, effort=EffortName.EXHAUSTIVE, prior_weight=0.5)
ODD = [b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00\x80\x7f", b"\x00\x7e", b"\xff" * 8, b"\x00" * 8, b"9" * 12, b"-1"]


def changed(rng: random.Random, content: bytes) -> bytes:
    """Overwrite, insert, remove or repeat some bytes in up to three places; most changes near the beginning."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = min(int(rng.expovariate(1 / 200)) if rng.random() < 0.5 else rng.randrange(len(data)), len(data) - 1)
        odd = rng.choice([*ODD, rng.randbytes(4)])
        match rng.randrange(4):
            case 0:
                data[at : at + len(odd)] = odd
            case 1:
                data[at:at] = odd
            case 2:
                del data[at : at + rng.randint(1, 8)]
            case _:
                data[at:at] = data[at : at + 64]
    return bytes(data)


def with_right_checksums(folder: Path, level: str) -> None:
    """Give the lists of a level the checksums of what they hold, as far as sizes make sense."""
    parts = load_file(folder / f"{level}.safetensors")
    content = (folder / f"{level}.lists").read_bytes()
    ends = np.append(0, np.cumsum(parts["sizes"].astype(np.int64)))
    width = len(content) // max(int(ends[-1]), 1)
    checksums = [crc32(content[a * width : b * width]) for a, b in pairwise(ends.tolist())]
    parts["checksums"] = np.array(checksums, np.uint32)
    resealed(folder, files={f"{level}.safetensors": save(parts)})


@pytest.mark.slow
def test_random_changes(tmp_path: Path) -> None:
    folder = tmp_path / "planet"
    rng = random.Random(TRIES)
    names = sorted(path.name for path in small_index(SMALL).iterdir() if path.name != SUMS and path.stat().st_size)
    asked = queries(np.array([(46.6, 8.2), (46.5, 8.1)]))
    outcomes: Counter[str] = Counter()
    for number in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(small_index(SMALL), folder)
        name = names[number % len(names)]
        content = changed(rng, (folder / name).read_bytes())
        if name == MANIFEST:
            (folder / name).write_bytes(content)
            write_sums(folder)
        else:
            resealed(folder, files={name: content})
            if name.endswith(".lists"):
                with_right_checksums(folder, name.removesuffix(".lists"))
        try:
            hits = Planet.open(folder, encode).search(asked, ALL, with_posteriors=True)
        except BadIndexError as error:
            assert str(error).startswith(str(folder))
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        else:
            real = hits.cells > 0
            assert np.isfinite(hits.scores[real]).all(), f"try {number}: {name}"
            assert np.isfinite(hits.lat_lng[real]).all()
            assert (np.abs(hits.lat_lng[real]) <= (90, 180)).all()
            assert all(np.isfinite(posterior.mass).all() for posterior in hits.posteriors)
            outcomes["answered"] += 1
    assert outcomes["refused"] > TRIES / 3, outcomes
