"""Probability around points: what lies within a distance, how far to go for a share, where to stand for the most.

A cell of a posterior counts as the disc of its area around its centre, with its probability spread evenly over it: a
cell that was scored at the finest resolution is nearly a point, one that was not is as wide as it is. Distances are
great-circle kilometres.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.compiled import compiled
from index.grid.cells import Cells, areas_km2, base_cells, centres, children, parents, resolutions
from index.grid.sphere import EARTH_RADIUS_KM, GEOSCORE_KM, Floats, coordinates, km_of_cosines, unit_vectors
from index.search.circles import Spreads, circles_km, overlap
from index.search.posterior import Posterior

_LEAST = (2e-3, 4e-3, 1e-2)
"""Where a posterior has too many cells, those with less than the first of these that is enough are joined."""
_MOST = 1500
_TOGETHER = 64  # points whose gains are computed at once, in some 2 MB
_STARTS, _STEPS = 3, 16  # points that move, and how often they try
_LOOKED_AT = 128  # discs whose centres are candidates
_STRIDE_KM = 400.0  # for means over distances, what the distance is for the others
NEAR_KM, FAR_KM = 1.0, 2500.0


class Mean(StrEnum):
    """What is gained by a point that is so far away, other than being within one distance."""

    ALL = "all"
    """The mean over all distances from 1 to 2,500 km, on a logarithmic scale, of being within."""
    GEOSCORE = "geoscore"
    """The GeoGuessr score, for which a disc counts as its centre."""


Gain = float | Mean
"""A distance in km: the gain is the probability within it; or a mean."""


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
        """Return the leaves, the light ones joined into their parents: what is spread out needs no fine detail."""
        joined = posterior.joined
        for least in _LEAST:
            if len(joined.cells) <= _MOST:
                break
            joined = posterior.condensed(least)
        cells, mass = joined.cells, joined.mass
        order = np.argsort(-mass, kind="stable")[: np.count_nonzero(mass > 0)]
        cells, mass = cells[order], mass[order]
        units, where, areas_km2 = _known(cells)
        return cls(units, np.sqrt(areas_km2 / np.pi), mass, where, cells)

    def shares(self, lat_lng: Floats, km: float) -> Floats:
        """Return how much of each disc lies within a distance of points, (C, L), 0 to 1.

        Args:
            lat_lng: (C, 2) degrees.
            km: the distance, above 0.
        """
        return self.shares_at(self.cosines(lat_lng), km)

    def cosines(self, lat_lng: Floats) -> Floats:
        """Return the cosines (C, L) of the angles between points (C, 2) and the discs' centres."""
        cosines: Floats = unit_vectors(lat_lng) @ self.units.T
        return cosines

    def shares_at(self, cosines: Floats, km: float) -> Floats:
        """Return what `shares` returns for points that have these cosines."""
        return overlap(cosines, self.radii_km, km)

    def within(self, lat_lng: Floats, km: float) -> Floats:
        """Return the probability within a distance of points (C, 2), (C,)."""
        return self.shares(lat_lng, km) @ self.mass

    def distances(self, lat_lng: Floats) -> Floats:
        """Return the distances (C, L) in km from points (C, 2) to the discs' centres."""
        return km_of_cosines(self.cosines(lat_lng))

    def spreads(self, units: Floats, shares: ArrayLike, mass: Floats | None = None) -> Spreads:
        """Return what `circles_km` takes for circles around points that are to hold shares, 0 to 1.

        Args:
            units: (C, 3) the points as unit vectors.
            shares: (C,) of all probability; at most half the Earth's circumference is needed, even if discs do not
                hold it.
            mass: (C, L) what is looked at of each disc for each point; all of it unless said otherwise.
        """
        away = km_of_cosines(units @ self.units.T)
        mass = np.broadcast_to(self.mass, away.shape) if mass is None else mass
        return Spreads(away, self.radii_km, mass, np.asarray(shares, dtype=np.float64))

    def radius(self, lat_lng: Floats, share: float) -> float:
        """Return the radius in km of the circle around a point (2,) that holds a share of the probability, 0 to 1.

        At most half the Earth's circumference: for shares that the looked-at discs do not reach.
        """
        return float(circles_km(self.spreads(unit_vectors(lat_lng[None]), [share]))[0])

    def best_point(self, gain: Gain) -> Floats:
        """Return the point (2,) in degrees with the largest expected gain, on land or not.

        Looked at are the centres of the heaviest discs and those of the heaviest cells of resolutions 1 to 8. The best
        of them, in different places, move as long as they gain.
        """
        units = np.concatenate((self.units[:_LOOKED_AT], self._heaviest(range(1, 9), 16)))
        gains = self._gains(units, gain)
        stride_km = gain if isinstance(gain, float) else _STRIDE_KM
        starts, gained = list[int](), list[float]()
        while len(starts) < _STARTS and gains.max() >= 0:
            starts.append(int(np.argmax(gains)))
            gained.append(float(gains[starts[-1]]))
            gains[km_of_cosines(units @ units[starts[-1]]) <= stride_km / 2] = -1.0
            gains[starts[-1]] = -1.0
        best: Floats = coordinates(self._climbed(units[starts], np.array(gained), gain, stride_km))
        return best

    def _climbed(self, points: Floats, gained: Floats, gain: Gain, stride_km: float) -> Floats:
        """Move points (S, 3) to the mean of what lies around each, or a step aside, as long as they gain.

        Returns:
            The best of them (3,).
        """
        steps, rows = np.full(len(points), stride_km / 2), np.arange(len(points))
        for _ in range(_STEPS):
            tried = np.concatenate((self._means(points, gain), _around(points, steps)), axis=1)
            gains = self._gains(tried.reshape(-1, 3), gain).reshape(len(points), -1)
            best = np.argmax(gains, axis=1)
            better = gains[rows, best] > gained * (1 + 1e-9)
            points = np.where(better[:, None], tried[rows, best], points)
            gained = np.where(better, gains[rows, best], gained)
            steps = np.where(better, steps, steps / 2)
        highest: Floats = points[np.argmax(gained)]
        return highest

    def _means(self, points: Floats, gain: Gain) -> Floats:
        """Return where the discs around points (S, 3) have their middle: those within once and twice the distance."""
        cosines = points @ self.units.T
        if isinstance(gain, float):
            pulls = [cosines >= np.cos(min(km / EARTH_RADIUS_KM, np.pi)) for km in (gain, 2 * gain)]
        else:
            away = km_of_cosines(cosines)
            pulls = [np.exp(-away / GEOSCORE_KM) / np.maximum(away, 1.0)]  # the gradient's (Weiszfeld 1937)
        means = np.stack([(self.mass * pull) @ self.units for pull in pulls], axis=1)
        lengths = np.linalg.norm(means, axis=2, keepdims=True)
        units: Floats = np.where(lengths > 0, means / np.maximum(lengths, 1e-300), points[:, None])
        return units

    def gains(self, lat_lng: Floats, gain: Gain) -> Floats:
        """Return the expected gains (C,) of points (C, 2)."""
        return self._gains(unit_vectors(lat_lng), gain)

    def _gains(self, units: Floats, gain: Gain) -> Floats:
        parts = [np.zeros(0)]
        for at in range(0, len(units), _TOGETHER):
            some = units[at : at + _TOGETHER]
            if gain is Mean.ALL:
                parts.append(self.nearness(some) @ self.mass)
            elif gain is Mean.GEOSCORE:
                parts.append(np.exp(-km_of_cosines(some @ self.units.T) / GEOSCORE_KM) @ self.mass)
            else:
                parts.append(self.shares_at(some @ self.units.T, float(gain)) @ self.mass)
        return np.concatenate(parts)

    def nearness(self, units: Floats) -> NDArray[np.float32]:
        """Return for points (C, 3), as unit vectors, the mean (C, L) of the shares within `NEAR_KM` to `FAR_KM`.

        On a logarithmic scale of distances that is 1 - log(away / near) / log(far / near), from 0 to 1. Over a disc the
        mean of log(away) is that of its centre for a point outside, and log(radius) - 1/2 + (away / radius)^2 / 2
        inside.
        """
        least, most = ((km / EARTH_RADIUS_KM) ** 2 for km in (NEAR_KM, FAR_KM))
        near, far = np.float32(math.log(least)), np.float32(math.log(most))
        discs, radii = np.ascontiguousarray(self.units.T), (self.radii_km / EARTH_RADIUS_KM) ** 2
        nearness = _squares(np.ascontiguousarray(units), discs, radii, least, most)
        np.log(nearness, out=nearness)
        nearness -= far
        nearness *= 1 / (near - far)
        return nearness

    def _heaviest(self, levels: Iterable[int], count: int) -> Floats:
        """Return the centres (H, 3) of the heaviest cells of some resolutions, of those discs that are as fine."""
        own, found = resolutions(self.cells), [self.cells[:0]]
        for res in levels:
            if (fine := own >= res).any():
                groups, rows = np.unique(parents(self.cells[fine], res), return_inverse=True)
                mass = np.bincount(rows, self.mass[fine])
                found.append(groups[np.argsort(-mass, kind="stable")[:count]])
        return _known(np.concatenate(found)).units


@compiled
def _squares(points: Floats, discs: Floats, radii: Floats, least: float, most: float) -> NDArray[np.float32]:
    """Return the squares (C, L) of straight distances on a unit sphere, of which `nearness` takes the logarithm.

    Args:
        points: (C, 3) as unit vectors.
        discs: (3, L) their centres, likewise.
        radii: (L,) squares of the discs' radii; a point inside has another square, with the logarithm of the mean.
        least: of the squares.
        most: of the squares.
    """
    squares = np.empty((points.shape[0], discs.shape[1]), np.float32)
    narrow, wide = np.float32(least), np.float32(most)
    for row in range(points.shape[0]):
        x, y, z = points[row, 0], points[row, 1], points[row, 2]
        own = squares[row]
        for disc in range(discs.shape[1]):
            square = np.float32(2 - 2 * (x * discs[0, disc] + y * discs[1, disc] + z * discs[2, disc]))
            square = square if square > narrow else narrow
            own[disc] = square if square < wide else wide
        for disc in range(discs.shape[1]):
            if own[disc] < radii[disc]:  # few; the square may have been cut
                exact = max(2 - 2 * (x * discs[0, disc] + y * discs[1, disc] + z * discs[2, disc]), 0.0)
                if exact < radii[disc]:
                    mean = radii[disc] * math.exp(exact / radii[disc] - 1)
                    own[disc] = min(max(mean, least), most)
    return squares


def _around(points: Floats, km: Floats) -> Floats:
    """Return six points (S, 6, 3) around each of some (S, 3), at distances (S,), evenly; all as unit vectors."""
    x, y, z = points.T
    flat = np.hypot(x, y)
    cos, sin = np.where(flat > 0, x / np.maximum(flat, 1e-300), 1.0), y / np.maximum(flat, 1e-300)
    east = np.stack((-sin, cos, np.zeros(len(points))), axis=1)
    north = np.stack((-z * cos, -z * sin, flat), axis=1)
    turns = np.pi / 3 * np.arange(6)[:, None]
    ahead = np.cos(turns) * east[:, None] + np.sin(turns) * north[:, None]
    angles = (km / EARTH_RADIUS_KM)[:, None, None]
    around: Floats = points[:, None] * np.cos(angles) + ahead * np.sin(angles)
    return around


class _Known(NamedTuple):
    """Where cells are and how large, which H3 is slow to tell."""

    units: Floats
    lat_lng: Floats
    areas_km2: Floats
    """Of one finer than `_COARSE`, its share of its ancestor's there."""


def _known(cells: Cells) -> _Known:
    """Return what is known of cells (L,)."""
    all_cells, known = _coarse()
    units, lat_lng, areas, fine = _looked_up(cells.view(np.int64), all_cells.view(np.int64), *known)
    lat_lng[fine] = centres(cells[fine])
    units[fine] = unit_vectors(lat_lng[fine])
    return _Known(units, lat_lng, areas)


@compiled
def _looked_up(
    ids: NDArray[np.int64], known: NDArray[np.int64], units: Floats, lat_lng: Floats, areas_km2: Floats
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Return what is known of cells (L,), of finer ones what is known of their ancestors, and the rows of these.

    Args:
        ids: of cells.
        known: (K,) of all cells up to `_COARSE`, sorted.
        units: (K, 3) where these are.
        lat_lng: (K, 2)
        areas_km2: (K,) shared evenly by what is below them.
    """
    own_units, own_where, own_areas = np.empty((len(ids), 3)), np.empty((len(ids), 2)), np.empty(len(ids))
    fine, count = np.empty(len(ids), np.int64), 0
    for row in range(len(ids)):
        level, cell, parts = (ids[row] >> 52) & 15, ids[row], 1.0
        if level > _COARSE:
            cell = (cell & ~(15 << 52)) | (_COARSE << 52) | ((1 << (3 * (15 - _COARSE))) - 1)
            parts = 7.0 ** (level - _COARSE)
            fine[count] = row
            count += 1
        at = np.searchsorted(known, cell)
        own_areas[row] = areas_km2[at] / parts
        for axis in range(3):
            own_units[row, axis] = units[at, axis]
        for axis in range(2):
            own_where[row, axis] = lat_lng[at, axis]
    return own_units, own_where, own_areas, fine[:count].copy()


_COARSE = 3


@cache
def _coarse() -> tuple[Cells, _Known]:
    """Return all cells up to `_COARSE`, sorted, 5 MB with what is known of them."""
    cells = np.concatenate([children(base_cells(), res) for res in range(_COARSE + 1)])
    where = centres(cells)
    return cells, _Known(unit_vectors(where), where, areas_km2(cells))
