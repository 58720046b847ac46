"""Representatives: one unit vector per cell, the normalised mean of the vectors below it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encode
from index.grid.cells import Cells, centres, children, children_counts, parents, resolution


class Representatives(NamedTuple):
    """Unit vectors that stand for cells, sorted by cell.

    A cell astride the antimeridian has two, one per side, because the encoder jumps there: its id stands twice.
    """

    cells: Cells
    """(M,) uint64."""
    vectors: NDArray[np.float32]
    """(M, dim), unit length."""
    lengths: NDArray[np.float32]
    """(M,) length of the mean of all encoded vectors below, about, in (0, 1]: 1 where they are the same."""

    def part(self, rows: slice) -> "Representatives":
        """Return some of them."""
        return Representatives(self.cells[rows], self.vectors[rows], self.lengths[rows])


def joined(parts: Iterable[Representatives]) -> Representatives:
    """Return representatives one after the other; there must be at least one part."""
    cells, vectors, lengths = zip(*parts, strict=True)
    return Representatives(np.concatenate(cells), np.concatenate(vectors), np.concatenate(lengths))


def of_cells(cells: Cells, encode: Encode) -> Representatives:
    """Return the representatives of cells (N,) of one resolution: means of their children's centres' vectors."""
    offspring = children(cells, resolution(cells) + 1)
    owners = np.repeat(np.arange(len(cells)), children_counts(cells, resolution(cells) + 1))
    where = centres(offspring)
    return _means(cells, owners, where[:, 1], encode(where))


def of_representatives(below: Representatives) -> Representatives:
    """Return the representatives of the parents of cells: normalised means of the cells' representatives."""
    cells, owners = np.unique(parents(below.cells, resolution(below.cells) - 1), return_inverse=True)
    lng = centres(below.cells)[:, 1]
    astride = np.flatnonzero(below.cells[1:] == below.cells[:-1])  # one centre, two sides: positive longitudes first
    lng[astride], lng[astride + 1] = 180.0, -180.0
    above = _means(cells, owners, lng, below.vectors)
    # the mean of unit vectors is as long as they agree; what is below disagrees once more
    mean_below = np.bincount(owners, weights=below.lengths) / np.bincount(owners)
    return above._replace(lengths=above.lengths * mean_below[np.searchsorted(cells, above.cells)].astype(np.float32))


def _means(
    cells: Cells, owners: NDArray[np.int64], lng: NDArray[np.float64], vectors: NDArray[np.float32]
) -> Representatives:
    """Average the vectors by owner (sorted positions in `cells`), and by side where an owner spans the antimeridian."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    span = np.maximum.reduceat(lng, starts) - np.minimum.reduceat(lng, starts)
    astride = span > 180.0
    if astride.any():
        groups = 2 * owners + (astride[owners] & (lng < 0))
        order = np.argsort(groups, kind="stable")
        groups, vectors = groups[order], vectors[order]
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        owners = groups // 2
    sums = np.add.reduceat(vectors, starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1)
    counts = np.diff(starts, append=len(owners))
    return Representatives(cells[owners[starts]], sums / lengths[:, None], (lengths / counts).astype(np.float32))
