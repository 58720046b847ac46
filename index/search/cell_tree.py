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
    begins = np.zeros(len(cells), np.int8)
    np.take(_BEGINS, differing.view(np.int64) >> 52, out=begins[1:], mode="clip")
    return begins


class Leaves(NamedTuple):
    """The leaves (L,) of a distribution, in the order of the tree."""

    cells: Cells
    mass: Floats
    begins: NDArray[np.int8]
    """See `first_of`."""


class _Part(NamedTuple):
    """Cells of one resolution; see `CellTree`."""

    cells: Cells
    stands: Cells
    mass: Floats
    above: Floats
    leaf: NDArray[np.bool_]

    def among(self, wanted: NDArray[np.bool_]) -> "_Part":
        """Return some of them."""
        cells, stands, mass, above, leaf = self
        return _Part(cells[wanted], stands[wanted], mass[wanted], above[wanted], leaf[wanted])


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
        leaves: Leaves,
        finest: int,
        least: float,
        *,
        many: float = np.inf,
        least_of_many: float = 1.0,
    ) -> Self:
        """Sum leaves up the tree.

        Args:
            leaves: of a distribution.
            finest: their finest resolution.
            least: what cells are to have.
            many: if so many cells would be `joined` by that, they are to have `least_of_many`.
            least_of_many: not below `least`.
        """
        cells, mass, begins = leaves
        levels = resolutions(cells).astype(np.int8)
        parts, least, light, rows, above = _Top.of(
            leaves, min(int(levels.min(initial=finest)), _TOP), least, many, least_of_many
        )
        rests = list[_Part]()
        cells, mass, begins, levels = cells[rows], mass[rows], begins[rows], levels[rows]
        for res in range(len(parts), finest + 1):
            starts = np.flatnonzero(begins <= res)
            ends = np.append(starts[1:], len(cells)) - 1 if len(starts) else starts
            counts = ends - starts + 1
            sums: Floats = np.add.reduceat(mass, starts) if len(starts) else np.zeros(0)
            first, alone, own = cells[starts], counts == 1, levels[ends] == res
            whole = parents(first, res)
            parts.append(_Part(whole, np.where(alone, first, whole), sums, above[starts], own & alone))
            opened = sums >= least
            light += len(sums) - int(np.count_nonzero(opened))
            deeper = np.repeat(opened, counts)
            if least < least_of_many and light + np.count_nonzero((begins <= res + 1) & deeper) >= many:
                least, opened = least_of_many, sums >= least_of_many
                deeper = np.repeat(opened, counts)
            rest = opened & own & ~alone
            left = cells[ends[rest]]
            rests.append(_Part(left, left, mass[ends[rest]], sums[rest], rest[rest]))
            deeper[ends[own]] = False
            rows = np.flatnonzero(deeper)
            above = np.repeat(sums, counts)[rows]
            cells, mass, begins, levels = cells[rows], mass[rows], begins[rows], levels[rows]
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


class _Top(NamedTuple):
    """The cells of the resolutions above all leaves, where none of the cells is a leaf."""

    parts: list[_Part]
    least: float
    light: int
    """How many cells have less."""
    rows: NDArray[np.int64] | slice
    """Of the leaves below the others."""
    above: Floats
    """(rows,) the mass of the cell above them that these leaves are in."""

    @classmethod
    def of(cls, leaves: Leaves, depth: int, least: float, many: float, least_of_many: float) -> Self:
        """Sum leaves up to the resolutions from 0 to below `depth`; see `CellTree.of`."""
        cells, mass, begins = leaves
        if not depth:
            return cls([], least, 0, slice(None), np.full(len(cells), np.inf))
        parts, light = list[_Part](), 0
        starts = np.flatnonzero(begins <= 0)
        above, wanted = np.full(len(starts), np.inf), np.ones(len(starts), np.bool_)
        for res in range(depth):
            sums: Floats = np.add.reduceat(mass, starts)
            counts = np.append(starts[1:], len(cells)) - starts
            first = cells[starts]
            whole = parents(first, res)
            part = _Part(whole, np.where(counts == 1, first, whole), sums, above, np.zeros(len(sums), np.bool_))
            parts.append(part if wanted.all() else part.among(wanted))
            opened = wanted & (sums >= least)
            light += int(np.count_nonzero(wanted)) - int(np.count_nonzero(opened))
            below = np.flatnonzero(begins <= res + 1)
            owners = np.cumsum(begins[below] <= res) - 1
            if least < least_of_many and light + np.count_nonzero(opened[owners]) >= many:
                least, opened = least_of_many, wanted & (sums >= least_of_many)
            if res + 1 < depth:
                starts, above, wanted = below, sums[owners], opened[owners]
        rows, of = runs(starts[opened], counts[opened])
        return cls(parts, least, light, rows, sums[opened][of])


def runs(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers in runs, one after the other, and which run each is of."""
    of = np.repeat(np.arange(len(starts)), counts)
    return (starts - np.cumsum(counts) + counts)[of] + np.arange(len(of)), of


_TOP = 3  # resolutions that have few cells beside the leaves, most of them heavy
