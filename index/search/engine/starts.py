"""Scores with all vectors of the start level, kept in the layout that a product reads fastest."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

_TOGETHER = 8
"""Queries of a product, filled up: the last bits depend on its shape."""


class StartProducts:
    """The vectors of the start level, for products with queries on a CPU.

    Args:
        vectors: (M, dim) float32.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors, self._count = torch.from_numpy(vectors), len(vectors)
        self._packed = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if self._packed:
            self._vectors = torch.ops.mkldnn._reorder_linear_weight(self._vectors, None)

    def scores(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the inner products (N, M) with queries (N, dim): the same for a query among any others."""
        scores = np.empty((len(queries), self._count), np.float32)
        with torch.inference_mode():
            for at in range(0, len(queries), _TOGETHER):
                some = torch.from_numpy(queries[at : at + _TOGETHER])
                product = self._product(F.pad(some, (0, 0, 0, _TOGETHER - len(some))))
                scores[at : at + len(some)] = product[: len(some)].numpy()
        return scores

    def _product(self, block: torch.Tensor) -> torch.Tensor:
        if self._packed:
            product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(block, self._vectors, None, "none", [], "")
            return product
        return F.linear(block, self._vectors)
