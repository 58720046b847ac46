"""Areas that circles share, and the circles that hold a share of what is spread over discs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.grid.sphere import EARTH_RADIUS_KM, Floats, km_of_cosines

HALF_ROUND_KM = np.pi * EARTH_RADIUS_KM
_NEAR_KM, _NEAR = 1e-6, 1e-7  # a radius is found when it moves less than so far and so much of itself
_TRIES = 100


class Spreads(NamedTuple):
    """What is spread over L discs, as seen from points, and the shares that circles around the points are to hold."""

    away_km: Floats
    """(C, L) from the points to the discs' centres."""
    radii_km: Floats
    """(L,) of the discs."""
    mass: Floats
    """(C, L) of each disc, what counts for each circle."""
    shares: Floats
    """(C,)"""


def circles_km(spreads: Sequence[Spreads]) -> Floats:
    """Return the radii (all C together) in km of the circles that hold the shares, in the order of the spreads.

    At most half the Earth's circumference: for shares that the discs do not reach. A radius does not depend on those
    that are asked for together.
    """
    brackets = [_bracketed(each) for each in spreads]
    low, high, wanted = (np.concatenate([np.zeros(0), *(each[n] for each in brackets)]) for n in range(3))
    open_ = np.flatnonzero(low < high)
    if not len(open_):
        return high
    counts = np.concatenate([each.counts for each in brackets])[open_]
    cuts = [np.concatenate(column) for column in zip(*(each.cut for each in brackets), strict=True)]
    high[open_] = _radii(cuts, counts, wanted[open_], low[open_], high[open_])
    return high


class _Bracketed(NamedTuple):
    """Between which radii circles are. Those of which only one is possible have no discs."""

    low: Floats
    high: Floats
    wanted: Floats
    """(C,) what the discs that the circle may cut are to add."""
    counts: NDArray[np.int64]
    """(C,) of these discs."""
    cut: tuple[Floats, Floats, Floats]
    """Distance, radius and mass of these discs, circle by circle."""


def _bracketed(spreads: Spreads) -> _Bracketed:
    """Return the least and the largest radius that each circle can have."""
    away, radii, mass, shares = spreads
    shares = shares - 1e-12  # all of a distribution may sum up to a little less than 1
    begun, done = away - radii, away + radii
    low = np.maximum(_reached(begun, mass, shares), 0.0)  # were each disc inside as soon as it is touched
    high = np.minimum(_reached(done, mass, shares), HALF_ROUND_KM)
    low = np.minimum(low, high)
    whole = done <= low[:, None]
    cut = ~whole & (begun < high[:, None]) & (mass > 0) & (low < high)[:, None]
    wanted = shares - np.where(whole, mass, 0.0).sum(axis=1)
    return _Bracketed(
        low, high, wanted, cut.sum(axis=1), (away[cut], np.broadcast_to(radii, cut.shape)[cut], mass[cut])
    )


def _reached(km: Floats, mass: Floats, shares: Floats) -> Floats:
    """Return the least of distances (C, L) within which shares (C,) of the mass lie; infinity where all is less."""
    order = np.argsort(km, axis=1)
    ordered = np.take(mass, order + np.arange(0, mass.size, mass.shape[1] or 1)[:, None])
    rows = np.count_nonzero(np.cumsum(ordered, axis=1) < shares[:, None], axis=1)
    reached = rows < km.shape[1]
    circles = np.flatnonzero(reached)
    result = np.full(len(km), np.inf)
    result[circles] = km[circles, order[circles, rows[circles]]]
    return result


def _radii(discs: list[Floats], counts: NDArray[np.int64], wanted: Floats, low: Floats, high: Floats) -> Floats:
    """Return where circles (C,) between bounds hold what they are to hold of the discs that they cut, `counts` each.

    By Newton's method, kept between the bounds: the area that a circle shares with a disc grows with the arc inside.
    """
    found, rows, km, last = high.copy(), np.arange(len(high)), (low + high) / 2, high - low
    for _ in range(_TRIES):
        owner = np.repeat(np.arange(len(km)), counts)
        away, radii, mass = discs
        area, angles = _shared(away, radii, here := km[owner])
        dense = mass / (np.pi * radii**2)
        more = np.bincount(owner, dense * area, len(km)) - wanted
        slope = np.bincount(owner, dense * angles * here, len(km))
        low, high = np.where(more < 0, km, low), np.where(more < 0, high, km)
        with np.errstate(invalid="ignore", divide="ignore"):
            tried = km - more / slope
        step = np.abs(tried - km)
        good = (tried >= low) & (tried <= high) & (step <= last / 2)
        tried = np.where(good, tried, (low + high) / 2)
        last = np.abs(tried - km)
        found[rows] = km = np.where(more == 0, km, tried)
        open_ = (last > _NEAR_KM + _NEAR * km) & (more != 0)
        if not open_.any():
            break
        if not open_.all():
            discs, counts = [column[open_[owner]] for column in discs], counts[open_]
            rows, wanted, low, high, km, last = (each[open_] for each in (rows, wanted, low, high, km, last))
    return found


def overlap(cosines: Floats, radii: Floats, km: float) -> Floats:
    """Return the share of discs that lies in a circle: the area that two circles share, in the plane.

    Args:
        cosines: (..., L) of the angles between the centres.
        radii: (L,) km, of the discs.
        km: of the circle.
    """
    inner, outer = (km - radii) / EARTH_RADIUS_KM, np.minimum((km + radii) / EARTH_RADIUS_KM, np.pi)
    inside = cosines >= np.where(inner >= 0, np.cos(inner), 2.0)
    touched = np.flatnonzero((cosines >= np.cos(outer)) > inside)
    share = inside.astype(np.float64)
    discs = radii[touched % max(len(radii), 1)]
    share.reshape(-1)[touched] = lens(km_of_cosines(cosines.reshape(-1)[touched]), discs, km) / (np.pi * discs**2)
    return share


def lens(away: Floats, radii: Floats, km: float | Floats) -> Floats:
    """Return the area, km2, that circles share: a segment of each, or all of the smaller where it is in the other."""
    return _shared(away, radii, km)[0]


def _shared(away: Floats, radii: Floats, km: float | Floats) -> tuple[Floats, Floats]:
    """Return the area, km2, that circles share with discs, and the angle of the circle's arc inside the disc.

    The segments' half angles come from half-angle formulas, which hold for discs of metres that are far away, too.
    """
    both, less = radii + km, radii - km
    inner = np.maximum(both - away, 0.0) / (both + away)
    ratio = np.maximum(away - less, _TINY) / np.maximum(away + less, _TINY)
    disc, circle = inner * ratio, inner / ratio  # squares of the tangents of a quarter of the arcs
    root_disc, root_circle = np.sqrt(disc), np.sqrt(circle)
    angle = 4 * np.arctan(root_circle)
    area: Floats = radii**2 * _segment(4 * np.arctan(root_disc), root_disc, disc)
    area += km**2 * _segment(angle, root_circle, circle)
    return area, angle


_TINY = 1e-140  # a distance in km that stands for none


def _segment(arc: Floats, root: Floats, square: Floats) -> Floats:
    """Return the area of a segment of the unit circle; root and square are of the tangent of a quarter of its arc."""
    more = 1 + square
    area: Floats = arc / 2 - (2 * root / more) * ((1 - square) / more)
    return area
