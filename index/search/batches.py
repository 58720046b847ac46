"""How a batch of queries is searched: on the host, by an engine and a descent in numpy, or in a GPU's memory."""

from functools import lru_cache, partial
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch  # noqa: F401 - before FAISS, whose wheel brings an older CUDA: so what both link to is torch's
from numpy.typing import NDArray

from index.encoder import Encoder
from index.grid.cells import Cells
from index.grid.region import Region
from index.search.descent import DescentResult, Ranking, descend
from index.search.efforts import Effort, named
from index.search.engine import CoarseEngine, CoarseHits, EngineName
from index.search.engine.choose import open_engine
from index.search.hits import QueryScores
from index.search.land import Walked, leaves
from index.search.question import Question, coarse_count, wanted_cells
from index.storage.contents import IndexContents

BATCH = 128
"""Queries that go down together on the host: they share encodings, and memory holds no more."""


class BatchSearch(Protocol):
    """Searches the coarse cells and what is below them."""

    @property
    def engine(self) -> CoarseEngine:
        """Finds coarse cells."""

    def at_once(self, question: Question) -> int:
        """Return how many queries are searched together."""

    def batch(self, queries: NDArray[np.float32], question: Question, ranking: Ranking) -> list[QueryScores]:
        """Return what was scored for queries (N, dim), checked, contiguous and of unit length."""


def open_search(name: str, contents: IndexContents, device: str, encoder: Encoder) -> BatchSearch:
    """Open an index for search.

    Args:
        name: of an engine; `auto` takes `resident` on a GPU and `tree` on a CPU.
        contents: the index.
        device: `cpu`, `cuda` or `cuda:N`.
        encoder: of the index's model.

    Raises:
        ValueError: an unknown engine, or one that needs a GPU without one.
    """
    if name == EngineName.RESIDENT or (name == EngineName.AUTO and device != "cpu"):
        from index.search.resident.search import ResidentSearch

        return ResidentSearch(contents, device, encoder)
    return HostSearch(contents, open_engine(name, contents, device), encoder)


class HostSearch:
    """Searches with an engine and a descent in numpy.

    Args:
        contents: the index.
        engine: finds coarse cells.
        encoder: of the index's model.
    """

    def __init__(self, contents: IndexContents, engine: CoarseEngine, encoder: Encoder) -> None:
        self.engine, self._manifest = engine, contents.manifest
        self._cells, self._lengths, self._slopes = contents.cells, contents.lengths, contents.slopes
        self._parent_rows, self._prior = contents.parent_rows, contents.prior
        self._encode = partial(encoder.quickly, nodes=contents.nodes if len(contents.nodes) else None)
        self._allowed = lru_cache(maxsize=4)(self._make_allowed)
        self._log_prior = lru_cache(maxsize=2)(self._make_log_prior)

    def at_once(self, question: Question) -> int:
        """See `BatchSearch.at_once`."""
        del question
        return BATCH

    def batch(self, queries: NDArray[np.float32], question: Question, ranking: Ranking) -> list[QueryScores]:
        """See `BatchSearch.batch`."""
        effort = named(question.effort, self._manifest.coarse_res)
        coarse = self.engine.search(
            queries,
            coarse_count(question, effort, len(self._cells)),
            widths=effort.widths,
            log_prior=self._log_prior(ranking.weight / ranking.tau) if ranking.weight else None,
            allowed=None if question.region is None else self._allowed(question.region),
        )
        found = self._descended(queries, coarse, ranking, effort, question)
        return [
            QueryScores(query, result, coarse.start_scores[number], self._passed_by(coarse, number))
            for number, (query, result) in enumerate(zip(queries, found, strict=True))
        ]

    def _descended(
        self,
        queries: NDArray[np.float32],
        coarse: CoarseHits,
        ranking: Ranking,
        effort: Effort,
        question: Question,
    ) -> list[DescentResult]:
        real = coarse.cells > 0
        ranked = ranking.scored(coarse.cells[real], coarse.scores[real])
        bounds = np.cumsum([0, *real.sum(axis=1).tolist()]).tolist()
        scored = [ranked.part(slice(a, b)) for a, b in pairwise(bounds)]
        if question.resolution == self._manifest.coarse_res:
            return [DescentResult((cells,), 0) for cells in scored]
        return descend(
            queries,
            scored,
            question.resolution,
            wanted_cells(question),
            self._encode,
            ranking,
            effort,
            hints=self,
            smooth_res=self._manifest.smooth_res,
        )

    def children_scores(
        self,
        cells: Cells,
        scores: NDArray[np.float32],
        queries: NDArray[np.float32],
        owners: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return about what the children (R, 7), by digit, of coarse cells score; see `CoarseHints`."""
        rows = np.searchsorted(self._cells, cells)
        lengths = self._lengths[rows]
        means = scores * lengths
        best = means + np.sqrt(np.maximum((1 - lengths**2) * (1 - scores**2), 0))  # that a child can score
        told, known = self._slopes.told(rows, queries, owners)
        own: NDArray[np.float32] = np.where(known, means, best).astype(np.float32)
        return own[:, None] + told

    def _passed_by(self, coarse: CoarseHits, query: int) -> tuple[Walked, ...]:
        """Return the cells that the walk for a query scored, but went on neither from them nor with them."""
        walked = []
        for scanned in coarse.walked:
            own = slice(scanned.bounds[query], scanned.bounds[query + 1])
            walked.append(Walked.of(scanned.ids[own], scanned.scores[own]))
        rows = coarse.rows[query]
        return tuple(leaves(walked, self._parent_rows, rows[rows >= 0]))

    def _make_log_prior(self, weight: float) -> NDArray[np.float32]:
        return (weight * self._prior.coarse_log_mass).astype(np.float32)

    def _make_allowed(self, region: Region) -> NDArray[np.bool_]:
        return region.among(self._cells)
