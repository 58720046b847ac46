"""Descent: from the best coarse cells down the H3 tree to the asked resolution, encoding few cells.

At each level the best cells are opened. Their children are ranked by an estimate that costs nothing: from the slopes
that are stored of a coarse cell, from the scores of a cell's siblings where the encoder is smooth enough for that, or
else from the parent's score. Then those are encoded, best first, that the estimate does not rule out, in one batch for
all queries; where siblings tell as much as encoding in bf16 would, none is. What was not encoded keeps its estimate.
How far the estimates can be trusted was measured (`index/search/efforts.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
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
        self, query: NDArray[np.float32], cells: Cells, scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return about what the children (R, 7), by digit, of coarse cells score, from the cells' own scores (R,)."""


class _Query:
    """One query on its way down."""

    def __init__(self, vector: NDArray[np.float32], coarse: Scored) -> None:
        self.vector = vector
        self.levels: list[Scored] = []
        self.now = coarse
        """The cells of the present level."""
        self.encoded = np.zeros(len(coarse.cells), np.bool_)
        """Which of them were."""
        self.encodings = 0

    def open(self, beam: int) -> None:
        """Take the best cells to be opened, and keep the others as they are."""
        possible = np.flatnonzero(self.now.sure & np.isfinite(self.now.ranks))
        best = possible[np.lexsort((self.now.cells[possible], -self.now.ranks[possible]))[:beam]]
        kept = np.ones(len(self.now.cells), np.bool_)
        kept[best] = False
        self.levels.append(self.now.part(kept))
        self.opened = self.now.part(best)

    def estimates(self, hints: CoarseHints | None, res: int, smooth: bool) -> "_Estimates":
        """Estimate the scores of the opened cells' children, (R, 7) by digit."""
        cells, scores = self.opened.cells, self.opened.scores
        if hints is not None:
            return _Estimates(hints.children_scores(self.vector, cells, scores), np.zeros(len(cells), np.bool_))
        rough = np.repeat(scores[:, None], 7, axis=1)
        if not smooth or not self.encoded.any():
            return _Estimates(rough, np.zeros(len(cells), np.bool_))
        siblings = self.now.part(self.encoded)
        inside = np.isin(cells, siblings.cells)
        fine, sure = np.zeros_like(rough), np.zeros(len(cells), np.bool_)
        fine[inside], sure[inside] = children_scores(cells[inside], siblings.cells, siblings.scores, res)
        return _Estimates(np.where(sure[:, None], fine, rough), sure)


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
    encoder: Encoder,
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
        encoder: of the model.
        ranking: what cells are ranked by.
        effort: beams and margins.
        hints: what is stored of the coarse cells' children.
        smooth_res: from this resolution on, the scores of siblings give those of their children.

    Returns:
        For each query what was found. A query gets the same alone or among others.

    Raises:
        ValueError: `res` is out of range.
    """
    states = [_Query(vector, cells) for vector, cells in zip(queries, coarse, strict=True)]
    if not states:
        return []
    top = resolution(coarse[0].cells[:1])
    if not top < res <= FINEST_ANSWER:
        raise ValueError(f"The resolution of the answer is {res}; choose {top + 1} to {FINEST_ANSWER}.")
    for level in range(top, res):
        step = effort.step(level - top)
        for state in states:
            state.open(max(step.beam, -(-k // 7)))
        smooth = level >= smooth_res and not effort.encodes_all
        _next_level(states, step, k, encoder, ranking, hints if level == top else None, level, smooth)
    return [DescentResult((*state.levels, state.now), state.encodings) for state in states]


def _next_level(
    states: list[_Query],
    step: Step,
    k: int,
    encoder: Encoder,
    ranking: Ranking,
    hints: CoarseHints | None,
    res: int,
    smooth: bool,
) -> None:
    """Go down from the opened cells to their children, and encode the most promising, each once for all queries."""
    opened = np.unique(np.concatenate([state.opened.cells for state in states]))
    if not len(opened):
        for state in states:
            state.now, state.encoded = state.opened, np.zeros(0, np.bool_)
        return
    offspring = _Offspring.of(opened, ranking)
    chosen = [np.zeros(0, np.int64)]
    for state in states:
        rows, owners = offspring.of_parents(state.opened.cells)
        estimates = state.estimates(hints, res, smooth)
        below = offspring.base.part(rows)
        scores = estimates.scores[owners, digits(below.cells, res + 1)]
        state.now = below.with_scores(scores)._replace(sure=estimates.sure[owners])
        state.encoded = _worth_encoding(state.now, step, k)
        state.encodings += int(state.encoded.sum())
        chosen.append(rows[state.encoded])
    distinct, at = np.unique(np.concatenate(chosen), return_inverse=True)
    if not len(distinct):
        return
    vectors = encoder.nearby(centres(offspring.base.cells[distinct]), math.inf, few=True)
    stops = np.cumsum([len(rows) for rows in chosen])
    for state, start, stop in zip(states, stops[:-1], stops[1:], strict=True):
        scores = state.now.scores.copy()
        scores[state.encoded] = vectors[at[start:stop]] @ state.vector
        state.now = state.now.rescored(scores)._replace(sure=state.now.sure | state.encoded)


def _worth_encoding(estimated: Scored, step: Step, k: int) -> NDArray[np.bool_]:
    """Return which cells to encode: the best by their estimates, as far down as they may be among the best k."""
    result = np.zeros(len(estimated.cells), np.bool_)
    possible = np.isfinite(estimated.ranks)
    ranked = np.sort(estimated.ranks[possible])[::-1]
    if not len(ranked):
        return result
    least = ranked[min(k, len(ranked)) - 1] - step.margin
    candidates = np.flatnonzero(possible & ~estimated.sure & (estimated.ranks >= least))
    best = np.lexsort((estimated.cells[candidates], -estimated.ranks[candidates]))[: max(step.most, k)]
    result[candidates[best]] = True
    return result
