"""The descent against brute force in float64 over every cell, and its promises about work and batches."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.building.representatives import of_cells
from index.grid.cells import (
    Cells,
    base_cells,
    centres,
    children,
    descendant_range,
    parents,
    pentagons,
    resolution,
    resolutions,
)
from index.grid.region import Region
from index.search.descent import DescentResult, Ranking, Scored, descend
from index.search.efforts import Effort, EffortName, Step, named
from index.storage.prior import Prior
from tests.helpers.synthetic import DIM, FIJI, TAU, encode, gallery, queries

VALLEY = Region.disk(46.6, 8.2, 50.0)
COARSE = VALLEY.cells(6)
BAY = FIJI.cells(6)
EXHAUSTIVE = named(EffortName.EXHAUSTIVE)
MODEST = Effort((8,), 32, (Step(12, 0.2, 60), Step(6, 0.1, 40)))


class CountingEncoder:
    """The encoder, and what it was asked for, wave by wave."""

    def __init__(self) -> None:
        self.waves: list[NDArray[np.float64]] = []

    def __call__(self, lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        self.waves.append(lat_lng)
        return encode(lat_lng)

    @property
    def encodings(self) -> int:
        return sum(map(len, self.waves))


@cache
def vectors_of(name: str, res: int) -> tuple[Cells, NDArray[np.float64]]:
    cells = children({"valley": COARSE, "bay": BAY}[name], res)
    return cells, encode(centres(cells)).astype(np.float64)


@cache
def prior() -> Prior:
    places = gallery(VALLEY, 200)
    land = np.union1d(COARSE, places.cells_at(6))
    return Prior.fit(land, np.ones(len(land)), places)


def asked_about(cells: Cells, count: int, seed: int = 0) -> NDArray[np.float32]:
    return queries(centres(np.random.default_rng(seed).choice(children(cells, 8), count)), 0.6, seed)


def coarse_of(cells: Cells, asked: NDArray[np.float32], ranking: Ranking, count: int | None = None) -> list[Scored]:
    """The best coarse cells for each query, by the better side of each."""
    found = of_cells(cells, encode)
    result = []
    for query in asked:
        scores = np.full(len(cells), -np.inf, np.float32)
        np.maximum.at(scores, np.searchsorted(cells, found.cells), found.vectors @ query)
        scored = ranking.scored(cells, scores)
        result.append(scored.part(np.argsort(-scored.ranks, kind="stable")[:count]))
    return result


def top(found: DescentResult, k: int) -> tuple[list[int], NDArray[np.float64]]:
    order = np.lexsort((found.finest.cells, -found.finest.ranks))[:k]
    return found.finest.cells[order].tolist(), found.finest.ranks[order]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "res", "weight"), [("valley", 8, 0.0), ("valley", 8, 0.7), ("valley", 9, 0.7), ("bay", 8, 0.0)]
)
def test_exhaustive_equals_brute_force(name: str, res: int, weight: float) -> None:
    coarse = COARSE if name == "valley" else BAY
    asked = asked_about(coarse, 4)
    ranking = Ranking(TAU, weight, prior() if weight else None)
    results = descend(asked, coarse_of(coarse, asked, ranking), res, 50, encode, ranking, EXHAUSTIVE)
    cells, vectors = vectors_of(name, res)
    bonus = weight / TAU * prior().log_mass(cells) if weight else np.zeros(len(cells))
    for query, found in zip(asked.astype(np.float64), results, strict=True):
        assert found.finest.cells.dtype == np.uint64
        assert np.array_equal(np.sort(found.finest.cells), cells)
        assert all(not len(level.cells) for level in found.levels[:-1])
        assert found.encodings == sum(len(children(coarse, level)) for level in range(7, res + 1))
        ranks = vectors @ query + bonus
        order = np.argsort(-ranks, kind="stable")[:50]
        best, best_ranks = top(found, 50)
        np.testing.assert_allclose(best_ranks, ranks[order], atol=1e-6)
        assert len(set(best)) == 50
        np.testing.assert_allclose(
            ranks[np.searchsorted(cells, best)], ranks[order], atol=1e-6
        )  # the same but for ties
        rows = np.searchsorted(cells, found.finest.cells)
        np.testing.assert_allclose(found.finest.scores, (vectors @ query)[rows], atol=1e-6)
        np.testing.assert_allclose(found.finest.ranks, ranks[rows], atol=1e-6)


def disjoint(found: DescentResult, coarse: Cells) -> bool:
    """Whether the cells found are the coarse ones, opened or not, each piece once."""
    finest = max(resolution(level.cells) for level in found.levels if len(level.cells))
    pieces = np.concatenate([children(level.cells, finest) for level in found.levels if len(level.cells)])
    return np.array_equal(np.sort(pieces), np.sort(children(coarse, finest)))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=20), st.integers(1, 40))
def test_a_query_gets_the_same_in_any_batch(rows: list[int], k: int) -> None:
    asked = asked_about(COARSE, 12, seed=3)
    ranking = Ranking(TAU, 0.3, prior())
    coarse = coarse_of(COARSE, asked, ranking, 32)
    batch = descend(asked[rows], [coarse[row] for row in rows], 9, k, encode, ranking, MODEST)
    for row, found in zip(rows, batch, strict=True):
        (alone,) = descend(asked[row : row + 1], [coarse[row]], 9, k, encode, ranking, MODEST)
        assert alone.encodings == found.encodings
        for a, b in zip(alone.levels, found.levels, strict=True):
            assert np.array_equal(a.cells, b.cells)
            np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
            np.testing.assert_allclose(a.ranks, b.ranks, atol=1e-6)


@pytest.mark.parametrize(
    "effort", [MODEST, named(EffortName.FAST), named(EffortName.DEFAULT), named(EffortName.THOROUGH)]
)
@pytest.mark.parametrize("k", [1, 10, 300])
def test_work_stays_in_the_budget_and_nothing_is_lost(effort: Effort, k: int) -> None:
    asked = asked_about(COARSE, 8, seed=4)
    ranking = Ranking(TAU)
    coarse = coarse_of(COARSE, asked, ranking, min(effort.coarse, len(COARSE)))
    counter = CountingEncoder()
    results = descend(asked, coarse, 10, k, counter, ranking, effort)
    budget = [max(effort.step(depth).most, k) for depth in range(4)]
    for cells, found in zip(coarse, results, strict=True):
        assert 0 < found.encodings <= sum(budget)
        assert len(found.levels) == 5
        assert disjoint(found, cells.cells)
        assert len(found.finest.cells) > 0
    assert counter.encodings <= sum(found.encodings for found in results)


def test_enough_is_opened_for_k() -> None:
    asked = asked_about(COARSE, 3, seed=5)
    ranking = Ranking(TAU)
    narrow = Effort((8,), 200, (Step(1, float("inf")),))
    for found in descend(asked, coarse_of(COARSE, asked, ranking, 200), 8, 500, encode, ranking, narrow):
        assert len(found.finest.cells) >= 500


def best_at_first_level(effort: Effort, asked: NDArray[np.float32], coarse: list[Scored]) -> list[float]:
    found = descend(asked, coarse, 7, 1, encode, Ranking(TAU), effort)
    return [float(f.finest.scores[f.finest.sure].max()) for f in found]


@pytest.mark.slow
def test_more_effort_never_finds_less_at_the_first_level() -> None:
    asked = asked_about(COARSE, 16, seed=6)
    coarse = coarse_of(COARSE, asked, Ranking(TAU))
    beams = [best_at_first_level(Effort((1,), 1, (Step(b, 0.5),)), asked, coarse) for b in (1, 2, 8, 64, 999)]
    margins = [best_at_first_level(Effort((1,), 1, (Step(300, m),)), asked, coarse) for m in (0, 0.01, 0.1, 1, np.inf)]
    most = [best_at_first_level(Effort((1,), 1, (Step(300, 1.0, n),)), asked, coarse) for n in (1, 10, 100, 1000)]
    for series in (beams, margins, most):
        for less, more in pairwise(series):
            assert (np.array(more) >= np.array(less) - 1e-6).all()
        assert series[0] != series[-1]


class Hints:
    """What the children of coarse cells score, give or take."""

    def __init__(self, error: float) -> None:
        self._error = error

    def children_scores(
        self,
        cells: Cells,
        scores: NDArray[np.float32],
        queries: NDArray[np.float32],
        owners: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        del scores
        vectors = encode(centres(children(cells, 7))).reshape(len(cells), 7, -1)
        exact = np.einsum("rcd,rd->rc", vectors, queries[owners])
        noise = np.random.default_rng(9).uniform(-self._error, self._error, exact.shape)
        about: NDArray[np.float32] = (exact + noise).astype(np.float32)
        return about


@pytest.mark.parametrize("error", [0.0, 0.02])
def test_what_is_stored_of_children_spares_encodings_and_loses_nothing(error: float) -> None:
    asked = asked_about(COARSE, 8, seed=10)
    ranking = Ranking(TAU)
    coarse = coarse_of(COARSE, asked, ranking)
    effort = Effort((1,), 999, (Step(999, 2 * error),))
    counter = CountingEncoder()
    results = descend(asked, coarse, 7, 10, counter, ranking, effort, hints=Hints(error))
    for found, best in zip(results, descend(asked, coarse, 7, 10, encode, ranking, EXHAUSTIVE), strict=True):
        assert top(found, 10)[0] == top(best, 10)[0]
        assert found.finest.sure.sum() == found.encodings < len(best.finest.cells) / 5
        assert found.finest.sure[np.argsort(-found.finest.ranks)[:10]].all()
        assert disjoint(found, COARSE)
        np.testing.assert_allclose(top(found, 10)[1], top(best, 10)[1], atol=1e-6)
    assert counter.encodings <= sum(found.encodings for found in results)


@pytest.mark.slow
def test_where_siblings_tell_nothing_is_encoded() -> None:
    asked = asked_about(COARSE, 8, seed=11)
    ranking = Ranking(TAU)
    coarse = coarse_of(COARSE, asked, ranking)
    effort = Effort((1,), 999, (Step(64, 1.0), Step(32, 1.0)))
    counter = CountingEncoder()
    results = descend(asked, coarse, 9, 10, counter, ranking, effort, smooth_res=8)
    assert len(counter.waves) == 2  # none at resolution 9
    for query, found in zip(asked, results, strict=True):
        exact = encode(centres(found.finest.cells)) @ query
        assert np.abs(found.finest.scores - exact).max() < 0.02
        assert found.finest.sure.all()
        assert disjoint(found, COARSE)
    below = descend(asked, coarse, 10, 10, counter, ranking, effort, smooth_res=8)
    assert len(counter.waves) == 5  # resolution 10 is encoded again: guesses are not guessed from
    assert all(found.finest.sure.any() for found in below)
    everything = descend(asked, coarse, 9, 10, encode, ranking, EXHAUSTIVE, smooth_res=8)
    for query, found in zip(asked, everything, strict=True):
        np.testing.assert_allclose(found.finest.scores, encode(centres(found.finest.cells)) @ query, atol=1e-6)


def test_nothing_outside_the_region() -> None:
    asked = asked_about(COARSE, 8, seed=7)
    region = Region.disk(46.6, 8.2, 12.0)
    ranking = Ranking(TAU, 0.5, prior(), region)
    for effort in (MODEST, EXHAUSTIVE):
        counter = CountingEncoder()
        for found in descend(asked, coarse_of(COARSE, asked, ranking), 9, 30, counter, ranking, effort):
            for level in found.levels:
                assert np.array_equal(np.isfinite(level.ranks), region.overlaps(level.cells))
            if effort is EXHAUSTIVE:
                inside = children(COARSE, 9)[region.overlaps(children(COARSE, 9))]
                assert np.array_equal(np.sort(found.finest.cells[np.isfinite(found.finest.ranks)]), inside)
    below = children(COARSE[region.overlaps(COARSE)], 7)
    assert len(counter.waves[0]) == region.overlaps(below).sum()  # what lies outside is not encoded


@pytest.mark.parametrize("same", [True, False])
def test_a_cell_is_encoded_once_a_wave(same: bool) -> None:
    """Queries that open the same cells share their children."""
    one = asked_about(COARSE, 1, seed=8)
    asked = np.repeat(one, 9, axis=0) if same else asked_about(COARSE, 9, seed=8)
    ranking = Ranking(TAU)
    coarse = coarse_of(COARSE, asked, ranking)
    counter = CountingEncoder()
    results = descend(asked, coarse, 9, 10, counter, ranking, MODEST)
    for wave in counter.waves:
        assert len(np.unique(wave, axis=0)) == len(wave)
    if same:
        assert counter.encodings == results[0].encodings
        assert len({found.encodings for found in results}) == 1
    else:
        assert counter.encodings < sum(found.encodings for found in results)
    assert len(counter.waves) == 3  # one for each level


@pytest.mark.parametrize("res", [-1, 5, 6, 12])
def test_a_resolution_out_of_range_is_refused(res: int) -> None:
    asked = asked_about(COARSE, 1)
    with pytest.raises(ValueError, match=rf"answer is {res}; choose 7 to 11"):
        descend(asked, coarse_of(COARSE, asked, Ranking(TAU)), res, 1, encode, Ranking(TAU), MODEST)


def test_no_queries() -> None:
    assert descend(np.zeros((0, DIM), np.float32), [], 9, 1, encode, Ranking(TAU), MODEST) == []


def test_one_pentagon_down_to_the_last_resolution() -> None:
    pentagon = descendant_range(base_cells()[pentagons(base_cells())][:1], 6)[0]
    asked = queries(centres(pentagon))
    coarse = [Ranking(TAU).scored(pentagon, np.zeros(1, np.float32))]
    (found,) = descend(asked, coarse, 11, 5, encode, Ranking(TAU), MODEST)
    assert (parents(found.finest.cells, 6) == pentagon).all()
    assert (resolutions(found.finest.cells) == 11).all()
    assert disjoint(found, pentagon)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Effort((0,), 1, (Step(1, 0.0),)), "below 1"),
        (lambda: Effort((1,), 0, (Step(1, 0.0),)), "below 1"),
        (lambda: Effort((1,), 1, (Step(0, 0.0),)), "below 1"),
        (lambda: Effort((1,), 1, (Step(1, 0.0, 0),)), "below 1"),
        (lambda: Effort((1,), 1, (Step(1, -0.1),)), "negative margin"),
    ],
)
def test_efforts_that_are_none_are_refused(make: Callable[[], Effort], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_last_step_stands_for_all_that_follow() -> None:
    assert [MODEST.step(depth).beam for depth in range(4)] == [12, 6, 6, 6]
    assert named(MODEST) is MODEST
    assert all(isinstance(named(name), Effort) for name in EffortName)


def test_a_coarser_index_has_steps_of_its_own_down_to_the_measured_resolution() -> None:
    measured = named(EffortName.DEFAULT)
    for res in (3, 4, 5):
        coarser = named(EffortName.DEFAULT, res)
        assert len(coarser.steps) == len(measured.steps) + 6 - res
        assert coarser.steps[7 - res :] == measured.steps[1:]
        assert set(coarser.steps[1 : 7 - res]) == {coarser.steps[1]}
        assert coarser.coarse == coarser.steps[0].beam
    assert named(EffortName.EXHAUSTIVE, 4) == EXHAUSTIVE
    assert named(EffortName.DEFAULT, 6) == named(EffortName.DEFAULT, 7) == measured
    assert named(MODEST, 4) is MODEST
