"""Probabilities: what a search found, turned into a distribution over the whole planet, summed up the H3 tree.

The posterior of a finest cell is proportional to exp(tau * score) times its prior mass to the power of the prior's
weight. It is exact for the cells that a descent scored at the asked resolution. Everywhere else it is an estimate, and
counted as one (`Posterior.estimated`): a cell that was scored at a coarser level, from its centre; a coarse cell, from
its representative; cells that the walk to the coarse cells scored and passed by, from theirs; the rest of the planet,
from the representatives of the start level, which are all scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells, children, children_counts, first_id, parents, resolution, resolutions
from index.grid.region import Region
from index.grid.sphere import Floats
from index.search.cell_tree import CellTree, Leaves
from index.search.descent import DescentResult, Ranking, Scored
from index.search.land import Land, Walked

SPREAD = 0.003
"""Variance of the score inside a cell, per unit of 1 - length^2: what a representative does not say about the cells
below it. Isotropic vectors would give 1 / 512; measured by `benchmarks/posterior.py`."""


@dataclass(frozen=True)
class Posterior:
    """A distribution over disjoint cells of several resolutions that cover the land."""

    cells: Cells
    """(L,) sorted by resolution, coarse to fine; those of the finest resolution were scored."""
    mass: Floats
    """(L,) probabilities; together 1."""
    finest: int
    """The resolution that was asked for."""
    unsure: float = 0.0
    """The probability of cells of the finest resolution whose scores are estimates."""

    @property
    def estimated(self) -> float:
        """The probability of all cells that were not scored at the finest resolution."""
        return float(self.mass[: self.first_finest].sum()) + self.unsure

    @property
    def first_finest(self) -> int:
        """The first row of the cells of the finest resolution, which come last."""
        return int(np.searchsorted(self.cells, first_id(self.finest)))  # no other bits weigh as much

    def at(self, res: int) -> tuple[Cells, Floats]:
        """Return cells and their probabilities, largest first, summed up to `res`.

        A cell that is coarser than `res` stays as it is and stands for that part of it that was not scored finer; so
        the probabilities always add up to 1.
        """
        up = self._leaves.cells[np.flatnonzero(self._leaves.begins <= res)]
        deep = resolutions(up) > res
        up[deep] = parents(up[deep], res)
        sums = self.sums_at(res)
        by_mass = np.lexsort((up, -sums))
        return up[by_mass], sums[by_mass]

    def sums_at(self, res: int) -> Floats:
        """Return the probabilities that `at` returns, in the order of the tree."""
        return self._leaves.sums_at(res)

    def within(self, region: Region) -> "Posterior":
        """Return the same with cells that lie partly in a region divided: their probability is in the parts inside.

        A search finds cells that overlap a region; those that were not scored finer can reach far beyond it.
        """
        levels = resolutions(self.cells)
        partly = (levels < self.finest - 1) & region.overlaps(self.cells) & (~region).overlaps(self.cells)
        cells, mass = [self.cells[~partly]], [self.mass[~partly]]
        for res in np.unique(levels[partly]).tolist():
            whole = np.flatnonzero(partly & (levels == res))
            fine = min(res + 2, self.finest - 1)  # the finest are those that were scored
            parts = children(self.cells[whole], fine)
            owner = np.repeat(np.arange(len(whole)), children_counts(self.cells[whole], fine))
            inside = region.contains(parts)
            lost = np.bincount(owner, inside, len(whole)) == 0
            inside |= lost[owner] & region.overlaps(parts)
            counts = np.bincount(owner, inside, len(whole))
            cells.append(parts[inside])
            mass.append((self.mass[whole] / counts)[owner[inside]])
        joined, masses = np.concatenate(cells), np.concatenate(mass)
        order = np.argsort(resolutions(joined), kind="stable")
        return Posterior(joined[order], masses[order], self.finest, self.unsure)

    def unread(self) -> "Posterior":
        """Return the same with nothing that is remembered of reading it, some hundred KB."""
        return replace(self)

    def tree(self, least: float) -> list[tuple[Cells, Floats]]:
        """Return the cells with at least `least` probability, by resolution from 0 to the finest, each sorted by id.

        A cell's probability is that of all leaves below it; a leaf has no children here, so where the planet was not
        scored finer the tree ends.
        """
        return self._tree(least).heavy(least)

    def condensed(self, least: float) -> "Posterior":
        """Return the same with fewer cells: several leaves in a cell with less than `least` probability are joined.

        Condensed to more afterwards, it is what it would be if condensed to that at once.
        """
        cells, mass = self._tree(least).joined(least)
        return replace(self, cells=cells, mass=mass)

    @cached_property
    def joined(self) -> "Posterior":
        """The same with light leaves joined, so that it is quick to read; no cell with `LISTED` or more is lost."""
        if (least := self._light.least) == _LIGHT:
            many = self._light.count(_LIGHT) / _QUICK  # so that about as few are left as wanted
            least = min(_LIGHT * max(many, 1.0) ** 2.5, LISTED)
        cells, mass = self._light.joined(least)
        return replace(self, cells=cells, mass=mass)

    def _tree(self, least: float) -> CellTree:
        """Return the cells above the leaves, those of at least so much probability among them."""
        if least >= self._light.least:
            return self._light
        return CellTree.of(self._leaves, self.finest, least)

    @cached_property
    def _light(self) -> CellTree:
        """The tree of what `joined` needs: where that is sure to have many cells, those with `LISTED` alone."""
        many = _QUICK * (LISTED / _LIGHT) ** 0.4
        return CellTree.of(self._leaves, self.finest, _LIGHT, many=many, least_of_many=LISTED)

    @cached_property
    def _leaves(self) -> Leaves:
        return Leaves.of(self.cells, self.mass)

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """(L,) resolutions of the cells."""
        return resolutions(self.cells)


_LIGHT = 1e-4
_QUICK = 1500
LISTED = 1e-3
"""The least probability of a cell that is told alone. To join what is lighter changes the radius of a 50 % circle by
0.1 % and the probability within a distance by 0.0002 (medians)."""


def posterior(
    found: DescentResult,
    start_scores: NDArray[np.float32],
    walked: Sequence[Walked],
    land: Land,
    ranking: Ranking,
    finest: int,
) -> Posterior:
    """Return the distribution that a descent and the scores of the stored levels give.

    Args:
        found: of one query.
        start_scores: (S,) of the start cells' representatives.
        walked: leaves among the cells of the levels below the start level, to the coarse one; of none or of all levels.
        land: the planet, for the resolution and region of `found`.
        ranking: tau, the prior with its weight, and the region.
        finest: the resolution that was asked for.
    """
    start, *between = land.above
    leaves = list[_Leaves]()
    for stored, (rows, scores) in zip(between, walked, strict=False):
        inside = _inside(scores, stored.lengths[rows], ranking.tau)
        log_mass, prior_mass = stored.log_mass[rows], stored.prior_mass[rows]
        counts, starts = stored.counts[rows], stored.start_rows[rows]
        leaves.append(_Leaves(stored.cells[rows], inside, log_mass, prior_mass, counts, starts))
    for rows, scores in walked[len(between) :]:
        own, log_mass, inside = land.coarse[rows], land.log_mass[rows], _inside(scores, land.lengths[rows], ranking.tau)
        leaves.append(_Leaves(own, inside, log_mass, np.exp(log_mass), _counts(own, finest), land.start_rows[rows]))
    leaves += (_of_descent(level, land, ranking, finest, coarse=not depth) for depth, level in enumerate(found.levels))
    cells, inside, log_mass, prior_mass, counts, starts = map(np.concatenate, zip(*leaves, strict=True))
    rest = start.counts - np.bincount(starts, counts, len(start.cells))
    open_ = np.flatnonzero(rest > 0.5)
    left = np.maximum(start.prior_mass - np.bincount(starts, prior_mass, len(start.cells)), 1e-300)[open_]
    inside = np.concatenate((_inside(start_scores[open_], start.lengths[open_], ranking.tau), inside))
    log_mass, counts = np.concatenate((np.log(left), log_mass)), np.concatenate((rest[open_], counts))
    logits = ranking.tau * inside + _log_base(log_mass, counts, ranking.weight)
    mass = np.exp(logits - logits.max())
    mass /= mass.sum()
    last = found.finest
    unsure = float(mass[len(mass) - len(last.cells) :][~last.sure].sum()) if len(found.levels) > 1 else 0.0
    return Posterior(np.concatenate((start.cells[open_], cells)), mass, finest, unsure)


class _Leaves(NamedTuple):
    """Disjoint cells, each with what is known of it."""

    cells: Cells
    inside: Floats
    """1 / tau * log mean exp(tau * score) over the finest cells in it; -inf outside the region."""
    log_mass: Floats
    """Log prior mass; anything where the prior has no weight."""
    prior_mass: Floats
    counts: Floats
    """Finest cells of the land in it."""
    start_rows: NDArray[np.int32]


def _of_descent(level: Scored, land: Land, ranking: Ranking, finest: int, *, coarse: bool) -> _Leaves:
    coarse_cells = parents(level.cells, resolution(land.coarse[:1])) if len(level.cells) else level.cells
    rows = np.searchsorted(land.coarse, coarse_cells)
    inside = level.scores.astype(np.float64)
    if coarse:
        inside = _inside(inside, land.lengths[rows], ranking.tau)
    inside = np.where(np.isfinite(level.ranks), inside, -np.inf)  # outside the region there is nothing
    counts, log_mass = _counts(level.cells, finest), level.log_prior
    return _Leaves(level.cells, inside, log_mass, np.exp(log_mass), counts, land.start_rows[rows])


def _counts(cells: Cells, finest: int) -> Floats:
    return children_counts(cells, finest).astype(np.float64)


def _inside(scores: NDArray[np.floating], lengths: NDArray[np.floating], tau: float) -> Floats:
    """Return 1 / tau * log mean exp(tau * score) over the cells below a representative, taking them for Gaussian."""
    length = lengths.astype(np.float64)
    return scores.astype(np.float64) * length + 0.5 * tau * SPREAD * (1 - length**2)


def _log_base(log_prior: Floats, counts: Floats, weight: float) -> Floats:
    """Return the logarithm of the tempered prior: by photographs at weight 1, each finest cell alike at weight 0."""
    if weight == 0:
        return np.log(counts)
    return weight * log_prior + (1 - weight) * np.log(counts)
