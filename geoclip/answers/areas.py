"""Where a query's probability lies, as a few areas: each a circle that counts what no area before it does.

All areas of an answer have one radius, that of the scale at which the distribution says something: the least of
`SCALES_KM` at which the best point has enough around it, and no other place has more. So the best point's area comes
first, and each area is at least as probable as the next.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.looked_at import LookedAt
from index.grid.sphere import EARTH_RADIUS_KM, Floats, haversine_km
from index.search.circles import Spread
from index.search.discs import Discs

SCALES_KM = (25.0, 50.0, 100.0, 200.0, 400.0, 750.0, 1500.0, 2500.0, 5000.0, 10_000.0, 20_016.0)
"""Radii that areas can have; at the last, half round the Earth, everything is in the first."""
SUPPORT = 0.25
"""The probability that the first area holds at least, if it can."""
LEAST_SHARE = 0.0005
"""Areas with less are not listed."""


class FoundArea(NamedTuple):
    """One area."""

    row: int
    """Of the best place in it, among the places that were looked at."""
    middle: int
    """The row of the place that it is around."""
    share: float
    """The probability in it and in no area before it."""
    spread: Spread
    """Of that probability, as seen from the best place: half of it is in the area's circle."""


def scale_km(discs: Discs, looked: LookedAt, best: int) -> float:
    """Return the radius of the areas of an answer whose best point is a row of the places."""
    middles = _middles(looked, best)
    cosines = looked.cosines[middles]
    for km in SCALES_KM[:-1]:
        in_first = looked.cosines[best] >= np.cos(km / EARTH_RADIUS_KM)
        if float(discs.mass[in_first].sum()) < SUPPORT:
            continue
        shares = discs.shares_at(cosines, km)
        first = float(shares[-1] @ discs.mass)
        beyond = haversine_km(looked.lat_lng[middles], looked.lat_lng[best]) > km
        rivals = np.where(beyond, shares @ (discs.mass * (1 - shares[-1])), 0.0)
        if first >= rivals.max():
            return km
    return SCALES_KM[-1]


def _middles(looked: LookedAt, best: int) -> NDArray[np.int64]:
    """Return the rows of places that areas can have their middle at, the best point last: hits and coarser cells."""
    rows = np.arange(len(looked.fine))
    rows = rows[(rows < looked.hits) | ~looked.fine | (rows % _THINNED == 0)]
    return np.append(rows[rows != best], best)


_THINNED = 4  # of the other scored cells, which stand close together, every so many can be a middle


def areas(discs: Discs, looked: LookedAt, first: int, centre: int, km: float, count: int) -> list[FoundArea]:
    """Return at most `count` areas of a radius, in the order of their shares.

    Args:
        discs: the distribution.
        looked: the places that are looked at.
        first: the row of the best point, in the first area.
        centre: the row of the first area's middle.
        km: the radius of all.
        count: how many.
    """
    middles = _middles(looked, centre)
    shares = discs.shares_at(looked.cosines[middles], km)
    free = np.ones(len(looked.lat_lng), dtype=bool)
    left, result = discs.mass.copy(), list[FoundArea]()
    at = len(middles) - 1
    while len(result) < count:
        if result:
            gains = np.where(free[middles], shares @ left, -1.0)
            at = int(np.argmax(gains))
            if gains[at] < LEAST_SHARE:
                break
        claimed = shares[at] * left
        inside = free & (haversine_km(looked.lat_lng, looked.lat_lng[middles[at]]) <= km)
        chosen = best_of(looked, inside, claimed, int(middles[at])) if result else first
        share = float(claimed.sum())
        spread = discs.spread(looked.lat_lng[chosen], share / 2, claimed)
        result.append(FoundArea(chosen, int(middles[at]), share, spread))
        left -= claimed
        free &= ~inside
    return result


def best_of(looked: LookedAt, rows: NDArray[np.bool_], mass: Floats, otherwise: int) -> int:
    """Return the fine place among some rows that is nearest to some of the mass of the discs; else that other row."""
    own = np.flatnonzero(rows & looked.fine)
    return int(own[np.argmax(looked.nearness[own] @ mass)]) if len(own) else otherwise
