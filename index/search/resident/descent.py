"""The descent of `index/search/descent.py` for a whole batch on the device: the same rules, a few operations a level.

Cells stand in a table, a row a query, filled up where queries have fewer. Cells to be encoded are taken together, each
once: neighbours among the queries share them, and looking for doubles costs less than encoding them. Nothing comes back
to the host but how many cells there are to encode, until the descent is done.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from index.grid.siblings import BESIDE_ANTIMERIDIAN, sibling_weights
from index.search.descent import DescentResult, Scored
from index.search.efforts import Effort
from index.search.resident.cells import ABSENT, CHILDREN, children, pentagon_numbers, pentagons
from index.search.resident.centres import Table
from index.search.resident.level import Level
from index.search.resident.stored import PriorState, ResidentPrior, ResidentRegion

Encode = Callable[[Tensor], Tensor]
"""Degrees (N, 2) float64, latitude and longitude, in; unit vectors (N, dim) float32 out, on the same device."""

_PAIRS = 1 << 18
"""Cells and queries multiplied at once: 0.5 GB of vectors."""


class ResidentRanking(NamedTuple):
    """How cells are ranked; see `index.search.descent.Ranking`."""

    weight: float
    """Of the log prior: the prior's weight divided by tau."""
    prior: ResidentPrior | None
    """None where it has no weight."""
    region: ResidentRegion | None

    def base(self, prior: PriorState, real: Tensor, cells: Tensor, res: int) -> Tensor:
        """Return the ranks (N, M) of cells as if all scores were 0."""
        forbidden = ~real if self.region is None else ~(real & self.region.overlaps(cells, res))
        return (self.weight * prior.log_mass).masked_fill_(forbidden, -torch.inf)


class Descent:
    """Goes down from coarse cells.

    Args:
        encode: of the model, for cells.
        top: the coarse resolution.
        smooth_res: from this resolution on, the scores of siblings give those of their children.
        device: where it computes.
    """

    def __init__(self, encode: Encode, top: int, smooth_res: int, device: torch.device) -> None:
        self._encode, self._top, self._smooth_res = encode, top, smooth_res
        self._centres, self._pentagons = Table.on(device), pentagon_numbers(device)
        self._absent = torch.arange(CHILDREN, device=device) == ABSENT

    def run(
        self,
        queries: Tensor,
        coarse: Level,
        hints: Callable[[Tensor], Tensor],
        res: int,
        k: int,
        ranking: ResidentRanking,
        effort: Effort,
    ) -> list[DescentResult]:
        """Search the cells below the coarse ones; for each query what was found, on the host.

        Args:
            queries: (N, dim) float32.
            coarse: the coarse cells of each query.
            hints: what the children (N, B, 7) of coarse cells score, about, by the columns (N, B) of these.
            res: the resolution of the answer, from the coarse one on.
            k: how many cells the caller wants.
            ranking: what cells are ranked by.
            effort: beams and margins.
        """
        level, levels, kept = coarse, list[Level](), list[Tensor]()
        for depth in range(res - self._top):
            step, here = effort.step(depth), self._top + depth
            columns, real, chosen = level.best(max(step.beam, -(-k // CHILDREN)))
            levels.append(level)
            kept.append(level.real & ~chosen)
            if depth:
                told, sure = self._from_siblings(level, columns, here, smooth=not effort.encodes_all)
            else:
                told, sure = hints(columns), torch.zeros_like(real)
            level = self._children(level, columns, real, here, ranking)
            level = level._replace(
                scores=told.flatten(1).masked_fill(~level.real, 0.0),
                sure=sure[..., None].expand(told.shape).flatten(1) & level.real,
            )
            level = self._scored(level._replace(encoded=level.worth_encoding(step, k)), queries, here + 1)
        return _on_host([*levels, level], [*kept, level.real])

    def _from_siblings(self, level: Level, columns: Tensor, res: int, *, smooth: bool) -> tuple[Tensor, Tensor]:
        """Estimate what children (N, C, 7) score, and which (N, C) parents tell that as well as encoding would."""
        own = level.scores.gather(1, columns)[..., None].expand(*columns.shape, CHILDREN)
        if not smooth or res < self._smooth_res:
            return own, torch.zeros_like(columns, dtype=torch.bool)
        family, digit = columns // CHILDREN, columns % CHILDREN
        shape = (len(columns), -1, CHILDREN)
        whole = level.encoded.view(shape).all(dim=2) & ~level.beside.view(shape).any(dim=2)
        known = whole.gather(1, family)
        siblings = level.scores.view(shape).gather(1, family[..., None].expand_as(own))
        weights = torch.from_numpy(sibling_weights(res)).to(columns.device)[digit]
        told = (weights @ siblings[..., None])[..., 0]
        return torch.where(known[..., None], told, own), known

    def _children(self, level: Level, columns: Tensor, real: Tensor, res: int, ranking: ResidentRanking) -> Level:
        """Return the children of some cells, not scored yet."""
        above = level.cells.gather(1, columns)
        cells, five = children(above, res), pentagons(above, res, self._pentagons)
        there = real[..., None] & ~(five[..., None] & self._absent)
        if ranking.prior is None:
            zeros = torch.zeros(cells.shape, dtype=torch.float64, device=cells.device)
            prior = PriorState(zeros, zeros)
        else:
            parent = PriorState(*(part.gather(1, columns) for part in level.prior))
            prior = ranking.prior.of_children(parent, five, cells, res + 1)
        cells, there, prior = cells.flatten(1), there.flatten(1), PriorState(*(part.flatten(1) for part in prior))
        no = torch.zeros_like(there)
        base = ranking.base(prior, there, cells, res + 1)
        return Level(cells, there, torch.zeros_like(base, dtype=torch.float32), base, prior, no, no, no)

    def _scored(self, level: Level, queries: Tensor, res: int) -> Level:
        """Return the level with the scores of the cells that are to be encoded, each encoded once for all queries."""
        query, column = level.encoded.nonzero(as_tuple=True)
        if not len(query):
            return level
        cells, at = level.cells[query, column].unique(return_inverse=True)  # type: ignore[no-untyped-call]
        lat_lng = self._centres.lat_lng(cells, res)
        vectors, scores, beside = self._encode(lat_lng), level.scores.clone(), torch.zeros_like(level.encoded)
        for start in range(0, len(query), _PAIRS):
            some = slice(start, start + _PAIRS)
            scores[query[some], column[some]] = (vectors[at[some]] * queries[query[some]]).sum(dim=1)
        beside[query, column] = (lat_lng[:, 1].abs() > BESIDE_ANTIMERIDIAN)[at]
        return level._replace(scores=scores, sure=level.sure | level.encoded, beside=beside)


def _on_host(levels: list[Level], kept: list[Tensor]) -> list[DescentResult]:
    """Bring the kept cells of all levels back, for each query."""
    encodings = torch.stack([level.encoded.sum(dim=1) for level in levels]).sum(dim=0).tolist()
    by_level = [_split(level, real) for level, real in zip(levels, kept, strict=True)]
    return [DescentResult(tuple(of_query), int(count)) for *of_query, count in zip(*by_level, encodings, strict=True)]


def _split(level: Level, kept: Tensor) -> list[Scored]:
    own = kept.flatten().nonzero()[:, 0]
    columns = (level.cells, level.scores, level.ranks, level.prior.log_mass, level.sure)
    cells, *rest = (column.flatten()[own].cpu().numpy() for column in columns)
    whole = Scored(cells.view(np.uint64), *rest)
    ends = kept.sum(dim=1).cumsum(dim=0).tolist()
    return [whole.part(slice(start, stop)) for start, stop in zip([0, *ends], ends, strict=False)]
