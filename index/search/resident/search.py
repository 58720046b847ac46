"""A batch of queries searched on a GPU: coarse cells and descent without a copy in between."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.encoder import Encoder
from index.grid.region import Region
from index.search.descent import Ranking
from index.search.efforts import named
from index.search.engine.tree import TreeEngine
from index.search.hits import QueryScores
from index.search.question import Question, coarse_count, wanted_cells
from index.search.resident.coarse import ResidentCoarse
from index.search.resident.descent import Descent, ResidentRanking
from index.search.resident.level import Level
from index.search.resident.stored import PriorState, ResidentNodes, ResidentPrior, ResidentRegion, ResidentSlopes, moved
from index.storage.contents import IndexContents

_AT_ONCE = 1024
"""Queries that go down together, where memory allows."""
_CELLS = 1 << 23
"""Cells of one level for all queries together: a level keeps 42 bytes of each, and sorting as much again."""


class ResidentSearch:
    """An index in a GPU's memory; 5.3 GB for `planet`, see the arrays. On a CPU it is for tests.

    Args:
        contents: the index.
        device: `cpu`, `cuda` or `cuda:N`.
        encoder: of the index's model, best on the same device.

    Raises:
        BadIndexError: the index is damaged: all of it is read.
    """

    def __init__(self, contents: IndexContents, device: str, encoder: Encoder) -> None:
        self.engine = ResidentCoarse(TreeEngine(contents), device)
        self._coarse_res, there = contents.manifest.coarse_res, self.engine.device
        self._slopes = ResidentSlopes(contents.slopes, len(contents.cells), there)
        self._prior = ResidentPrior(contents.prior, self._coarse_res, there)
        self._cells, self._lengths = moved(contents.cells.view(np.int64), there), moved(contents.lengths, there)
        nodes = ResidentNodes(contents.nodes, there) if len(contents.nodes) else None
        self._descent = Descent(
            lambda lat_lng: encoder.quickly_on_device(lat_lng, nodes),
            self._coarse_res,
            contents.manifest.smooth_res,
            there,
        )
        self._region = lru_cache(maxsize=4)(lambda region: ResidentRegion.of(region, there))
        self._bonus = lru_cache(maxsize=4)(self._make_bonus)

    def at_once(self, question: Question) -> int:
        """Return how many queries are searched together."""
        effort = named(question.effort, self._coarse_res)
        depth = question.resolution - self._coarse_res
        below: int = 7 ** (depth if effort.encodes_all else min(depth, 1))
        cells = coarse_count(question, effort, len(self._cells)) * below
        return min(max(_CELLS // cells, 1), _AT_ONCE)

    @torch.inference_mode()
    def batch(self, queries: NDArray[np.float32], question: Question, ranking: Ranking) -> list[QueryScores]:
        """See `index.search.batches.BatchSearch.batch`."""
        effort = named(question.effort, self._coarse_res)
        asked = torch.from_numpy(queries).to(self.engine.device)
        weight = ranking.weight / ranking.tau
        bonus = None if not weight and question.region is None else self._bonus(weight, question.region)
        found = self.engine.found(asked, coarse_count(question, effort, len(self._cells)), bonus)
        own = ResidentRanking(
            weight,
            self._prior if weight else None,
            None if question.region is None else self._region(question.region),
        )
        level, rows = self._coarse(found.rows, found.scores, own)
        results = self._descent.run(
            asked,
            level,
            lambda columns: self._hints(rows.gather(1, columns), level.scores.gather(1, columns), asked),
            question.resolution,
            wanted_cells(question),
            own,
            effort,
        )
        start_scores = found.start_scores.cpu().numpy()
        return [QueryScores(*own, ()) for own in zip(queries, results, start_scores, strict=True)]

    def _coarse(self, found: Tensor, scores: Tensor, ranking: ResidentRanking) -> tuple[Level, Tensor]:
        """Return the coarse cells as a level, and their rows."""
        most = int((found >= 0).sum(dim=1).max())  # in a small region there may be far fewer than asked for
        rows, order = found.masked_fill(found < 0, len(self._cells)).sort(dim=1)
        rows, scores = rows[:, :most], scores.gather(1, order)[:, :most]
        real = rows < len(self._cells)
        rows, scores = rows.masked_fill(~real, 0), scores.masked_fill(~real, 0.0)
        cells, prior = self._cells[rows], self._prior.of_coarse(rows)
        if ranking.prior is None:
            zeros = torch.zeros_like(prior.log_mass)
            prior = PriorState(zeros, zeros)
        no = torch.zeros_like(real)
        base = ranking.base(prior, real, cells, self._coarse_res)
        return Level(cells, real, scores, base, prior, real, no, no), rows

    def _hints(self, rows: Tensor, scores: Tensor, queries: Tensor) -> Tensor:
        """Return about what the children (N, B, 7) of coarse cells (N, B) score."""
        lengths = self._lengths[rows]
        means = scores * lengths
        best = means + ((1 - lengths**2) * (1 - scores**2)).clamp_(min=0).sqrt_()  # that a child can score
        told, known = self._slopes.told(rows, queries)
        return torch.where(known, means, best)[..., None] + told

    def _make_bonus(self, weight: float, region: Region | None) -> Tensor:
        """Return what is added to the coarse cells' scores (cells,) before they are ranked."""
        bonus = (weight * self._prior.coarse_log_mass).float()
        if region is not None:
            bonus.masked_fill_(~self._region(region).overlaps(self._cells, self._coarse_res), -torch.inf)
        return bonus
