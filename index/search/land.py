"""What a posterior must know of the planet, prepared once for a resolution and a region."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells, children_counts
from index.grid.sphere import Floats

Rows = NDArray[np.int32]


class LandLevel(NamedTuple):
    """The cells of one stored level above the coarse one."""

    cells: Cells
    """(C,) sorted."""
    start_rows: Rows
    """(C,) the row of each one's start cell."""
    lengths: NDArray[np.float32]
    """(C,) of the means that stand for them, see `Representatives.lengths`; between the start level and the coarse one
    about."""
    counts: Floats
    """(C,) finest cells of the land below each."""
    prior_mass: Floats
    """(C,)"""
    log_mass: Floats
    """(C,) its natural logarithms."""


class Land(NamedTuple):
    """All stored levels."""

    above: tuple[LandLevel, ...]
    """From the start level to the one above the coarse cells; the start level at least."""
    coarse: Cells
    lengths: NDArray[np.float32]
    """(C,) of the coarse cells' means."""
    start_rows: Rows
    """(C,) the row of each coarse cell's start cell."""
    log_mass: Floats
    """(C,) natural logarithms of the coarse cells' prior mass; -inf for those that do not count."""

    @classmethod
    def of(
        cls,
        levels: Sequence[Cells],
        parent_rows: Sequence[Rows],
        lengths: NDArray[np.float32],
        start_lengths: NDArray[np.float32],
        finest: int,
        log_mass: Floats,
    ) -> Self:
        """Sum the coarse cells up to the start level.

        Args:
            levels: the cells of each level, from the start level to the coarse one.
            parent_rows: for the cells of each level but the first the rows of their parents, one level up.
            lengths: (C,) of the coarse cells' means.
            start_lengths: (S,) of the start cells' means.
            finest: the resolution that is asked for.
            log_mass: (C,) of the coarse cells; -inf for those that do not count.
        """
        start_rows = [np.arange(len(levels[0]), dtype=np.int32)]
        for rows in parent_rows:
            start_rows.append(start_rows[-1][rows])
        counts = np.where(np.isfinite(log_mass), children_counts(levels[-1], finest), 0.0)
        sums = [_Sums(lengths.astype(np.float64), np.ones(len(lengths)), counts, np.exp(log_mass))]
        for rows in reversed(parent_rows):
            first = np.flatnonzero(np.diff(rows, prepend=-1))
            sums.insert(0, _Sums(*(np.add.reduceat(each, first) for each in sums[0])))
        # The means of a start cell are as much shorter than those of the coarse cells below as vectors disagree at all
        # levels between; each is taken to have an equal part in that.
        shorter = np.minimum(start_lengths / (sums[0].lengths / sums[0].cells), 1.0)
        above = []
        for depth, (cells, own, held) in enumerate(zip(levels, start_rows, sums, strict=True)):
            about = held.lengths / held.cells * shorter[own] ** (1 - depth / len(parent_rows))
            with np.errstate(divide="ignore"):  # -inf where none of a cell counts
                log_sum = np.log(held.prior_mass)
            above.append(LandLevel(cells, own, about.astype(np.float32), held.counts, held.prior_mass, log_sum))
        return cls(tuple(above[:-1]), levels[-1], lengths, start_rows[-1], log_mass)


class _Sums(NamedTuple):
    """Of the coarse cells below each cell of a level."""

    lengths: Floats
    cells: Floats
    counts: Floats
    prior_mass: Floats


class Walked(NamedTuple):
    """Cells of one level that a walk scored for a query."""

    rows: NDArray[np.int64]
    """(W,) rows among the level's cells, ascending, each once."""
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Self:
        """Return vectors' rows (V,) and scores by cell: of a cell with two vectors the better."""
        steps = np.diff(rows, prepend=-1)
        if (steps > 0).all():
            return cls(rows, scores)
        order = np.argsort(rows, kind="stable")
        rows, scores = rows[order], scores[order]
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        return cls(rows[first], np.maximum.reduceat(scores, first))

    def without(self, rows: NDArray[np.integer]) -> "Walked":
        """Return all but some of the rows."""
        rest = np.ones(len(self.rows), np.bool_)
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        rest[at[self.rows[at] == rows]] = False
        return Walked(self.rows[rest], self.scores[rest])


def leaves(walked: Sequence[Walked], parent_rows: Sequence[Rows], found: NDArray[np.integer]) -> list[Walked]:
    """Return the cells of a walk's levels whose children were not scored.

    Args:
        walked: of each level below the start level; or of none.
        parent_rows: for the cells of each of these levels the rows of their parents, one level up.
        found: rows of the coarse cells with which the search went on.
    """
    if not walked:
        return []
    opened = [parent_rows[depth][below.rows] for depth, (_, below) in enumerate(pairwise(walked), start=1)]
    return [each.without(rows) for each, rows in zip(walked, [*opened, found], strict=True)]
