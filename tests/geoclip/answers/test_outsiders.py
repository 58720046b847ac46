"""Of photos of one place, those that were taken elsewhere are named."""

from dataclasses import replace

import numpy as np

from geoclip.answers.answerer import Answerer
from geoclip.answers.outsiders import outsiders
from geoclip.answers.searchers import PlanetSearcher
from geoclip.answers.source import Asked, SearchSource
from geoclip.options import Candidates, SearchOptions
from index.grid.region import Region
from index.search.planet import Planet
from tests.helpers.synthetic import DIM, encode, queries, small_index

BORDER = Region.disk(46.05, 8.9, 60.0)
HERE, THERE = (46.0, 8.95), (46.3, 8.4)


def test_the_photo_from_elsewhere_does_not_belong() -> None:
    answerer = Answerer(
        PlanetSearcher(Planet.open(small_index(BORDER), encode)),
        encode,
        SearchSource("synthetic", Candidates.PLANET),
    )
    asked = answerer.asked(SearchOptions())
    vectors = queries(np.array([HERE, HERE, THERE, HERE]), 0.4, 3)
    (found,) = outsiders(answerer, ["a", "b", "c", "d"], vectors, asked)
    assert found.query == "c"
    assert found.share < 0.05
    assert found.points_to is not None
    assert found.points_to.country in ("Switzerland", "Italy")
    assert outsiders(answerer, ["a", "b", "d"], vectors[[0, 1, 3]], asked) == ()
    assert outsiders(answerer, ["a", "c"], vectors[[0, 2]], asked) == ()  # nobody can say which
    noise = np.random.default_rng(0).normal(size=(1, DIM)).astype(np.float32)
    blurred = np.concatenate((vectors[[0, 1, 3]], 0.05 * noise / np.linalg.norm(noise)))
    names = ["a", "b", "d", "e"]
    assert [each.query for each in outsiders(answerer, names, blurred, asked)] == ["e"]
    says_little = Asked(asked.question, replace(asked.how, threshold_bits=1.0))  # the index has few cells of 100 km
    assert outsiders(answerer, names, blurred, says_little) == ()
