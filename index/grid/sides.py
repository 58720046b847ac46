"""Cells astride the antimeridian have two vectors, one a side, because the encoder jumps there.

So a level of the H3 tree has more vectors than cells. Vectors are numbered in the order of their cells; of two of one
cell that for positive longitudes comes first. A vector's parent is the one of the parent cell on its own side.
"""

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells, centres

Rows = NDArray[np.int32]


def cell_rows(count: int, twice: NDArray[np.integer]) -> Rows:
    """Return the row of the cell of each vector, of `count` cells of which the rows `twice` have two."""
    return np.sort(np.concatenate((np.arange(count, dtype=np.int32), twice.astype(np.int32))), kind="stable")


def first_vectors(rows: Rows) -> NDArray[np.int64]:
    """Return the number of the first vector of each cell, from the cells' rows of all vectors."""
    return np.flatnonzero(np.diff(rows, prepend=-1))


def seconds(rows: Rows) -> NDArray[np.bool_]:
    """Return which vectors are the second ones of their cells."""
    again: NDArray[np.bool_] = np.diff(rows, prepend=-1) == 0
    return again


def parent_vectors(cells: Cells, rows: Rows, parent_rows: Rows, above: Rows) -> Rows:
    """Return the number of each vector's parent among the vectors of the level above.

    Args:
        cells: of a level.
        rows: (M,) of its vectors.
        parent_rows: (cells,) of each cell, the row of its parent cell.
        above: (K,) the rows of the vectors of the level above.
    """
    first = first_vectors(above).astype(np.int32)
    two = np.diff(first, append=len(above)) == 2
    own = parent_rows[rows]
    result: Rows = first[own]
    under = np.flatnonzero(two[own])
    if len(under):
        second = seconds(rows)
        both = second | np.append(second[1:], False)
        beyond = centres(cells[rows[under]])[:, 1] < 0
        result[under] += np.where(both[under], second[under], beyond)
    return result
