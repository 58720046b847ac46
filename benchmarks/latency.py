"""How long a lookup takes in an index, and what memory serving it takes.

    python -m benchmarks.latency INDEX [--resolutions 9] [--device cuda] [--cold] [--out FILE.jsonl]

Photo-like simulated queries near the index's cells: each alone, after five that warm up, and all in one call. At the
resolution of the stored cells nothing is encoded; below it encodings dominate on a CPU, so the encoder's rate is
measured beside it. With --cold the index is first dropped from the system's cache and opened from the disk.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.harness import evict, parser, percentiles, some_points, timed
from benchmarks.released_model import released_model
from benchmarks.results import Results
from benchmarks.simulated import Kind, places, queries
from index.encoder import Encode
from index.grid.cells import cells_at
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question

SEED, WARM_UP = 30, 5
Facts = dict[str, Any]


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--resolutions", type=int, nargs="+", help="default: that of the stored cells, and 9")
    options.add_argument("--efforts", nargs="+", type=EffortName, default=["fast", "default", "thorough"])
    options.add_argument("--singles", type=int, default=200)
    options.add_argument("--batch", type=int, default=1024, help="0 leaves it out")
    options.add_argument("--device", default="cpu")
    options.add_argument("--engine", default="auto")
    options.add_argument("--cold", action="store_true", help="start from the disk")
    arguments = options.parse_args()
    results, process = Results(arguments.out), psutil.Process()
    model = released_model(arguments.device)
    opened = partial(model.open, arguments.index, engine=arguments.engine, device=arguments.device)
    before = process.memory_info().rss
    opening, planet = opening_s(arguments.index, opened, cold=arguments.cold)
    coarse = planet.manifest.coarse_res
    inside = model.gallery[np.isin(cells_at(model.gallery, coarse), planet.cells)]
    count = max(arguments.singles, arguments.batch)
    vectors = queries(Kind.PHOTO_LIKE, places(inside, count, SEED), model.exact, SEED)
    opening["encoder_points_per_second"] = encoder_rate(model.encode)
    about = {"device": arguments.device, "engine": arguments.engine, "index_cells": len(planet.cells)}
    about |= {"singles": arguments.singles, "batch": arguments.batch, "simulated": True}
    for resolution in arguments.resolutions or (coarse, 9):
        for effort in map(EffortName, arguments.efforts):
            question = Question(k=10, resolution=resolution, effort=effort)
            values = measured(planet, vectors, question, arguments.singles, arguments.batch)
            values |= opening | {"rss_gb": process.memory_info().rss / 1e9}
            values["rss_added_gb"] = values["rss_gb"] - before / 1e9
            parameters = {"resolution": resolution, "effort": str(effort)}
            parameters["cells"] = len(planet.cells) * 7 ** (resolution - coarse)
            results.add("latency", parameters | about, values)


def opening_s(index: Path, opened: Any, *, cold: bool) -> tuple[Facts, Planet]:
    """Return bytes and seconds of opening, from the disk too if asked, and the opened index."""
    facts: Facts = {}
    if cold:
        facts = {"index_bytes": evict(index), "cold_open_s": timed(opened)}
    begun = time.perf_counter()
    planet: Planet = opened()
    return facts | {"warm_open_s": time.perf_counter() - begun}, planet


def encoder_rate(encode: Encode) -> float:
    """Return points a second in large batches: the median of five."""
    points = some_points(8192)
    encode(points)
    return len(points) / float(np.median([timed(partial(encode, points)) for _ in range(5)]))


def measured(planet: Planet, vectors: Any, question: Question, singles: int, batch: int) -> Facts:
    """Time queries one by one, and together."""
    first = timed(partial(planet.search, vectors[:1], question))
    for n in range(1, WARM_UP):
        planet.search(vectors[n : n + 1], question)
    times, encodings = [], []
    for n in range(singles):
        begun = time.perf_counter()
        hits = planet.search(vectors[n : n + 1], question)
        times.append(time.perf_counter() - begun)
        encodings.append(int(hits.encodings[0]))
    values: Facts = percentiles(times) | {"first_ms": 1000 * first, "encodings": float(np.mean(encodings))}
    if batch:
        values["per_second"] = batch / timed(partial(planet.search, vectors[:batch], question))
    return values


if __name__ == "__main__":
    main()
