"""Build a region's index, or ask one at a resolution, in a process of its own: `suites/scale.py` calls it."""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.released_model import released_model
from benchmarks.simulated import Kind, places, queries
from benchmarks.suites.records import evict, percentiles, timed
from index.building.build import Request, build
from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.question import Question
from index.storage.gallery import Gallery

SEED = 50


def main() -> None:
    """Do what the first argument says."""
    if sys.argv[1] == "build":
        model = released_model()
        request = Request(6, Gallery.of(model.gallery), "released", region=Region.parse(sys.argv[3]), tau=model.tau)
        build(request, model.encoder, Path(sys.argv[2]), report=lambda *_: None)
    else:
        ask(Path(sys.argv[2]), int(sys.argv[3]), EffortName(sys.argv[4]), int(sys.argv[5]))


def ask(folder: Path, resolution: int, effort: EffortName, count: int) -> None:
    """Print what opening and lookups took."""
    model = released_model()
    before = psutil.Process().memory_info().rss
    stored = evict(folder)
    begun = time.perf_counter()
    planet = model.open(folder)
    cold = time.perf_counter() - begun
    inside = model.gallery[np.isin(cells_at(model.gallery, planet.manifest.coarse_res), planet.cells)]
    vectors = queries(Kind.PHOTO_LIKE, places(inside, min(count, len(inside)), SEED), model.exact, SEED).vectors
    question = Question(k=10, resolution=resolution, effort=effort)
    first = timed(partial(planet.search, vectors[:1], question))
    times = [timed(partial(planet.search, vectors[n : n + 1], question)) for n in range(len(vectors))]
    added = psutil.Process().memory_info().rss - before
    warm = timed(lambda: model.open(folder))
    facts = {"resolution": resolution, "effort": str(effort)}
    facts |= {"cells": len(planet.cells) * 7 ** (resolution - planet.manifest.coarse_res)}
    facts |= {"index_bytes": stored, "cold_open_s": cold, "cold_first_ms": 1000 * first, "warm_open_s": warm}
    facts |= {"rss_added_gb": added / 1e9}
    print(json.dumps(facts | percentiles(times) | {"singles": len(times)}))


if __name__ == "__main__":
    main()
