"""Which places cells are in: those that were asked for before are not looked up again."""

from collections.abc import Callable

import numpy as np

from geoclip.answers.gazetteer import Nodes
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
        self._divided: dict[int, tuple[Nodes, Floats]] = {}

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

    def divided(self, cells: Cells) -> tuple[Nodes, Floats, list[int]]:
        """Return how cells (N,) coarser than `DIVIDED` are shared by nodes.

        Returns:
            The nodes of the first cell, then of the next; the share of each, 1 for all of a cell; their count by cell.
        """
        wanted, known = cells.tolist(), self._divided
        if missing := list({cell for cell in wanted if cell not in known}):
            known = known | self._divide(missing)
            self._divided = known if len(known) <= _MOST_DIVIDED else {}
        found = [known[cell] for cell in wanted]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0), []
        nodes, shares = zip(*found, strict=True)
        return np.concatenate(nodes), np.concatenate(shares), [len(each) for each in nodes]

    def _divide(self, missing: list[int]) -> dict[int, tuple[Nodes, Floats]]:
        """Look cells up, all in one call."""
        cells = np.array(missing, dtype=np.uint64)
        cells = cells[np.argsort(resolutions(cells), kind="stable")]
        levels = resolutions(cells)
        parts = [children(cells[levels == res], DIVIDED) for res in np.unique(levels).tolist()]
        nodes = self._nodes_at(centres(np.concatenate(parts)))
        counts = children_counts(cells, DIVIDED)
        result = {}
        for cell, own in zip(cells.tolist(), np.split(nodes, np.cumsum(counts)[:-1]), strict=True):
            distinct, times = np.unique(own, return_counts=True)
            result[cell] = distinct, times / len(own)
        return result


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
