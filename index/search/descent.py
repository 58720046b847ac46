"""Descent: from the best coarse cells down the H3 tree to the asked resolution, encoding few cells.

At each level the best cells are opened. Their children are ranked by an estimate that costs nothing: from the slopes
that are stored of a coarse cell, from the scores of a cell's siblings where the encoder is smooth enough for that, or
else from the parent's score. Then those are encoded, best first, that the estimate does not rule out, in one batch for
all queries; where siblings tell as much as encoding in bf16 would, none is. What was not encoded keeps its estimate.
How far the estimates can be trusted was measured (`index/search/efforts.py`).

The cells of all queries of a batch lie one after the other in the same arrays, each with its owner: the number of the
query it was scored for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encode
from index.grid.cells import Cells, centres, children, children_counts, resolution
from index.grid.region import Region
from index.grid.siblings import children_scores, digits
from index.search.efforts import Effort, Step

FINEST_ANSWER = 11
"""The finest resolution of an answer: its cells are 25 m from centre to corner, far below what the encoder tells."""


class LogPrior(Protocol):
    """What a descent needs of a prior."""

    def log_mass(self, cells: Cells) -> NDArray[np.float64]:
        """Return the log prior probability of cells (N,) of one resolution."""


@dataclass(frozen=True)
class Ranking:
    """How cells are ranked: by score + weight / tau * log prior mass, which is the logit divided by tau."""

    tau: float
    weight: float = 0.0
    prior: LogPrior | None = None
    region: Region | None = None
    """Cells that do not overlap it rank last, at -inf, and are never opened nor answered."""

    def scored(self, cells: Cells, scores: NDArray[np.float32]) -> "Scored":
        """Rank cells (N,) of one resolution by their scores (N,)."""
        return self.base(cells).with_scores(scores)

    def base(self, cells: Cells) -> "Scored":
        """Return cells (N,) of one resolution ranked as if all scores were 0."""
        log_prior = np.zeros(len(cells))
        if self.prior is not None and self.weight > 0:
            log_prior = self.prior.log_mass(cells)
        ranks = self.weight / self.tau * log_prior
        if self.region is not None:
            ranks = np.where(self.region.overlaps(cells), ranks, -np.inf)
        return Scored(cells, np.zeros(len(cells), np.float32), ranks, log_prior, np.ones(len(cells), bool))


class Scored(NamedTuple):
    """Cells of one resolution that were scored for one query, in no order."""

    cells: Cells
    scores: NDArray[np.float32]
    """Cosine to the cell's centre, or to its representative at the coarse resolution."""
    ranks: NDArray[np.float64]
    """Score plus weight / tau * log prior: what cells are ranked by; -inf outside the region."""
    log_prior: NDArray[np.float64]
    """Log prior mass; 0 where the prior has no weight."""
    sure: NDArray[np.bool_]
    """Whether the score is the encoder's or as good; elsewhere it is an estimate."""

    def part(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> "Scored":
        """Return some of them."""
        cells, scores, ranks, log_prior, sure = self
        return Scored(cells[rows], scores[rows], ranks[rows], log_prior[rows], sure[rows])

    def with_scores(self, scores: NDArray[np.float32]) -> "Scored":
        """Return cells that scored 0 until now with these scores."""
        return self._replace(scores=scores, ranks=self.ranks + scores)

    def rescored(self, scores: NDArray[np.float32]) -> "Scored":
        """Return the cells with other scores, ranked accordingly."""
        return self._replace(scores=scores, ranks=self.ranks - self.scores + scores)


def _joined(parts: Sequence[Scored]) -> Scored:
    return Scored(*map(np.concatenate, zip(*parts, strict=True)))


class DescentResult(NamedTuple):
    """What a descent found for one query: disjoint cells that were scored and not opened, by resolution."""

    levels: tuple[Scored, ...]
    """From the coarse resolution to the finest."""
    encodings: int
    """How many cells were encoded for the query."""

    @property
    def finest(self) -> Scored:
        """The cells of the asked resolution."""
        return self.levels[-1]


class CoarseHints(Protocol):
    """What is stored of the children of coarse cells."""

    def children_scores(
        self,
        cells: Cells,
        scores: NDArray[np.float32],
        queries: NDArray[np.float32],
        owners: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return about what the children (R, 7), by digit, of coarse cells score.

        Args:
            cells: (R,).
            scores: (R,) what they score themselves.
            queries: (N, dim).
            owners: (R,) ascending, the query of each.
        """


class _Level(NamedTuple):
    """The cells of one resolution that were scored for the queries of a batch."""

    owners: NDArray[np.int64]
    """(M,) ascending."""
    scored: Scored
    encoded: NDArray[np.bool_]
    """Which of them were."""

    def part(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "_Level":
        return _Level(self.owners[rows], self.scored.part(rows), self.encoded[rows])

    def best_first(self, rows: NDArray[np.int64], queries: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return some rows by owner and, within that, best first; and how many are better of the same owner."""
        cells, ranks, owners = self.scored.cells[rows], self.scored.ranks[rows], self.owners[rows]
        order = rows[np.lexsort((cells, -ranks, owners))]
        starts = np.searchsorted(owners, np.arange(queries))
        return order, np.arange(len(order)) - starts[owners]

    def opened(self, beam: int, queries: int) -> tuple["_Level", "_Level"]:
        """Return the best cells of each query, to be opened, and the others."""
        order, better = self.best_first(np.flatnonzero(self.scored.sure & np.isfinite(self.scored.ranks)), queries)
        chosen = np.zeros(len(self.owners), np.bool_)
        chosen[order[better < beam]] = True
        return self.part(chosen), self.part(~chosen)

    def split(self, queries: int) -> list[Scored]:
        """Return the cells of each query."""
        bounds = np.searchsorted(self.owners, np.arange(queries + 1))
        return [self.scored.part(slice(a, b)) for a, b in pairwise(bounds.tolist())]


class _Estimates(NamedTuple):
    scores: NDArray[np.float32]
    """(R, 7) of the children of the opened cells, by digit."""
    sure: NDArray[np.bool_]
    """(R,) whether they are as good as encoding them."""


class _Offspring(NamedTuple):
    """The children of all cells that the queries of a batch open, each once."""

    parents: Cells
    """(P,) sorted."""
    base: Scored
    """The children, all of the first parent, then the next, ranked as if all scores were 0."""
    starts: NDArray[np.int64]
    """(P,) the first child of each."""
    counts: NDArray[np.int64]
    """(P,) how many: 7, or 6 of a pentagon."""

    @classmethod
    def of(cls, cells: Cells, ranking: Ranking) -> "_Offspring":
        """Find the children of sorted cells of one resolution."""
        res = resolution(cells) + 1
        counts = children_counts(cells, res)
        return cls(cells, ranking.base(children(cells, res)), np.cumsum(counts) - counts, counts)

    def of_parents(self, cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows (C,) of some parents' children, and of each which of the parents (R,) it comes from."""
        at = np.searchsorted(self.parents, cells)
        counts = self.counts[at]
        before = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(self.starts[at] - before, counts), np.repeat(
            np.arange(len(cells)), counts
        )


def descend(
    queries: NDArray[np.float32],
    coarse: Sequence[Scored],
    res: int,
    k: int,
    encode: Encode,
    ranking: Ranking,
    effort: Effort,
    *,
    hints: CoarseHints | None = None,
    smooth_res: int = FINEST_ANSWER,
) -> list[DescentResult]:
    """Search the cells below the coarse ones.

    Args:
        queries: (N, dim) float32, unit length.
        coarse: for each query its coarse cells; at least one.
        res: the resolution of the answer, from one below the coarse cells to 11.
        k: how many cells the caller wants; cells are not encoded once they cannot be among the best k.
        encode: of the model, for a few cells.
        ranking: what cells are ranked by.
        effort: beams and margins.
        hints: what is stored of the coarse cells' children.
        smooth_res: from this resolution on, the scores of siblings give those of their children.

    Returns:
        For each query what was found. A query gets the same alone or among others.

    Raises:
        ValueError: `res` is out of range.
    """
    if not len(queries):
        return []
    owners = np.repeat(np.arange(len(queries)), [len(cells.cells) for cells in coarse])
    level = _Level(owners, _joined(coarse), np.zeros(len(owners), np.bool_))
    top = resolution(coarse[0].cells[:1])
    if not top < res <= FINEST_ANSWER:
        raise ValueError(f"The resolution of the answer is {res}; choose {top + 1} to {FINEST_ANSWER}.")
    encodings = np.zeros(len(queries), np.int64)
    kept = []
    for depth in range(res - top):
        step, here = effort.step(depth), top + depth
        opened, others = level.opened(max(step.beam, -(-k // 7)), len(queries))
        kept.append(others.split(len(queries)))
        if not len(opened.owners):
            level = opened
            continue
        if depth == 0 and hints is not None:
            told = hints.children_scores(opened.scored.cells, opened.scored.scores, queries, opened.owners)
            estimates = _Estimates(told, np.zeros(len(told), np.bool_))
        else:
            estimates = _from_siblings(opened, level, here, smooth=here >= smooth_res and not effort.encodes_all)
        level = _children(opened, estimates, ranking, step, k, len(queries))
        level = _encoded(level, queries, encode)
        encodings += np.bincount(level.owners, level.encoded, len(queries)).astype(np.int64)
    finest = level.split(len(queries))
    return [
        DescentResult((*levels, last), int(count))
        for *levels, last, count in zip(*kept, finest, encodings, strict=True)
    ]


def _from_siblings(opened: _Level, level: _Level, res: int, *, smooth: bool) -> _Estimates:
    """Estimate what children score from what their parents and, where that is enough, their parents' siblings do."""
    scores = np.repeat(opened.scored.scores[:, None], 7, axis=1)
    sure = np.zeros(len(scores), np.bool_)
    inside = np.flatnonzero(opened.encoded)
    if smooth and len(inside):
        known = level.part(level.encoded)
        cells, owners = opened.scored.cells[inside], opened.owners[inside]
        fine, told = children_scores(cells, known.scored.cells, known.scored.scores, res, owners, known.owners)
        scores[inside[told]], sure[inside] = fine[told], told
    return _Estimates(scores, sure)


def _children(opened: _Level, estimates: _Estimates, ranking: Ranking, step: Step, k: int, queries: int) -> _Level:
    """Return the children of opened cells with their estimates, and which of them are worth encoding."""
    offspring = _Offspring.of(np.unique(opened.scored.cells), ranking)
    rows, parent = offspring.of_parents(opened.scored.cells)
    below = offspring.base.part(rows)
    scores = estimates.scores[parent, digits(below.cells, resolution(below.cells[:1]))]
    scored = below.with_scores(scores)._replace(sure=estimates.sure[parent])
    level = _Level(opened.owners[parent], scored, np.zeros(len(rows), np.bool_))
    return level._replace(encoded=_worth_encoding(level, step, k, queries))


def _worth_encoding(level: _Level, step: Step, k: int, queries: int) -> NDArray[np.bool_]:
    """Return which cells to encode: the best by their estimates, as far down as they may be among the best k."""
    scored = level.scored
    order, better = level.best_first(np.flatnonzero(np.isfinite(scored.ranks)), queries)
    owners = level.owners[order]
    last = np.full(queries, np.inf)
    np.minimum.at(last, owners[better < k], scored.ranks[order[better < k]])
    order = order[~scored.sure[order] & (scored.ranks[order] >= last[owners] - step.margin)]
    better = np.arange(len(order)) - np.searchsorted(level.owners[order], np.arange(queries))[level.owners[order]]
    result = np.zeros(len(level.owners), np.bool_)
    result[order[better < max(step.most, k)]] = True
    return result


def _encoded(level: _Level, queries: NDArray[np.float32], encode: Encode) -> _Level:
    """Return the level with the scores of the cells that are to be encoded, each encoded once for all queries."""
    rows = np.flatnonzero(level.encoded)
    if not len(rows):
        return level
    distinct, at = np.unique(level.scored.cells[rows], return_inverse=True)
    vectors = encode(centres(distinct))
    scores, sure = level.scored.scores.copy(), level.scored.sure | level.encoded
    bounds = np.searchsorted(level.owners[rows], np.arange(len(queries) + 1))
    for query, start, stop in zip(queries, bounds[:-1], bounds[1:], strict=True):
        scores[rows[start:stop]] = vectors[at[start:stop]] @ query
    return level._replace(scored=level.scored.rescored(scores)._replace(sure=sure))
