"""Coarse search with all vectors in a GPU's memory: exact, and the fastest there is.

The product of queries with all vectors is read once, for the maxima of groups; the best vectors lie in the groups with
the largest maxima.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.search.engine import CoarseHits, checked_queries
from index.search.engine.exact import best_rows
from index.search.engine.tree import TreeEngine

_LISTS = 16_384
"""Decoded at once: about 115,000 vectors, 235 MB."""
_SCORES = 1 << 28
"""Held at once: 0.5 GB in float16."""


class CoarseFound(NamedTuple):
    """The best coarse cells for N queries, on the device."""

    rows: Tensor
    """(N, K) int64 positions among the coarse cells, best first, each once; -1 where there is none."""
    scores: Tensor
    """(N, K) float32 inner products, without the prior; -inf where there is no cell."""
    start_scores: Tensor
    """(N, M) float32 inner products with the vectors of the start level."""


class ResidentCoarse:
    """The coarse vectors: float16 on a GPU, 1,024 bytes a cell (`planet`: 4.3 GB); float32 on a CPU, for tests.

    Args:
        tree: the opened index.
        device: `cpu`, `cuda` or `cuda:N`.
    """

    def __init__(self, tree: TreeEngine, device: str) -> None:
        self.start, self.dim, self.cells = tree.start, tree.dim, tree.cells
        self.device = torch.device(device)
        self._twice = tree.twice
        self._start = torch.from_numpy(tree.start.vectors).to(self.device)
        dtype = torch.float32 if self.device.type == "cpu" else torch.float16
        count = len(tree.coarse_lists)
        self._vectors = torch.empty(count, self.dim, dtype=dtype, device=self.device)
        self._rows = torch.empty(count, dtype=torch.int64, device=self.device)
        lists, done = tree.coarse_lists, 0
        for at in range(0, len(lists.sizes), _LISTS):
            vectors, rows = tree.decoded(np.arange(at, min(at + _LISTS, len(lists.sizes))))
            part = slice(done, done + len(rows))
            self._vectors[part], self._rows[part] = torch.from_numpy(vectors).to(self.device), torch.from_numpy(rows)
            done += len(rows)

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
        batch = torch.from_numpy(checked_queries(queries, k, self.dim)).to(self.device)
        bonus = None
        if log_prior is not None or allowed is not None:
            bonus = torch.zeros(len(self), device=self.device)
        if bonus is not None and log_prior is not None:
            bonus += torch.from_numpy(log_prior).to(self.device)
        if bonus is not None and allowed is not None:
            bonus.masked_fill_(~torch.from_numpy(allowed).to(self.device), -torch.inf)
        rows, scores, start_scores = (part.cpu().numpy() for part in self.found(batch, k, bonus))
        return CoarseHits(scores, np.where(rows >= 0, self.cells[rows], np.uint64(0)), rows, start_scores)

    def found(self, batch: Tensor, k: int, bonus: Tensor | None) -> CoarseFound:
        """Return the k best coarse cells for queries (N, dim) on the device.

        Args:
            batch: the queries.
            k: how many cells; padded where there are fewer.
            bonus: (cells,) float32, added to the scores of cells before they are ranked; -inf forbids one.
        """
        wanted = min(k + min(k, self._twice), len(self._rows))  # a cell astride the antimeridian takes two places
        own = None if bonus is None else bonus[self._rows]
        rows = torch.full((len(batch), k), -1, dtype=torch.int64, device=self.device)
        scores = torch.full((len(batch), k), -torch.inf, device=self.device)
        step = max(1, _SCORES // max(len(self._rows), 1))
        for at in range(0, len(batch), step):
            part = slice(at, at + step)
            product = self._vectors @ batch[part].T.to(self._vectors.dtype)
            ranked = product.float() + own[:, None] if own is not None else product
            best, numbers = best_rows(ranked, wanted)
            found, values = self._rows[numbers], product.T.gather(1, numbers).float()
            dead = best.isneginf() | _seen_before(found)
            last = dead.to(torch.int8).sort(dim=1, stable=True).indices[:, :k]
            found, values, dead = (each.gather(1, last) for each in (found, values, dead))
            rows[part, : found.shape[1]] = found.masked_fill_(dead, -1)
            scores[part, : found.shape[1]] = values.masked_fill_(dead, -torch.inf)
        return CoarseFound(rows, scores, batch @ self._start.T)


def _seen_before(rows: Tensor) -> Tensor:
    """Return which of the rows (N, K) stand further left, too."""
    ordered, at = rows.sort(dim=1, stable=True)
    again = torch.zeros_like(rows, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(again).scatter_(1, at, again)
