"""Areas that circles share, and the circles that hold a share of what is spread over discs."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.grid.sphere import EARTH_RADIUS_KM, Floats, km_of_cosines

HALF_ROUND_KM = math.pi * EARTH_RADIUS_KM
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


def circles_km(spreads: Spreads) -> Floats:
    """Return the radii (C,) in km of the circles that hold the shares.

    At most half the Earth's circumference: for shares that the discs do not reach. A radius does not depend on those
    that are asked for together.
    """
    away, radii, mass, shares = (np.ascontiguousarray(each) for each in spreads)
    return _circles(away, radii, mass, shares)


@compiled
def _circles(away: Floats, radii: Floats, mass: Floats, shares: Floats) -> Floats:
    """Return what `circles_km` does."""
    result, some = np.empty(len(shares)), np.empty((3, len(radii)))
    for row in range(len(shares)):
        count = 0
        for disc in range(len(radii)):
            if mass[row, disc] > 0:
                some[0, count], some[1, count], some[2, count] = away[row, disc], radii[disc], mass[row, disc]
                count += 1
        share = shares[row] - 1e-12  # all of a distribution may sum up to a little less than 1
        result[row] = _circle(some[0, :count], some[1, :count], some[2, :count], share)
    return result


@compiled
def _circle(away: Floats, radii: Floats, mass: Floats, share: float) -> float:
    """Return the radius of one circle, for discs (L,) all of which have some mass; those that are cut are moved.

    It is sought between the least and the largest that it can have: were each disc inside as soon as it is touched, and
    were none before all of it is.
    """
    begun, done = np.empty(len(away)), np.empty(len(away))
    for disc in range(len(away)):
        begun[disc], done[disc] = away[disc] - radii[disc], away[disc] + radii[disc]
    high = min(_reached(done, mass, share), HALF_ROUND_KM)
    low = min(max(_reached(begun, mass, share), 0.0), high)
    if low >= high:
        return high
    cut = 0
    for disc in range(len(away)):
        if away[disc] + radii[disc] <= low:
            share -= mass[disc]
        elif away[disc] - radii[disc] < high:
            away[cut], radii[cut], mass[cut] = away[disc], radii[disc], mass[disc]
            cut += 1
    return _holding(away[:cut], radii[:cut], mass[:cut], share, low, high)


@compiled
def _reached(km: Floats, mass: Floats, share: float) -> float:
    """Return the least of distances (L,) within which a share of the mass lies; infinity where all is less.

    By halves, as in Hoare's selection (1961): the distances, which are sorted in part, change places with the mass.
    """
    if mass.sum() < share:
        return math.inf
    mass, low, high = mass.copy(), 0, len(km)
    while high - low > 1:
        first, middle, last = km[low], km[(low + high) // 2], km[high - 1]
        pivot = max(min(first, middle), min(max(first, middle), last))
        nearer, at, further = low, low, high
        less, equal = 0.0, 0.0
        while at < further:
            here, own = km[at], mass[at]
            if here < pivot:
                km[at], mass[at], km[nearer], mass[nearer] = km[nearer], mass[nearer], here, own
                less += own
                nearer += 1
                at += 1
            elif here > pivot:
                further -= 1
                km[at], mass[at], km[further], mass[further] = km[further], mass[further], here, own
            else:
                equal += own
                at += 1
        if share <= less:
            high = nearer
        elif share <= less + equal or further == high:
            return float(pivot)
        else:
            low, share = further, share - less - equal
    return km[low] if low < len(km) else math.inf


@compiled
def _holding(away: Floats, radii: Floats, mass: Floats, share: float, low: float, high: float) -> float:
    """Return where a circle between bounds holds a share of the discs (L,) that it cuts.

    By Newton's method, kept between the bounds: the area that a circle shares with a disc grows with the arc inside.
    """
    km, last = (low + high) / 2, high - low
    for _ in range(_TRIES):
        more, slope = -share, 0.0
        for disc in range(len(away)):
            dense = mass[disc] / (math.pi * radii[disc] ** 2)
            area, angle = _shared(away[disc], radii[disc], km)
            more += dense * area
            slope += dense * angle * km
        if more < 0:
            low = km
        else:
            high = km
        if more == 0:
            return km
        tried = km - more / slope
        if not (low <= tried <= high and abs(tried - km) <= last / 2):
            tried = (low + high) / 2
        last, km = abs(tried - km), tried
        if last <= _NEAR_KM + _NEAR * km:
            break
    return km


def overlap(cosines: Floats, radii: Floats, km: float) -> Floats:
    """Return the share of discs that lies in a circle: the area that two circles share, in the plane.

    Args:
        cosines: (C, L) of the angles between the centres.
        radii: (L,) km, of the discs.
        km: of the circle.
    """
    inner, outer = (km - radii) / EARTH_RADIUS_KM, np.minimum((km + radii) / EARTH_RADIUS_KM, np.pi)
    shares, touched = _inside(cosines, np.where(inner >= 0, np.cos(inner), 2.0), np.cos(outer))
    discs = radii[touched % max(len(radii), 1)]
    away = km_of_cosines(cosines.reshape(-1)[touched])
    shares.reshape(-1)[touched] = _shared.function(away, discs, km)[0] / (np.pi * discs**2)
    return shares


@compiled
def _inside(cosines: Floats, inside: Floats, touched: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return 1 for discs (C, L) inside a circle and 0 for others, and the places (T,) in these of those that it cuts.

    Args:
        cosines: (C, L) of the angles between the centres.
        inside: (L,) the least that discs inside have.
        touched: (L,) the least that discs inside or cut have.
    """
    shares, cut, count = np.empty(cosines.shape), np.empty(cosines.size, np.int64), 0
    for row in range(cosines.shape[0]):
        own, here = shares[row], cosines[row]
        for disc in range(len(own)):
            own[disc] = 1.0 if here[disc] >= inside[disc] else 0.0
        for disc in range(len(own)):
            if (here[disc] >= touched[disc]) & (here[disc] < inside[disc]):  # few
                cut[count] = row * len(own) + disc
                count += 1
    return shares, cut[:count].copy()


@compiled
def _shared(away: Any, radius: Any, km: Any) -> tuple[Any, Any]:
    """Return the area, km2, that a circle shares with a disc, and the angle of the circle's arc inside the disc.

    A segment of each, or all of the smaller where it is in the other. The segments' half angles come from half-angle
    formulas, which hold for discs of metres that are far away, too. Compiled for numbers, as it is for arrays.
    """
    both, less = radius + km, radius - km
    inner = np.maximum(both - away, 0.0) / (both + away)
    ratio = np.maximum(away - less, _TINY) / np.maximum(away + less, _TINY)
    disc, circle = inner * ratio, inner / ratio  # squares of the tangents of a quarter of the arcs
    root_disc, root_circle = np.sqrt(disc), np.sqrt(circle)
    angle = 4 * np.arctan(root_circle)
    area = radius**2 * _segment(4 * np.arctan(root_disc), root_disc, disc)
    return area + km**2 * _segment(angle, root_circle, circle), angle


_TINY = 1e-140  # a distance in km that stands for none


@compiled
def _segment(arc: Any, root: Any, square: Any) -> Any:
    """Return the area of a segment of the unit circle; root and square are of the tangent of a quarter of its arc."""
    more = 1 + square
    return arc / 2 - (2 * root / more) * ((1 - square) / more)
