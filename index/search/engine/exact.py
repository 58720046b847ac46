"""Exact search in torch, on CPU or GPU: the faster exact engine up to some hundred queries at once."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.search.engine import Hits, checked_queries, checked_vectors

# Scores held at once: 256 queries by 131,072 vectors in float32 are 128 MB.
QUERY_BLOCK, VECTOR_BLOCK = 256, 131_072
GROUP = 64  # rows whose maximum is taken first, in search of the best ones

Mask = NDArray[np.bool_] | None


class ScoredHits(NamedTuple):
    """Hits, and what turns their scores into probabilities over all vectors."""

    hits: Hits
    log_partition: NDArray[np.float64]
    """(N,) log of the sum over all allowed vectors of exp(tau * score); -inf where there is none."""


class ExactEngine:
    """Compares every query with every vector.

    Args:
        vectors: (D, dim) float32; kept as they are (a memory map stays one) on the CPU, copied to a GPU.
        device: where to compute.
    """

    def __init__(self, vectors: Tensor, *, device: str | torch.device = "cpu") -> None:
        self._vectors = checked_vectors(vectors).to(device)
        self.dim = int(vectors.shape[1])

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._vectors)

    def search(self, queries: NDArray[np.float32], k: int, *, allowed: Mask = None) -> Hits:
        """See `Engine.search`.

        Args:
            queries: (N, dim) float32.
            k: how many.
            allowed: (len(self),) which vectors may be found; None is all.

        Raises:
            ValueError: as `Engine.search`, and where the mask has another shape or dtype.
        """
        return self._search(queries, k, None, allowed)[0]

    def search_scored(self, queries: NDArray[np.float32], k: int, tau: float, *, allowed: Mask = None) -> ScoredHits:
        """Search and sum: as `search`, with the log partition function at inverse temperature `tau`."""
        return ScoredHits(*self._search(queries, k, tau, allowed))

    @torch.inference_mode()
    def _search(
        self, queries: NDArray[np.float32], k: int, tau: float | None, allowed: Mask
    ) -> tuple[Hits, NDArray[np.float64]]:
        array = checked_queries(queries, k, self.dim)
        if allowed is not None and (allowed.shape != (len(self),) or allowed.dtype != np.bool_):
            raise ValueError(f"The mask is {allowed.shape} {allowed.dtype}; expected ({len(self)},) bool.")
        hits = Hits(np.full((len(array), k), -np.inf, dtype=np.float32), np.full((len(array), k), -1, dtype=np.int64))
        log_partition = np.full(len(array), -np.inf)
        for start in range(0, len(array), QUERY_BLOCK):
            rows = slice(start, start + QUERY_BLOCK)
            block = torch.from_numpy(array[rows]).to(self._vectors.device)
            scores, found, total = self._search_block(block, k, tau, allowed)
            hits.scores[rows, : scores.shape[1]] = scores.cpu().numpy()
            hits.rows[rows, : found.shape[1]] = found.cpu().numpy()
            log_partition[rows] = total.cpu().numpy()
        return hits, log_partition

    def _search_block(self, queries: Tensor, k: int, tau: float | None, allowed: Mask) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores and rows (n, at most k), best first, and the log partition (n,) of a block of queries."""
        best = queries.new_empty((len(queries), 0))
        found = torch.empty((len(queries), 0), dtype=torch.int64, device=queries.device)
        total = torch.full((len(queries),), -torch.inf, dtype=torch.float64, device=queries.device)
        for start in range(0, len(self), VECTOR_BLOCK):
            within = None if allowed is None else allowed[start : start + VECTOR_BLOCK]
            if within is not None and not within.any():
                continue  # so that the best score below is finite
            # (rows, n), not (n, rows): this product is up to twice as fast on a CPU, and so are sums over rows
            scores = self._vectors[start : start + VECTOR_BLOCK] @ queries.T
            if within is not None:
                scores.masked_fill_(torch.from_numpy(~within).to(scores.device)[:, None], -torch.inf)
            top, rows = best_rows(scores, min(k, len(scores)))
            if tau is not None:
                weights = scores.sub_(top[:, 0]).mul_(tau).exp_()  # in place: the scores have served
                block_total = tau * top[:, 0].double() + weights.sum(dim=0).log().double()
                total = torch.logaddexp(total, block_total)
            best, order = torch.cat((best, top), dim=1).sort(dim=1, descending=True, stable=True)
            found = torch.cat((found, rows + start), dim=1).gather(1, order)
            best, found = best[:, :k], found[:, :k]
        return best, torch.where(best.isneginf(), -1, found), total


def best_rows(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of each column of scores (d, n), best first, and their rows; both (n, k).

    The k largest lie in the k groups of rows with the largest maxima, and maxima cost less than selection.
    """
    count, n = scores.shape
    if 4 * k * GROUP > count:
        top, rows = scores.T.topk(k, dim=1)
        return top, rows
    whole = count - count % GROUP
    maxima = scores[:whole].view(-1, GROUP, n).amax(dim=1)
    groups = maxima.T.topk(k, dim=1).indices
    within = torch.arange(GROUP, device=scores.device)
    rows = (groups[:, :, None] * GROUP + within).view(n, -1)
    rest = torch.arange(whole, count, device=scores.device).expand(n, -1)
    rows = torch.cat((rows, rest), dim=1)
    top, order = scores.T.gather(1, rows).topk(k, dim=1)
    return top, rows.gather(1, order)
