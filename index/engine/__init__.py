"""Nearest neighbours by cosine: one interface, several engines."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class Hits(NamedTuple):
    """The best rows for N queries, best first. Where there are fewer than k, the row is -1 and the score -inf."""

    scores: "NDArray[np.float32]"
    """(N, k) inner products: cosines, for unit vectors."""
    rows: "NDArray[np.int64]"
    """(N, k) positions in the vectors the engine was given."""


class Engine(Protocol):
    """Inner-product search over a fixed set of vectors."""

    dim: int

    def __len__(self) -> int:
        """Return the number of vectors."""

    def search(self, queries: "NDArray[np.float32]", k: int) -> Hits:
        """Return the k vectors of largest inner product for each of (N, dim) float32 queries.

        Raises:
            ValueError: k is below 1, or the queries have another shape or values that are not finite.
        """


def checked_queries(queries: "NDArray[np.float32]", k: int, dim: int) -> "NDArray[np.float32]":
    """Return the queries as contiguous float32, or raise ValueError: the common door of all engines."""
    import numpy as np

    if k < 1:
        raise ValueError(f"k is {k}; ask for at least 1 hit.")
    array = np.ascontiguousarray(queries, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise ValueError(f"Queries have the shape {array.shape}; expected (N, {dim}).")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ValueError(f"Query {row} holds values that are not finite.")
    return array


def checked_vectors(vectors: "Tensor") -> "Tensor":
    """Return the vectors if they are (D, dim) float32; raise ValueError otherwise."""
    import torch

    if vectors.ndim != 2 or vectors.dtype != torch.float32:
        raise ValueError(f"Vectors are {tuple(vectors.shape)} {vectors.dtype}; expected (D, dim) float32.")
    return vectors
