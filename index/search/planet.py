"""`Planet`: an opened index. Vectors in; cells, coordinates, scores and probabilities out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.grid.region import Region
from index.search.descent import FINEST_ANSWER, Ranking
from index.search.engine import checked_queries
from index.search.hits import FoundPlaces, HitMaker, QueryScores, joined_hits
from index.search.land import Land
from index.search.posterior import Posterior, posterior
from index.search.question import Question
from index.storage.contents import IndexContents

if TYPE_CHECKING:
    from index.search.batches import BatchSearch

EXACT_BATCH = 64
"""Queries whose answers are scored exactly together."""


class Planet:
    """An index, opened for search: it answers from what it opened, whatever has its name by now.

    Args:
        contents: the index.
        search: finds cells for batches of queries.
        encoder: of the index's model.
    """

    def __init__(self, contents: IndexContents, search: "BatchSearch", encoder: Encoder) -> None:
        self.folder, self.manifest, self.digest = contents.folder, contents.manifest, contents.digest
        self.cells, self.gallery, self.prior = contents.cells, contents.gallery, contents.prior
        self.engine, self._search, self._encoder = search.engine, search, encoder
        self._lengths, self._levels, self._parent_rows = contents.lengths, contents.levels, contents.parent_rows
        self._encode = partial(encoder.quickly, nodes=contents.nodes if len(contents.nodes) else None)
        self._land = lru_cache(maxsize=4)(self._make_land)
        self._allowed = lru_cache(maxsize=4)(self._make_allowed)

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
            engine: `auto`, `tree` (FAISS on the CPU), `exact` (torch), `resident` (all of it on a GPU) or `faiss-gpu`.
            device: `cpu`, `cuda` or `cuda:N`; where all engines but `tree` compute.
            model: the digest of the model that queries come from; None does not compare.

        Raises:
            BadIndexError: no index, a damaged one, or one of another model.
        """
        from index.search.batches import open_search

        contents = IndexContents.open(Path(folder), model=model)
        return cls(contents, open_search(engine, contents, device, encoder), encoder)

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
        size, ranking = self._search.at_once(question), self._ranking(question)
        batches = [queries[at : at + size] for at in range(0, len(queries), size)]
        if len(batches) < 2:
            yield from chain.from_iterable(self._search.batch(batch, question, ranking) for batch in batches)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="searching") as thread:
            coming = thread.submit(self._search.batch, batches[0], question, ranking)
            for following in batches[1:]:
                batch, coming = coming.result(), thread.submit(self._search.batch, following, question, ranking)
                yield from batch
            yield from coming.result()

    def _start_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each start cell: the better of its sides, where it has two."""
        start = self.engine.start
        if len(start.rows) == start.rows[-1] + 1:
            return scores
        best = np.full(int(start.rows[-1]) + 1, -np.inf, np.float32)
        np.maximum.at(best, start.rows, scores)
        return best

    def _make_land(self, finest: int, region: Region | None) -> Land:
        log_mass = self.prior.coarse_log_mass
        if region is not None:
            log_mass = np.where(self._allowed(region), log_mass, -np.inf)
        start = self.engine.start
        lengths = np.zeros(len(self._levels[0]), np.float32)
        np.maximum.at(lengths, start.rows, start.lengths)
        return Land.of(self._levels, self._parent_rows, self._lengths, lengths, finest, log_mass)

    def _make_allowed(self, region: Region) -> NDArray[np.bool_]:
        return region.among(self.cells)
