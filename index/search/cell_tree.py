"""The cells above the leaves of a distribution, as far as they are heavy: what pruning and joining leaves are read off.

Leaves stand in the order of the H3 tree, so that those below any cell are one run of rows. A leaf may lie above others:
then it stands for what is left of the cell, and comes after them.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells, parents, resolutions
from index.grid.sphere import Floats

POSITION = np.uint64((1 << 52) - 1)
"""Base cell and digits: sorted by these bits, cells of any resolutions are in the order of the tree."""
_POSITION = np.int64(POSITION)  # which turns into float64 faster
_BEGINS = np.zeros(1023 + 53, dtype=np.int8)  # by the exponent of a float64 that is the first bit that differs
_BEGINS[1023:] = np.maximum(15 - np.arange(53) // 3, 0)


def first_of(cells: Cells) -> NDArray[np.int8]:
    """Return for leaves (L,) in the order of the tree the resolution of the coarsest cell of which each is the first.

    Those of which it is 0 begin a cell of resolution 0, and so on: up to `res` they begin the cells of `res`.
    """
    position = cells.view(np.int64) & _POSITION
    differing = (position[1:] ^ position[:-1]).astype(np.float64)
    exponents = differing.view(np.int64) >> 52
    begins = np.zeros(len(cells), np.int8)
    np.take(_BEGINS, exponents, out=begins[1:], mode="clip")
    return begins


@dataclass(frozen=True)
class CellTree:
    """The cells with at least `least` probability, and the children of these, from coarse to fine, in tree order."""

    least: float
    finest: int
    cells: Cells
    """(N + R,) these cells; then the rests of heavy ones, leaves above other leaves."""
    stands: Cells
    """(N + R,) the one leaf of a cell that has no other, however much finer; else the cell itself."""
    mass: Floats
    """(N + R,) of all leaves in each; of the rests alone."""
    above: Floats
    """(N + R,) the mass of the parent, infinite for resolution 0; of rests that of the whole cell."""
    leaf: NDArray[np.bool_]
    """(N + R,) whether it has no child."""
    bounds: NDArray[np.int64]
    """(finest + 2,) where each resolution begins, and N."""

    @classmethod
    def of(
        cls,
        cells: Cells,
        mass: Floats,
        begins: NDArray[np.int8],
        finest: int,
        least: float,
        *,
        many: float = np.inf,
        least_of_many: float = 1.0,
    ) -> Self:
        """Sum leaves (L,) in the order of the tree, with what `first_of` says of them.

        Args:
            cells: the leaves.
            mass: of each.
            begins: of each.
            finest: their finest resolution.
            least: what cells are to have.
            many: if so many cells would be `joined` by that, they are to have `least_of_many`.
            least_of_many: not below `least`.
        """
        leaves = _Leaves.of(cells, mass, begins)
        level = _Level(np.flatnonzero(begins <= 0), np.zeros(0, np.int64), np.zeros(0))
        level = level._replace(ends=np.append(level.starts[1:], len(cells))[: len(level.starts)] - 1)
        level = level._replace(above=np.full(len(level.starts), np.inf))
        parts, rests, light = [], [], 0
        for res in range(finest + 1):
            starts, ends, above = level
            alone, own, sums = starts == ends, leaves.levels[ends] == res, leaves.sums(starts, ends)
            first = leaves.cells[starts]
            whole = parents(first, res)
            parts.append((whole, np.where(alone, first, whole), sums, above, own & alone))
            deeper = np.flatnonzero(leaves.begins <= res + 1)
            opened = np.flatnonzero(sums >= least)
            light += len(sums) - len(opened)
            if least < least_of_many and light + level.count_in(opened, deeper) >= many:
                least = least_of_many
                opened = opened[sums[opened] >= least]
            rest = opened[own[opened] & ~alone[opened]]
            left, rest_mass = leaves.cells[ends[rest]], leaves.mass[ends[rest]]
            rests.append((left, left, rest_mass, sums[rest], np.ones(len(rest), np.bool_)))
            starts, ends = starts[opened], ends[opened] - own[opened]
            if (ends - starts + 1).sum() < len(leaves.cells) / 2:
                leaves, starts, ends = leaves.within(starts, ends)
                deeper = np.flatnonzero(leaves.begins <= res + 1)
            level = _Level.below(starts, ends, sums[opened], deeper)
        bounds = np.cumsum([0, *(len(part[0]) for part in parts)])
        whole, stands, sums, above, leaf = (np.concatenate(column) for column in zip(*parts, *rests, strict=True))
        return cls(least, finest, whole, stands, sums, above, leaf, bounds)

    def heavy(self, least: float) -> list[tuple[Cells, Floats]]:
        """Return the cells with at least `least`, not below `self.least`, by resolution; each sorted, with its mass."""
        rows = np.flatnonzero(self.mass[: self.bounds[-1]] >= least)
        cuts = np.searchsorted(rows, self.bounds)
        cells, mass = self.cells[rows], self.mass[rows]
        return [(cells[a:b], mass[a:b]) for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)]

    def joined(self, least: float) -> tuple[Cells, Floats]:
        """Return the leaves, sorted, and their masses, where the cells with less than `least` count as leaves.

        A cell that has one leaf alone stays that leaf. `least` is not below `self.least`.
        """
        rows = np.flatnonzero(self._stay(least))
        cells = self.stands[rows]
        order = np.argsort(cells)
        return cells[order], self.mass[rows[order]]

    def count(self, least: float) -> int:
        """Return how many leaves `joined` has."""
        return int(np.count_nonzero(self._stay(least)))

    def _stay(self, least: float) -> NDArray[np.bool_]:
        stay: NDArray[np.bool_] = (self.above >= least) & (self.leaf | (self.mass < least))
        return stay


class _Leaves(NamedTuple):
    """Leaves in the order of the tree."""

    cells: Cells
    mass: Floats
    upto: Floats
    """(L + 1,) the mass of all before each, and of all."""
    begins: NDArray[np.int8]
    levels: NDArray[np.int8]
    """Their resolutions."""

    @classmethod
    def of(cls, cells: Cells, mass: Floats, begins: NDArray[np.int8]) -> Self:
        """Return leaves with what follows."""
        upto = np.zeros(len(cells) + 1)
        np.cumsum(mass, out=upto[1:])
        return cls(cells, mass, upto, begins, resolutions(cells).astype(np.int8))

    def sums(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Floats:
        """Return the mass of runs of leaves, ends included; of one leaf as it is."""
        sums = self.upto[ends + 1]
        sums -= self.upto[starts]
        return np.where(starts == ends, self.mass[starts], np.maximum(sums, 0.0))

    def within(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[Self, NDArray[np.int64], NDArray[np.int64]]:
        """Return the leaves of some runs alone, and where these are among them."""
        counts = ends - starts + 1
        rows, stops = _runs(starts, counts), np.cumsum(counts)
        return self.of(self.cells[rows], self.mass[rows], self.begins[rows]), stops - counts, stops - 1


class _Level(NamedTuple):
    """The cells of a resolution that are looked at: each a run of leaves."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    """The last leaf of each."""
    above: Floats
    """The mass of the parent."""

    @classmethod
    def below(cls, starts: NDArray[np.int64], ends: NDArray[np.int64], mass: Floats, deeper: NDArray[np.int64]) -> Self:
        """Return the children of cells, of which `deeper` has where any begin; a cell without leaves has none."""
        first = np.searchsorted(deeper, starts)
        counts = np.searchsorted(deeper, ends + 1) - first
        own = deeper[_runs(first, counts)]
        own_ends = np.empty_like(own)
        own_ends[:-1] = own[1:] - 1
        some = counts > 0
        own_ends[np.cumsum(counts)[some] - 1] = ends[some]
        return cls(own, own_ends, np.repeat(mass, counts))

    def count_in(self, rows: NDArray[np.int64], deeper: NDArray[np.int64]) -> int:
        """Return how many cells begin, one level down, in some of these."""
        inside = np.searchsorted(deeper, self.ends[rows] + 1) - np.searchsorted(deeper, self.starts[rows])
        return int(inside.sum())


def _runs(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of runs, one after the other."""
    stops = np.cumsum(counts)
    total = int(stops[-1]) if len(stops) else 0
    return np.repeat(starts - stops + counts, counts) + np.arange(total)
