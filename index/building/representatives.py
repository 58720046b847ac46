"""Representatives: one unit vector per cell, the normalised mean of the vectors below it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encode
from index.grid.cells import Cells, centres, children, children_counts, parents, resolution
from index.storage.slopes import CHILDREN, coded_slopes, no_slopes


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
    slopes: NDArray[np.uint8]
    """(M, bytes) coded slopes of the children; above the coarse level 0 bytes. See `index/storage/slopes.py`."""

    def part(self, rows: slice) -> "Representatives":
        """Return some of them."""
        return Representatives(self.cells[rows], self.vectors[rows], self.lengths[rows], self.slopes[rows])


def joined(parts: Iterable[Representatives]) -> Representatives:
    """Return representatives one after the other; there must be at least one part."""
    first, *others = parts
    return Representatives(*map(np.concatenate, zip(first, *others, strict=True))) if others else first


def of_cells(cells: Cells, encode: Encode, *, rests: bool = False) -> Representatives:
    """Return the representatives of cells (N,) of one resolution: means of their children's centres' vectors.

    With `rests`, the slopes come with what they leave of each child's vector.
    """
    offspring = children(cells, resolution(cells) + 1)
    counts = children_counts(cells, resolution(cells) + 1)
    owners = np.repeat(np.arange(len(cells)), counts)
    where = centres(offspring)
    vectors = encode(where)
    means = _means(cells, owners, where[:, 1], vectors)
    slopes = no_slopes(len(means.cells), vectors.shape[1], rests=rests)
    rows = np.searchsorted(cells, means.cells)
    single = np.bincount(rows)[rows] == 1  # astride the antimeridian, children's vectors jump
    plain = np.flatnonzero(single & (counts[rows] == CHILDREN))
    first = (np.cumsum(counts) - counts)[rows[plain]]
    slopes[plain] = coded_slopes(vectors[first[:, None] + np.arange(CHILDREN)], rests=rests)
    return means._replace(slopes=slopes)


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
    counts = np.diff(starts, append=len(owners))
    sums = _sums(vectors, starts, counts)
    lengths = np.linalg.norm(sums, axis=1)
    vectors, none = sums / lengths[:, None], np.zeros((len(starts), 0), np.uint8)
    return Representatives(cells[owners[starts]], vectors, (lengths / counts).astype(np.float32), none)


def _sums(vectors: NDArray[np.float32], starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Add up runs of rows. A run of seven, the usual one, is added in the same way whatever the others are."""
    if (counts == CHILDREN).all():
        vectors = vectors.reshape(len(starts), CHILDREN, -1)
        return np.asarray(vectors.sum(axis=1))
    sums = np.empty((len(starts), vectors.shape[1]), np.float32)
    full, other = np.flatnonzero(counts == CHILDREN), np.flatnonzero(counts != CHILDREN)
    sums[full] = vectors[starts[full, None] + np.arange(CHILDREN)].sum(axis=1)
    rows = np.repeat(counts != CHILDREN, counts)
    sums[other] = np.add.reduceat(vectors[rows], np.cumsum(counts[other]) - counts[other], axis=0)
    return sums
