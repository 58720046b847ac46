"""Exact search in FAISS (IndexFlatIP), on CPU or GPU."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.search.engine import Hits, checked_queries, checked_vectors

GPU_K_MAX = 2048
"""The largest k of FAISS's GPU indexes."""


class FlatEngine:
    """FAISS's flat inner-product index.

    Args:
        vectors: (D, dim) float32; copied into the index.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ValueError: a GPU is asked for and FAISS finds none.
    """

    def __init__(self, vectors: Tensor, *, device: str | torch.device = "cpu") -> None:
        import faiss

        place = torch.device(device)
        array = np.ascontiguousarray(checked_vectors(vectors).cpu().numpy())
        self.dim = int(vectors.shape[1])
        self._index: Any = faiss.IndexFlatIP(self.dim)
        self._k_max = max(len(array), 1)
        if place.type == "cuda":
            gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
            if (place.index or 0) >= gpus:
                raise ValueError(f"FAISS finds {gpus} GPUs, so it cannot use {device}; use cpu.")
            self._index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), place.index or 0, self._index)
            self._k_max = min(self._k_max, GPU_K_MAX)
        self._index.add(array)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return int(self._index.ntotal)

    def search(self, queries: NDArray[np.float32], k: int) -> Hits:
        """See `Engine.search`; on a GPU at most 2048 hits are found, the rest are -1."""
        array = checked_queries(queries, k, self.dim)
        hits = Hits(np.full((len(array), k), -np.inf, dtype=np.float32), np.full((len(array), k), -1, dtype=np.int64))
        if len(array) and len(self):
            wanted = min(k, self._k_max)
            hits.scores[:, :wanted], hits.rows[:, :wanted] = self._index.search(array, wanted)
        return hits
