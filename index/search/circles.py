"""Areas that circles share, and the circles that hold a share of what is spread over discs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.grid.sphere import EARTH_RADIUS_KM, Floats, km_of_cosines

HALF_ROUND_KM = np.pi * EARTH_RADIUS_KM
_NEAR_KM, _NEAR = 1e-6, 1e-7  # how near a radius is to the exact one: so far, and by so much of itself
_TRIES = 100


class Spread(NamedTuple):
    """What is spread over discs, as seen from a point, and the share that a circle around the point is to hold."""

    away_km: Floats
    """(L,) from the point to the discs' centres."""
    radii_km: Floats
    """(L,) of the discs."""
    mass: Floats
    """(L,)"""
    share: float


def circles_km(spreads: Sequence[Spread]) -> Floats:
    """Return the radius (C,) in km of the circle that holds the share of each spread.

    At most half the Earth's circumference: for shares that the discs do not reach. A radius does not depend on those
    that are asked for together.
    """
    brackets = [_bracket(each) for each in spreads]
    low, high = np.array([each.low for each in brackets]), np.array([each.high for each in brackets])
    open_ = np.flatnonzero(low < high)
    if not len(open_):
        return high
    owner = np.repeat(np.arange(len(open_)), [len(brackets[at].rest.mass) for at in open_])
    away, radii, mass = (np.concatenate([brackets[at].rest[column] for at in open_]) for column in range(3))
    wanted = np.array([brackets[at].rest.share for at in open_])

    def beyond(km: Floats, own: NDArray[np.bool_]) -> Floats:
        """Return how much more than its share each circle holds, for some of them."""
        here = own[owner]
        of, far, wide = owner[here], away[here], radii[here]
        shares = np.where(far + wide <= km[of], 1.0, lens(far, wide, km[of]) / (np.pi * wide**2))
        held: Floats = np.bincount(of, mass[here] * shares, len(km)) - wanted
        return held

    high[open_] = _root(beyond, low[open_], high[open_])
    return high


class _Bracket(NamedTuple):
    low: float
    high: float
    rest: Spread
    """The discs that the circle may cut, and the share that they are to add."""


def _bracket(spread: Spread) -> _Bracket:
    """Return the least and the largest radius that a circle can have."""
    away, radii, mass, share = spread
    share -= 1e-12  # all of a distribution may sum up to a little less than 1
    low = max(_reached(away - radii, mass, share), 0.0)  # were each disc inside as soon as it is touched
    high = min(_reached(away + radii, mass, share), HALF_ROUND_KM)
    if low >= high:
        return _Bracket(high, high, spread)
    whole = away + radii <= low
    cut = ~whole & (away - radii < high)
    return _Bracket(low, high, Spread(away[cut], radii[cut], mass[cut], share - float(mass[whole].sum())))


def _reached(km: Floats, mass: Floats, share: float) -> float:
    """Return the least of some distances within which a share of the mass lies; infinity where all is less."""
    order = np.argsort(km)
    row = int(np.searchsorted(np.cumsum(mass[order]), share))
    return float(km[order[row]]) if row < len(order) else np.inf


def _root(function: Callable[[Floats, NDArray[np.bool_]], Floats], low: Floats, high: Floats) -> Floats:
    """Return where growing functions (C,) pass 0, each between its bounds, by the Illinois method (Dowell 1971)."""
    every = np.ones(len(low), dtype=bool)
    at_low, at_high = function(low, every), function(high, every)
    low = np.where(at_high <= 0, high, low)
    high = np.where((at_low >= 0) & (at_high > 0), low, high)
    side = np.zeros(len(low))
    for _ in range(_TRIES):
        own = high - low > _NEAR_KM + _NEAR * high
        if not own.any():
            break
        with np.errstate(invalid="ignore", divide="ignore"):
            tried = np.where(own, high - at_high * (high - low) / (at_high - at_low), high)
        values = function(tried, own)
        below, above = own & (values < 0), own & (values >= 0)
        at_high = np.where(below & (side < 0), at_high / 2, at_high)
        at_low = np.where(above & (side > 0), at_low / 2, at_low)
        low, at_low = np.where(below, tried, low), np.where(below, values, at_low)
        high, at_high = np.where(above, tried, high), np.where(above, values, at_high)
        side = np.where(own, np.sign(values), side)
    return high


def overlap(cosines: Floats, radii: Floats, km: float) -> Floats:
    """Return the share of discs that lies in a circle: the area that two circles share, in the plane.

    Args:
        cosines: (..., L) of the angles between the centres.
        radii: (L,) km, of the discs.
        km: of the circle.
    """
    inner, outer = (km - radii) / EARTH_RADIUS_KM, np.minimum((km + radii) / EARTH_RADIUS_KM, np.pi)
    inside = cosines >= np.where(inner >= 0, np.cos(inner), 2.0)
    share = inside.astype(np.float64)
    touched = np.nonzero(~inside & (cosines >= np.cos(outer)))
    discs = radii[touched[-1]]
    share[touched] = lens(km_of_cosines(cosines[touched]), discs, km) / (np.pi * discs**2)
    return share


def lens(away: Floats, radii: Floats, km: float | Floats) -> Floats:
    """Return the area, km2, that circles share: a segment of each, or all of the smaller where it is in the other.

    The segments' half angles come from half-angle formulas, which hold for discs of metres that are far away, too.
    """
    beyond_away, perimeter = np.maximum(radii + km - away, 0.0), away + radii + km
    beyond_radius, beyond_km = np.maximum(km + away - radii, 0.0), np.maximum(away + radii - km, 0.0)
    a = 2 * np.arctan2(np.sqrt(beyond_away * beyond_radius), np.sqrt(perimeter * beyond_km))
    b = 2 * np.arctan2(np.sqrt(beyond_away * beyond_km), np.sqrt(perimeter * beyond_radius))
    area: Floats = radii**2 * (a - np.sin(2 * a) / 2) + km**2 * (b - np.sin(2 * b) / 2)
    return area
