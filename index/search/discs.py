"""Probability around points: what lies within a distance, how far to go for a share, where to stand for the most.

A cell of a posterior counts as the disc of its area around its centre, with its probability spread evenly over it: a
cell that was scored at the finest resolution is nearly a point, one that was not is as wide as it is. Distances are
great-circle kilometres.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from index.grid.cells import Cells, areas_km2, centres, parents, resolutions
from index.grid.sphere import EARTH_RADIUS_KM, GEOSCORE_KM, Floats, circle, coordinates, km_of_cosines, unit_vectors
from index.search.posterior import Posterior

_KEPT = 0.999
"""The share of the probability that is looked at, heaviest cells first; what is left lies nowhere."""
_MOST = 4096
"""Discs looked at, at most: lighter cells are joined into their parents first."""
_FAR_KM = np.pi * EARTH_RADIUS_KM
_TOGETHER = 64  # points whose gains are computed at once, in some 2 MB
_STARTS, _STEPS = 6, 20  # points that move, and how often they try
_SCORED = 256  # discs whose centres are looked at for the GeoGuessr score
_STRIDE_KM = 400.0  # for the GeoGuessr score, what the distance is for the others


@dataclass(frozen=True)
class Discs:
    """The heaviest cells of a posterior as discs, heaviest first."""

    units: Floats
    """(L, 3) centres as unit vectors."""
    radii_km: Floats
    """(L,)"""
    mass: Floats
    """(L,)"""
    lat_lng: Floats
    """(L, 2) centres in degrees."""
    cells: Cells
    """(L,)"""

    @classmethod
    def of(cls, posterior: Posterior) -> Self:
        """Return the heaviest cells, together at least 99.9 % of the probability.

        Where these are too many, the light cells among them are joined into their parents, finest first: a distribution
        that is spread out needs no fine detail.
        """
        cells, mass = posterior.cells, posterior.mass
        order = np.lexsort((cells, -mass))
        needed = int(np.searchsorted(np.cumsum(mass[order]), _KEPT)) + 1
        cells, mass = cells[order[:needed]], mass[order[:needed]]
        cells, mass = _thinned(cells, mass)
        where = centres(cells)
        return cls(unit_vectors(where), np.sqrt(areas_km2(cells) / np.pi), mass, where, cells)

    def shares(self, lat_lng: Floats, km: float) -> Floats:
        """Return how much of each disc lies within a distance of points, (C, L), 0 to 1.

        Args:
            lat_lng: (C, 2) degrees.
            km: the distance, above 0.
        """
        return _overlap(unit_vectors(lat_lng) @ self.units.T, self.radii_km, km)

    def within(self, lat_lng: Floats, km: float) -> Floats:
        """Return the probability within a distance of points (C, 2), (C,)."""
        return self.shares(lat_lng, km) @ self.mass

    def distances(self, lat_lng: Floats) -> Floats:
        """Return the distances (C, L) in km from points (C, 2) to the discs' centres."""
        return km_of_cosines(unit_vectors(lat_lng) @ self.units.T)

    def radius(self, lat_lng: Floats, share: float) -> float:
        """Return the radius in km of the circle around a point (2,) that holds a share of the probability, 0 to 1.

        At most half the Earth's circumference: for shares that the looked-at discs do not reach.
        """
        cosines = self.units @ unit_vectors(lat_lng[None])[0]
        share -= 1e-12  # all of a distribution may sum up to a little less than 1
        low, high = 0.0, _FAR_KM
        while high - low > 1e-6 + 1e-9 * high:
            middle = 0.5 * (low + high)
            if float(_overlap(cosines, self.radii_km, middle) @ self.mass) < share:
                low = middle
            else:
                high = middle
        return high

    def best_point(self, gain_km: float | None) -> Floats:
        """Return the point (2,) in degrees with the largest expected gain.

        Args:
            gain_km: a distance: the gain is the probability within it; None: the gain is the GeoGuessr score, for
                which a disc counts as its centre.

        Looked at are the centres of all discs (for the score, which changes slowly, of the heaviest) and those of the
        heaviest cells of resolutions 1 to 5. The best of them, in different places, move as long as they gain.
        """
        discs = self.lat_lng[: _SCORED if gain_km is None else None]
        candidates = np.concatenate((discs, *(self._heaviest(res, 24) for res in range(1, 6))))
        units, gains = unit_vectors(candidates), self.gains(candidates, gain_km)
        climbed: list[tuple[float, Floats]] = []
        while len(climbed) < _STARTS and gains.max() >= 0:
            best = int(np.argmax(gains))
            climbed.append(self._climbed(candidates[best], float(gains[best]), gain_km))
            gains[km_of_cosines(units @ units[best]) <= (gain_km or _STRIDE_KM) / 2] = -1.0
            gains[best] = -1.0
        return max(climbed, key=lambda found: found[0])[1]

    def _climbed(self, point: Floats, gain: float, gain_km: float | None) -> tuple[float, Floats]:
        """Move a point to the mean of what lies around it, or a step aside, as long as it gains."""
        step = (gain_km or _STRIDE_KM) / 2
        for _ in range(_STEPS):
            tried = np.concatenate((self._means(point, gain_km), circle(point, step, 6)))
            gains = self.gains(tried, gain_km)
            best = int(np.argmax(gains))
            if gains[best] > gain * (1 + 1e-9):
                point, gain = tried[best], float(gains[best])
            else:
                step /= 2
        return gain, point

    def _means(self, point: Floats, gain_km: float | None) -> Floats:
        """Return where the discs around a point have their middle: those within once and twice the distance."""
        away = self.distances(point[None])[0]
        if gain_km is None:
            pulls = [np.exp(-away / GEOSCORE_KM) / np.maximum(away, 1.0)]  # the gradient's (Weiszfeld 1937)
        else:
            pulls = [away <= gain_km, away <= 2 * gain_km]
        means = np.stack([(self.mass * pull) @ self.units for pull in pulls])
        return coordinates(means[np.linalg.norm(means, axis=1) > 0])

    def gains(self, lat_lng: Floats, gain_km: float | None) -> Floats:
        """Return the expected gains (C,) of points (C, 2); see `best_point`."""
        parts = [np.zeros(0)]
        for at in range(0, len(lat_lng), _TOGETHER):
            some = lat_lng[at : at + _TOGETHER]
            if gain_km is None:
                parts.append(np.exp(-self.distances(some) / GEOSCORE_KM) @ self.mass)
            else:
                parts.append(self.within(some, gain_km))
        return np.concatenate(parts)

    def _heaviest(self, res: int, count: int) -> Floats:
        """Return the centres of the heaviest cells of a resolution, of those discs that are as fine."""
        fine = resolutions(self.cells) >= res
        if not fine.any():
            return self.lat_lng[:0]
        groups, rows = np.unique(parents(self.cells[fine], res), return_inverse=True)
        mass = np.bincount(rows, self.mass[fine])
        return centres(groups[np.argsort(-mass, kind="stable")[:count]])


def _thinned(cells: Cells, mass: Floats) -> tuple[Cells, Floats]:
    """Join the lighter cells, in order of mass, into their parents until there are few enough; heaviest first."""
    if len(cells) <= _MOST:
        return cells, mass
    half = _MOST // 2
    heavy, light, light_mass = cells[:half], cells[half:], mass[half:]
    while len(light) > _MOST - half and (finest := int(resolutions(light).max())) > 0:
        joined = resolutions(light) == finest
        up = light.copy()
        up[joined] = parents(light[joined], finest - 1)
        light, rows = np.unique(up, return_inverse=True)
        light_mass = np.bincount(rows, light_mass).astype(np.float64)
    cells, mass = np.concatenate((heavy, light)), np.concatenate((mass[:half], light_mass))
    order = np.lexsort((cells, -mass))
    return cells[order], mass[order]


def _overlap(cosines: Floats, radii: Floats, km: float) -> Floats:
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
    share[touched] = _lens(km_of_cosines(cosines[touched]), discs, km) / (np.pi * discs**2)
    return share


def _lens(away: Floats, radii: Floats, km: float) -> Floats:
    """Return the area, km2, that circles share: a segment of each, or all of the smaller where it is in the other.

    The segments' half angles come from half-angle formulas, which hold for discs of metres that are far away, too.
    """
    beyond_away, perimeter = np.maximum(radii + km - away, 0.0), away + radii + km
    beyond_radius, beyond_km = np.maximum(km + away - radii, 0.0), np.maximum(away + radii - km, 0.0)
    a = 2 * np.arctan2(np.sqrt(beyond_away * beyond_radius), np.sqrt(perimeter * beyond_km))
    b = 2 * np.arctan2(np.sqrt(beyond_away * beyond_km), np.sqrt(perimeter * beyond_radius))
    area: Floats = radii**2 * (a - np.sin(2 * a) / 2) + km**2 * (b - np.sin(2 * b) / 2)
    return area
