"""Our coarse search and descent against explicit grids of the same finest resolution, in the same region.

Every system answers the same simulated queries with ten cells; the exact answer is a product with all vectors. Each
line is a system at one setting: recall@1 and @10, the great-circle distance between its best cell and the exact best
one (regret), p50/p95/p99 and rate of calls with 1, 64 and all queries, bytes a cell.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.grids import grids

from geoclip.distance import haversine_km
from index.cells import Cells, centres
from index.efforts import Effort, Name, Step, named
from index.planet import Planet, Question
from suites.records import Records, Size, percentiles
from suites.world import COARSE, K, World, world

SUITE = "search"
BUDGET_S = 20.0
"""What one kind of call of one setting may take; slower systems are measured on fewer queries."""
CHUNK = 256
BEAMS = {
    **{str(name): named(name) for name in (Name.FAST, Name.DEFAULT, Name.THOROUGH)},
    **{f"beam {b}": Effort((1024, 2048), max(b, 16), (Step(b, 1.0, 4096), Step(b, 1.0, 4096))) for b in (2, 8)},
}
Search = Callable[[NDArray[np.float32]], Cells]


def run(records: Records, size: Size, *, vectors: Path | None = None) -> None:
    """Measure everything in one region; `vectors`, of real photos, take the place of simulated ones."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"{size.region}: the index, all cells of resolution {size.resolution}, the exact answers ...", flush=True)
        here = world(size.region, size.resolution, size.queries, records.seed, Path(folder), vectors)
        _ours(records, size, here)
        for grid in grids(*here.vectors.shape, graphs=size.graphs):
            begun = time.perf_counter()
            grid.build(here.vectors)
            about = {"build_s": time.perf_counter() - begun, "bytes_a_cell": grid.bytes() / len(here.cells)}
            for setting in grid.settings:
                search = _explicit(grid, setting, here.cells)
                _measure(records, size, here, search, {"system": grid.name, "setting": setting, **about})


def _ours(records: Records, size: Size, here: World) -> None:
    stored = sum(path.stat().st_size for path in here.planet.folder.iterdir())
    begun = time.perf_counter()
    Planet.open(here.planet.folder)
    opened = time.perf_counter() - begun
    about = {"system": "geoclip-planet", "bytes_a_cell": stored / len(here.cells), "open_s": opened}
    for name, effort in BEAMS.items():
        question = Question(k=K, resolution=size.resolution, effort=effort, gallery=False)
        encodings = {
            kind: float(here.planet.search(own[:64], here.encode, question).encodings.mean())
            for kind, own in here.queries.items()
        }
        _measure(records, size, here, _descent(here, question), {**about, "setting": name, "encodings": encodings})
    coarse = Question(k=K, resolution=COARSE, effort=Name.DEFAULT, gallery=False)
    _latencies(records, size, here, _descent(here, coarse), {**about, "setting": "coarse only"})


def _descent(here: World, question: Question) -> Search:
    return lambda vectors: here.planet.search(vectors, here.encode, question).cells


def _explicit(grid: Any, setting: dict[str, int], cells: Cells) -> Search:
    def search(vectors: NDArray[np.float32]) -> Cells:
        rows = grid.search(vectors, **setting)
        found: Cells = cells[np.maximum(rows, 0)]
        found[rows < 0] = 0  # FAISS says -1 for none
        return found

    return search


def _measure(records: Records, size: Size, here: World, search: Search, about: dict[str, Any]) -> None:
    facts: dict[str, Any] = {}
    for kind, own in here.queries.items():
        found = answered(search, own)
        facts |= {f"{kind}_{name}": value for name, value in quality(found, here.best[kind][: len(found)]).items()}
        facts[f"{kind}_queries"] = len(found)
    _latencies(records, size, here, search, about | facts)


def answered(search: Search, own: NDArray[np.float32]) -> Cells:
    """Return the answers (Q, 10) to as many queries as the budget allows, 256 at least."""
    found, begun = [], time.perf_counter()
    for start in range(0, len(own), CHUNK):
        found.append(search(own[start : start + CHUNK]))
        if time.perf_counter() - begun > BUDGET_S:
            break
    return np.concatenate(found)


def quality(found: Cells, best: Cells) -> dict[str, float]:
    """Return recall@1, recall@10 and the regret of cells (Q, 10) against the exact ones (Q, 10)."""
    real = found[:, 0] > 0
    regret = np.full(len(found), np.nan)
    regret[real] = haversine_km(centres(found[real, 0]), centres(best[real, 0]))
    regret = np.where(real, regret, 20015.0)  # no answer: as far as there is
    return {
        "recall_1": float((found[:, 0] == best[:, 0]).mean()),
        "recall_10": float(np.mean([np.isin(b, f).mean() for f, b in zip(found, best, strict=True)])),
        "regret_mean_km": float(regret.mean()),
        "regret_p95_km": float(np.percentile(regret, 95)),
    }


def _latencies(records: Records, size: Size, here: World, search: Search, about: dict[str, Any]) -> None:
    kind, vectors = next(iter(here.queries.items()))
    facts: dict[str, Any] = {}
    for name, batch, calls in (("one", 1, size.singles), ("64", 64, 8), ("all", len(vectors), 3)):
        times = calls_timed(search, vectors, batch, calls)
        facts |= {f"{name}_{key}": value for key, value in percentiles(times).items()}
        facts |= {f"{name}_calls": len(times), f"{name}_per_second": batch / float(np.median(times))}
    records.add(
        SUITE,
        **about,
        **facts,
        region=size.region,
        resolution=size.resolution,
        cells=len(here.cells),
        queries=len(vectors),
        timed_with=kind,
        simulated=kind != "photos",
    )


def calls_timed(search: Search, vectors: NDArray[np.float32], batch: int, calls: int) -> list[float]:
    """Return the seconds of up to `calls` calls with other queries each, fewer where they pass the budget."""
    times: list[float] = []
    for n in range(calls + 1):  # the first warms up, unless it is long enough not to matter
        start = n * batch % max(1, len(vectors) - batch + 1)
        begun = time.perf_counter()
        search(vectors[start : start + batch])
        times.append(time.perf_counter() - begun)
        if sum(times) > BUDGET_S:
            return times
    return times[1:]
