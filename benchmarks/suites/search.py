"""Our coarse search and descent against explicit grids of the same finest resolution, in the same region.

Every system answers the same simulated queries with ten cells; the exact answer is a product with all vectors. Each
line is a system at one setting: recall@1 and @10, the great-circle distance between its best cell and the exact best
one (regret), p50/p95/p99 and rate of calls with 1, 64 and all queries, bytes a cell.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.grids import grids
from benchmarks.suites.records import Records, Size, evict, percentiles, timed
from benchmarks.suites.world import COARSE, K, World, world
from geoclip.distance import haversine_km
from index.grid.cells import Cells, centres
from index.search.efforts import Effort, EffortName, Step, named
from index.search.planet import Planet
from index.search.question import Question

SUITE = "search"
LEAST_S = 0.5
"""What one kind of call of one setting takes at least: short calls are repeated."""
CHUNK = 128
BEAMS = {
    **{str(name): named(name) for name in (EffortName.FAST, EffortName.DEFAULT, EffortName.THOROUGH)},
    **{f"beam {b}": Effort((1024, 2048), max(b, 16), (Step(b, 1.0, 4096), Step(b, 1.0, 4096))) for b in (2, 8)},
}
Search = Callable[[NDArray[np.float32]], Cells]


def run(records: Records, size: Size, *, vectors: Path | None = None) -> None:
    """Measure everything in one region; `vectors`, of real photos, take the place of simulated ones."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"{size.region}: the index, all cells of resolution {size.resolution}, the exact answers ...", flush=True)
        here = world(size.region, size.resolution, size.queries, records.seed, Path(folder), vectors)
        _ours(records, size, here)
        for number, grid in enumerate(grids(*here.vectors.shape, graphs=size.graphs)):
            saved = Path(folder) / f"grid-{number}"
            saved.mkdir()
            about: dict[str, Any] = {"build_s": timed(partial(grid.build, here.vectors))}
            grid.save(saved)
            search = _explicit(grid, grid.settings[-1], here.cells)
            about |= _opened(here, saved, partial(grid.open, saved), search)
            for setting in grid.settings:
                search = _explicit(grid, setting, here.cells)
                _measure(records, size, here, search, {"system": grid.name, "setting": setting} | about)
            shutil.rmtree(saved)


def _ours(records: Records, size: Size, here: World) -> None:
    copy = here.planet.folder.with_name("copy")  # of which nothing is mapped
    shutil.copytree(here.planet.folder, copy)
    planets: list[Planet] = []
    question = Question(k=K, resolution=size.resolution, gallery=False)
    about = _opened(
        here,
        copy,
        lambda: planets.append(here.model.open(copy)),
        lambda vectors: planets[-1].search(vectors, question).cells,
    )
    for name, effort in BEAMS.items():
        question = Question(k=K, resolution=size.resolution, effort=effort, gallery=False)
        encodings = {
            kind: float(here.planet.search(own[:64], question).encodings.mean()) for kind, own in here.queries.items()
        }
        _measure(records, size, here, _descent(here, question), _ours_at(name) | {"encodings": encodings} | about)
    coarse = Question(k=K, resolution=COARSE, effort=EffortName.DEFAULT, gallery=False)
    _latencies(records, size, here, _descent(here, coarse), _ours_at("coarse only") | about)


def _ours_at(setting: str) -> dict[str, Any]:
    """Return what names a line of this project's."""
    return {"system": "geoclip-planet", "setting": setting}


def _opened(here: World, saved: Path, opening: Callable[[], object], search: Search) -> dict[str, Any]:
    """Return bytes a cell of what is saved, and the seconds of opening it and the first answer, cold and warm."""
    query = next(iter(here.queries.values()))[:1]
    facts: dict[str, Any] = {"bytes_a_cell": evict(saved) / len(here.cells)}
    for state in ("cold", "warm"):
        facts[f"{state}_open_s"], facts[f"{state}_first_s"] = timed(opening), timed(partial(search, query))
    return facts


def _descent(here: World, question: Question) -> Search:
    return lambda vectors: here.planet.search(vectors, question).cells


def _explicit(grid: Any, setting: dict[str, int], cells: Cells) -> Search:
    def search(vectors: NDArray[np.float32]) -> Cells:
        rows = grid.search(vectors, **setting)
        found: Cells = cells[np.maximum(rows, 0)]
        found[rows < 0] = 0  # FAISS says -1 for none
        return found

    return search


def _measure(records: Records, size: Size, here: World, search: Search, about: dict[str, Any]) -> None:
    facts: dict[str, Any] = {}
    timed_with = next(iter(here.queries))
    for kind, own in here.queries.items():
        found = answered(search, own, (3 if kind == timed_with else 1) * size.budget_s)
        facts |= {f"{kind}_{name}": value for name, value in quality(found, here.best[kind][: len(found)]).items()}
        facts[f"{kind}_queries"] = len(found)
    _latencies(records, size, here, search, about | facts)


def answered(search: Search, own: NDArray[np.float32], budget_s: float) -> Cells:
    """Return the answers (Q, 10) to as many queries as can be answered in the time, 128 at least."""
    found, begun = [], time.perf_counter()
    for start in range(0, len(own), CHUNK):
        found.append(search(own[start : start + CHUNK]))
        if time.perf_counter() - begun > budget_s:
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
        times = calls_timed(search, vectors, batch, calls, size.budget_s)
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


def calls_timed(search: Search, vectors: NDArray[np.float32], batch: int, calls: int, budget_s: float) -> list[float]:
    """Return the seconds of calls with other queries each: `calls`, more while they are short, fewer if very long."""
    times: list[float] = []
    spent, n = 0.0, 0
    while (n <= calls or spent < LEAST_S) and spent < budget_s:
        start = n * batch % max(1, len(vectors) - batch + 1)
        times.append(timed(partial(search, vectors[start : start + batch])))
        spent, n = spent + times[-1], n + 1
    return times[1:] or times  # the first warms up, unless it is long enough not to matter
