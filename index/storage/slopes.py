"""Slopes: how the vectors of a coarse cell's children differ from their mean, one bit a number.

The children of an H3 cell are one at its centre and six around it, in directions that their digits name. The two terms
of the plane that fits their vectors best say, with the mean, about where a child's vector lies: enough to rank children
without encoding them. A number keeps its sign, and each term one scale. A cell's bytes end with their own checksum.
"""

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from index.grid.siblings import DIRECTIONS
from index.storage.manifest import BadIndexError

_FIT = np.ascontiguousarray(DIRECTIONS.T) / np.float32(3)
_SCALE_BYTES = _SUM_BYTES = 4


def slope_bytes(dim: int) -> int:
    """Return how many bytes a cell takes."""
    return 2 * dim // 8 + _SCALE_BYTES + _SUM_BYTES


def coded_slopes(families: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the coded slopes (N, `slope_bytes`) of the vectors (N, 7, dim) of cells' children."""
    slopes = np.matmul(_FIT, families)
    scales = np.abs(slopes).mean(axis=2).astype(np.float16)
    bits = np.packbits(slopes > 0, axis=2).reshape(len(families), 2 * families.shape[2] // 8)
    return _with_sums(np.concatenate((bits, scales.view(np.uint8)), axis=1))


def no_slopes(count: int, dim: int) -> NDArray[np.uint8]:
    """Return coded slopes of 0: of pentagons, and of cells astride the antimeridian."""
    return _with_sums(np.zeros((count, slope_bytes(dim) - _SUM_BYTES), np.uint8))


class Slopes:
    """The slopes of all coarse cells, mapped into memory. A cell's are checked when they are first read.

    Args:
        path: of the file, for messages.
        cells: how many there are.
        dim: of the vectors.
        mapped: what is opened, where that is another name of the file.

    Raises:
        ValueError: the file has another size.
    """

    def __init__(self, path: Path, cells: int, dim: int, *, mapped: Path | None = None) -> None:
        mapped = mapped or path
        expected = cells * slope_bytes(dim)
        if mapped.stat().st_size != expected:
            raise ValueError(f"it has {mapped.stat().st_size} bytes; the slopes of {cells} cells take {expected}")
        self._path = path
        self._content = np.memmap(mapped, np.uint8, "r", shape=(cells, slope_bytes(dim)))
        self._unchecked = np.ones(cells, np.bool_)

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the coded slopes (R, bytes without the checksum) of some cells.

        Raises:
            BadIndexError: some are damaged.
        """
        content = self._content[rows]
        codes = np.ascontiguousarray(content[:, :-_SUM_BYTES])
        sums = np.ascontiguousarray(content[:, -_SUM_BYTES:]).view(np.uint32)[:, 0]
        for at in np.flatnonzero(self._unchecked[rows]).tolist():
            if crc32(codes[at]) != sums[at]:
                raise BadIndexError(
                    f"{self._path} is damaged: cell {rows[at]} differs from its checksum; copy the index again or "
                    "build it again."
                )
        if not np.isfinite(codes[:, -_SCALE_BYTES:].copy().view(np.float16)).all():
            raise BadIndexError(f"{self._path} holds slopes that are not finite; build the index again.")
        self._unchecked[rows] = False
        return codes


def told_by(codes: NDArray[np.uint8], query: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return what the children of cells score above their mean, about.

    Args:
        codes: (R, bytes) of `Slopes.of`.
        query: (dim,).

    Returns:
        (R, 7) scores, by digit, and (R,) which cells have slopes.
    """
    scales = np.ascontiguousarray(codes[:, -_SCALE_BYTES:]).view(np.float16).astype(np.float32)
    signs = np.unpackbits(codes[:, :-_SCALE_BYTES], axis=1).reshape(2 * len(codes), len(query))
    terms = (2 * (signs.astype(np.float32) @ query) - query.sum()).reshape(-1, 2) * scales
    scores: NDArray[np.float32] = terms @ DIRECTIONS.T
    return scores, np.asarray(scales.any(axis=1))


def _with_sums(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    sums = np.array([crc32(row) for row in np.ascontiguousarray(codes)], np.uint32)
    return np.concatenate((codes, sums.view(np.uint8).reshape(-1, _SUM_BYTES)), axis=1)
