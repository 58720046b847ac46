"""Slopes: how the vectors of a coarse cell's children differ from their mean, one bit a number.

The children of an H3 cell are one at its centre and six around it, in directions that their digits name. The two terms
of the plane that fits their vectors best say, with the mean, about where a child's vector lies: enough to rank children
without encoding them. A number keeps its sign, and each term one scale. An index whose build encodes few cells keeps
the rest, too: what the plane leaves of each child's vector, again by signs and a scale.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.grid.siblings import DIRECTIONS
from index.storage.manifest import BadIndexError
from index.storage.rows import Rows, with_sums

_FIT = np.ascontiguousarray(DIRECTIONS.T) / np.float32(3)
_SCALE_BYTES = 2
TERMS, CHILDREN = 2, 7
_FAMILIES = 64
"""Coded at once: their vectors, 0.9 MB, stay in a core's cache."""


def _width(dim: int, vectors: int) -> int:
    return vectors * (dim // 8 + _SCALE_BYTES)


def slope_bytes(dim: int, *, rests: bool = False) -> int:
    """Return how many bytes a cell takes, without its checksum: of its slopes, or also of its children's rests."""
    return _width(dim, TERMS + CHILDREN * rests)


def coded_slopes(families: NDArray[np.float32], *, rests: bool = False) -> NDArray[np.uint8]:
    """Return the coded slopes (N, `slope_bytes`) of the vectors (N, 7, dim) of cells' children."""
    codes = np.empty((len(families), slope_bytes(families.shape[2], rests=rests)), np.uint8)
    for start in range(0, len(families), _FAMILIES):
        some = slice(start, start + _FAMILIES)
        codes[some] = _coded(families[some], rests=rests)
    return codes


def _coded(families: NDArray[np.float32], *, rests: bool) -> NDArray[np.uint8]:
    slopes = np.matmul(_FIT, families)
    bits, scales = _signs(slopes)
    if rests:
        sizes = scales[:, :, None].astype(np.float32)
        rest = families - families.sum(axis=1, keepdims=True) * np.float32(1 / CHILDREN)
        rest -= np.matmul(DIRECTIONS, np.where(slopes > 0, sizes, -sizes))
        rest_bits, rest_scales = _signs(rest)
        bits, scales = np.concatenate((bits, rest_bits), axis=1), np.concatenate((scales, rest_scales), axis=1)
    signs = bits.reshape(len(families), bits.shape[1] * bits.shape[2])
    return np.concatenate((signs, scales.view(np.uint8)), axis=1)


def no_slopes(count: int, dim: int, *, rests: bool = False) -> NDArray[np.uint8]:
    """Return coded slopes of 0: of pentagons, and of cells astride the antimeridian."""
    return np.zeros((count, slope_bytes(dim, rests=rests)), np.uint8)


def slopes_on_disk(codes: NDArray[np.uint8]) -> bytes:
    """Return coded slopes as a file of them holds them."""
    return with_sums(codes).tobytes()


def _signs(vectors: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Return the signs (N, V, dim / 8) of vectors (N, V, dim), and how large their numbers are (N, V)."""
    return np.packbits(vectors > 0, axis=2), np.abs(vectors).mean(axis=2).astype(np.float16)


class Slopes:
    """The slopes of all coarse cells, mapped into memory.

    Args:
        path: of the file, for messages.
        cells: how many there are.
        dim: of the vectors.
        rests: whether the children's rests are there.
        mapped: what is opened, where that is another name of the file.

    Raises:
        ValueError: the file has another size.
    """

    def __init__(self, path: Path, cells: int, dim: int, *, rests: bool = False, mapped: Path | None = None) -> None:
        self._rows = Rows(path, cells, slope_bytes(dim, rests=rests), mapped=mapped)
        self._vectors, self._dim = TERMS + CHILDREN * rests, dim

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the coded slopes (R, bytes) of some cells.

        Raises:
            BadIndexError: some are damaged, or not finite.
        """
        codes = self._rows.of(rows)
        if not np.isfinite(self._scales(codes)).all():
            raise BadIndexError(f"{self._rows.path} holds slopes that are not finite; build the index again.")
        return codes

    def parts(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return signs (R, V, dim / 8), eight a byte, and scales (R, V) of the V vectors of some cells.

        Raises:
            BadIndexError: some are damaged, or not finite.
        """
        codes = self.of(rows)
        signs = codes[:, : self._vectors * self._dim // 8].reshape(len(codes), self._vectors, self._dim // 8)
        return signs, self._scales(codes)

    def told(
        self, rows: NDArray[np.integer], queries: NDArray[np.float32], owners: NDArray[np.integer]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return what the children of cells score above their mean, about.

        Args:
            rows: (R,) of the cells.
            queries: (N, dim).
            owners: (R,) ascending, which of the queries asks about each cell.

        Returns:
            (R, 7) scores, by digit, and (R,) which cells have slopes.

        Raises:
            BadIndexError: some are damaged.
        """
        scores, known = np.zeros((len(rows), CHILDREN), np.float32), np.zeros(len(rows), np.bool_)
        bounds = np.searchsorted(owners, np.arange(len(queries) + 1))
        for number, query in enumerate(queries):
            own = slice(bounds[number], bounds[number + 1])
            signs, halves = self.parts(rows[own])
            scales = halves.astype(np.float32)
            terms = _products(signs, query) * scales
            scores[own] = terms[:, :TERMS] @ DIRECTIONS.T
            if self._vectors > TERMS:
                scores[own] += terms[:, TERMS:]
            known[own] = scales[:, :TERMS].any(axis=1)
        return scores, known

    def _scales(self, codes: NDArray[np.uint8]) -> NDArray[np.float16]:
        scales: NDArray[np.float16] = np.ascontiguousarray(codes[:, self._vectors * self._dim // 8 :]).view(np.float16)
        return scales


BYTES_AS_SIGNS = (2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1).astype(np.float32)
"""(256, 8) the eight signs that a byte holds."""


def _products(signs: NDArray[np.uint8], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums (R, V) over the signs (R, V, dim / 8) of sign times query, from the sums for every byte."""
    width = len(query) // 8
    table = query.reshape(width, 8) @ BYTES_AS_SIGNS.T
    products: NDArray[np.float32] = table.reshape(-1)[signs + np.arange(width) * 256].sum(axis=-1)
    return products
