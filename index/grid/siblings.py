"""What is known of a cell's children from its own family: scores interpolated, without encoding anything.

The children of a cell lie in a hexagon, and their children in smaller ones, turned by 19 degrees, to the right or to
the left by resolution. Where cells are small enough the encoder is a smooth function over a family; the quadratic that
fits the seven siblings' scores best gives those of their children.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import FINEST, Cells, centres, parents

DEGREES = np.radians([0.0, 240.0, 120.0, 180.0, 0.0, 300.0, 60.0])  # of H3's digits 0 to 6; the centre has none
DIRECTIONS = np.stack((np.cos(DEGREES), np.sin(DEGREES)), axis=1).astype(np.float32) * (np.arange(7) > 0)[:, None]
"""(7, 2) where the children of a cell lie about its centre, for the digits 0 to 6."""
TURN = np.arctan(np.sqrt(3) / 5)
"""Between the axes of two resolutions."""
BESIDE_ANTIMERIDIAN = 179.9
"""Degrees; families of resolution 8 are 2 km across."""


def digits(cells: Cells, res: int) -> NDArray[np.int64]:
    """Return which child of its parent each cell of a resolution is: 0, the centre, to 6."""
    return ((cells >> np.uint64(3 * (FINEST - res))) & np.uint64(7)).astype(np.int64)


def children_scores(
    opened: Cells,
    known: Cells,
    scores: NDArray[np.float32],
    res: int,
    opened_owners: NDArray[np.int64],
    known_owners: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate the scores of cells' children from the cells and their siblings, for many queries.

    Args:
        opened: (R,) cells of resolution `res`, all of them among `known` for the same query.
        known: (N,) cells of the same resolution, in any order, each once for a query.
        scores: (N,) their scores.
        res: from 1.
        opened_owners: (R,) the query of each opened cell.
        known_owners: (N,) the query of each known cell.

    Returns:
        (R, 7) scores of the children, by digit, and (R,) whether they can be told. They cannot, and are 0, where a
        sibling is unknown, in families of pentagons, and beside the antimeridian, where the encoder jumps.
    """
    distinct, family = np.unique(parents(known, res - 1), return_inverse=True)
    family = known_owners * len(distinct) + family
    order = np.lexsort((known, family))
    starts = np.flatnonzero(np.diff(family[order], prepend=-1))
    beside = np.abs(centres(known[order])[:, 1]) > BESIDE_ANTIMERIDIAN
    whole = (np.diff(starts, append=len(order)) == 7) & ~np.logical_or.reduceat(beside, starts)
    wanted = opened_owners * len(distinct) + np.searchsorted(distinct, parents(opened, res - 1))
    own = np.searchsorted(family[order[starts]], wanted)
    table = np.zeros((len(starts), 7), np.float32)
    table[whole] = scores[order][starts[whole][:, None] + np.arange(7)]
    own_weights = sibling_weights(res)[digits(opened, res)]
    return np.matmul(own_weights, table[own][:, :, None])[:, :, 0], whole[own]


@cache
def sibling_weights(res: int) -> NDArray[np.float32]:
    """Return (7, 7, 7): for a sibling of resolution `res` and the digit of its child, the weights of all siblings."""
    x, y = DIRECTIONS.T.astype(np.float64)
    turn = TURN if res % 2 == 0 else -TURN
    across = (x * np.cos(turn) - y * np.sin(turn)) / np.sqrt(7)
    along = (x * np.sin(turn) + y * np.cos(turn)) / np.sqrt(7)
    below = _terms(x[:, None] + across, y[:, None] + along)
    weights: NDArray[np.float32] = np.matmul(below, np.linalg.pinv(_terms(x, y))).astype(np.float32)
    return weights


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack((np.ones_like(x), x, y, x * x, x * y, y * y), axis=-1)
