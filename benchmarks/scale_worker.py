"""Build a region's index, or ask one at a resolution, in a process of its own: `suites/scale.py` calls it."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
from released_model import released_encoder
from simulated import Kind, places, queries
from suites.records import percentiles

from index.build import Request, build
from index.cells import cells_at
from index.efforts import Name
from index.gallery import Gallery
from index.planet import Planet, Question
from index.region import Region

SEED = 50


def main() -> None:
    """Do what the first argument says."""
    if sys.argv[1] == "build":
        encode, tau, gallery = released_encoder()
        request = Request(6, Gallery.of(gallery), "released", region=Region.parse(sys.argv[3]), tau=tau)
        build(request, encode, Path(sys.argv[2]), report=lambda *_: None)
    else:
        ask(Path(sys.argv[2]), int(sys.argv[3]), Name(sys.argv[4]), int(sys.argv[5]))


def ask(folder: Path, resolution: int, effort: Name, count: int) -> None:
    """Print what opening and lookups took."""
    encode, _, gallery = released_encoder()
    before = psutil.Process().memory_info().rss
    begun = time.perf_counter()
    planet = Planet.open(folder)
    opened = time.perf_counter() - begun
    inside = gallery[np.isin(cells_at(gallery, planet.manifest.coarse_res), planet.cells)]
    vectors = queries(Kind.PHOTO_LIKE, places(inside, min(count, len(inside)), SEED), encode, SEED).vectors
    question = Question(k=10, resolution=resolution, effort=effort)
    begun = time.perf_counter()
    planet.search(vectors[:1], encode, question)
    first = time.perf_counter() - begun
    times = []
    for n in range(len(vectors)):
        begun = time.perf_counter()
        planet.search(vectors[n : n + 1], encode, question)
        times.append(time.perf_counter() - begun)
    facts = {"resolution": resolution, "effort": str(effort)}
    facts |= {"cells": len(planet.cells) * 7 ** (resolution - planet.manifest.coarse_res)}
    facts |= {"index_bytes": sum(path.stat().st_size for path in folder.iterdir()), "open_s": opened}
    facts |= {"first_ms": 1000 * first, "rss_added_gb": (psutil.Process().memory_info().rss - before) / 1e9}
    print(json.dumps(facts | percentiles(times) | {"singles": len(times)}))


if __name__ == "__main__":
    main()
