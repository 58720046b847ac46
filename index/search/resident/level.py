"""The cells of one resolution that were scored for the queries of a batch, on the device."""

from typing import NamedTuple

import torch
from torch import Tensor

from index.search.efforts import Step
from index.search.resident.stored import PriorState


class Level(NamedTuple):
    """A row a query, a column a cell. In a row real cells ascend by id, so that sorting by rank alone is stable in it.

    Below the coarse level the columns are families: the seven children of one parent, by digit.
    """

    cells: Tensor
    """(N, M) int64."""
    real: Tensor
    """(N, M) bool: elsewhere there is no cell."""
    scores: Tensor
    """(N, M) float32."""
    base: Tensor
    """(N, M) float64, what is added to scores to rank by: the prior's bonus; -inf outside the region and where there is
    no cell."""
    prior: PriorState
    """(N, M)"""
    sure: Tensor
    """(N, M) bool, whether the score is the encoder's or as good."""
    encoded: Tensor
    """(N, M) bool"""
    beside: Tensor
    """(N, M) bool, of cells that were encoded: whether the antimeridian is near."""

    @property
    def ranks(self) -> Tensor:
        """(N, M) float64."""
        return self.base + self.scores

    def best(self, count: int) -> "Best":
        """Return each query's best cells, at most so many, of those whose scores are sure."""
        ranks = self.ranks.masked_fill(~self.sure, -torch.inf)
        ranks, order = ranks.sort(dim=1, descending=True, stable=True)
        width = self.cells.shape[1]
        columns = order.masked_fill(ranks.isneginf(), width)[:, : min(count, width)].sort(dim=1).values
        chosen = torch.zeros(len(columns), width + 1, dtype=torch.bool, device=columns.device)
        chosen.scatter_(1, columns, True)
        return Best(columns.clamp(max=max(width - 1, 0)), columns < width, chosen[:, :width])

    def worth_encoding(self, step: Step, k: int) -> Tensor:
        """Return which cells to encode: the best by their estimates, as far down as they may be among the best k."""
        ranks, order = self.ranks.sort(dim=1, descending=True, stable=True)
        finite = ranks.isfinite()
        last = ranks.gather(1, finite.sum(dim=1, keepdim=True).clamp_(1, k) - 1)
        wanted = finite & ~self.sure.gather(1, order) & (ranks >= last - step.margin)
        wanted &= wanted.cumsum(dim=1) <= max(step.most, k)
        return torch.zeros_like(wanted).scatter_(1, order, wanted)


class Best(NamedTuple):
    """Cells chosen from a level."""

    columns: Tensor
    """(N, C) int64 ascending."""
    real: Tensor
    """(N, C) bool: elsewhere a query has fewer."""
    chosen: Tensor
    """(N, M) bool, the same of all cells of the level."""
