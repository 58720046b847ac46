"""Probabilities against brute force in float64 over every finest cell."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from index.grid.cells import Cells, centres, children, parents, resolutions
from index.grid.constraint import Constraint
from index.grid.region import Region
from index.search.efforts import Effort, EffortName, Step
from index.search.planet import Planet
from index.search.posterior import Posterior
from index.search.question import Question
from tests.helpers.synthetic import ALPS, FIJI, TAU, encode, queries, small_index

FINEST = 8
MODEST = Effort((64, 128), 24, (Step(12, 0.2, 4), Step(6, 0.1, 3)))


@cache
def planet(region: Region = ALPS, start_res: int = 3) -> Planet:
    return Planet.open(small_index(region, 6, start_res), encode)


@cache
def every_vector(region: Region = ALPS) -> tuple[Cells, NDArray[np.float64]]:
    cells = children(planet(region).cells, FINEST)
    return cells, encode(centres(cells)).astype(np.float64)


@cache
def asked(region: Region = ALPS) -> NDArray[np.float32]:
    places = centres(np.random.default_rng(3).choice(region.cells(8), 2))
    return queries(places, 0.6, 3)


def brute_force(
    query: NDArray[np.float32], weight: float, region: Region | None = None, of: Region = ALPS
) -> NDArray[np.float64]:
    """The probability of every finest cell below the index's coarse cells."""
    cells, vectors = every_vector(of)
    logits = TAU * (vectors @ query.astype(np.float64)) + weight * planet(of).prior.log_mass(cells)
    if region is not None:
        logits[~region.overlaps(cells)] = -np.inf
    mass = np.exp(logits - logits.max())
    result: NDArray[np.float64] = mass / mass.sum()
    return result


def posteriors(question: Question, region: Region = ALPS, start_res: int = 3) -> list[Posterior]:
    return list(planet(region, start_res).posteriors(asked(region), question))


@pytest.mark.slow
@pytest.mark.parametrize("of", [ALPS, FIJI], ids=["alps", "fiji"])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_exhaustive_equals_brute_force(weight: float, of: Region) -> None:
    question = Question(k=5, resolution=FINEST, effort=EffortName.EXHAUSTIVE, prior_weight=weight, gallery=False)
    hits = planet(of).search(asked(of), question)
    for row, (query, posterior) in enumerate(zip(asked(of), posteriors(question, of), strict=True)):
        cells, _ = every_vector(of)
        expected = brute_force(query, weight, of=of)
        assert posterior.estimated == 0
        found, mass = posterior.at(FINEST)
        assert np.array_equal(np.sort(found), cells)
        np.testing.assert_allclose(mass, expected[np.searchsorted(cells, found)], rtol=1e-4, atol=1e-12)
        assert (np.diff(mass) <= 0).all()
        order = np.argsort(-expected, kind="stable")[:5]
        np.testing.assert_allclose(hits.probabilities[row], expected[order], rtol=1e-4)
        np.testing.assert_allclose(expected[np.searchsorted(cells, hits.cells[row])], expected[order], rtol=1e-4)
        for res in (3, 5, 7):
            groups, rows = np.unique(parents(cells, res), return_inverse=True)
            up, up_mass = posterior.at(res)
            assert np.array_equal(np.sort(up), groups)
            np.testing.assert_allclose(up_mass, np.bincount(rows, expected)[np.searchsorted(groups, up)], rtol=1e-4)


@pytest.mark.parametrize("start_res", [0, 3, 5])
@pytest.mark.parametrize("effort", [MODEST, EffortName.FAST, EffortName.EXHAUSTIVE])
@pytest.mark.parametrize("weight", [0.0, 0.6])
def test_mass_adds_up_the_tree(effort: Effort | EffortName, weight: float, start_res: int) -> None:
    question = Question(resolution=9, effort=effort, prior_weight=weight)
    if effort is EffortName.EXHAUSTIVE:
        question = Question(resolution=7, effort=effort, prior_weight=weight)
    for posterior in posteriors(question, start_res=start_res):
        assert posterior.mass.min() >= 0
        assert 0 <= posterior.estimated <= 1
        assert (np.diff(resolutions(posterior.cells)) >= 0).all()
        levels = [posterior.at(res) for res in range(question.resolution + 1)]
        for cells, mass in levels:
            assert len(np.unique(cells)) == len(cells)
            assert mass.sum() == pytest.approx(1, abs=1e-9)
            assert (np.diff(mass) <= 0).all()
        for res, ((above, above_mass), (below, below_mass)) in enumerate(pairwise(levels)):
            finer = resolutions(below) > res
            up = np.where(finer, 0, below)
            up[finer] = parents(below[finer], res)
            cells, rows = np.unique(up, return_inverse=True)
            assert np.array_equal(np.sort(above), cells)
            np.testing.assert_allclose(
                above_mass, np.bincount(rows, below_mass)[np.searchsorted(cells, above)], atol=1e-9
            )


def test_a_modest_effort_is_close_to_the_truth() -> None:
    """What was not scored is estimated, and what was scored is known; both together are near the whole."""
    question = Question(resolution=FINEST, effort=EffortName.THOROUGH)
    cells, _ = every_vector()
    for query, posterior in zip(asked(), posteriors(question), strict=True):
        expected = brute_force(query, 0.0)
        scored = posterior.cells[resolutions(posterior.cells) == FINEST]
        true_rest = 1 - expected[np.searchsorted(cells, scored)].sum()
        assert 0 < posterior.estimated < 1
        assert posterior.estimated == pytest.approx(true_rest, abs=0.2)
        own = posterior.mass[resolutions(posterior.cells) == FINEST]
        relative = own / own.sum()
        truth = expected[np.searchsorted(cells, scored)]
        np.testing.assert_allclose(relative, truth / truth.sum(), atol=3e-3)  # estimates among them


def test_what_the_walk_scored_is_told() -> None:
    """Shares of cells that the search passed by are nearer to the truth than what the start level says of them."""
    question = Question(resolution=FINEST, effort=Effort((4, 8), 8, (Step(4, 0.2, 4),)), prior_weight=0.4)
    cells, _ = every_vector()
    groups, rows = np.unique(parents(cells, 5), return_inverse=True)
    apart = []
    for scores in planet(start_res=1).query_scores(asked(), question):
        expected = np.bincount(rows, brute_force(scores.query, 0.4))
        for walked in (scores.walked, ()):
            told = planet(start_res=1).posterior(scores._replace(walked=walked), question)
            assert told.mass.sum() == pytest.approx(1)
            levels = resolutions(told.cells)
            shares = np.zeros(len(groups))
            for cell, mass, level in zip(told.cells, told.mass, levels, strict=True):
                own = parents(groups, int(level)) == cell if level <= 5 else groups == parents(np.array([cell]), 5)
                shares[own] += mass / own.sum()
            assert shares.sum() == pytest.approx(1)
            apart.append(np.abs(shares - expected).sum() / 2)
    with_walk, without = np.array(apart[::2]), np.array(apart[1::2])
    assert (with_walk < without).all()
    assert with_walk.sum() < 0.8 * without.sum()


@pytest.mark.parametrize("effort", [MODEST, EffortName.EXHAUSTIVE])
@pytest.mark.parametrize("weight", [0.0, 0.8])
def test_outside_a_region_there_is_nothing(effort: Effort | EffortName, weight: float) -> None:
    region = Region.disk(46.6, 8.2, 25.0)
    question = Question(resolution=FINEST, effort=effort, prior_weight=weight, constraint=Constraint(region))
    cells, _ = every_vector()
    for query, posterior in zip(asked(), posteriors(question), strict=True):
        outside = ~region.overlaps(posterior.cells)
        assert (posterior.mass[outside] == 0).all()
        for res in (3, 6, FINEST):
            found, mass = posterior.at(res)
            assert mass.sum() == pytest.approx(1, abs=1e-9)
            assert (mass[~region.overlaps(found)] == 0).all()
        if effort is EffortName.EXHAUSTIVE:
            assert posterior.estimated == 0
            expected = brute_force(query, weight, region)
            found, mass = posterior.at(FINEST)
            np.testing.assert_allclose(mass, expected[np.searchsorted(cells, found)], rtol=1e-4, atol=1e-12)


def test_at_the_coarse_resolution_nothing_is_encoded() -> None:
    question = Question(resolution=6, effort=MODEST)
    hits = planet().search(asked(), question)
    assert (hits.encodings == 0).all()
    for posterior in posteriors(question):
        assert posterior.mass.sum() == pytest.approx(1, abs=1e-9)
