"""`Planet`: an opened index. Vectors in; cells, coordinates, scores and probabilities out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.grid.cells import Cells
from index.grid.region import Region
from index.search.descent import FINEST_ANSWER, DescentResult, Ranking, descend
from index.search.efforts import Effort, named
from index.search.engine import CoarseEngine, CoarseHits, checked_queries
from index.search.hits import FoundPlaces, HitMaker, QueryScores, joined_hits
from index.search.land import Land, Walked, leaves
from index.search.posterior import Posterior, posterior
from index.search.question import Question
from index.storage.contents import IndexContents

BATCH = 128
"""Queries that go down together: they share encodings, and memory holds no more."""
SAME_UP_TO = 50
"""Up to this k a search looks at the same cells, so that the first hits do not depend on k: efforts open enough."""
_MEASURED_K = 10  # for which efforts were measured
EXACT_BATCH = 64
"""Queries whose answers are scored exactly together."""


class Planet:
    """An index, opened for search: it answers from what it opened, whatever has its name by now.

    Args:
        contents: the index.
        engine: finds coarse cells.
        encoder: of the index's model.
    """

    def __init__(self, contents: IndexContents, engine: CoarseEngine, encoder: Encoder) -> None:
        self.folder, self.manifest, self.digest = contents.folder, contents.manifest, contents.digest
        self.cells, self.gallery, self.prior = contents.cells, contents.gallery, contents.prior
        self.engine, self._encoder, self._lengths = engine, encoder, contents.lengths
        self._slopes, self._levels, self._parent_rows = contents.slopes, contents.levels, contents.parent_rows
        self._encode = partial(encoder.quickly, nodes=contents.nodes if len(contents.nodes) else None)
        self._land = lru_cache(maxsize=4)(self._make_land)
        self._allowed = lru_cache(maxsize=4)(self._make_allowed)
        self._log_prior = lru_cache(maxsize=2)(self._make_log_prior)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        encoder: Encoder,
        *,
        engine: str = "auto",
        device: str = "cpu",
        model: str | None = None,
    ) -> Self:
        """Open an index; its vectors stay on disk, mapped into memory, for the engine on the CPU.

        Args:
            folder: of the index.
            encoder: of the index's model.
            engine: `auto`, `tree` (FAISS on the CPU), `exact` (torch) or `faiss-gpu`.
            device: `cpu`, `cuda` or `cuda:N`; where the exact and GPU engines compute.
            model: the digest of the model that queries come from; None does not compare.

        Raises:
            BadIndexError: no index, a damaged one, or one of another model.
        """
        from index.search.engine.choose import open_engine

        contents = IndexContents.open(Path(folder), model=model)
        return cls(contents, open_engine(engine, contents, device), encoder)

    def search(self, vectors: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> FoundPlaces:
        """Return the best cells for vectors.

        Args:
            vectors: (N, dim) float32, unit length.
            question: what is asked.
            with_posteriors: also return the posteriors.

        Raises:
            ValueError: another shape, values that are not finite, or a resolution the index cannot answer.
        """
        scores = self.query_scores(vectors, question)
        tries_places = question.gallery and question.resolution > self.manifest.coarse_res
        maker = HitMaker(question, self._encoder.exactly, self._encode, self.gallery if tries_places else None)
        parts, posteriors = [maker.hits((), ())], list[Posterior]()
        while some := list(islice(scores, EXACT_BATCH)):
            own = [self.posterior(one, question) for one in some]
            parts.append(maker.hits(some, own))
            posteriors += own if with_posteriors else ()
        return joined_hits(parts)._replace(posteriors=tuple(posteriors))

    def posteriors(self, vectors: NDArray[np.float32], question: Question) -> Iterator[Posterior]:
        """Yield the posterior over the planet for each vector. Arguments and errors as for `search`."""
        return (self.posterior(one, question) for one in self.query_scores(vectors, question))

    def query_scores(self, vectors: NDArray[np.float32], question: Question) -> Iterator[QueryScores]:
        """Yield what the search for each vector scored. Arguments and errors as for `search`."""
        queries = checked_queries(vectors, question.k, self.engine.dim)
        self._check(question)
        return self._searched(queries, question)

    def posterior(self, scores: QueryScores, question: Question) -> Posterior:
        """Return the distribution that scores give.

        The temperature and, where both are above 0, the prior's weight may differ from those that were searched with.
        """
        land, start_scores = self._land(question.resolution, question.region), self._start_scores(scores.start_scores)
        ranking = self._ranking(question)
        return posterior(scores.result, start_scores, scores.walked, land, ranking, question.resolution)

    def _ranking(self, question: Question) -> Ranking:
        return Ranking(self.manifest.tau / question.temperature, question.prior_weight, self.prior, question.region)

    def _check(self, question: Question) -> None:
        coarse = self.manifest.coarse_res
        if not coarse <= question.resolution <= FINEST_ANSWER:
            raise ValueError(
                f"The resolution is {question.resolution}; this index answers at {coarse} to {FINEST_ANSWER}."
            )
        if question.region is not None and not self._allowed(question.region).any():
            raise ValueError("The region holds no land of this index; choose another region, or another index.")

    def _searched(self, queries: NDArray[np.float32], question: Question) -> Iterator[QueryScores]:
        """Search in batches; while one is used, which leaves cores free, the next is searched in a thread."""
        batches = [queries[at : at + BATCH] for at in range(0, len(queries), BATCH)]
        if len(batches) < 2:
            yield from chain.from_iterable(self._batch(batch, question) for batch in batches)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="searching") as thread:
            coming = thread.submit(self._batch, batches[0], question)
            for following in batches[1:]:
                batch, coming = coming.result(), thread.submit(self._batch, following, question)
                yield from batch
            yield from coming.result()

    def _batch(self, queries: NDArray[np.float32], question: Question) -> list[QueryScores]:
        effort = named(question.effort, self.manifest.coarse_res)
        ranking = self._ranking(question)
        coarse = self.engine.search(
            queries,
            min(max(effort.coarse, question.k, SAME_UP_TO), len(self.cells)),
            widths=effort.widths,
            log_prior=self._log_prior(question.prior_weight / ranking.tau) if question.prior_weight else None,
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
        if question.resolution == self.manifest.coarse_res:
            return [DescentResult((cells,), 0) for cells in scored]
        k = question.k if question.k > SAME_UP_TO else _MEASURED_K
        return descend(
            queries,
            scored,
            question.resolution,
            k,
            self._encode,
            ranking,
            effort,
            hints=self,
            smooth_res=self.manifest.smooth_res,
        )

    def children_scores(
        self,
        cells: Cells,
        scores: NDArray[np.float32],
        queries: NDArray[np.float32],
        owners: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return about what the children (R, 7), by digit, of coarse cells score; see `CoarseHints`."""
        rows = np.searchsorted(self.cells, cells)
        lengths = self._lengths[rows]
        means = scores * lengths
        best = means + np.sqrt(np.maximum((1 - lengths**2) * (1 - scores**2), 0))  # that a child can score
        told, known = self._slopes.told(rows, queries, owners)
        own: NDArray[np.float32] = np.where(known, means, best).astype(np.float32)
        return own[:, None] + told

    def _start_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each start cell: the better of its sides, where it has two."""
        start = self.engine.start
        if len(start.rows) == start.rows[-1] + 1:
            return scores
        best = np.full(int(start.rows[-1]) + 1, -np.inf, np.float32)
        np.maximum.at(best, start.rows, scores)
        return best

    def _passed_by(self, coarse: CoarseHits, query: int) -> tuple[Walked, ...]:
        """Return the cells that the walk for a query scored, but went on neither from them nor with them."""
        walked = []
        for scanned in coarse.walked:
            own = slice(scanned.bounds[query], scanned.bounds[query + 1])
            walked.append(Walked.of(scanned.ids[own], scanned.scores[own]))
        rows = coarse.rows[query]
        return tuple(leaves(walked, self._parent_rows, rows[rows >= 0]))

    def _make_land(self, finest: int, region: Region | None) -> Land:
        log_mass = self.prior.coarse_log_mass
        if region is not None:
            log_mass = np.where(self._allowed(region), log_mass, -np.inf)
        start = self.engine.start
        lengths = np.zeros(len(self._levels[0]), np.float32)
        np.maximum.at(lengths, start.rows, start.lengths)
        return Land.of(self._levels, self._parent_rows, self._lengths, lengths, finest, log_mass)

    def _make_log_prior(self, weight: float) -> NDArray[np.float32]:
        return (weight * self.prior.coarse_log_mass).astype(np.float32)

    def _make_allowed(self, region: Region) -> NDArray[np.bool_]:
        return region.among(self.cells)
