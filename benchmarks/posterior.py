"""How good are the shares that a search tells? Against the posterior of every cell of the land, on simulated queries.

    python -m benchmarks.posterior WORK --indexes INDEX... [--queries 200] [--out FILE.jsonl]

Each cell of resolution 7 below the first index's coarse cells is encoded and weighed by its score and the prior, for
all queries, as `index/search/posterior.py` defines it; what is kept in WORK is the probability of each cell of
resolution 5. A search at resolution 7 tells the same from a few hundred encodings and estimates for the rest. Compared
are the shares of cells of resolutions 2 to 5, a coarser cell's being spread evenly over what it holds, and those of
countries, each cell of resolution 5 counting where its centre lies:

- apart: half the sum of all differences, the probability that is in the wrong place;
- worst: the largest difference of one share.

With --spreads, for other values of the constant `SPREAD` too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import index.search.posterior as posterior_module
from benchmarks.exhaustive import simulated_queries
from benchmarks.harness import parser
from benchmarks.released_model import ReleasedModel, released_model
from benchmarks.results import Results
from benchmarks.simulated import Kind
from geoclip.answers.place_names import shared_place_names
from geoclip.encoders.cores import on_all_cores
from geoclip.options import SearchOptions
from index.files import written_whole
from index.grid.cells import Cells, centres, children, children_counts, parents, spacing_km
from index.search.hits import QueryScores
from index.search.planet import Planet
from index.search.posterior import SPREAD, Posterior
from index.search.question import Question

KINDS = (Kind.PLACE, Kind.HARD, Kind.PHOTO_LIKE)
FINEST, KEPT = 7, 5
BLOCK_CELLS = 8192
"""Coarse cells whose children are weighed at once."""
TOGETHER = 64
Floats = NDArray[np.float32]


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__, index=False)
    options.add_argument("work", type=Path)
    options.add_argument("--indexes", type=Path, nargs="+", required=True)
    options.add_argument("--queries", type=int, default=200, help="of each kind")
    options.add_argument("--efforts", nargs="+", default=["default"])
    options.add_argument("--spreads", type=float, nargs="+", default=[SPREAD])
    arguments = options.parse_args()
    model, results = released_model(), Results(arguments.out)
    vectors, _ = simulated_queries(KINDS, arguments.queries, model.gallery, model.exact)
    opened = [model.open(path) for path in arguments.indexes]
    cells, truth = exhaustive(arguments.work, opened[0], model, vectors)
    compared = Compared(cells, truth)
    for path, planet in zip(arguments.indexes, opened, strict=True):
        for effort in arguments.efforts:
            question = Question(k=10, resolution=FINEST, effort=effort, prior_weight=SearchOptions.prior_weight)
            scored = list(planet.query_scores(vectors, question))
            for spread in arguments.spreads:
                errors = compared.errors(told(planet, scored, question, spread))
                about: dict[str, Any] = {"index": path.name, "effort": effort, "spread": spread, "simulated": True}
                about |= {"prior_weight": question.prior_weight, "queries": arguments.queries}
                for number, kind in enumerate(KINDS):
                    own = slice(number * arguments.queries, (number + 1) * arguments.queries)
                    values = {
                        f"{name}_p{percent}": float(np.percentile(each[own], percent))
                        for name, each in errors.items()
                        for percent in (50, 95)
                    }
                    results.add("posterior", about | {"kind": kind}, values)


def told(planet: Planet, scored: list[QueryScores], question: Question, spread: float) -> Iterator[Posterior]:
    """Yield what the search tells, with a value of the constant."""
    posterior_module.SPREAD = spread
    try:
        for one in scored:
            yield planet.posterior(one, question)
    finally:
        posterior_module.SPREAD = SPREAD


def exhaustive(work: Path, planet: Planet, model: ReleasedModel, vectors: Floats) -> tuple[Cells, Floats]:
    """Return cells of resolution `KEPT` and their probabilities (C, Q), from WORK where they are there."""
    path = work / f"shares-{len(vectors)}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        cells, shares = weighed(planet, model, vectors)
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, cells=cells, shares=shares)
    saved = np.load(path)
    return saved["cells"], saved["shares"]


def weighed(planet: Planet, model: ReleasedModel, vectors: Floats) -> tuple[Cells, Floats]:
    """Encode all cells and sum their probabilities by cell of resolution `KEPT`."""
    asked = [vectors[at : at + TOGETHER] for at in range(0, len(vectors), TOGETHER)]
    best = np.concatenate([planet.search(some, Question(k=1)).scores[:, 0] for some in asked])
    weigher = _Weigher(torch.from_numpy(vectors.T.copy()), torch.from_numpy(best), planet.manifest.tau)
    parts, sums = list[Cells](), list[Floats]()
    for at in range(0, len(planet.cells), BLOCK_CELLS):
        cells = children(planet.cells[at : at + BLOCK_CELLS], FINEST)
        encoded = model.encoder.nearby(centres(cells), spacing_km(FINEST))
        bonus = SearchOptions.prior_weight * planet.prior.log_mass(cells)
        above = parents(cells, KEPT)
        starts = np.flatnonzero(np.append(True, above[1:] != above[:-1]))
        parts.append(above[starts])
        sums.append(weigher.sums(encoded, bonus, [*starts.tolist(), len(cells)]))
        print(f"{at + BLOCK_CELLS} of {len(planet.cells)} cells", flush=True)
    joined, first = np.unique(
        np.concatenate(parts), return_index=True
    )  # a cell may be in two blocks, one after another
    shares = np.add.reduceat(np.concatenate(sums), first, axis=0)
    return joined, shares / shares.sum(axis=0, dtype=np.float64).astype(np.float32)


class _Weigher(NamedTuple):
    queries: Tensor
    """(512, Q)"""
    best: Tensor
    """(Q,) a score near the best one, so that no sum is too large or too small for float32."""
    tau: float

    def sums(self, encoded: Floats, bonus: NDArray[np.float64], bounds: list[int]) -> Floats:
        """Return exp(tau * (score - best) + bonus), summed between bounds, (len(bounds) - 1, Q)."""
        unit, extra = torch.from_numpy(encoded), torch.from_numpy(bonus + 10.0).float()
        summed = np.zeros((len(bounds) - 1, self.queries.shape[1]), np.float32)

        def add(first: int) -> None:
            last = min(first + TOGETHER, len(bounds) - 1)
            own = slice(bounds[first], bounds[last])
            logits = (unit[own] @ self.queries - self.best).mul_(self.tau).add_(extra[own, None]).exp_()
            summed[first:last] = np.add.reduceat(logits.numpy(), np.array(bounds[first:last]) - bounds[first], axis=0)

        on_all_cores(add, range(0, len(summed), TOGETHER))
        return summed


class Compared:
    """The true shares, and what is told compared with them.

    Args:
        cells: (C,) of resolution `KEPT`, sorted.
        truth: (C, Q) their probabilities.
    """

    def __init__(self, cells: Cells, truth: Floats) -> None:
        self._cells, self._truth = cells, truth
        self._above = {res: np.unique(parents(cells, res), return_inverse=True) for res in range(KEPT + 1)}
        tree = shared_place_names()._gazetteer
        self._country = tree.tree.lineage[0, tree.nodes_at(centres(cells))]

    def errors(self, posteriors: Iterator[Posterior]) -> dict[str, NDArray[np.float64]]:
        """Return by name the differences (Q,) of each query."""
        found: dict[str, list[float]] = {}
        for query, posterior in enumerate(posteriors):
            difference = self._spread_out(posterior) - self._truth[:, query]
            groups = {f"res{res}": self._above[res][1] for res in range(2, KEPT + 1)} | {"country": self._country}
            for name, rows in groups.items():
                sums = np.abs(np.bincount(rows, difference))
                found.setdefault(f"{name}_apart", []).append(float(sums.sum() / 2))
                found.setdefault(f"{name}_worst", []).append(float(sums.max()))
        return {name: np.array(values) for name, values in found.items()}

    def _spread_out(self, posterior: Posterior) -> NDArray[np.float64]:
        """Return the probability (C,) that a posterior gives to each cell."""
        shares = np.zeros(len(self._cells))
        levels = np.minimum(posterior.levels, KEPT)
        for res in np.unique(levels).tolist():
            own = levels == res
            names, rows = self._above[res]
            up = parents(posterior.cells[own], res)
            at = np.minimum(np.searchsorted(names, up), len(names) - 1)
            known = names[at] == up  # all but cells that only a coarser index counts as land
            held = np.bincount(at[known], posterior.mass[own][known], len(names))
            counts = np.bincount(rows, children_counts(self._cells, FINEST), len(names))
            shares += held[rows] * children_counts(self._cells, FINEST) / counts[rows]
        return shares


if __name__ == "__main__":
    main()
