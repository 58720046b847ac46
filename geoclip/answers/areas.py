"""Where a query's probability lies, as a few areas: each a circle that counts what no area before it does.

All areas of an answer have one radius, that of the scale at which the distribution says something: the least of
`SCALES_KM` at which the best point has enough around it, and no other place has more. So the best point's area comes
first, and each area is at least as probable as the next.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.looked_at import LookedAt
from index.grid.sphere import EARTH_RADIUS_KM, Floats
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
    claimed: Floats
    """(L,) that probability, by disc."""


class Circled(NamedTuple):
    """The circles that areas can be: of one radius, around some of the places."""

    km: float
    """The radius."""
    middles: NDArray[np.int64]
    """(M,) rows of places: the last is the first area's."""
    shares: Floats
    """(M, L) of the discs in each circle."""


def circled(discs: Discs, looked: LookedAt, first: int, km: float) -> Circled:
    """Return the circles of a radius of which the first area's is around a row of the places."""
    middles = _middles(looked, first)
    return Circled(km, middles, discs.shares_at(looked.units[middles] @ discs.units.T, km))


def at_scale(discs: Discs, looked: LookedAt, best: int) -> Circled:
    """Return the circles of the radius that areas of an answer have whose best point is a row of the places."""
    middles = _middles(looked, best)
    units = looked.units[middles]
    cosines = units @ discs.units.T
    near, others = cosines[-1], units @ units[-1]
    for km in SCALES_KM[:-1]:
        least = np.cos(km / EARTH_RADIUS_KM)
        if float(discs.mass[near >= least].sum()) < SUPPORT:
            continue
        shares = discs.shares_at(cosines, km)
        rivals = np.where(others < least, shares @ (discs.mass * (1 - shares[-1])), 0.0)
        if float(shares[-1] @ discs.mass) >= rivals.max():
            return Circled(km, middles, shares)
    return Circled(SCALES_KM[-1], middles, discs.shares_at(cosines, SCALES_KM[-1]))


def _middles(looked: LookedAt, best: int) -> NDArray[np.int64]:
    """Return the rows of places that areas can have their middle at, the best point last: hits and coarser cells."""
    rows = np.arange(len(looked.fine))
    rows = rows[(rows < looked.hits) | ~looked.fine | (rows % _THINNED == 0)]
    return np.append(rows[rows != best], best)


_THINNED = 4  # of the other scored cells, which stand close together, every so many can be a middle


def areas(discs: Discs, looked: LookedAt, first: int, circles: Circled, count: int) -> list[FoundArea]:
    """Return at most `count` areas, in the order of their shares.

    Args:
        discs: the distribution.
        looked: the places that are looked at.
        first: the row of the best point, in the first area.
        circles: what areas can be.
        count: how many.
    """
    km, middles, shares = circles
    free = np.ones(len(looked.lat_lng), dtype=bool)
    left, result = discs.mass.copy(), list[FoundArea]()
    at = len(middles) - 1
    while len(result) < count:
        if result:
            gains = np.where(free[middles], shares @ left, -1.0)
            at = int(np.argmax(gains))
            if gains[at] < LEAST_SHARE:
                break
        middle, claimed = int(middles[at]), shares[at] * left
        inside = free & looked.within(middle, km)
        chosen = best_of(looked, inside, claimed, middle) if result else first
        result.append(FoundArea(chosen, middle, float(claimed.sum()), claimed))
        left -= claimed
        free &= ~inside
    return result


def best_of(looked: LookedAt, rows: NDArray[np.bool_], mass: Floats, otherwise: int) -> int:
    """Return the fine place among some rows that is nearest to some of the mass of the discs; else that other row."""
    own = rows & looked.fine
    return int(np.argmax(np.where(own, looked.nearness @ mass.astype(np.float32), -1.0))) if own.any() else otherwise
