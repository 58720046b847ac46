"""Coarse search that compares a query with every stored vector: exact in torch on the CPU, and FAISS on a GPU.

The exact engine is the oracle: it decodes the stored vectors block by block, keeps none, and takes seconds. On a GPU
`index/search/resident/coarse.py` keeps all of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from index.search.engine import CoarseHits, checked_queries
from index.search.engine.flat import GPU_K_MAX
from index.search.engine.tree import TreeEngine, distinct_hits

_LISTS = 16_384  # decoded at once: about 115,000 vectors, 235 MB


class ExactCoarse:
    """Every stored vector, in torch on the CPU.

    Args:
        tree: the opened index.
    """

    def __init__(self, tree: TreeEngine) -> None:
        self.start, self.dim, self.cells = tree.start, tree.dim, tree.cells
        self._tree, self._start = tree, torch.from_numpy(tree.start.vectors)

    def __len__(self) -> int:
        """Return the number of coarse cells."""
        return len(self.cells)

    @torch.inference_mode()
    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        widths: tuple[int, ...] = (),
        log_prior: NDArray[np.float32] | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> CoarseHits:
        """See `CoarseEngine.search`; the widths do not matter."""
        del widths
        batch = torch.from_numpy(checked_queries(queries, k, self.dim))
        bonus = torch.zeros(len(self))
        if log_prior is not None:
            bonus += torch.from_numpy(log_prior)
        if allowed is not None:
            bonus[~torch.from_numpy(allowed)] = -torch.inf
        wanted = k + min(k, self._tree.twice)  # a cell astride the antimeridian takes two places
        best = torch.full((len(batch), 0), -torch.inf)
        rows = torch.zeros((len(batch), 0), dtype=torch.int64)
        for vectors, numbers in self._decoded():
            ranked = (vectors @ batch.T).T + bonus[numbers]
            top, at = ranked.topk(min(wanted, ranked.shape[1]), dim=1)
            best, order = torch.cat((best, top), dim=1).sort(dim=1, descending=True, stable=True)
            rows = torch.cat((rows, numbers[at]), dim=1).gather(1, order)
            best, rows = best[:, :wanted], rows[:, :wanted]
        plain = bonus if allowed is None else torch.nan_to_num(bonus, neginf=0.0)
        scores = torch.where(best.isneginf(), best, best - plain[rows])
        rows = torch.where(best.isneginf(), -1, rows)
        start_scores = (batch @ self._start.T).numpy()
        return distinct_hits(self.cells, rows.numpy(), scores.numpy(), k, start_scores)

    def _decoded(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        lists = self._tree.coarse_lists
        for at in range(0, len(lists.sizes), _LISTS):
            vectors, rows = self._tree.decoded(np.arange(at, min(at + _LISTS, len(lists.sizes))))
            if len(rows):
                yield torch.from_numpy(vectors), torch.from_numpy(rows)


class FaissGpuCoarse:
    """FAISS's flat index on a GPU, float16.

    Args:
        tree: the opened index.
        device: `cuda` or `cuda:N`.

    Raises:
        ValueError: FAISS finds no such GPU.
    """

    def __init__(self, tree: TreeEngine, device: str) -> None:
        import faiss

        place = torch.device(device)
        gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
        if place.type != "cuda" or (place.index or 0) >= gpus:
            raise ValueError(f"The engine faiss-gpu needs a GPU; FAISS finds {gpus} and the device is {device}.")
        self.start, self.dim, self.cells, self._twice = tree.start, tree.dim, tree.cells, tree.twice
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16, config.device = True, place.index or 0
        self._index: Any = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), self.dim, config)
        rows = []
        lists = tree.coarse_lists
        for at in range(0, len(lists.sizes), _LISTS):
            vectors, numbers = tree.decoded(np.arange(at, min(at + _LISTS, len(lists.sizes))))
            self._index.add(vectors)
            rows.append(numbers)
        self._rows = np.concatenate(rows)
        self._start = torch.from_numpy(tree.start.vectors).to(place)

    def __len__(self) -> int:
        """Return the number of coarse cells."""
        return len(self.cells)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        widths: tuple[int, ...] = (),
        log_prior: NDArray[np.float32] | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> CoarseHits:
        """See `CoarseEngine.search`; a prior or a region is applied to the 2,048 best by score, which is FAISS's limit.

        Widths do not matter.
        """
        del widths
        array = checked_queries(queries, k, self.dim)
        plain = log_prior is None and allowed is None
        wanted = k + min(k, self._twice) if plain else GPU_K_MAX
        scores, found = self._index.search(array, min(wanted, GPU_K_MAX, len(self._rows)))
        rows = np.where(found >= 0, self._rows[found], -1)
        ranked = scores if log_prior is None else scores + log_prior[rows]
        if allowed is not None:
            ranked = np.where(allowed[rows], ranked, -np.inf)
        ranked = np.where(rows >= 0, ranked, -np.inf)
        order = np.argsort(-ranked, axis=1, kind="stable")
        rows = np.where(np.isneginf(ranked), -1, rows)
        rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
        scores = np.where(rows >= 0, scores, -np.inf)
        start_scores = (torch.from_numpy(array).to(self._start.device) @ self._start.T).cpu().numpy()
        return distinct_hits(self.cells, rows, scores, k, start_scores)
