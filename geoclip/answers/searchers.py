"""What a locator searches: the places of a gallery, or the whole planet through an index. Vectors in, `Places` out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geoclip.answers.answer import Searched
from geoclip.encoders.embedded_gallery import EmbeddedGallery
from geoclip.errors import InputError
from index import ExactEngine
from index.encoder import Encoder
from index.grid.cells import FINEST, Cells, cells_at
from index.grid.region import Region
from index.search.hits import QueryScores
from index.search.planet import Planet
from index.search.posterior import Posterior
from index.search.question import Question


@dataclass(frozen=True)
class Places:
    """The best places for N vectors, best first; arrays are (N, k)."""

    cells: Cells
    """H3 cells around the places, uint64; 0 where there are fewer than k places."""
    lat_lng: NDArray[np.float64]
    """(N, k, 2) degrees; NaN where there are fewer than k places."""
    scores: NDArray[np.float32]
    """Cosine; -inf where there are fewer than k places."""
    probabilities: NDArray[np.float64]
    """In a gallery, softmax of tau * score over all its places. On a planet, the posterior probability of the cell
    over all land. 0 where there are fewer than k places. Not calibrated."""
    estimated: NDArray[np.float64]
    """(N,) share of the probability that rests on estimates, because those cells were not scored one by one."""
    posteriors: tuple[Posterior, ...] = ()
    """The whole distribution for each vector, where asked for."""


class Searcher(Protocol):
    """Finds places for vectors."""

    dim: int
    searched: Searched
    """What this is, for answers."""

    def search(self, queries: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> Places:
        """Return the best places for vectors (N, dim) of length 1, or shorter where they are means of such.

        Raises:
            InputError: the question cannot be answered here.
        """

    def prepared(self, queries: NDArray[np.float32], question: Question) -> "Prepared":
        """Search for vectors (N, dim) once; the question's prior weight must be above 0 on a planet."""


class Prepared(Protocol):
    """Vectors whose search is done: distributions for other temperatures and prior weights at little cost."""

    def posteriors(self, temperature: float, prior_weight: float) -> Iterator[Posterior]:
        """Yield the distribution for each vector."""


class GallerySearch:
    """Ranks the distinct places of a gallery by score, as the released package does.

    Args:
        gallery: places with their vectors.
        tau: inverse temperature of the scores.
        device: where to compute.
    """

    def __init__(self, gallery: EmbeddedGallery, tau: float, device: torch.device) -> None:
        self._lat_lng, self._tau = gallery.lat_lng, tau
        self._vectors = gallery.vectors.to(device)
        self._engine = ExactEngine(gallery.vectors, device=device)
        self.dim = self._engine.dim
        self.searched = Searched("gallery")
        self._cells = lru_cache(maxsize=2)(self._make_cells)
        self._allowed = lru_cache(maxsize=4)(self._make_allowed)

    def search(self, queries: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> Places:
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
        posteriors = tuple(self.posteriors(queries, question)) if with_posteriors else ()
        return Places(cells, lat_lng, hits.scores, probabilities, np.zeros(len(queries)), posteriors)

    def prepared(self, queries: NDArray[np.float32], question: Question) -> "Prepared":
        """See `Searcher.prepared`."""
        return _PreparedGallery(self, queries, question)

    def posteriors(self, queries: NDArray[np.float32], question: Question) -> Iterator[Posterior]:
        """Yield for each vector the softmax over all places, summed in the cells they lie in."""
        allowed, tau = self._allowed(question.region), self._tau / question.temperature
        return (self._posterior(query, question, tau, allowed) for query in queries)

    def _posterior(
        self, query: NDArray[np.float32], question: Question, tau: float, allowed: NDArray[np.bool_] | None
    ) -> Posterior:
        cells, rows = self._cells(question.resolution)
        logits = tau * (self._vectors @ torch.from_numpy(query).to(self._vectors.device)).double().cpu().numpy()
        if allowed is not None:
            logits[~allowed] = -np.inf
        mass = np.exp(logits - logits.max())
        return Posterior(cells, np.bincount(rows, mass, minlength=len(cells)) / mass.sum(), question.resolution)

    def _make_cells(self, res: int) -> tuple[Cells, NDArray[np.int64]]:
        return np.unique(cells_at(self._lat_lng, res), return_inverse=True)

    def _make_allowed(self, region: Region | None) -> NDArray[np.bool_] | None:
        if region is None:
            return None
        allowed = region.contains(cells_at(self._lat_lng, FINEST))
        if not allowed.any():
            raise InputError("The region holds no place of the gallery; choose another region, or search an index.")
        return allowed


class PlanetSearch:
    """Searches an index of the planet.

    Args:
        planet: the opened index.
        encoder: of the index's model.
    """

    def __init__(self, planet: Planet, encoder: Encoder) -> None:
        self.planet, self._encoder = planet, encoder
        self.dim = planet.engine.dim
        self.searched = Searched("planet", str(planet.folder), planet.digest)

    def search(self, queries: NDArray[np.float32], question: Question, *, with_posteriors: bool = False) -> Places:
        """See `Searcher.search`."""
        try:
            hits = self.planet.search(queries, self._encoder, question, with_posteriors=with_posteriors)
        except ValueError as error:
            raise InputError(str(error)) from error
        return Places(hits.cells, hits.lat_lng, hits.scores, hits.probabilities, hits.estimated, hits.posteriors)

    def prepared(self, queries: NDArray[np.float32], question: Question) -> "Prepared":
        """See `Searcher.prepared`."""
        return _PreparedPlanet(self.planet, list(self.planet.query_scores(queries, self._encoder, question)), question)


class _PreparedGallery:
    def __init__(self, gallery: GallerySearch, queries: NDArray[np.float32], question: Question) -> None:
        self._gallery, self._queries, self._question = gallery, queries, question

    def posteriors(self, temperature: float, prior_weight: float) -> Iterator[Posterior]:
        """See `Prepared.posteriors`; there is no prior."""
        del prior_weight
        return self._gallery.posteriors(self._queries, replace(self._question, temperature=temperature))


class _PreparedPlanet:
    def __init__(self, planet: Planet, findings: list[QueryScores], question: Question) -> None:
        self._planet, self._findings, self._question = planet, findings, question

    def posteriors(self, temperature: float, prior_weight: float) -> Iterator[Posterior]:
        """See `Prepared.posteriors`."""
        question = replace(self._question, temperature=temperature, prior_weight=prior_weight)
        return (self._planet.posterior(finding, question) for finding in self._findings)


def with_k(question: Question, k: int) -> Question:
    """Return the question for another number of places.

    Raises:
        InputError: k is below 1.
    """
    if k < 1:
        raise InputError(f"k is {k}; ask for at least 1 place.")
    return replace(question, k=k)
