"""Slopes: how the vectors of a coarse cell's children differ from their mean, one bit a number.

The children of an H3 cell are one at its centre and six around it, in directions that their digits name. The two terms
of the plane that fits their vectors best say, with the mean, about where a child's vector lies: enough to rank children
without encoding them. A number keeps its sign, and each term one scale. Whatever bytes the file holds, a search only
chooses by them what it encodes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.grid.siblings import DIRECTIONS

_FIT = np.ascontiguousarray(DIRECTIONS.T) / np.float32(3)
_SCALE_BYTES = 4


def slope_bytes(dim: int) -> int:
    """Return how many bytes a cell takes."""
    return 2 * dim // 8 + _SCALE_BYTES


def coded_slopes(families: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the coded slopes (N, `slope_bytes`) of the vectors (N, 7, dim) of cells' children."""
    slopes = np.matmul(_FIT, families)
    scales = np.abs(slopes).mean(axis=2).astype(np.float16)
    bits = np.packbits(slopes > 0, axis=2).reshape(len(families), slope_bytes(families.shape[2]) - _SCALE_BYTES)
    return np.concatenate((bits, scales.view(np.uint8)), axis=1)


def no_slopes(count: int, dim: int) -> NDArray[np.uint8]:
    """Return coded slopes of 0: of pentagons, and of cells astride the antimeridian."""
    return np.zeros((count, slope_bytes(dim)), np.uint8)


class Slopes(NamedTuple):
    """The slopes of all coarse cells, mapped into memory."""

    codes: NDArray[np.uint8]
    """(cells, `slope_bytes`)."""

    @classmethod
    def open(cls, path: Path, cells: int, dim: int) -> "Slopes":
        """Map a file.

        Raises:
            ValueError: it has another size.
        """
        expected = cells * slope_bytes(dim)
        if path.stat().st_size != expected:
            raise ValueError(f"it has {path.stat().st_size} bytes; the slopes of {cells} cells take {expected}")
        return cls(np.memmap(path, np.uint8, "r", shape=(cells, slope_bytes(dim))))

    def scores(self, query: NDArray[np.float32], rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return what the children (R, 7) of some cells score above their mean, for a query (dim,), about."""
        codes = self.codes[rows]
        signs = np.unpackbits(codes[:, :-_SCALE_BYTES], axis=1).reshape(2 * len(rows), -1)
        scales = np.nan_to_num(np.ascontiguousarray(codes[:, -_SCALE_BYTES:]).view(np.float16).astype(np.float32))
        terms = (2 * (signs.astype(np.float32) @ query) - query.sum()).reshape(-1, 2) * scales
        result: NDArray[np.float32] = terms @ DIRECTIONS.T
        return result

    def known(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return which cells have slopes: not pentagons, and not cells astride the antimeridian."""
        return np.asarray(self.codes[rows, -_SCALE_BYTES:].any(axis=1))
