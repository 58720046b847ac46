"""How likely a photo is taken in each cell, before looking at it.

The gallery's density, smoothed down the H3 tree. The mass of a cell p is shared among its children c on land:

    P(c | p) = (n_c + kappa b_c) / (n_p + kappa)

with n photos of the gallery and b_c the share of the land in p that is in c. Where many photos are known their counts
decide, where few are, the land area does: a hierarchical Dirichlet (Pólya tree) prior. There is one kappa a resolution,
chosen by the likelihood of each place given all others. The root's children are the 122 base cells. Below the coarse
cells, whose land area is given, all children of a cell have the same b (below resolution 6 their areas differ by less
than 0.1 %).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import FINEST, Cells, children_counts, parents, resolution
from index.grid.sphere import Floats
from index.storage.gallery import Gallery
from index.storage.manifest import PriorParameters

Ints = NDArray[np.signedinteger[Any]]

_FORMAT = 1
_KAPPA, _LOG_KAPPA_SPREAD = 3.0, 2.0
"""Centre and standard deviation of log kappa's own prior: they speak where the gallery says little."""
_KAPPA_RANGE = (1e-3, 1e6)
_FIT_PLACES = 250_000
"""Places that the choice of a kappa looks at; of more, an even selection."""


class PriorLevel(NamedTuple):
    """Cells of one resolution: all with land down to the coarse resolution, those with photos below it."""

    cells: Cells
    photos: Floats
    log_mass: Floats


class Prior:
    """A probability for every cell of the land, at every resolution; children add up to their parent.

    Args:
        land: (M,) uint64, the coarse cells, sorted and distinct, of one resolution.
        coarse_log_mass: (M,) natural logarithms of their probabilities.
        gallery: the photos that share out the mass below the coarse cells.
        kappas: (16,) positive, one a resolution.
        distinct: count each place of the gallery once, whatever its count.

    Made by `fit`, `uniform` or `restore`.
    """

    def __init__(
        self, land: Cells, coarse_log_mass: Floats, gallery: Gallery, kappas: Floats, *, distinct: bool = False
    ) -> None:
        self.land = land
        self.coarse_log_mass = coarse_log_mass
        self.kappas = kappas
        self._res = resolution(land[:1])
        self._gallery = gallery
        self._distinct = distinct
        self._levels: dict[int, PriorLevel] = {}  # made when a resolution is first asked for

    @classmethod
    def fit(cls, land: Cells, areas_km2: Floats, gallery: Gallery, *, distinct: bool = False) -> Self:
        """Fit the prior to a gallery.

        Args:
            land: (M,) uint64, the coarse land cells, sorted and distinct, of one resolution.
            areas_km2: (M,) the land area of each, positive.
            gallery: places inside the land cells; without places, land area alone decides.
            distinct: count each place once. Repeated coordinates can be bursts of one photographer, or a default that
                stands for a whole city; the choice of kappa leaves out all repetitions of a place together either way.

        Raises:
            ValueError: the land is not as above, or a place of the gallery lies in none of its cells.
        """
        _check_land(land, areas_km2, "areas")
        if not (areas_km2 > 0).all():
            raise ValueError(f"The least area of a land cell is {areas_km2.min()} km2; areas must be positive.")
        res = resolution(land[:1])
        weights = _weights(gallery, distinct)
        rows = [_rows_of(land, gallery, res)]  # of each place, its cell: from the coarse one up to the root
        tree = _tree(land, areas_km2.astype(np.float64), _sums(rows[0], weights, len(land)))
        for node in tree[:-1]:
            rows.append(node.up[rows[-1]])

        kappas = np.full(FINEST + 1, _KAPPA)
        mass = np.ones(1)
        for level, (above, node) in enumerate(pairwise(reversed(tree))):
            base = node.areas / above.areas[node.up]
            in_parent = above.photos[node.up]
            at = rows[res - level]
            kappas[level] = _best_kappa(node.photos[at], in_parent[at], base[at], weights)
            mass = mass[node.up] * (node.photos + kappas[level] * base) / (in_parent + kappas[level])
        for finer in range(res + 1, FINEST + 1):
            kappas[finer] = _kappa_below(gallery, weights, finer)
        return cls(land, np.log(mass), gallery, kappas, distinct=distinct)

    @classmethod
    def uniform(cls, land: Cells, areas_km2: Floats) -> Self:
        """Return the prior that knows land area and nothing else. Arguments and errors as for `fit`."""
        return cls.fit(land, areas_km2, Gallery.empty())

    @classmethod
    def restore(cls, land: Cells, coarse_log_mass: Floats, gallery: Gallery, parameters: Mapping[str, Any]) -> Self:
        """Return a fitted prior from its parts, without fitting: its land, masses, gallery and `parameters()`.

        Raises:
            ValueError: the parts do not belong together, or were written by another version.
        """
        advice = "take all parts from one build, or build again."
        if parameters.get("format") != _FORMAT:
            raise ValueError(f"The prior has format {parameters.get('format')}, this version reads {_FORMAT}; {advice}")
        _check_land(land, coarse_log_mass, "masses")
        kappas = np.asarray(parameters.get("kappas"), dtype=np.float64)
        if kappas.shape != (FINEST + 1,) or not (np.isfinite(kappas) & (kappas > 0)).all():
            raise ValueError(
                f"The prior's kappas are {parameters.get('kappas')}; expected 16 positive numbers; {advice}"
            )
        expected = {"resolution": resolution(land[:1]), "places": len(gallery), "photos": gallery.total}
        for name, value in expected.items():
            if parameters.get(name) != value:
                raise ValueError(f"The prior was fitted with {name} {parameters.get(name)}, not {value}; {advice}")
        return cls(land, coarse_log_mass, gallery, kappas, distinct=bool(parameters.get("distinct")))

    def parameters(self) -> PriorParameters:
        """Return what `restore` needs beside the arrays and the gallery, ready for JSON."""
        return {
            "format": _FORMAT,
            "resolution": self._res,
            "kappas": self.kappas.tolist(),
            "distinct": self._distinct,
            "places": len(self._gallery),
            "photos": self._gallery.total,
        }

    def log_mass(self, cells: Cells) -> Floats:
        """Return the natural logarithm of each cell's prior probability.

        Args:
            cells: (N,) uint64 of any one resolution, in any order.

        Returns:
            (N,) float64; -inf for cells without land.

        Raises:
            ValueError: the cells have several resolutions.
        """
        if not len(cells):
            return np.zeros(0)
        res = resolution(cells)
        if res <= self._res:
            level = self.level(res)
            row, found = _find(level.cells, cells)
            return np.where(found, level.log_mass[row], -np.inf)
        return self._log_mass_below(cells, res)

    def _log_mass_below(self, cells: Cells, res: int) -> Floats:
        """Follow each cell's ancestors from the coarse one down: as long as they hold photos, their mass is known."""
        coarse = self.level(self._res)
        row, found = _find(coarse.cells, parents(cells, self._res))
        result = np.where(found, coarse.log_mass[row], -np.inf)
        known = np.flatnonzero(found & (coarse.photos[row] > 0))
        photos = coarse.photos[row[known]]
        for finer in range(self._res + 1, res + 1):
            result -= np.log(children_counts(parents(cells, finer - 1), finer))
            result[known] -= np.log1p(
                photos / self.kappas[finer]
            )  # as for a child without photos: kappa b / (n + kappa)
            level = self.level(finer)
            row, found = _find(level.cells, parents(cells[known], finer))
            known, photos = known[found], level.photos[row[found]]
            result[known] = level.log_mass[row[found]]
        return result

    def level(self, res: int) -> PriorLevel:
        """Return the cells of a resolution whose mass does not follow from that of the cell above alone."""
        if res not in self._levels:
            self._levels[res] = self._coarser(res) if res <= self._res else self._finer(res)
        return self._levels[res]

    def _coarser(self, res: int) -> PriorLevel:
        if res == self._res:
            rows = _rows_of(self.land, self._gallery, res)
            photos = _sums(rows, _weights(self._gallery, self._distinct), len(self.land))
            return PriorLevel(self.land, photos, self.coarse_log_mass)
        below = self.level(res + 1)
        starts, _ = _families(below.cells, res)
        mass = np.add.reduceat(np.exp(below.log_mass), starts)
        return PriorLevel(parents(below.cells[starts], res), np.add.reduceat(below.photos, starts), np.log(mass))

    def _finer(self, res: int) -> PriorLevel:
        """Return the cells with photos at a resolution below the coarse one."""
        above = self.level(res - 1)
        starts, rows = _families(self._gallery.cells, res)
        cells = parents(self._gallery.cells[starts], res)
        photos = _sums(rows, _weights(self._gallery, self._distinct))
        up = parents(cells, res - 1)
        row, _ = _find(above.cells, up)
        kappa = self.kappas[res]
        share = (photos + kappa / children_counts(up, res)) / (above.photos[row] + kappa)
        return PriorLevel(cells, photos, above.log_mass[row] + np.log(share))


def _check_land(land: Cells, values: Floats, what: str) -> None:
    if not len(land):
        raise ValueError("There are no land cells; a prior needs at least one.")
    resolution(land)
    if not (land[1:] > land[:-1]).all():
        raise ValueError("The land cells are not sorted and distinct; pass numpy.unique of them.")
    if values.shape != land.shape or np.isnan(values).any():
        raise ValueError(f"There are {values.shape} {what} for {land.shape} land cells; expected one number for each.")


def _find(table: Cells, cells: Cells) -> tuple[Ints, NDArray[np.bool_]]:
    """Return for each cell its row in a sorted table, and whether it is there; the row is valid either way."""
    if not len(table):
        return np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells), dtype=bool)
    row = np.minimum(np.searchsorted(table, cells), len(table) - 1)
    return row, table[row] == cells


def _rows_of(land: Cells, gallery: Gallery, res: int) -> Ints:
    """Return for each place of the gallery the row of its cell in `land`."""
    row, found = _find(land, parents(gallery.cells, res))
    if not found.all():
        place = int(np.flatnonzero(~found)[0])
        raise ValueError(
            f"{int((~found).sum())} places of the gallery lie in no land cell, the first is "
            f"{gallery.lat_lng[place].tolist()}; add the gallery's cells to the land."
        )
    return row


def _weights(gallery: Gallery, distinct: bool) -> Floats:
    return np.ones(len(gallery)) if distinct else gallery.counts.astype(np.float64)


def _sums(rows: Ints, weights: Floats, length: int = 0) -> Floats:
    """Add each weight to its row."""
    return np.bincount(rows, weights, minlength=length).astype(np.float64, copy=False)


class _LandLevel(NamedTuple):
    """All cells with land of one resolution."""

    areas: Floats
    """Land below each cell, km2."""
    photos: Floats
    up: Ints
    """The row of each cell's parent, one level up."""


def _tree(land: Cells, areas: Floats, photos: Floats) -> list[_LandLevel]:
    """Add areas and photos up the tree: the coarse cells first, then their parents, ... the base cells, the root."""
    tree = []
    cells = land
    for res in range(resolution(land) - 1, -1, -1):
        starts, up = _families(cells, res)
        tree.append(_LandLevel(areas, photos, up))
        areas, photos = np.add.reduceat(areas, starts), np.add.reduceat(photos, starts)
        cells = parents(cells[starts], res)
    tree.append(_LandLevel(areas, photos, np.zeros(len(cells), dtype=np.int64)))
    tree.append(_LandLevel(areas.sum(keepdims=True), photos.sum(keepdims=True), np.zeros(1, dtype=np.int64)))
    return tree


def _families(cells: Cells, res: int) -> tuple[Ints, Ints]:
    """Return the row where each parent's children start among sorted cells, and for each cell its parent's number."""
    up = parents(cells, res)
    first = np.ones(len(cells), dtype=bool)
    first[1:] = up[1:] != up[:-1]
    return np.flatnonzero(first), np.cumsum(first) - 1


def _kappa_below(gallery: Gallery, weights: Floats, res: int) -> float:
    """Choose kappa for a resolution below the coarse one."""
    if not len(gallery):
        return _KAPPA
    (_, row), (_, row_above) = _families(gallery.cells, res), _families(gallery.cells, res - 1)
    photos, in_parent = _sums(row, weights)[row], _sums(row_above, weights)[row_above]
    base = 1.0 / children_counts(parents(gallery.cells, res - 1), res)
    return _best_kappa(photos, in_parent, base, weights)


def _best_kappa(photos: Floats, in_parent: Floats, base: Floats, own: Floats) -> float:
    """Return the kappa under which the places are most likely, each given all the others.

    Args:
        photos: (N,) photos in the cell of each place, with those of the place itself.
        in_parent: (N,) the same for the cell's parent.
        base: (N,) the cell's share of its parent's land.
        own: (N,) photos of the place itself.
    """
    rows = np.flatnonzero(in_parent > own)  # a place alone in its parent says nothing about kappa
    rows = rows[:: max(1, -(-len(rows) // _FIT_PLACES))]
    others, others_in_parent, share = photos[rows] - own[rows], in_parent[rows] - own[rows], base[rows]
    weight = (in_parent > own).sum() / max(len(rows), 1)

    def log_likelihood(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        places = np.log((others + kappa * share) / (others_in_parent + kappa)).sum()
        return float(weight * places - 0.5 * ((log_kappa - np.log(_KAPPA)) / _LOG_KAPPA_SPREAD) ** 2)

    low, high = np.log(_KAPPA_RANGE)
    for _ in range(4):  # each time an interval of a quarter: log kappa to 0.04
        grid = np.linspace(low, high, 9)
        best = int(np.argmax([log_likelihood(value) for value in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 8)]
    return float(np.exp(grid[best]))
