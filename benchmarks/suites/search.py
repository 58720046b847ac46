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

from benchmarks.harness import evict, percentiles, timed
from benchmarks.peers.grids import Grid, grids
from benchmarks.results import Results
from benchmarks.suites.size import Size
from benchmarks.suites.world import COARSE, K, World, world
from index.grid.cells import Cells, centres
from index.grid.sphere import haversine_km
from index.search.efforts import Effort, EffortName, Step, named
from index.search.planet import Planet
from index.search.question import Question

LEAST_S = 0.5
"""What one kind of call of one setting takes at least: short calls are repeated."""
CHUNK = 128
BEAMS = {
    **{str(name): named(name) for name in (EffortName.FAST, EffortName.DEFAULT, EffortName.THOROUGH)},
    **{f"beam {b}": Effort((1024, 2048), max(b, 16), (Step(b, 1.0, 4096), Step(b, 1.0, 4096))) for b in (2, 8)},
}
Search = Callable[[NDArray[np.float32]], Cells]


def run(results: Results, size: Size, *, vectors: Path | None = None) -> None:
    """Measure everything in one region; `vectors`, of real photos, take the place of simulated ones."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"{size.region}: the index, all cells of resolution {size.resolution}, the exact answers ...", flush=True)
        here = world(size.region, size.resolution, size.queries, results.seed, Path(folder), vectors)
        bench = _Bench(results, size, here)
        bench.ours()
        for number, grid in enumerate(grids(*here.vectors.shape, graphs=size.graphs)):
            saved = Path(folder) / f"grid-{number}"
            saved.mkdir()
            bench.explicit(grid, saved)
            shutil.rmtree(saved)


class _Bench:
    """Measures systems in one world."""

    def __init__(self, results: Results, size: Size, here: World) -> None:
        self.results, self.size, self.here = results, size, here
        self.timed_with = next(iter(here.queries))
        self.about = {"region": size.region, "resolution": size.resolution, "cells": len(here.cells)}
        self.about |= {"timed_with": self.timed_with, "queries": len(here.queries[self.timed_with])}
        self.about["simulated"] = self.timed_with != "photos"

    def ours(self) -> None:
        here = self.here
        copy = here.planet.folder.with_name("copy")  # of which nothing is mapped
        shutil.copytree(here.planet.folder, copy)
        planets: list[Planet] = []
        question = Question(k=K, resolution=self.size.resolution, gallery=False)
        opened = self.opened(
            copy,
            lambda: planets.append(here.model.open(copy)),
            lambda vectors: planets[-1].search(vectors, question).cells,
        )
        for name, effort in BEAMS.items():
            question = Question(k=K, resolution=self.size.resolution, effort=effort, gallery=False)
            own = here.queries[self.timed_with][:64]
            values = {"encodings": float(here.planet.search(own, question).encodings.mean())}
            values |= self.qualities(self.descent(question)) | opened
            self.record("geoclip-planet", name, self.descent(question), values)
        coarse = Question(k=K, resolution=COARSE, effort=EffortName.DEFAULT, gallery=False)
        self.record("geoclip-planet", "coarse only", self.descent(coarse), opened)

    def explicit(self, grid: Grid, saved: Path) -> None:
        facts: dict[str, Any] = {"build_s": timed(partial(grid.build, self.here.vectors))}
        grid.save(saved)
        facts |= self.opened(saved, partial(grid.open, saved), partial(self.cells_of, grid, grid.settings[-1]))
        for setting in grid.settings:
            search = partial(self.cells_of, grid, setting)
            words = ", ".join(f"{name} {value}" for name, value in setting.items())
            self.record(grid.name, words, search, self.qualities(search) | facts)

    def opened(self, saved: Path, opening: Callable[[], object], search: Search) -> dict[str, Any]:
        """Return bytes a cell of what is saved, and the seconds of opening it and the first answer, cold and warm."""
        query = self.here.queries[self.timed_with][:1]
        facts: dict[str, Any] = {"bytes_a_cell": evict(saved) / len(self.here.cells)}
        for state in ("cold", "warm"):
            facts[f"{state}_open_s"], facts[f"{state}_first_s"] = timed(opening), timed(partial(search, query))
        return facts

    def descent(self, question: Question) -> Search:
        return lambda vectors: self.here.planet.search(vectors, question).cells

    def cells_of(self, grid: Grid, setting: dict[str, int], vectors: NDArray[np.float32]) -> Cells:
        rows = grid.search(vectors, **setting)
        found: Cells = self.here.cells[np.maximum(rows, 0)]
        found[rows < 0] = 0  # FAISS says -1 for none
        return found

    def qualities(self, search: Search) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for kind, own in self.here.queries.items():
            found = answered(search, own, (3 if kind == self.timed_with else 1) * self.size.budget_s)
            measured = quality(found, self.here.best[kind][: len(found)])
            facts |= {f"{kind}_{name}": value for name, value in measured.items()} | {f"{kind}_queries": len(found)}
        return facts

    def record(self, system: str, setting: str, search: Search, values: dict[str, Any]) -> None:
        vectors, latencies = self.here.queries[self.timed_with], dict[str, Any]()
        for name, batch, calls in (("one", 1, self.size.singles), ("64", 64, 8), ("all", len(vectors), 3)):
            times = calls_timed(search, vectors, batch, calls, self.size.budget_s)
            latencies |= percentiles(times, f"{name}_")
            latencies |= {f"{name}_calls": len(times), f"{name}_per_second": batch / float(np.median(times))}
        self.results.add("search", {"system": system, "setting": setting} | self.about, values | latencies)


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


def calls_timed(search: Search, vectors: NDArray[np.float32], batch: int, calls: int, budget_s: float) -> list[float]:
    """Return the seconds of calls with other queries each: `calls`, more while they are short, fewer if very long."""
    times: list[float] = []
    spent, n = 0.0, 0
    while (n <= calls or spent < LEAST_S) and spent < budget_s:
        start = n * batch % max(1, len(vectors) - batch + 1)
        times.append(timed(partial(search, vectors[start : start + batch])))
        spent, n = spent + times[-1], n + 1
    return times[1:] or times  # the first warms up, unless it is long enough not to matter
