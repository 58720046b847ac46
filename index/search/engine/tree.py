"""Coarse search down the stored H3 tree: exact at the start level, then the children of the kept cells, by FAISS.

The lists follow geography, so they need no training; `benchmarks/recall.py` compares walks of several widths with
exact search over the stored vectors.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells
from index.grid.sides import parent_vectors
from index.search.engine import CoarseHits, checked_queries
from index.search.engine.starts import StartProducts
from index.storage.contents import IndexContents
from index.storage.lists import Lists, Scanned

T = TypeVar("T", np.float32, np.bool_)


class TreeEngine:
    """Walks from the start level to the coarse cells of an opened index."""

    def __init__(self, contents: IndexContents) -> None:
        self.cells, self.levels, self.start = contents.cells, contents.levels, contents.start
        self._first_children = [np.flatnonzero(np.diff(rows, prepend=-1)) for rows in contents.parent_rows]
        self._lists = contents.lists
        self._rows = [contents.start.rows.astype(np.int32), *(lists.rows for lists in contents.lists)]
        self._parents = [
            parent_vectors(cells, rows, parent_rows, above)
            for cells, rows, parent_rows, above in zip(
                contents.levels[1:], self._rows[1:], contents.parent_rows, self._rows[:-1], strict=True
            )
        ]
        """For the vectors of each level but the first the numbers of their parents'."""
        self._starts = StartProducts(contents.start.vectors)
        self.twice = len(self.coarse_lists) - len(self.cells)
        """How many coarse cells have two vectors, one for each side of the antimeridian."""
        self.dim = int(self.start.vectors.shape[1])
        self._carried_prior = _KeptForTheLast(lambda values: self._upwards(values, np.maximum))
        self._carried_mask = _KeptForTheLast(lambda values: self._upwards(values, np.logical_or))

    def __len__(self) -> int:
        """Return the number of coarse cells."""
        return len(self.cells)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        widths: tuple[int, ...],
        log_prior: NDArray[np.float32] | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> CoarseHits:
        """Return the k best coarse cells for each query; see `CoarseEngine.search`.

        Args:
            queries: (N, dim) float32.
            k: how many.
            widths: how many cells are kept at each level above the coarse one, upwards; the last stands for all above.
            log_prior: (len(self),) added to the scores of the coarse cells.
            allowed: (len(self),) which coarse cells may be found.
        """
        array = checked_queries(queries, k, self.dim)
        if not widths or min(widths) < 1:
            raise ValueError(f"The widths are {widths}; give at least one, from 1.")
        widths = (*widths, *(len(self._lists) - len(widths)) * widths[-1:])[: len(self._lists)][::-1]
        priors, masks = self._carried_prior(log_prior), self._carried_mask(allowed)
        start_scores = self._starts.scores(array)
        numbers = self._best_starts(start_scores, priors[0], masks[0], widths[0])
        scores = np.take_along_axis(start_scores, np.maximum(numbers, 0), axis=1)
        walked = list[Scanned]()
        for depth in range(len(self._lists)):
            wanted = widths[depth + 1] if depth < len(self._lists) - 1 else k + min(k, self.twice)
            wanted = min(wanted, len(self._rows[depth + 1]))
            kept = _ascending(numbers, scores)
            numbers, scores, scanned = self._children(array, *kept, depth, wanted, priors, masks)
            walked.append(scanned._replace(ids=self._rows[depth + 1][scanned.ids].astype(np.int64)))
        rows = np.where(numbers >= 0, self._rows[-1][numbers].astype(np.int64), -1)
        return distinct_hits(self.cells, rows, scores, k, start_scores)._replace(walked=tuple(walked))

    @property
    def coarse_lists(self) -> Lists:
        """The lists of the coarse level."""
        return self._lists[-1]

    def decoded(self, lists: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the coarse vectors (n, dim), as stored, of some ascending lists, and the rows of their cells (n,)."""
        vectors, numbers = self._decoded(lists, len(self._lists) - 1)
        return vectors, self._rows[-1][numbers].astype(np.int64)

    def _decoded(self, lists: NDArray[np.int64], depth: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        vectors, numbers = self._lists[depth].vectors(lists)
        above = self._parents[depth][numbers]
        if depth == 0:
            return vectors + self.start.vectors[above], numbers
        bases, found = self._decoded(np.unique(self._parents[depth - 1][lists]), depth - 1)
        order = np.argsort(found)
        return vectors + bases[order[np.searchsorted(found[order], above)]], numbers

    def _best_starts(
        self,
        scores: NDArray[np.float32],
        prior: NDArray[np.float32] | None,
        mask: NDArray[np.bool_] | None,
        width: int,
    ) -> NDArray[np.int64]:
        """Return the numbers (N, width) of the best vectors of the start level; -1 where there are fewer."""
        ranked = scores if prior is None else scores + prior
        if mask is not None:
            ranked = np.where(mask, ranked, -np.inf)
        width = min(width, scores.shape[1])
        best = np.argpartition(-ranked, width - 1, axis=1)[:, :width]
        best[np.isneginf(np.take_along_axis(ranked, best, axis=1))] = -1
        return best

    def _children(
        self,
        queries: NDArray[np.float32],
        kept: NDArray[np.int64],
        kept_scores: NDArray[np.float32],
        depth: int,
        wanted: int,
        priors: list[NDArray[np.float32] | None],
        masks: list[NDArray[np.bool_] | None],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], Scanned]:
        """Return the best children (N, wanted) of the kept vectors, best first, their scores without prior, and all."""
        prior, mask = priors[depth + 1], masks[depth + 1]
        allowed = None if mask is None else np.packbits(mask, bitorder="little")
        scanned = self._lists[depth].scan(queries, kept, bias=kept_scores, allowed=allowed)
        ranked = scanned.scores if prior is None else scanned.scores + prior[scanned.ids]
        numbers, scores = np.full((len(queries), wanted), -1), np.full((len(queries), wanted), -np.inf, np.float32)
        for query, (start, stop) in enumerate(pairwise(scanned.bounds.tolist())):
            own = -ranked[start:stop]
            best = np.argpartition(own, wanted)[:wanted] if wanted < len(own) else np.arange(len(own))
            best = start + best[np.argsort(own[best], kind="stable")]
            numbers[query, : len(best)], scores[query, : len(best)] = scanned.ids[best], scanned.scores[best]
        return numbers, scores, scanned

    def _upwards(self, values: NDArray[T] | None, combine: np.ufunc) -> list[NDArray[T] | None]:
        """Return values of the coarse cells for the vectors of all levels, combined upwards from cells' children."""
        if values is None:
            return [None] * len(self._rows)
        result = [values[self._rows[-1]]]
        for first, rows in zip(reversed(self._first_children), reversed(self._rows[:-1]), strict=True):
            values = combine.reduceat(values, first)
            result.insert(0, values[rows])
        return list(result)


class _KeptForTheLast(Generic[T]):
    """A function of an array that is not computed again for the same array: one question's, for many queries."""

    def __init__(self, compute: Callable[[NDArray[T] | None], list[NDArray[T] | None]]) -> None:
        self._compute: Callable[[NDArray[T] | None], list[NDArray[T] | None]] = compute
        self._last: tuple[NDArray[T] | None, list[NDArray[T] | None]] | None = None

    def __call__(self, values: NDArray[T] | None) -> list[NDArray[T] | None]:
        """Return the result for an array; the array must not be changed afterwards."""
        last = self._last  # of another thread, perhaps: taken once
        if last is None or last[0] is not values:
            self._last = last = values, self._compute(values)
        return last[1]


def _ascending(
    numbers: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return numbers with their scores in ascending order, as on disk; then -1, no more than needed."""
    none = np.iinfo(np.int64).max
    order = np.argsort(np.where(numbers < 0, none, numbers), axis=1, kind="stable")
    order = order[:, : int((numbers >= 0).sum(axis=1).max(initial=0))]
    return np.take_along_axis(numbers, order, axis=1), np.take_along_axis(scores, order, axis=1)


def distinct_hits(
    cells: Cells,
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    k: int,
    start_scores: NDArray[np.float32],
) -> CoarseHits:
    """Return the k first hits of each query, each cell once.

    A cell astride the antimeridian has two vectors; the first, which is the better one, stays.

    Args:
        cells: the coarse cells.
        rows: (N, K) best first, -1 where there is none.
        scores: (N, K).
        k: how many; padded where there are fewer.
        start_scores: passed on.
    """
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    again = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    for query in np.flatnonzero(again.any(axis=1)):
        rows[query, order[query, 1:][again[query]]] = -1
        moved = np.argsort(rows[query] < 0, kind="stable")
        rows[query], scores[query] = rows[query, moved], scores[query, moved]
    gap = ((0, 0), (0, max(k - rows.shape[1], 0)))
    rows = np.pad(rows, gap, constant_values=-1)[:, :k]
    scores = np.pad(scores, gap, constant_values=-np.inf)[:, :k]
    found = rows >= 0
    return CoarseHits(
        np.where(found, scores, np.float32(-np.inf)), np.where(found, cells[rows], np.uint64(0)), rows, start_scores
    )
