"""Descent: from the best coarse cells down the H3 tree to the asked resolution, encoding cells as it needs them.

A beam search. At each level the children of the kept cells are encoded, in one batch for all queries that need them,
and scored; the best are kept. It is adaptive: a level's cells are opened best first, in waves, and a cell whose score
lies too far below the best children found so far is not opened at all. How far is too far, and how wide the beams are,
was measured (`index/search/efforts.py`).
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
from index.search.efforts import Effort

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
        return Scored(cells, np.zeros(len(cells), np.float32), ranks, log_prior)


class Scored(NamedTuple):
    """Cells of one resolution that were scored for one query, in no order."""

    cells: Cells
    scores: NDArray[np.float32]
    """Cosine to the cell's centre, or to its representative at the coarse resolution."""
    ranks: NDArray[np.float64]
    """Score plus weight / tau * log prior: what cells are ranked by; -inf outside the region."""
    log_prior: NDArray[np.float64]
    """Log prior mass; 0 where the prior has no weight."""

    def part(self, rows: slice | NDArray[np.int64]) -> "Scored":
        """Return some of them."""
        return Scored(self.cells[rows], self.scores[rows], self.ranks[rows], self.log_prior[rows])

    def with_scores(self, scores: NDArray[np.float32]) -> "Scored":
        """Return cells that scored 0 until now with these scores."""
        return self._replace(scores=scores, ranks=self.ranks + scores)

    def rescored(self, scores: NDArray[np.float32]) -> "Scored":
        """Return the cells with other scores, ranked accordingly."""
        return self._replace(scores=scores, ranks=self.ranks - self.scores + scores)


def _joined(parts: Sequence[Scored]) -> Scored:
    cells, scores, ranks, log_prior = zip(*parts, strict=True)
    return Scored(np.concatenate(cells), np.concatenate(scores), np.concatenate(ranks), np.concatenate(log_prior))


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


class _Query:
    """One query on its way down."""

    def __init__(self, vector: NDArray[np.float32], coarse: Scored) -> None:
        self.vector = vector
        self.levels = [coarse]
        self.encodings = 0

    def begin_level(self, beam: int) -> None:
        """Order the level's cells and make the best ones candidates for opening."""
        now = self.levels[-1]
        order = np.lexsort((now.cells, -now.ranks))
        self.levels[-1] = now.part(order)
        self.candidates = min(beam, int(np.isfinite(now.ranks).sum()))
        self.opened = 0
        self.found: list[Scored] = []

    def next_wave(self, size: int, k: int, margin: float) -> Cells:
        """Return the cells to be opened next: the best that are left and not hopeless; empty when the level is done."""
        now = self.levels[-1]
        stop = min(self.opened + size, self.candidates)
        ranks = now.ranks[self.opened : stop]
        if self.found:
            best = np.sort(np.concatenate([found.ranks for found in self.found]))
            stop = self.opened + int((ranks >= best[-min(k, len(best))] - margin).sum())
        wave = now.cells[self.opened : stop]
        self.opened = stop
        return wave

    def end_level(self) -> None:
        """Keep what was not opened, and go on with what was found."""
        now = self.levels[-1]
        self.levels[-1] = now.part(slice(self.opened, None))
        self.levels.append(_joined([now.part(slice(0, 0)), *self.found]))


def descend(
    queries: NDArray[np.float32],
    coarse: Sequence[Scored],
    res: int,
    k: int,
    encoder: Encoder,
    ranking: Ranking,
    effort: Effort,
) -> list[DescentResult]:
    """Search the cells below the coarse ones.

    Args:
        queries: (N, dim) float32, unit length.
        coarse: for each query its coarse cells; at least one.
        res: the resolution of the answer, from one below the coarse cells to 11.
        k: how many cells the caller wants; cells are not opened once they cannot be among the best k.
        encoder: of the model.
        ranking: what cells are ranked by.
        effort: beams and margins.

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
            state.begin_level(max(step.beam, -(-k // 7)))
        waiting = states
        while waiting:
            waves = [(state, state.next_wave(step.wave, k, step.margin)) for state in waiting]
            waves = [(state, wave) for state, wave in waves if len(wave)]
            _open(waves, encoder, ranking)
            waiting = [state for state, _ in waves]
        for state in states:
            state.end_level()
    return [DescentResult(tuple(state.levels), state.encodings) for state in states]


def _open(waves: list[tuple[_Query, Cells]], encoder: Encoder, ranking: Ranking) -> None:
    """Encode the children of all waves' cells, each once, and score them for the queries that want them."""
    if not waves:
        return
    distinct = np.unique(np.concatenate([wave for _, wave in waves]))
    level = resolution(distinct[:1]) + 1
    offspring = children(distinct, level)
    ends = np.cumsum(children_counts(distinct, level))
    vectors = encoder.nearby(centres(offspring), math.inf, steady=False)
    base = ranking.base(offspring)
    for state, wave in waves:
        at = np.searchsorted(distinct, wave)
        rows = np.concatenate([np.arange(ends[i - 1] if i else 0, ends[i]) for i in at.tolist()])
        state.found.append(base.part(rows).with_scores(vectors[rows] @ state.vector))
        state.encodings += len(rows)
