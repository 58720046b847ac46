"""Nearest neighbours by cosine: one interface, several engines."""

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from index.storage.contents import StartLevel
    from index.storage.lists import Scanned


class EngineName(StrEnum):
    """Engines for coarse search."""

    AUTO = "auto"
    TREE = "tree"
    EXACT = "exact"
    RESIDENT = "resident"
    FAISS_GPU = "faiss-gpu"


class Hits(NamedTuple):
    """The best rows for N queries, best first. Where there are fewer than k, the row is -1 and the score -inf."""

    scores: "NDArray[np.float32]"
    """(N, k) inner products: cosines, for unit vectors."""
    rows: "NDArray[np.int64]"
    """(N, k) positions in the vectors the engine was given."""


class CoarseHits(NamedTuple):
    """The best coarse cells for N queries, best first. Where there are fewer than k: score -inf, cell 0, row -1."""

    scores: "NDArray[np.float32]"
    """(N, k) inner products with the cells' representatives, as stored; without the prior."""
    cells: "NDArray[np.uint64]"
    """(N, k) H3 ids."""
    rows: "NDArray[np.int64]"
    """(N, k) positions among the coarse cells."""
    start_scores: "NDArray[np.float32]"
    """(N, M) inner products with all representatives of the start level: what the rest of the planet scores."""
    walked: "tuple[Scanned, ...]" = ()
    """What was scored of each level below the start level, its ids being rows of the level's cells: by an engine that
    walks down. Every cell of a level whose children were scored has all children among them that may be found."""


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


class CoarseEngine(Protocol):
    """Finds the coarse cells whose representatives are nearest."""

    dim: int
    start: "StartLevel"

    def __len__(self) -> int:
        """Return the number of coarse cells."""

    def search(
        self,
        queries: "NDArray[np.float32]",
        k: int,
        *,
        widths: tuple[int, ...],
        log_prior: "NDArray[np.float32] | None" = None,
        allowed: "NDArray[np.bool_] | None" = None,
    ) -> CoarseHits:
        """Return the k best coarse cells for each query.

        Args:
            queries: (N, dim) float32.
            k: how many.
            widths: how wide to search, for engines that are not exact: cells kept at each level above the coarse one,
                upwards; the last stands for all above.
            log_prior: (len(self),) added to the scores before they are ranked.
            allowed: (len(self),) which coarse cells may be found.

        Raises:
            ValueError: k or a width is below 1, or the queries have another shape or values that are not finite.
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
