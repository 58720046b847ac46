"""What a locator searches: the places of a gallery, or the whole planet through an index. Vectors in, `Places` out."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.gallery import Gallery
from index import ExactEngine
from index.cells import Cells, cells_at
from index.planet import Planet, Question
from index.represent import Encoder


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


class Searcher(Protocol):
    """Finds places for vectors."""

    dim: int

    def search(self, queries: NDArray[np.float32], question: Question) -> Places:
        """Return the best places for unit vectors (N, dim).

        Raises:
            InputError: the question cannot be answered here.
        """


class GallerySearch:
    """Ranks the distinct places of a gallery by score, as the released package does.

    Args:
        gallery: places with their vectors.
        tau: inverse temperature of the scores.
        device: where to compute.
    """

    def __init__(self, gallery: Gallery, tau: float, device: torch.device) -> None:
        self._lat_lng, self._tau = gallery.lat_lng, tau
        self._engine = ExactEngine(gallery.vectors, device=device)
        self.dim = self._engine.dim

    def search(self, queries: NDArray[np.float32], question: Question) -> Places:
        """See `Searcher.search`; of the question, the number of places and the resolution of their cells matter."""
        if question.region is not None or question.mass_resolution is not None or question.prior_weight:
            raise InputError("A gallery knows no region, prior or mass; open an index for these.")
        hits, log_partition = self._engine.search_scored(queries, question.k, self._tau)
        found = hits.rows >= 0
        lat_lng = np.where(found[..., None], self._lat_lng[hits.rows], np.nan)
        cells = np.zeros(found.shape, np.uint64)
        cells[found] = cells_at(lat_lng[found], question.resolution)
        probabilities = np.exp(self._tau * hits.scores.astype(np.float64) - log_partition[:, None])
        return Places(cells, lat_lng, hits.scores, np.where(found, probabilities, 0.0), np.zeros(len(queries)))


class PlanetSearch:
    """Searches an index of the planet.

    Args:
        planet: the opened index.
        encode: the location encoder, as fast as it goes.
        encode_exactly: the same in float32, for the scores that are answered; None where `encode` is that.
    """

    def __init__(self, planet: Planet, encode: Encoder, encode_exactly: Encoder | None = None) -> None:
        self.planet, self._encode, self._encode_exactly = planet, encode, encode_exactly
        self.dim = planet.engine.dim

    def search(self, queries: NDArray[np.float32], question: Question) -> Places:
        """See `Searcher.search`."""
        try:
            hits = self.planet.search(queries, self._encode, question, encode_exactly=self._encode_exactly)
        except ValueError as error:
            raise InputError(str(error)) from error
        return Places(hits.cells, hits.lat_lng, hits.scores, hits.probabilities, hits.estimated)


def with_k(question: Question, k: int) -> Question:
    """Return the question for another number of places.

    Raises:
        InputError: k is below 1.
    """
    if k < 1:
        raise InputError(f"k is {k}; ask for at least 1 place.")
    return replace(question, k=k)
