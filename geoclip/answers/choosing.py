"""The hook for a model of your own that chooses among the areas of an answer: it weighs them, and the answer follows.

The right area is far more often among the first ten than it is the first.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Candidate
from geoclip.errors import InputError
from index.grid.cells import centres
from index.grid.sphere import Floats, haversine_km
from index.search.hits import FoundPlaces
from index.search.posterior import Posterior


class Chooser(Protocol):
    """Weighs the areas where a photo may have been taken.

    A weight says how many times as probable an area is as was thought: 1 changes nothing, 0 rules it out. What lies in
    no area keeps its weight of 1, unless there is one weight more than there are areas: then the last is for that.
    """

    def __call__(self, photo: str, candidates: Sequence[Candidate], /) -> Sequence[float]:
        """Return a weight for each area; `photo` is its path as given, or what else a query is called."""


def checked_weights(weights: Sequence[float], count: int, query: str) -> Floats:
    """Return weights of areas, and of what lies in none.

    Raises:
        InputError: there are too few or too many, or one is negative or not finite, or all are 0.
    """
    try:
        found = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):  # not numbers
        found = np.full(1, np.nan)
    if found.shape == (count,):
        found = np.append(found, 1.0)
    if found.shape != (count + 1,) or not (np.isfinite(found) & (found >= 0)).all() or not found.any():
        raise InputError(
            f"For {query} the chooser returned {str(weights)[:200]}; return {count} weights, or one more for "
            "everywhere else, each 0 or above and one of them above 0."
        )
    return found


def reweighed(places: FoundPlaces, row: int, middles: Floats, km: float, weights: Floats) -> FoundPlaces:
    """Return what was found for one query, with its distribution and hits re-weighed.

    Args:
        places: for several queries.
        row: of the query.
        middles: (A, 2) degrees, of the areas.
        km: their radius.
        weights: (A + 1,) of what lies within an area and none before it, and of the rest.
    """
    posterior = places.posteriors[row]
    mass = posterior.mass * _factors(centres(posterior.cells), middles, km, weights)
    probabilities = places.probabilities[row] * _factors(places.lat_lng[row], middles, km, weights)
    if not mass.sum() > 0:
        raise InputError("The chooser ruled out everything that has any probability; return other weights.")
    order = np.argsort(-probabilities, kind="stable")
    changed = Posterior(posterior.cells, mass / mass.sum(), posterior.finest, posterior.unsure)
    return FoundPlaces(
        places.cells[row][order][None],
        places.lat_lng[row][order][None],
        places.scores[row][order][None],
        (probabilities / mass.sum())[order][None],
        places.estimated[row : row + 1],
        places.encodings[row : row + 1],
        (changed,),
    )


def _factors(lat_lng: Floats, middles: Floats, km: float, weights: Floats) -> NDArray[np.float64]:
    """Return the weight at each of (N, 2) points: of the first area around it."""
    factors = np.full(len(lat_lng), weights[-1])
    for middle, weight in zip(middles[::-1], weights[-2::-1], strict=True):  # the first area has the last word
        factors[haversine_km(lat_lng, middle) <= km] = weight
    return factors
