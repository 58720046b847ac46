"""What can be searched: the places of a gallery, or the planet through an index. Vectors in, `FoundPlaces` out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geoclip.encoders.embedded_gallery import EmbeddedGallery
from geoclip.errors import InputError
from geoclip.options import Candidates
from index.grid.cells import FINEST, Cells, cells_at
from index.grid.region import Region
from index.search.engine.exact import ExactEngine
from index.search.hits import FoundPlaces
from index.search.planet import Planet
from index.search.posterior import Posterior
from index.search.question import Question

PosteriorsAt = Callable[[float, float], Iterator[Posterior]]
"""Posteriors of vectors that were searched already, for a temperature and a prior weight, at little cost."""


class Searcher(Protocol):
    """Finds places for vectors."""

    dim: int
    candidates: Candidates
    index: str
    """The directory of the index; empty for a gallery."""
    index_digest: str
    """Names the content of the index."""

    def search(self, queries: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> FoundPlaces:
        """Return the best places for vectors (N, dim) of length 1, or shorter where they are means of such.

        Raises:
            InputError: the question cannot be answered here.
        """

    def posteriors_at(self, queries: NDArray[np.float32], question: Question) -> PosteriorsAt:
        """Search for vectors (N, dim) once; the question's prior weight must be above 0 on a planet."""


class GallerySearcher:
    """Ranks the distinct places of a gallery by score, as the released package does.

    Args:
        gallery: places with their vectors.
        tau: inverse temperature of the scores.
        device: where to compute.
    """

    candidates, index, index_digest = Candidates.GALLERY, "", ""

    def __init__(self, gallery: EmbeddedGallery, tau: float, device: torch.device) -> None:
        self._lat_lng, self._tau = gallery.lat_lng, tau
        self._vectors = gallery.vectors.to(device)
        self._engine = ExactEngine(gallery.vectors, device=device)
        self.dim = self._engine.dim
        self._cells = lru_cache(maxsize=2)(self._make_cells)
        self._allowed = lru_cache(maxsize=4)(self._make_allowed)

    def search(self, queries: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> FoundPlaces:
        """See `Searcher.search`; effort and gallery places do not matter here."""
        if question.mass_resolution is not None or question.prior_weight:
            raise InputError("A gallery knows no prior or mass; open an index for these.")
        allowed = self._allowed(question.region)
        tau = self._tau / question.temperature
        hits, log_partition = self._engine.search_scored(queries, question.k, tau, allowed=allowed)
        found = hits.rows >= 0
        lat_lng = np.where(found[..., None], self._lat_lng[hits.rows], np.nan)
        cells = np.zeros(found.shape, np.uint64)
        cells[found] = cells_at(lat_lng[found], question.resolution)
        probabilities = np.exp(tau * hits.scores.astype(np.float64) - log_partition[:, None])
        probabilities = np.where(found, probabilities, 0.0)
        posteriors = tuple(self._posteriors(queries, question)) if with_posteriors else ()
        none = np.zeros(len(queries))
        return FoundPlaces(cells, lat_lng, hits.scores, probabilities, none, none.astype(np.int64), posteriors)

    def posteriors_at(self, queries: NDArray[np.float32], question: Question) -> PosteriorsAt:
        """See `Searcher.posteriors_at`; there is no prior."""
        return lambda temperature, _: self._posteriors(queries, replace(question, temperature=temperature))

    def _posteriors(self, queries: NDArray[np.float32], question: Question) -> Iterator[Posterior]:
        """Yield for each vector the softmax over all places, summed in the cells they lie in."""
        allowed, tau = self._allowed(question.region), self._tau / question.temperature
        cells, rows = self._cells(question.resolution)
        for query in queries:
            logits = tau * (self._vectors @ torch.from_numpy(query).to(self._vectors.device)).double().cpu().numpy()
            if allowed is not None:
                logits[~allowed] = -np.inf
            mass = np.exp(logits - logits.max())
            yield Posterior(cells, np.bincount(rows, mass, minlength=len(cells)) / mass.sum(), question.resolution)

    def _make_cells(self, res: int) -> tuple[Cells, NDArray[np.int64]]:
        return np.unique(cells_at(self._lat_lng, res), return_inverse=True)

    def _make_allowed(self, region: Region | None) -> NDArray[np.bool_] | None:
        if region is None:
            return None
        allowed = region.contains(cells_at(self._lat_lng, FINEST))
        if not allowed.any():
            raise InputError("The region holds no place of the gallery; choose another region, or search an index.")
        return allowed


class PlanetSearcher:
    """Searches an opened index of the planet."""

    candidates = Candidates.PLANET

    def __init__(self, planet: Planet) -> None:
        self.planet, self.dim = planet, planet.engine.dim
        self.index, self.index_digest = str(planet.folder), planet.digest

    def search(self, queries: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> FoundPlaces:
        """See `Searcher.search`."""
        try:
            return self.planet.search(queries, question, with_posteriors=with_posteriors)
        except ValueError as error:
            raise InputError(str(error)) from error

    def posteriors_at(self, queries: NDArray[np.float32], question: Question) -> PosteriorsAt:
        """See `Searcher.posteriors_at`."""
        scores = list(self.planet.query_scores(queries, question))

        def posteriors(temperature: float, prior_weight: float) -> Iterator[Posterior]:
            asked = replace(question, temperature=temperature, prior_weight=prior_weight)
            return (self.planet.posterior(each, asked) for each in scores)

        return posteriors
