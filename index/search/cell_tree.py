"""The cells above the leaves of a distribution, as far as they are heavy: what pruning and joining leaves are read off.

Leaves stand in the order of the H3 tree, so that those below any cell are one run of rows. A leaf may lie above others:
then it stands for what is left of the cell, and comes after them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.grid.cells import Cells
from index.grid.sphere import Floats

POSITION = np.uint64((1 << 52) - 1)
"""Base cell and digits: sorted by these bits, cells of any resolutions are in the order of the tree."""
_LEVEL_SHIFT, _LEVEL_BITS, _POSITION_BITS = 52, 15, (1 << 52) - 1
_Ids = NDArray[np.int64]  # of cells, whose highest bit is 0: compiled code that mixes in uint64 turns to float64
_Rows = NDArray[np.int32]
_Bools = NDArray[np.bool_]


class Leaves(NamedTuple):
    """The leaves (L,) of a distribution, in the order of the tree."""

    cells: Cells
    mass: Floats
    begins: NDArray[np.int8]
    """The resolution of the coarsest cell of which each is the first: those of which it is up to `res` begin the cells
    of `res`. A leaf above others is the first of none, and has its own resolution and 1."""

    @classmethod
    def of(cls, cells: Cells, mass: Floats) -> Self:
        """Return leaves (L,), which were in any order, with their masses."""
        order = np.argsort(cells & POSITION, kind="stable")  # which gains from runs that are in order
        cells = cells[order]
        return cls(cells, mass[order], _begins(cells.view(np.int64)))

    def sums_at(self, res: int) -> Floats:
        """Return the masses of the cells of a resolution, and of the coarser leaves, in this order."""
        return _sums_at(self.mass, self.begins, res)


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
    leaf: _Bools
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
        ids = leaves.cells.view(np.int64)
        inner = _inner(ids, leaves.mass, leaves.begins)
        opened, joined = _opened(inner, least)
        if joined >= many:
            least = least_of_many
            opened, _ = _opened(inner, least)
        whole, stands, mass, above, leaf, bounds = _by_resolution(
            ids, leaves.mass, leaves.begins, inner, opened, finest
        )
        return cls(least, finest, whole.view(np.uint64), stands.view(np.uint64), mass, above, leaf, bounds)

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
        ids, mass = _joined(self.stands.view(np.int64), self.mass, self.above, self.leaf, least)
        order = np.argsort(ids)
        return ids[order].view(np.uint64), mass[order]

    def count(self, least: float) -> int:
        """Return how many leaves `joined` has."""
        return _count(self.mass, self.above, self.leaf, least)


@compiled
def _begins(ids: _Ids) -> NDArray[np.int8]:
    """Return of leaves (L,) in the order of the tree what begins at each; see `Leaves`."""
    begins = np.zeros(len(ids), np.int8)
    for row in range(1, len(ids)):
        differing = np.float64((ids[row] ^ ids[row - 1]) & _POSITION_BITS)
        first_bit = (differing.view(np.int64) >> 52) - 1023  # the exponent: the loop becomes a few instructions
        begins[row] = max(int(15 - first_bit // 3), 0)
    return begins


@compiled
def _sums_at(mass: Floats, begins: NDArray[np.int8], res: int) -> Floats:
    """Return the sums of runs of leaves (L,), of which each begins where `begins` is not above `res`."""
    sums, runs = np.zeros(len(mass)), 0
    for row in range(len(mass)):
        runs += begins[row] <= res
        sums[runs - 1] += mass[row]
    return sums[:runs].copy()


class _Inner(NamedTuple):
    """The M cells above leaves (L,), in the order of the tree, each before those below it."""

    level: NDArray[np.int8]
    """(M,) resolution."""
    above: _Rows
    """(M,) the row of the parent; -1 for resolution 0."""
    first: _Rows
    """(M,) the first leaf in it."""
    held: _Rows
    """(M,) how many leaves are in it."""
    mass: Floats
    """(M,) of these."""
    above_leaves: _Rows
    """(L,) the row of each leaf's parent, -1 for resolution 0; of a leaf above others that of the cell it is."""


@compiled
def _inner(ids: _Ids, mass: Floats, begins: NDArray[np.int8]) -> _Inner:
    """Sum leaves (L,), as in `Leaves`, up the tree."""
    size = 0
    for row in range(len(ids)):
        size += max(((ids[row] >> _LEVEL_SHIFT) & _LEVEL_BITS) - begins[row], 0)
    level, above, first = np.empty(size, np.int8), np.empty(size, np.int32), np.empty(size, np.int32)
    count, sums, above_leaves = np.zeros(size, np.int32), np.zeros(size), np.empty(len(ids), np.int32)
    path, depth, made = np.empty(17, np.int64), 0, 0  # the cells of each resolution that are not finished
    for row in range(len(ids) + 1):
        end = row == len(ids)
        res = 0 if end else (ids[row] >> _LEVEL_SHIFT) & _LEVEL_BITS
        begin = 0 if end else min(np.int64(begins[row]), res + 1)
        for done in range(depth - 1, max(begin, 1) - 1, -1):
            sums[path[done - 1]] += sums[path[done]]
            count[path[done - 1]] += count[path[done]]
        if end:
            break
        for deeper in range(begin, res):
            level[made], first[made] = deeper, row
            above[made] = path[deeper - 1] if deeper else -1
            path[deeper] = made
            made += 1
        depth = int(max(res, begin))
        here = path[depth - 1] if depth else -1
        above_leaves[row] = here
        if here >= 0:
            sums[here] += mass[row]
            count[here] += 1
    return _Inner(level, above, first, count, sums, above_leaves)


@compiled
def _opened(inner: _Inner, least: float) -> tuple[_Bools, int]:
    """Return of which cells (M,) a tree has the children, and how many leaves it has if the lighter ones are joined."""
    opened, joined = np.empty(len(inner.mass), np.bool_), 0
    for row in range(len(opened)):
        in_tree = inner.above[row] < 0 or opened[inner.above[row]]
        opened[row] = in_tree and inner.mass[row] >= least
        joined += in_tree and inner.mass[row] < least
    for above in inner.above_leaves:
        joined += above < 0 or opened[above]
    return opened, joined


@compiled
def _by_resolution(
    ids: _Ids, leaf_mass: Floats, begins: NDArray[np.int8], inner: _Inner, opened: _Bools, finest: int
) -> tuple[_Ids, _Ids, Floats, Floats, _Bools, NDArray[np.int64]]:
    """Return the arrays of a `CellTree`, from `cells` to `bounds`: children of opened cells (M,), and leaves (L,)."""
    ends = np.zeros(2 * finest + 4, np.int64)  # of the cells of each resolution, then of the rests in these
    for row in range(len(opened)):
        if inner.above[row] < 0 or opened[inner.above[row]]:
            ends[inner.level[row] + 1] += 1
    for leaf_row in range(len(ids)):
        if inner.above_leaves[leaf_row] < 0 or opened[inner.above_leaves[leaf_row]]:
            res = (ids[leaf_row] >> _LEVEL_SHIFT) & _LEVEL_BITS
            ends[res + 1 + (finest + 1 if begins[leaf_row] > res else 0)] += 1
    ends = np.cumsum(ends)
    bounds, size = ends[: finest + 2].copy(), ends[-1]
    cells, stands, leaf = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.bool_)
    mass, above = np.empty(size), np.empty(size)
    row = 0
    for leaf_row in range(len(ids)):
        while row < len(opened) and inner.first[row] == leaf_row:
            parent = inner.above[row]
            if parent < 0 or opened[parent]:
                res, first = np.int64(inner.level[row]), ids[leaf_row]
                at = ends[res]
                ends[res] += 1
                digits = (1 << (3 * (15 - res))) - 1  # of finer resolutions
                cells[at] = (first & ~(_LEVEL_BITS << _LEVEL_SHIFT)) | (res << _LEVEL_SHIFT) | digits
                stands[at] = first if inner.held[row] == 1 else cells[at]
                mass[at], leaf[at] = inner.mass[row], False
                above[at] = math.inf if parent < 0 else inner.mass[parent]
            row += 1
        parent = inner.above_leaves[leaf_row]
        if parent < 0 or opened[parent]:
            res = (ids[leaf_row] >> _LEVEL_SHIFT) & _LEVEL_BITS
            part = res + (finest + 1 if begins[leaf_row] > res else 0)
            at = ends[part]
            ends[part] += 1
            cells[at], stands[at] = ids[leaf_row], ids[leaf_row]
            mass[at], leaf[at] = leaf_mass[leaf_row], True
            above[at] = math.inf if parent < 0 else inner.mass[parent]
    return cells, stands, mass, above, leaf, bounds


@compiled
def _stays(mass: float, above: float, leaf: bool, least: float) -> bool:
    return above >= least and (leaf or mass < least)


@compiled
def _count(mass: Floats, above: Floats, leaf: _Bools, least: float) -> int:
    """Return how many cells (N,) of a tree stay as leaves where the lighter ones are joined."""
    count = 0
    for row in range(len(mass)):
        count += _stays(mass[row], above[row], leaf[row], least)
    return count


@compiled
def _joined(stands: _Ids, mass: Floats, above: Floats, leaf: _Bools, least: float) -> tuple[_Ids, Floats]:
    """Return these cells, and their masses."""
    ids, sums, count = np.empty_like(stands), np.empty_like(mass), 0
    for row in range(len(mass)):
        if _stays(mass[row], above[row], leaf[row], least):
            ids[count], sums[count] = stands[row], mass[row]
            count += 1
    return ids[:count].copy(), sums[:count].copy()
