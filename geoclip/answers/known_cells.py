"""Which places cells are in: those that were asked for before are not looked up again."""

import threading
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.gazetteer import Nodes
from index.compiled import compiled
from index.grid.cells import Cells, centres, children, children_counts, resolutions
from index.grid.sphere import Floats

DIVIDED = 5
"""Heavy coarser cells straddle borders: they count as their descendants of this resolution, 17 km across."""
_MOST, _RECENT = 1_000_000, 8192  # cells that are kept, in 16 MB; those that wait to be sorted in among them
_MOST_DIVIDED = 100_000  # more than there are on land


class KnownCells:
    """The nodes of cells, which are those of their centres.

    Args:
        nodes_at: looks up points (N, 2) in degrees.
    """

    def __init__(self, nodes_at: Callable[[Floats], Nodes]) -> None:
        self._nodes_at = nodes_at
        nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self._parts = (nothing, nothing)  # each sorted by cell; the second has the recent ones
        self._divided, self._adding = _Divided.none(), threading.Lock()

    @property
    def cells(self) -> tuple[Cells, Cells]:
        """The cells that are known, sorted: those of some time, and the recent ones."""
        (old, _), (recent, _) = self._parts
        return old, recent

    def nodes(self, cells: Cells) -> Nodes:
        """Return the node (N,) of each cell's centre."""
        parts = self._parts
        nodes = np.empty(len(cells), dtype=np.int64)
        open_ = np.arange(len(cells))
        for seen, seen_nodes in parts:
            if len(seen) and len(open_):
                row = np.minimum(np.searchsorted(seen, cells[open_]), len(seen) - 1)
                known = seen[row] == cells[open_]
                nodes[open_[known]] = seen_nodes[row[known]]
                open_ = open_[~known]
        if len(open_):
            fresh, inverse = np.unique(cells[open_], return_inverse=True)
            fresh_nodes = self._nodes_at(centres(fresh))
            nodes[open_] = fresh_nodes[inverse]
            self._parts = _with(parts, (fresh, fresh_nodes))
        return nodes

    def divided(self, cells: Cells, mass: Floats) -> tuple[Nodes, Floats]:
        """Return how the mass of cells (N,) coarser than `DIVIDED` is shared by nodes: of the first cell, the next."""
        known = self._divided
        if len(missing := cells[~known.has(cells)]):
            divided = self._divide(np.unique(missing))
            with self._adding:
                known = self._divided.with_more(*divided)
                self._divided = known if len(known.cells) <= _MOST_DIVIDED else _Divided.none()
        rows = np.searchsorted(known.cells, cells)
        return _taken(mass, known.starts[rows], known.counts[rows], known.nodes, known.shares)

    def _divide(self, cells: Cells) -> tuple[Cells, Nodes, Nodes, Floats]:
        """Look cells (N,) up, sorted, all in one call; return them, how many nodes each has, these and their shares."""
        levels = resolutions(cells)  # sorted, coarse to fine
        parts = [children(cells[levels == res], DIVIDED) for res in np.unique(levels).tolist()]
        nodes = self._nodes_at(centres(np.concatenate(parts)))
        sizes = children_counts(cells, DIVIDED)
        each = [np.unique(own, return_counts=True) for own in np.split(nodes, np.cumsum(sizes)[:-1])]
        distinct, times = zip(*each, strict=True)
        counts = np.array([len(own) for own in distinct])
        return cells, counts, np.concatenate(distinct), np.concatenate(times) / np.repeat(sizes, counts)


@compiled
def _taken(mass: Floats, starts: Nodes, counts: Nodes, nodes: Nodes, shares: Floats) -> tuple[Nodes, Floats]:
    """Return runs of nodes, one after the other, and their shares of the mass of each run (R,)."""
    size, at = counts.sum(), 0
    taken, held = np.empty(size, np.int64), np.empty(size)
    for run in range(len(starts)):
        for row in range(starts[run], starts[run] + counts[run]):
            taken[at], held[at] = nodes[row], shares[row] * mass[run]
            at += 1
    return taken, held


class _Divided(NamedTuple):
    """How cells are shared by nodes."""

    cells: Cells
    """(D,) sorted."""
    starts: Nodes
    """(D,) where each one's nodes begin."""
    counts: Nodes
    """(D,) how many they are."""
    used: int
    """How many nodes there are; what lies behind is free."""
    nodes: Nodes
    shares: Floats

    @classmethod
    def none(cls) -> Self:
        """Return nothing."""
        whole = np.zeros(0, np.int64)
        return cls(np.zeros(0, np.uint64), whole, whole, 0, whole, np.zeros(0))

    def has(self, cells: Cells) -> NDArray[np.bool_]:
        """Return which of some cells are here."""
        if not len(self.cells):
            return np.zeros(len(cells), np.bool_)
        rows = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        found: NDArray[np.bool_] = self.cells[rows] == cells
        return found

    def with_more(self, cells: Cells, counts: Nodes, nodes: Nodes, shares: Floats) -> Self:
        """Return the same with cells, sorted, of which some may be here already.

        The nodes' arrays are shared with this one, which does not look behind its own, while there is room.
        """
        used, all_nodes, all_shares = self.used + len(nodes), self.nodes, self.shares
        if used > len(all_nodes):
            all_nodes = np.concatenate((all_nodes, np.zeros(used, np.int64)))
            all_shares = np.concatenate((all_shares, np.zeros(used)))
        all_nodes[self.used : used], all_shares[self.used : used] = nodes, shares
        fresh, starts = ~self.has(cells), self.used + np.cumsum(counts) - counts
        at = np.searchsorted(self.cells, cells[fresh])
        return self._replace(
            cells=np.insert(self.cells, at, cells[fresh]),
            starts=np.insert(self.starts, at, starts[fresh]),
            counts=np.insert(self.counts, at, counts[fresh]),
            used=used,
            nodes=all_nodes,
            shares=all_shares,
        )


_Part = tuple[Cells, Nodes]


def _with(parts: tuple[_Part, _Part], fresh: _Part) -> tuple[_Part, _Part]:
    """Return what is known with new cells: they join the recent ones, and those the others when they are many."""
    old, recent = parts[0], _merged(parts[1], fresh)
    if len(recent[0]) <= _RECENT:
        return old, recent
    if len(old[0]) + len(recent[0]) > _MOST:  # coarse cells are asked for again
        coarse = np.flatnonzero(resolutions(old[0]) <= DIVIDED)[: max(_MOST - len(recent[0]), 0)]
        old = old[0][coarse], old[1][coarse]
    nothing = recent[0][:0], recent[1][:0]
    both = _merged(old, recent)
    return (both[0][:_MOST], both[1][:_MOST]), nothing


def _merged(one: _Part, other: _Part) -> _Part:
    at = np.searchsorted(one[0], other[0])
    return np.insert(one[0], at, other[0]), np.insert(one[1], at, other[1])
