"""The search in a GPU's memory against that on the host: the same cells everywhere, scores equal up to rounding."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import index.search.resident.coarse as coarse_module
import index.search.resident.descent as descent_module
import index.search.resident.search as search_module
import index.search.resident.stored as stored_module
from index.grid.cells import base_cells, centres, pentagons, resolution
from index.grid.constraint import Constraint
from index.grid.region import Region
from index.search.descent import Scored
from index.search.efforts import Effort, EffortName, Step
from index.search.hits import QueryScores
from index.search.planet import Planet
from index.search.question import Question
from index.search.resident.search import ResidentSearch
from tests.helpers.shared import made_once
from tests.helpers.synthetic import ALPS, FIJI, encode, make, queries, request, small_index

_LAT, _LNG = centres(base_cells()[pentagons(base_cells())][3:4])[0].tolist()
CORNER = Region.disk(_LAT, _LNG, 60.0)
"""Around a pentagon."""
REGIONS = {"alps": ALPS, "fiji": FIJI, "corner": CORNER}
VALLEY = Constraint(Region.disk(46.6, 8.2, 20.0))
NARROW = Effort((8,), 32, (Step(12, 0.2, 60), Step(6, 0.1, 40), Step(9, 0.02)))
ON_GPU = pytest.mark.gpu


@cache
def planet(name: str, engine: str, device: str = "cpu") -> Planet:
    return Planet.open(small_index(REGIONS[name]), encode, engine=engine, device=device)


def with_rests(engine: str) -> Planet:
    wanted = replace(request(ALPS, 5), rests=True)
    return Planet.open(made_once("synthetic-rests", lambda path: make(wanted, path)), encode, engine=engine)


@cache
def asked(name: str, count: int = 8) -> NDArray[np.float32]:
    return queries(centres(np.random.default_rng(5).choice(REGIONS[name].cells(8), count)), 0.5, 5)


def ordered(scored: Scored) -> Scored:
    return scored.part(np.argsort(scored.cells))


def check(found: QueryScores, expected: QueryScores, atol: float = 2e-6) -> None:
    assert np.array_equal(found.query, expected.query)
    assert found.result.encodings == expected.result.encodings
    np.testing.assert_allclose(found.start_scores, expected.start_scores, atol=atol)
    assert len(found.result.levels) == len(expected.result.levels)
    for own, other in zip(map(ordered, found.result.levels), map(ordered, expected.result.levels), strict=True):
        assert [part.dtype for part in own] == [part.dtype for part in other]
        assert np.array_equal(own.cells, other.cells)
        assert np.array_equal(own.sure, other.sure)
        np.testing.assert_allclose(own.scores, other.scores, atol=atol)
        np.testing.assert_allclose(own.ranks, other.ranks, atol=atol)
        np.testing.assert_allclose(own.log_prior, other.log_prior, atol=1e-9)


QUESTIONS = [
    Question(),
    Question(resolution=6),
    Question(resolution=7, k=100, effort=EffortName.FAST),
    Question(resolution=8, effort=EffortName.EXHAUSTIVE, k=300),
    Question(resolution=11, prior_weight=1.0),
    Question(resolution=10, effort=NARROW, prior_weight=0.4, temperature=2.0),
    Question(resolution=9, effort=EffortName.THOROUGH, k=60),
]


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_the_same_as_on_the_host(name: str, question: Question) -> None:
    host, resident = (planet(name, engine).query_scores(asked(name), question) for engine in ("exact", "resident"))
    for found, expected in zip(resident, host, strict=True):
        check(found, expected)
        assert found.walked == expected.walked == ()


@pytest.mark.parametrize(("weight", "k"), [(0.0, 10), (0.7, 200)])
@pytest.mark.parametrize("effort", [EffortName.DEFAULT, EffortName.EXHAUSTIVE, NARROW], ids=str)
def test_the_same_in_a_region(weight: float, k: int, effort: Effort | EffortName) -> None:
    wanted = Question(k=k, resolution=8, effort=effort, prior_weight=weight, constraint=VALLEY)
    host, resident = (planet("alps", engine).query_scores(asked("alps"), wanted) for engine in ("exact", "resident"))
    for found, expected in zip(resident, host, strict=True):
        check(found, expected)


@pytest.mark.parametrize("question", [Question(effort=EffortName.FAST), Question(resolution=8, prior_weight=0.5)])
def test_the_same_where_an_index_keeps_its_childrens_rests(question: Question) -> None:
    opened = [with_rests(engine) for engine in ("exact", "resident")]
    assert opened[0].manifest.rests
    for expected, found in zip(*(each.query_scores(asked("alps"), question) for each in opened), strict=True):
        check(found, expected)


def test_the_pieces_that_memory_allows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(prior_weight=0.3)
    whole = list(planet("fiji", "resident").query_scores(asked("fiji"), question))
    monkeypatch.setattr(search_module, "_CELLS", 3 * 7 * 320)
    monkeypatch.setattr(coarse_module, "_SCORES", 1000)
    monkeypatch.setattr(descent_module, "_PAIRS", 37)
    monkeypatch.setattr(stored_module, "_SIGNS", 5000)
    search = planet("fiji", "resident")._search
    assert search.at_once(question) == 3
    assert search.at_once(Question(effort=EffortName.EXHAUSTIVE, resolution=11)) == 1
    for found, expected in zip(planet("fiji", "resident").query_scores(asked("fiji"), question), whole, strict=True):
        check(found, expected)


def test_there_are_pentagons_and_the_antimeridian_among_what_was_compared() -> None:
    assert pentagons(planet("corner", "exact").cells).sum() == 1
    assert np.abs(centres(planet("fiji", "exact").cells)[:, 1]).max() > 179.95
    levels = [each.result.levels for each in planet("corner", "resident").query_scores(asked("corner"), QUESTIONS[3])]
    assert any(pentagons(level.cells).any() for of_query in levels for level in of_query)
    assert all(resolution(of_query[-1].cells) == 8 for of_query in levels)


def test_hits_and_posteriors_follow() -> None:
    for question in (Question(prior_weight=0.5), Question(constraint=VALLEY, mass_resolution=8)):
        found, expected = (
            planet("alps", engine).search(asked("alps"), question, with_posteriors=True)
            for engine in ("resident", "exact")
        )
        assert np.array_equal(found.cells, expected.cells)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.estimated, expected.estimated, atol=1e-5)


def test_it_is_taken_on_a_gpu_and_by_name() -> None:
    assert isinstance(planet("alps", "resident")._search, ResidentSearch)
    assert not isinstance(planet("alps", "auto")._search, ResidentSearch)
    assert not isinstance(planet("alps", "exact")._search, ResidentSearch)


@ON_GPU
@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_on_a_gpu_nearly_the_same(name: str, question: Question) -> None:
    """Coarse vectors are float16 there, so that cells near a cut may differ."""
    opened = planet(name, "auto", "cuda")
    assert isinstance(opened._search, ResidentSearch)
    found, expected = opened.search(asked(name), question), planet(name, "exact").search(asked(name), question)
    same = (found.cells[:, 0] == expected.cells[:, 0]).mean()
    assert same > 0.9
    np.testing.assert_allclose(found.scores[:, 0], expected.scores[:, 0], atol=5e-3)
