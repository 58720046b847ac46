"""A chooser weighs the areas: distribution, circles, shares and the best point follow."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoclip.answers.answer import Answer
from geoclip.answers.answerer import Answerer
from geoclip.answers.searchers import PlanetSearcher
from geoclip.answers.source import SearchSource
from geoclip.choose import Candidate, Chooser, candidates_record
from geoclip.distance import haversine_km
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from index.grid.cells import centres
from index.grid.region import Region
from index.search.planet import Planet
from tests.helpers.synthetic import encode, queries, small_index

BORDER = Region.disk(46.05, 8.9, 60.0)


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    planet = Planet.open(small_index(BORDER), encode)
    return Answerer(PlanetSearcher(planet), encode, SearchSource("synthetic", Candidates.PLANET))


VECTORS = queries(centres(np.random.default_rng(5).choice(BORDER.cells(8), 3)), 2.5, 5)


def answered(answerer: Answerer, choose: Chooser | None = None) -> list[Answer]:
    asked = answerer.asked(SearchOptions().changed(k=6, apart_km=12.0))
    names = ["a", "b", "c"]
    if choose is None:
        return answerer.answers(names, VECTORS, asked)
    return answerer.answers_chosen(names, VECTORS, asked, choose)


def test_weights_of_one_change_nothing(answerer: Answerer) -> None:
    seen: list[tuple[str, Sequence[Candidate]]] = []

    def choose(photo: str, candidates: Sequence[Candidate]) -> list[float]:
        seen.append((photo, candidates))
        return [1.0] * len(candidates)

    before, after = answered(answerer), answered(answerer, choose)
    assert [photo for photo, _ in seen] == ["a", "b", "c"]
    for own, (_, candidates), other in zip(before, seen, after, strict=True):
        assert [each.rank for each in candidates] == list(range(1, len(candidates) + 1))
        for candidate, prediction in zip(candidates, own.predictions, strict=False):
            assert (candidate.share, candidate.lat, candidate.lng) == (prediction.share, prediction.lat, prediction.lng)
            assert candidate.name == str(prediction.name)
            assert candidate.area_km == 12.0
        assert [p.cell for p in other.predictions] == [p.cell for p in own.predictions]
        assert [p.share for p in other.predictions] == pytest.approx([p.share for p in own.predictions])
        assert other.radius_50_km == pytest.approx(own.radius_50_km, rel=1e-6)


def test_the_answer_follows_the_weights(answerer: Answerer) -> None:
    """The second area becomes fifty times as probable, by Bayes' rule; circles, shares and verdict follow."""

    def second(photo: str, candidates: Sequence[Candidate]) -> list[float]:
        return [50.0 if each.rank == 2 else 1.0 for each in candidates]

    for own, other in zip(answered(answerer), answered(answerer, second), strict=True):
        share = own.predictions[1].share
        expected = 50 * share / (50 * share + 1 - share)
        best = other.best
        assert haversine_km((best.lat, best.lng), (own.predictions[1].lat, own.predictions[1].lng)) < 24
        assert best.share == pytest.approx(expected, abs=0.12)  # of cells whose middle is in the circle
        assert best.share > share
        shares = [p.share for p in other.predictions]
        assert shares == sorted(shares, reverse=True)
        assert sum(cell.probability for cell in other.cells if cell.cell.startswith("80")) == pytest.approx(1)
        assert other.verdict != own.verdict


def test_what_is_ruled_out_has_no_share(answerer: Answerer) -> None:
    def never_first(photo: str, candidates: Sequence[Candidate]) -> list[float]:
        return [0.0, *[1.0] * (len(candidates) - 1)]

    def only_elsewhere(photo: str, candidates: Sequence[Candidate]) -> list[float]:
        return [*[0.0] * len(candidates), 1.0]

    for own, less, none in zip(
        answered(answerer), answered(answerer, never_first), answered(answerer, only_elsewhere), strict=True
    ):
        gone = (own.best.lat, own.best.lng)
        for p in less.predictions:
            assert p.share < own.best.share or haversine_km((p.lat, p.lng), gone) > 1
        assert haversine_km((less.best.lat, less.best.lng), gone) > 1
        assert none.predictions


@pytest.mark.parametrize("weights", [[1.0], [math.nan] * 6, [-1.0] * 6, [0.0] * 7, [], "x", None, ["a"] * 6])
def test_what_are_no_weights_is_refused(answerer: Answerer, weights: Any) -> None:
    with pytest.raises(InputError, match="For a the chooser returned"):
        answered(answerer, lambda photo, candidates: weights)


def test_places_that_are_listed_one_by_one_are_no_areas(answerer: Answerer) -> None:
    asked = answerer.asked(SearchOptions().changed(apart_km=0.0))
    with pytest.raises(InputError, match="no areas to choose among"):
        answerer.answers_chosen(["a"], VECTORS[:1], asked, lambda photo, candidates: [1.0])


def test_candidates_for_a_model_that_runs_elsewhere(answerer: Answerer) -> None:
    answer = answered(answerer)[0]
    record = candidates_record(answer, 2)
    assert record["query"] == "a"
    assert [each["rank"] for each in record["candidates"]] == [1, 2]
    for candidate, prediction in zip(record["candidates"], answer.predictions, strict=False):
        assert (candidate["name"], candidate["share"]) == (str(prediction.name), prediction.share)
        head, _, picture = candidate["map"].partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert image.size == (480, 480)
            assert len(image.convert("RGB").getcolors(10**6) or ()) > 5
    assert record["candidates"][0]["map"] != record["candidates"][1]["map"]
    assert "map" not in candidates_record(answer, 1, maps=False)["candidates"][0]
