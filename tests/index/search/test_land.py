"""What is summed up the tree, and the leaves of a walk, against brute force."""

from functools import cache

import numpy as np
import pytest

from index.grid.cells import Cells, children_counts, parents, resolution
from index.grid.region import Region
from index.search.land import Land, Walked, leaves
from index.storage.contents import IndexContents
from tests.helpers.synthetic import ALPS, FIJI, small_index

FINEST = 9


@cache
def contents(region: Region, start_res: int) -> IndexContents:
    return IndexContents.open(small_index(region, 6, start_res))


def start_lengths(of: IndexContents) -> np.ndarray:
    lengths = np.zeros(len(of.levels[0]), np.float32)
    np.maximum.at(lengths, of.start.rows, of.start.lengths)
    return lengths


def land(of: IndexContents, log_mass: np.ndarray) -> Land:
    return Land.of(of.levels, of.parent_rows, of.lengths, start_lengths(of), FINEST, log_mass)


@pytest.mark.parametrize("region", [ALPS, FIJI], ids=["alps", "fiji"])
@pytest.mark.parametrize("start_res", [0, 3, 5])
def test_levels_hold_what_lies_below_them(region: Region, start_res: int) -> None:
    of = contents(region, start_res)
    log_mass = of.prior.coarse_log_mass.copy()
    log_mass[::3] = -np.inf
    found = land(of, log_mass)
    counts = np.where(np.isfinite(log_mass), children_counts(of.cells, FINEST), 0)
    assert len(found.above) == 6 - start_res
    for level in found.above:
        res = resolution(level.cells[:1])
        above, rows = np.unique(parents(of.cells, res), return_inverse=True)
        assert np.array_equal(level.cells, above)
        assert np.array_equal(level.counts, np.bincount(rows, counts))
        np.testing.assert_allclose(level.prior_mass, np.bincount(rows, np.exp(log_mass)), rtol=1e-12)
        assert np.array_equal(found.above[0].cells[level.start_rows], parents(level.cells, start_res))
    assert np.array_equal(found.above[0].cells[found.start_rows], parents(of.cells, start_res))


def test_lengths_between_the_levels_fall_from_the_coarse_cells_to_the_start() -> None:
    of = contents(ALPS, 3)
    found = land(of, of.prior.coarse_log_mass)
    np.testing.assert_allclose(found.above[0].lengths, start_lengths(of), rtol=1e-5)
    means = [level.lengths.mean() for level in found.above] + [of.lengths.mean()]
    assert (np.diff(means) > 0).all()


def test_leaves_are_the_cells_that_were_scored_and_not_opened() -> None:
    of = contents(ALPS, 3)
    random = np.random.default_rng(4)
    opened: Cells = of.levels[0]
    walked, kept = list[Walked](), list[set[int]]()
    for cells, rows in zip(of.levels[1:], of.parent_rows, strict=True):
        above = of.levels[len(walked)]
        scored = np.flatnonzero(np.isin(above[rows], opened))
        walked.append(Walked(scored, random.random(len(scored)).astype(np.float32)))
        chosen = np.sort(random.choice(scored, 5, replace=False))
        opened = cells[chosen]
        kept.append(set(scored.tolist()) - set(chosen.tolist()))
    found = leaves(walked, of.parent_rows, chosen[::-1])
    for leaf, before, rest in zip(found, walked, kept, strict=True):
        assert set(leaf.rows.tolist()) == rest
        assert np.array_equal(leaf.scores, before.scores[np.isin(before.rows, leaf.rows)])


def test_of_a_cell_with_two_vectors_the_better_score_counts() -> None:
    scores = np.array([0.1, 0.5, 0.2, 0.4], np.float32)
    rows, best = Walked.of(np.array([3, 3, 7, 5]), scores)
    assert rows.tolist() == [3, 5, 7]
    assert best.tolist() == scores[[1, 3, 2]].tolist()
    rows, best = Walked.of(np.array([3, 5, 7]), scores[:3])
    assert rows.tolist() == [3, 5, 7]
    assert best.tolist() == scores[:3].tolist()
    assert len(Walked.of(np.zeros(0, np.int64), scores[:0]).rows) == 0
