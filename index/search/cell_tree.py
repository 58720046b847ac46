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
        own, own_mass, begins = _ordered(cells.view(np.int64), mass, order)
        return cls(own.view(np.uint64), own_mass, begins)

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
        nodes = _nodes(ids, leaves.mass, leaves.begins)
        kept, joined = _kept(nodes, least)
        if joined >= many:
            least = least_of_many
            kept, _ = _kept(nodes, least)
        whole, stands, mass, above, leaf, bounds = _by_resolution(ids, leaves.mass, nodes, kept, least, finest)
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
def _ordered(ids: _Ids, mass: Floats, order: NDArray[np.int64]) -> tuple[_Ids, Floats, NDArray[np.int8]]:
    """Return leaves (L,) and their masses in an order, that of the tree, and what begins at each; see `Leaves`."""
    own, own_mass, begins = np.empty_like(ids), np.empty_like(mass), np.zeros(len(ids), np.int8)
    for row in range(len(order)):
        own[row], own_mass[row] = ids[order[row]], mass[order[row]]
        if row:
            bits = math.frexp(float((own[row] ^ own[row - 1]) & _POSITION_BITS))[1]  # up to the first that differs
            begins[row] = max(15 - (bits - 1) // 3, 0)
    return own, own_mass, begins


@compiled
def _sums_at(mass: Floats, begins: NDArray[np.int8], res: int) -> Floats:
    """Return the sums of runs of leaves (L,), of which each begins where `begins` is not above `res`."""
    sums, runs = np.zeros(len(mass)), 0
    for row in range(len(mass)):
        runs += begins[row] <= res
        sums[runs - 1] += mass[row]
    return sums[:runs].copy()


class _Nodes(NamedTuple):
    """All leaves (L,) and the cells above them, each before those below it: what stands at a row of the tree."""

    level: NDArray[np.int8]
    """(M,) resolution."""
    above: _Rows
    """(M,) the row of the parent; -1 for resolution 0."""
    first: _Rows
    """(M,) the first leaf in it."""
    own: _Rows
    """(M,) the leaf that it is itself, alone or above others; -1 for none."""
    count: _Rows
    """(M,) leaves in it."""
    mass: Floats
    """(M,) of these."""


@compiled
def _nodes(ids: _Ids, mass: Floats, begins: NDArray[np.int8]) -> _Nodes:
    """Sum leaves (L,), as in `Leaves`, up the tree."""
    size = 0
    for row in range(len(ids)):
        size += max(((ids[row] >> _LEVEL_SHIFT) & _LEVEL_BITS) - begins[row] + 1, 0)
    level, sums = np.empty(size, np.int8), np.zeros(size)
    above, first, own = np.empty(size, np.int32), np.empty(size, np.int32), np.full(size, -1, np.int32)
    count = np.zeros(size, np.int32)
    path, depth, made = np.empty(17, np.int64), 0, 0  # the cells that are not finished, the first is none
    path[0] = -1
    for row in range(len(ids)):
        res = (ids[row] >> _LEVEL_SHIFT) & _LEVEL_BITS
        for done in range(depth, max(min(begins[row], res + 1), 1), -1):
            sums[path[done - 1]] += sums[path[done]]
            count[path[done - 1]] += count[path[done]]
        for deeper in range(begins[row], res + 1):
            level[made], above[made], first[made] = deeper, path[deeper], row
            path[deeper + 1] = made
            made += 1
        depth, here = res + 1, path[res + 1]
        own[here] = row
        sums[here] += mass[row]
        count[here] += 1
    for done in range(depth, 1, -1):
        sums[path[done - 1]] += sums[path[done]]
        count[path[done - 1]] += count[path[done]]
    return _Nodes(level, above, first, own, count, sums)


@compiled
def _kept(nodes: _Nodes, least: float) -> tuple[_Bools, int]:
    """Return which cells (M,) a `CellTree` has, and how many leaves it has if those below `least` are joined."""
    kept, joined = np.empty(len(nodes.mass), np.bool_), 0
    for row in range(len(kept)):
        above = nodes.above[row]
        kept[row] = above < 0 or (kept[above] and nodes.mass[above] >= least)
        if kept[row]:  # light, a leaf, or a leaf above others
            joined += nodes.mass[row] < least or nodes.own[row] >= 0
    return kept, joined


@compiled
def _by_resolution(
    ids: _Ids, leaf_mass: Floats, nodes: _Nodes, kept: _Bools, least: float, finest: int
) -> tuple[_Ids, _Ids, Floats, Floats, _Bools, NDArray[np.int64]]:
    """Return the arrays of a `CellTree`, from `cells` to `bounds`, of the cells that are kept of leaves (L,)."""
    ends = np.zeros(2 * finest + 3, np.int64)  # of the cells of each resolution, then of the rests in these
    for row in range(len(kept)):
        if kept[row]:
            ends[nodes.level[row] + 1] += 1
            if nodes.own[row] >= 0 and nodes.count[row] > 1 and nodes.mass[row] >= least:
                ends[nodes.level[row] + finest + 2] += 1
    ends = np.cumsum(ends)
    bounds, size = ends[: finest + 2].copy(), ends[-1]
    cells, stands, leaf = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.bool_)
    mass, above = np.empty(size), np.empty(size)
    for row in range(len(kept)):
        if not kept[row]:
            continue
        level, own, alone = np.int64(nodes.level[row]), nodes.own[row], nodes.count[row] == 1
        at, first = ends[level], ids[nodes.first[row]]
        ends[level] += 1
        below = (1 << (3 * (15 - level))) - 1
        cells[at] = (first & ~(_LEVEL_BITS << _LEVEL_SHIFT)) | (level << _LEVEL_SHIFT) | below
        stands[at] = first if alone else cells[at]
        mass[at], leaf[at] = nodes.mass[row], own >= 0 and alone
        above[at] = np.inf if nodes.above[row] < 0 else nodes.mass[nodes.above[row]]
        if own >= 0 and not alone and mass[at] >= least:
            rest = ends[level + finest + 1]
            ends[level + finest + 1] += 1
            cells[rest], stands[rest] = ids[own], ids[own]
            mass[rest], above[rest], leaf[rest] = leaf_mass[own], mass[at], True
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
