"""Answers read off made-up distributions, and off a small planet, against sums in plain float64."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from geoclip.answers.answer import Answer, Searched
from geoclip.answers.answerer import Answerer
from geoclip.answers.answering import ENTROPY_RES, AnswerMaker, AnswerOptions, Circles, entropy_bits
from geoclip.answers.looked_at import leaf_at
from geoclip.answers.place_names import shared_place_names
from geoclip.answers.searchers import GallerySearcher, PlanetSearcher
from geoclip.answers.source import Asked, SearchSource
from geoclip.distance import haversine_km
from geoclip.encoders.embedded_gallery import EmbeddedGallery
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from index.grid.cells import Cells, areas_km2, cells_at, centres, children, children_counts, names, parents, resolutions
from index.grid.constraint import Constraint
from index.grid.region import Region
from index.search.discs import Mean
from index.search.efforts import Effort, EffortName, Step
from index.search.hits import FoundPlaces
from index.search.planet import Planet
from index.search.posterior import LISTED, Posterior
from index.search.question import Question
from tests.helpers.calibrations import a_calibration
from tests.helpers.synthetic import DIM, TAU, encode, queries, small_index

Floats = NDArray[np.float64]

NAMES = shared_place_names()
ON_PLANET, IN_GALLERY = Searched(Candidates.PLANET), Searched(Candidates.GALLERY)
BERNE, ZURICH, MILAN, LYON = (46.948, 7.447), (47.377, 8.541), (45.464, 9.190), (45.764, 4.836)
NEARBY_KM = 25.0


def maker(
    k: int,
    region: Region | None = None,
    encoder: Callable[[Floats], NDArray[np.float32]] = encode,
    **how: Any,
) -> AnswerMaker:
    """All share one gazetteer, which takes a second to load."""
    question = Question(k=k, constraint=Constraint(region))
    return AnswerMaker(question, AnswerOptions(**how), encoder, NAMES)


def made_posterior(cells: Cells, mass: Floats, finest: int) -> Posterior:
    order = np.lexsort((cells, resolutions(cells)))
    return Posterior(cells[order], (mass / mass.sum())[order], finest)


def towns(masses: list[tuple[tuple[float, float], float]], seed: int = 0, count: int = 20) -> Posterior:
    """Fine cells in clusters of 3 km, of these masses."""
    rng = np.random.default_rng(seed)
    cells, mass = [], []
    for where, weight in masses:
        own = np.unique(cells_at(rng.normal(where, 0.015, (count, 2)), 9))
        shares = rng.random(len(own))
        cells.append(own)
        mass.append(weight * shares / shares.sum())
    return made_posterior(np.concatenate(cells), np.concatenate(mass), 9)


def places_of(*posteriors: Posterior, hits: int = 10, k: int | None = None) -> FoundPlaces:
    """What a search for each posterior would find: its heaviest finest cells, with scores that tell them apart."""
    k = k or hits
    cells, scores = np.zeros((len(posteriors), k), np.uint64), np.full((len(posteriors), k), -np.inf, np.float32)
    lat_lng, probabilities = np.full((len(posteriors), k, 2), np.nan), np.zeros((len(posteriors), k))
    for row, posterior in enumerate(posteriors):
        finest = resolutions(posterior.cells) == posterior.finest
        order = np.argsort(-posterior.mass[finest], kind="stable")[:hits]
        cells[row, : len(order)] = posterior.cells[finest][order]
        lat_lng[row, : len(order)] = centres(posterior.cells[finest][order])
        probabilities[row, : len(order)] = posterior.mass[finest][order]
        scores[row, : len(order)] = 0.9 - 0.01 * np.arange(len(order))
    none = np.zeros(len(posteriors), np.int64)
    return FoundPlaces(cells, lat_lng, scores, probabilities, np.full(len(posteriors), 0.25), none, posteriors)


def answered(places: FoundPlaces, k: int, **how: Any) -> list[Answer]:
    vectors = np.random.default_rng(0).normal(size=(len(places.posteriors), DIM)).astype(np.float32)
    titles = [f"query {row}" for row in range(len(vectors))]
    return maker(k, **how).answers(titles, vectors, places, ON_PLANET)


def points(answer: Answer) -> Floats:
    return np.array([(p.lat, p.lng) for p in answer.predictions])


def mass_within(posterior: Posterior, lat_lng: Floats, km: float) -> float:
    """Of cells that are small beside the distance."""
    return float(posterior.mass[haversine_km(lat_lng, centres(posterior.cells)) <= km].sum())


SIX = towns([(BERNE, 0.3), (ZURICH, 0.25), (MILAN, 0.2), (LYON, 0.12), ((47.0, 7.7), 0.08), ((45.5, 9.6), 0.05)])
"""The last two are 21 km and 32 km from Berne and Milan."""


# Predictions


@pytest.mark.parametrize("apart_km", [None, 10.0, 30.0, 150.0])
@pytest.mark.parametrize("seed", range(4))
def test_areas_claim_nothing_twice_and_come_in_the_order_of_their_shares(apart_km: float | None, seed: int) -> None:
    posterior = towns(
        [(BERNE, 0.3), (ZURICH, 0.25), (MILAN, 0.2), (LYON, 0.12), ((47.0, 7.75), 0.08), ((45.5, 9.6), 0.05)], seed, 8
    )
    (answer,) = answered(places_of(posterior, hits=5), 8, apart_km=apart_km)
    found, km = points(answer), answer.area_km
    assert km == (apart_km or km)
    shares = [p.share for p in answer.predictions]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-9
    away = haversine_km(found[:, None], found[None])
    others = ~np.eye(len(found), dtype=bool)
    assert (away[others] > (km if apart_km is None and len(found) == 2 else 0)).all()
    claimed = np.zeros(len(posterior.cells), dtype=bool)
    for prediction, place in zip(answer.predictions, found, strict=True):
        near = (haversine_km(place, centres(posterior.cells)) <= 2 * km) & ~claimed  # wherever the area's middle is
        assert prediction.share <= posterior.mass[near].sum() + 1e-6
        assert 0 <= prediction.radius_km <= 2 * km
        assert mass_within(posterior, place, prediction.radius_km + 0.5) >= prediction.share / 2 - 1e-6
        assert prediction.nearby == pytest.approx(
            held(*heaviest(posterior.cells, posterior.mass), place, NEARBY_KM), abs=2e-3
        )


def test_towns_that_are_far_apart_are_areas_of_their_own() -> None:
    (answer,) = answered(places_of(SIX), 5)
    assert answer.area_km == 25.0
    assert [round(p.share, 2) for p in answer.predictions] == [0.38, 0.25, 0.2, 0.12, 0.05]
    for prediction, town in zip(answer.predictions, (BERNE, ZURICH, MILAN, LYON, (45.5, 9.6)), strict=True):
        assert haversine_km((prediction.lat, prediction.lng), town) < 25
    (whole,) = answered(places_of(SIX), 5, apart_km=400.0)
    assert [round(p.share, 2) for p in whole.predictions] == [1.0]


def test_what_an_earlier_area_holds_is_not_claimed_again() -> None:
    """A second point near Berne has more probability nearby than Lyon, and says nothing new."""
    posterior = towns([(BERNE, 0.5), ((46.948, 7.6), 0.38), (LYON, 0.12)])
    (answer,) = answered(places_of(posterior), 3)
    assert haversine_km(points(answer)[1], LYON) < 10
    assert [p.share for p in answer.predictions] == pytest.approx([0.88, 0.12], abs=0.002)


def test_the_middle_of_a_large_leaf_can_be_an_alternative() -> None:
    """A leaf that was not opened counts as its area; the prediction is the fine cell in its middle."""
    coarse = cells_at([LYON], 5)
    posterior = made_posterior(np.concatenate((cells_at([BERNE], 9), coarse)), np.array([0.6, 0.4]), 9)
    (answer,) = answered(places_of(posterior), 5)
    assert [p.cell for p in answer.predictions] == names(
        cells_at([centres(cells_at([BERNE], 9))[0], centres(coarse)[0]], 9)
    )
    assert points(answer)[1].tolist() == centres(coarse)[0].tolist()
    assert answer.predictions[1].probability == pytest.approx(0.4 / 7**4)
    assert answer.predictions[1].share == pytest.approx(0.4)
    assert answer.predictions[1].radius_km == pytest.approx(float(np.sqrt(areas_km2(coarse) / 2 / np.pi)[0]), rel=0.02)


def test_the_best_point_has_most_around_it_and_is_the_best_ranked_of_those_as_good() -> None:
    """Two towns are near each other; a heavier cell is alone, and ranked first."""
    posterior = towns([(BERNE, 0.3), ((47.1, 7.5), 0.3), (LYON, 0.25)], count=20)
    alone = cells_at([(40.0, 20.0)], 9)
    posterior = made_posterior(np.append(posterior.cells, alone), np.append(posterior.mass, 0.15), 9)
    places = places_of(posterior, hits=10)
    assert haversine_km(places.lat_lng[0, 0], (40.0, 20.0)) < 1
    (cell,), (everywhere,) = answered(places, 3, point="cell", apart_km=25.0), answered(places, 3)
    assert haversine_km(points(everywhere)[0], BERNE) < 25
    kernel = 1 - np.log(np.clip(haversine_km(points(everywhere)[0], centres(posterior.cells)), 1, 2500)) / np.log(2500)
    rivals = [
        (1 - np.log(np.clip(haversine_km(p, centres(posterior.cells)), 1, 2500)) / np.log(2500)) @ posterior.mass
        for p in centres(posterior.cells)
    ]
    assert kernel @ posterior.mass >= 0.94 * max(rivals)
    assert everywhere.predictions[0].share >= cell.predictions[0].share - 0.3


def test_an_alternative_that_was_a_hit_stays_as_it_was_found() -> None:
    posterior = made_posterior(cells_at([BERNE, MILAN], 9), np.array([0.6, 0.4]), 9)
    places = places_of(posterior, hits=2)
    (answer,) = answered(places, 2)
    assert [p.score for p in answer.predictions] == places.scores[0].tolist()
    assert [p.probability for p in answer.predictions] == places.probabilities[0].tolist()


def test_the_first_is_the_best_ranked_hit() -> None:
    places = places_of(SIX, towns([(MILAN, 1.0)]))
    for row, answer in enumerate(answered(places, 4, point="cell")):
        best = answer.best
        assert [best.lat, best.lng] == places.lat_lng[row, 0].tolist()
        assert best.probability == places.probabilities[row, 0]
        assert best.score == places.scores[row, 0]
        assert best.cell == f"{places.cells[row, 0]:x}"


@pytest.mark.parametrize("k", [1, 4, 10, 30])
def test_with_no_distance_the_hits_are_listed_in_order(k: int) -> None:
    places = places_of(SIX, towns([(MILAN, 1.0)]), towns([(BERNE, 0.5), (LYON, 0.5)], count=3), k=12)
    for row, answer in enumerate(answered(places, k, apart_km=0.0)):
        real = np.flatnonzero(places.cells[row] > 0)[:k]
        assert points(answer).tolist() == places.lat_lng[row, real].tolist()
        assert [p.cell for p in answer.predictions] == names(places.cells[row, real])
        assert [p.score for p in answer.predictions] == places.scores[row, real].tolist()
        assert [p.probability for p in answer.predictions] == places.probabilities[row, real].tolist()


@pytest.mark.parametrize("point", ["1", "25", "200", "750", "2500", "geoscore"])
def test_other_best_points_gain_about_what_the_best_hit_does(point: str) -> None:
    (answer,) = answered(places_of(SIX), 4, point=point)

    def gain(lat_lng: Floats) -> float:
        away = haversine_km(lat_lng, centres(SIX.cells))
        gains = np.exp(-away / 1492.7) if point == "geoscore" else away <= float(point)
        return float(gains @ SIX.mass)

    slack = 0.05 if point == "1" else 1e-3  # cells of 200 m are half in or half out of 1 km
    assert gain(points(answer)[0]) >= 0.95 * max(gain(hit) for hit in places_of(SIX).lat_lng[0]) - slack


def test_scores_that_no_search_gave_come_from_the_encoder_in_one_call() -> None:
    calls: list[Floats] = []

    def watched(lat_lng: Floats) -> NDArray[np.float32]:
        calls.append(lat_lng)
        return encode(lat_lng)

    places = places_of(SIX, towns([(MILAN, 0.7), (LYON, 0.3)]), hits=4)
    vectors = queries(places.lat_lng[:, 0])
    own = np.stack([encode(place) @ vector for place, vector in zip(places.lat_lng, vectors, strict=True)])
    places = places._replace(scores=own)
    given = maker(4, encoder=watched, point="25").answers(["a", "b"], vectors, places, ON_PLANET)
    assert len(calls) == 1
    hits = {tuple(place) for place in places.lat_lng.reshape(-1, 2).tolist()}
    for row, answer in enumerate(given):
        near = encode(points(answer)).astype(np.float64) @ vectors[row].astype(np.float64)
        assert [p.score for p in answer.predictions] == pytest.approx(near.tolist(), abs=1e-6)
        new = {(p.lat, p.lng) for p in answer.predictions if (p.lat, p.lng) not in hits}
        assert new <= {tuple(place) for place in calls[0].tolist()}
    assert len(calls[0])
    maker(1, encoder=watched, point="cell").answers(["a", "b"], vectors, places_of(SIX, SIX), ON_PLANET)
    assert len(calls) == 1  # nothing to be scored, nothing encoded


def test_best_is_the_first_prediction() -> None:
    places = places_of(SIX, towns([(MILAN, 0.7), (LYON, 0.3)]))
    for point in ("all", "cell", "25"):
        for row, answer in enumerate(answered(places, 3, point=point)):
            discs, best = maker(1, point=point).best(places, row)
            assert (best.lat, best.lng) == (answer.best.lat, answer.best.lng)
            assert best.nearby == pytest.approx(answer.best.nearby, abs=1e-12)
            assert discs.radius(np.array([best.lat, best.lng]), 0.9) == answer.radius_90_km


# How sure, and where


@pytest.mark.parametrize("levels", [(0.5, 0.9), (0.25, 0.97), (0.04, 0.41)])
def test_radii_hold_the_probability_of_their_levels(levels: tuple[float, float]) -> None:
    (answer,) = answered(places_of(SIX), 2, circles=(Circles(math.inf, *levels),), calibrated=1)
    away = haversine_km(points(answer)[0], centres(SIX.cells))
    order = np.argsort(away)
    for level, radius in zip(levels, (answer.radius_50_km, answer.radius_90_km), strict=True):
        expected = float(away[order][np.searchsorted(np.cumsum(SIX.mass[order]), level)])
        assert radius == pytest.approx(expected, abs=0.6)


def test_entropy_by_hand() -> None:
    one = cells_at([BERNE], 9)
    assert entropy_bits(made_posterior(one, np.ones(1), 9)) == 0
    assert math.copysign(1, entropy_bits(made_posterior(one, np.ones(1), 9))) == 1  # not -0.0
    eight = children(cells_at([BERNE], 1), ENTROPY_RES)[:8]
    assert entropy_bits(made_posterior(eight, np.ones(8), 3)) == pytest.approx(3, abs=1e-12)
    fine = children(eight, 5)  # in 8 cells, however many there are in each
    assert entropy_bits(made_posterior(fine, np.ones(len(fine)), 5)) == pytest.approx(3, abs=1e-12)
    four = made_posterior(eight[:4], np.array([0.5, 0.25, 0.125, 0.125]), 3)
    assert entropy_bits(four) == pytest.approx(1.75, abs=1e-12)
    zeros = made_posterior(eight[:4], np.array([1.0, 0.0, 1.0, 0.0]), 3)
    assert entropy_bits(zeros) == pytest.approx(1, abs=1e-12)
    coarse = made_posterior(np.concatenate((cells_at([MILAN], 2), eight[:2])), np.array([2.0, 1.0, 1.0]), 3)
    assert entropy_bits(coarse) == pytest.approx(1.5, abs=1e-12)  # a leaf above that resolution is one


def test_localizable_on_both_sides_of_the_threshold() -> None:
    eight = children(cells_at([BERNE], 1), 3)[:8]
    posterior = made_posterior(eight, np.ones(8), 3)
    for threshold, localizable in ((2.999, False), (3.001, True), (8.0, True), (0.0, False)):
        (answer,) = answered(places_of(posterior), 1, threshold_bits=threshold)
        assert answer.localizable is localizable
        assert answer.threshold_bits == threshold
        assert answer.entropy_bits == pytest.approx(3, abs=1e-12)


def test_an_answer_says_what_was_searched_and_in_which_order() -> None:
    places = places_of(SIX, towns([(MILAN, 0.7), (LYON, 0.3)]))
    searched = Searched(Candidates.PLANET, "an index", temperature=2.0)
    given = maker(2, point="200").answers(["first", "second"], queries(places.lat_lng[:, 0]), places, searched)
    assert [answer.query for answer in given] == ["first", "second"]
    for answer in given:
        assert answer.searched is searched
        assert answer.estimated == 0.25
        assert answer.error is None
    assert maker(3).answers([], np.zeros((0, DIM), np.float32), places_of(), ON_PLANET) == []


def test_names_belong_to_their_predictions() -> None:
    """Of every prediction of several queries, in order."""
    places = places_of(SIX, towns([(LYON, 1.0)]), towns([(MILAN, 0.6), (ZURICH, 0.4)]))
    given = answered(places, 4)
    assert [len(answer.predictions) for answer in given] == [4, 1, 2]
    for answer in given:
        for prediction in answer.predictions:
            assert prediction.name == NAMES.names(np.array([(prediction.lat, prediction.lng)]))[0]
    assert [p.name.code for p in given[2].predictions if p.name] == ["IT", "CH"]
    assert [(area.code, round(area.probability, 2)) for area in given[2].countries] == [("IT", 0.6), ("CH", 0.4)]
    assert sum(area.probability for area in given[0].countries) == pytest.approx(1, abs=2e-3)


# The tree


def leaves_of_several_resolutions(seed: int) -> Posterior:
    """Disjoint cells that cover two cells of resolution 1: some divided down to resolution 7, at random."""
    rng = np.random.default_rng(seed)
    leaves, open_ = [], cells_at([BERNE, (-17.2, 179.9)], 1)
    for res in range(1, 8):
        stays = rng.random(len(open_)) < (0.8 if res > 1 else 0)
        stays |= res == 7
        leaves.append(open_[stays])
        open_ = children(open_[~stays], res + 1) if (~stays).any() else open_[:0]
    cells = np.concatenate(leaves)
    mass = rng.exponential(size=len(cells)) ** 3
    return made_posterior(cells, mass, 7)


def test_the_tree_of_finest_leaves_adds_up_at_every_resolution() -> None:
    tree = SIX.tree(0.0)
    assert len(tree) == 10
    for res, (cells, mass) in enumerate(tree):
        assert (resolutions(cells) == res).all()
        assert mass.sum() == pytest.approx(1, abs=1e-12)
    assert tree[9][0].tolist() == np.sort(SIX.cells).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_a_parent_in_the_tree_is_the_sum_of_its_children(seed: int) -> None:
    posterior = leaves_of_several_resolutions(seed)
    assert len(np.unique(resolutions(posterior.cells))) == 6
    own = dict(zip(posterior.cells.tolist(), posterior.mass.tolist(), strict=True))
    tree = posterior.tree(0.0)
    assert [len(cells) for cells, _ in tree][:2] == [2, 2]
    below: dict[int, float] = {}
    for res in range(7, -1, -1):
        cells, mass = tree[res]
        assert (resolutions(cells) == res).all()
        assert (np.diff(cells.astype(np.int64)) > 0).all()  # by id
        sums: dict[int, float] = {
            cell: m for cell, m in own.items() if resolutions(np.array([cell], np.uint64))[0] == res
        }
        for cell, m in below.items():
            up = int(parents(np.array([cell], np.uint64), res)[0])
            assert up not in own  # above a leaf there is none
            sums[up] = sums.get(up, 0.0) + m
        assert sorted(sums) == cells.tolist()
        np.testing.assert_allclose(mass, [sums[cell] for cell in cells.tolist()], rtol=0, atol=1e-12)
        below = sums
    assert sum(below.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("least", [1e-9, 0.001, 0.02, 0.4])
def test_pruning_drops_exactly_the_light_cells(least: float) -> None:
    posterior = leaves_of_several_resolutions(5)
    for (cells, mass), (all_cells, all_mass) in zip(posterior.tree(least), posterior.tree(0.0), strict=True):
        heavy = all_mass >= least
        assert cells.tolist() == all_cells[heavy].tolist()
        assert mass.tolist() == all_mass[heavy].tolist()
    assert sum(len(cells) for cells, _ in posterior.tree(2.0)) == 0
    exactly = Posterior(cells_at([BERNE, MILAN], 2), np.array([0.25, 0.75]), 2)
    assert [mass.tolist() for _, mass in exactly.tree(0.25)][2] == [0.25, 0.75]


def test_an_answer_lists_the_tree() -> None:
    posterior = leaves_of_several_resolutions(6)
    (answer,) = answered(places_of(posterior), 1)
    found = [int(cell.cell, 16) for cell in answer.cells]
    levels = resolutions(np.array(found, np.uint64)).tolist()
    assert list(zip(levels, found, strict=True)) == sorted(zip(levels, found, strict=True))  # coarse to fine, by id
    expected: dict[int, float] = {}
    for leaf, mass in zip(posterior.cells, posterior.mass.tolist(), strict=True):
        for res in range(int(resolutions(leaf[None])[0]) + 1):
            up = int(parents(leaf[None], res)[0])
            expected[up] = expected.get(up, 0.0) + mass
    heavy = {cell: mass for cell, mass in expected.items() if mass >= LISTED}
    assert len(expected) > len(heavy) > 50
    assert {cell.cell: cell.probability for cell in answer.cells} == pytest.approx(
        {f"{cell:x}": mass for cell, mass in heavy.items()}, abs=1e-12
    )


def test_the_leaf_at_a_point() -> None:
    posterior = leaves_of_several_resolutions(1)
    rows = np.random.default_rng(0).choice(len(posterior.cells), 40)
    for row in {*rows.tolist(), 0, len(posterior.cells) - 1}:
        cell = posterior.cells[row : row + 1]
        inside = centres(children(cell, 8)[-1:])[0]  # not its centre
        inside_cell = parents(cells_at(inside[None], 7), int(resolutions(cell)[0]))
        even = posterior.mass[row] / float(children_counts(cell, 7)[0])
        if inside_cell[0] == cell[0]:
            assert leaf_at(posterior, inside)[0] == int(cells_at(inside[None], 7)[0])
            assert leaf_at(posterior, inside)[1] == pytest.approx(even)
        assert leaf_at(posterior, centres(cell)[0])[0] == int(cells_at(centres(cell), 7)[0])
        assert leaf_at(posterior, centres(cell)[0])[1] == pytest.approx(even)
    at_sea = np.array([0.0, -30.0])
    assert leaf_at(posterior, at_sea) == (int(cells_at(at_sea[None], 7)[0]), 0.0)


# What is refused


@pytest.mark.parametrize("point", ["foo", "", "-1", "0", "20001", "nan", "inf", "25km"])
def test_points_that_are_none(point: str) -> None:
    with pytest.raises(InputError, match="choose all, cell, geoscore or a distance in km"):
        AnswerOptions(point=point)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("apart_km", -1.0, "-1.0 km apart; choose 0 to 5000"),
        ("apart_km", 6000.0, "6000.0 km apart; choose 0 to 5000"),
        ("apart_km", math.nan, "nan km apart"),
        ("circles", (Circles(9.0, 0.0),), "a probability of 0.0; choose above 0, up to 1"),
        ("circles", (Circles(9.0, 0.5, 0.0),), "a probability of 0.0"),
        ("circles", (Circles(9.0, 0.5, 1.01),), "a probability of 1.01"),
        ("circles", (Circles(9.0), Circles(10.0, math.nan)), "a probability of nan"),
    ],
)
def test_readings_that_are_none(field: str, value: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        AnswerOptions(**{field: value})  # type: ignore[arg-type]


def test_readings_at_the_limits() -> None:
    assert AnswerOptions("20000", 5000.0, (Circles(0.0, 1e-9, 1.0),)).circles_at(9.0).level_90 == 1.0
    assert AnswerOptions(point="0.5", apart_km=0.0).apart_km == 0.0


def test_an_answer_says_what_was_asked() -> None:
    """All of it in one place, so that the answer can be understood and repeated."""
    fitted = a_calibration("synthetic").model_copy(update={"resolution": 8, "effort": "fast", "point": "25"})
    source = SearchSource("synthetic", Candidates.PLANET, None, fitted)
    made = Answerer(PlanetSearcher(planet()), encode, source)
    asked = made.asked(SearchOptions().changed(near=(46.05, 8.9, 30), resolution=8, effort="fast", point="25"))
    assert made.searched(asked) == Searched(
        Candidates.PLANET,
        str(planet().folder),
        planet().digest,
        constraint="within 30 km of 46.05, 8.9",
        resolution=8,
        effort="fast",
        prior_weight=0.7,
        temperature=2.5,
        point="25",
        calibrated=True,
        calibration_photos=100,
    )
    plain = Answerer(gallery_search(), encode, SearchSource("synthetic", Candidates.GALLERY))
    assert plain.searched(plain.asked()) == Searched(Candidates.GALLERY, point="cell")


# Searches


@cache
def gallery_search(count: int = 3) -> GallerySearcher:
    where = np.array([BERNE, ZURICH, MILAN, (46.95, 7.45), LYON, (46.9, 7.5)], dtype=np.float32)[:count]
    vectors = encode(where.astype(np.float64))
    return GallerySearcher(
        EmbeddedGallery(where, torch.from_numpy(vectors), np.arange(count)), TAU, torch.device("cpu")
    )


def test_a_gallery_with_fewer_places_than_asked_for() -> None:
    search, query = gallery_search(), queries(np.array([BERNE]))
    places = search.search(query, Question(k=10), with_posteriors=True)
    logits = TAU * (encode(np.array([BERNE, ZURICH, MILAN], dtype=np.float32)).astype(np.float64) @ query[0])
    mass = np.exp(logits - logits.max())
    mass /= mass.sum()
    for apart_km in (0.0, 50.0):
        (answer,) = maker(10, apart_km=apart_km).answers(["q"], query, places, IN_GALLERY)
        assert len(answer.predictions) == 3 if apart_km == 0 else len(answer.predictions) <= 3
        by_place = {round(p.lat, 3): p.probability for p in answer.predictions}
        assert by_place == pytest.approx(
            {
                round(place[0], 3): m
                for place, m in zip((BERNE, ZURICH, MILAN), mass.tolist(), strict=True)
                if round(place[0], 3) in by_place
            },
            rel=1e-3,
        )
    (answer,) = maker(10, apart_km=200.0).answers(["q"], query, places, IN_GALLERY)
    away = haversine_km(points(answer)[:, None], points(answer)[None])
    assert (away[~np.eye(len(away), dtype=bool)] >= 200).all()


def test_a_gallery_in_a_region_with_fewer_places_than_asked_for() -> None:
    search, query = gallery_search(6), queries(np.array([LYON]))
    region = Region.disk(*BERNE, 30.0)
    places = search.search(query, Question(k=5, constraint=Constraint(region)), with_posteriors=True)
    (answer,) = maker(5, apart_km=0.0).answers(["q"], query, places, IN_GALLERY)
    assert len(answer.predictions) == 3
    assert sum(p.probability for p in answer.predictions) == pytest.approx(1)
    assert [p.nearby for p in answer.predictions] == pytest.approx([1, 1, 1], abs=1e-3)
    assert [area.code for area in answer.countries] == ["CH"]
    (answer,) = maker(5).answers(["q"], query, places, IN_GALLERY)
    assert len(answer.predictions) == 1


BORDER = Region.disk(46.05, 8.9, 60.0)
"""Switzerland and Italy: about 300 cells of resolution 6, 15,000 of resolution 8."""


@cache
def planet() -> Planet:
    return Planet.open(small_index(BORDER), encode)


@cache
def answerer() -> Answerer:
    made = Answerer(PlanetSearcher(planet()), encode, SearchSource("synthetic", Candidates.PLANET))
    made._names = NAMES
    return made


@cache
def planet_answers(point: str, weight: float, apart_km: float, region: Region | None = None) -> list[Answer]:
    question = Question(
        k=10,
        resolution=8,
        effort=EffortName.EXHAUSTIVE,
        prior_weight=weight,
        gallery=False,
        constraint=Constraint(region, "there"),
    )
    return answerer().answers(["a", "b"], asked(), Asked(question, AnswerOptions(point, apart_km)))


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("resolution", [6, 8])
def test_listed_places_do_not_depend_on_how_many_are_asked_for(weight: float, resolution: int) -> None:
    """They are listed by probability, found by score: the most probable of few were not those of many."""

    def listed(k: int) -> list[list[Any]]:
        question = Question(k=k, resolution=resolution, prior_weight=weight)
        some = queries(centres(np.random.default_rng(5).choice(BORDER.cells(8), 8)), 0.9, 5)
        made = answerer().answers([str(row) for row in range(8)], some, Asked(question, AnswerOptions("all", 0.0)))
        return [[(p.cell, p.probability) for p in answer.predictions] for answer in made]

    many = listed(50)
    for k in (1, 3, 12):
        assert listed(k) == [each[:k] for each in many]


@cache
def asked() -> NDArray[np.float32]:
    return queries(centres(np.random.default_rng(3).choice(BORDER.cells(8), 2)), 0.9, 3)


@cache
def truth(row: int, weight: float, region: Region | None = None) -> tuple[Cells, Floats]:
    """Every finest cell and its probability, in float64."""
    cells = children(planet().cells, 8)
    logits = TAU * (encode(centres(cells)).astype(np.float64) @ asked()[row].astype(np.float64))
    logits += weight * planet().prior.log_mass(cells)
    if region is not None:
        logits[~region.overlaps(cells)] = -np.inf
    mass = np.exp(logits - logits.max())
    return cells, mass / mass.sum()


def heaviest(cells: Cells, mass: Floats) -> tuple[Cells, Floats]:
    order = np.argsort(-mass, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(mass[order]), 0.999)) + 1]
    return cells[kept], mass[kept]


def share_inside(away: float, radius: float, km: float) -> float:
    """The share of a disc inside a circle: mathworld.wolfram.com/Circle-CircleIntersection.html."""
    if away >= km + radius:
        return 0.0
    if away <= abs(km - radius):
        return min(1.0, (km / radius) ** 2)
    a = radius**2 * math.acos((away**2 + radius**2 - km**2) / (2 * away * radius))
    b = km**2 * math.acos((away**2 + km**2 - radius**2) / (2 * away * km))
    kite = (-away + radius + km) * (away + radius - km) * (away - radius + km) * (away + radius + km)
    return (a + b - 0.5 * math.sqrt(kite)) / (math.pi * radius**2)


def held(cells: Cells, mass: Floats, point: Floats, km: float) -> float:
    """The probability within a distance of a point (2,), each cell as the disc of its area."""
    away = haversine_km(point, centres(cells)).tolist()
    radii = np.sqrt(areas_km2(cells) / np.pi).tolist()
    shares = [share_inside(d, r, km) for d, r in zip(away, radii, strict=True)]
    return float(mass @ np.array(shares))


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("point", ["cell", "25"])
def test_an_answer_for_a_small_planet_equals_brute_force(point: str, weight: float) -> None:
    for row, answer in enumerate(planet_answers(point, weight, 20.0)):
        cells, mass = truth(row, weight)
        kept, kept_mass = heaviest(cells, mass)
        assert answer.estimated == 0
        best = points(answer)[0]
        if point == "cell":
            assert answer.best.cell == f"{cells[mass.argmax()]:x}"
            assert answer.best.probability == pytest.approx(mass.max(), abs=1e-6)
        for prediction, where in list(zip(answer.predictions, points(answer), strict=True))[:4]:
            assert prediction.nearby == pytest.approx(held(kept, kept_mass, where, NEARBY_KM), abs=5e-3)
            # cells as points instead: heavy ones of 0.5 km may lie on the circle
            assert prediction.nearby == pytest.approx(mass_within(Posterior(cells, mass, 8), where, 25.0), abs=0.015)
        for level, radius in ((0.5, answer.radius_50_km), (0.9, answer.radius_90_km)):
            assert held(kept, kept_mass, best, radius) == pytest.approx(level, abs=5e-3)
            assert mass[haversine_km(best, centres(cells)) <= radius].sum() == pytest.approx(
                level, abs=mass.max() + 5e-3
            )
        bits = np.bincount(np.unique(parents(cells, 3), return_inverse=True)[1], mass)
        assert answer.entropy_bits == pytest.approx(-(bits * np.log2(bits)).sum(), abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_countries_of_a_small_planet_equal_brute_force(weight: float) -> None:
    for row, answer in enumerate(planet_answers("cell", weight, 20.0)):
        cells, mass = truth(row, weight)
        kept, kept_mass = heaviest(cells, mass)
        codes = np.array([name.code for name in NAMES.names(centres(kept))])
        expected = {code: float(kept_mass[codes == code].sum()) for code in np.unique(codes).tolist()}
        assert len(expected) == 2
        listed = {area.code: area.probability for area in answer.countries}
        assert listed == pytest.approx({code: m for code, m in expected.items() if m >= 0.01}, abs=0.01)
        everywhere = np.array([name.code for name in NAMES.names(centres(cells))])
        for code, probability in listed.items():
            assert probability == pytest.approx(mass[everywhere == code].sum(), abs=0.01)


def test_cells_of_a_small_planet_equal_brute_force() -> None:
    for row, answer in enumerate(planet_answers("cell", 0.5, 20.0)):
        cells, mass = truth(row, 0.5)
        listed = {cell.cell: cell.probability for cell in answer.cells}
        for res in range(9):
            groups, rows = np.unique(parents(cells, res), return_inverse=True)
            sums = dict(zip(names(groups), np.bincount(rows, mass).tolist(), strict=True))
            own = {cell: p for cell, p in listed.items() if resolutions(np.array([int(cell, 16)], np.uint64))[0] == res}
            assert own == pytest.approx({cell: sums[cell] for cell in own}, abs=1e-6)
            assert set(own) >= {cell for cell, p in sums.items() if p > LISTED + 1e-6}
            assert set(own) <= {cell for cell, p in sums.items() if p > LISTED - 1e-6}


@pytest.mark.parametrize(("flags", "code"), [({"country": ["CH"]}, "CH"), ({"not_country": ["CH"]}, "IT")])
def test_countries_that_are_left_out_have_no_share(flags: dict[str, list[str]], code: str) -> None:
    made = Constraint.parse(**flags)
    question = Question(k=10, resolution=8, gallery=False, constraint=made)
    for answer in answerer().answers(["a", "b"], asked(), Asked(question, AnswerOptions("cell", 0.0))):
        assert {area.code for area in answer.countries} == {code}
        assert {prediction.name.code for prediction in answer.predictions if prediction.name} == {code}
        assert sum(area.probability for area in answer.countries) == pytest.approx(1, abs=1e-3)
        assert made.region is not None
        assert made.region.holds(points(answer)).all()


def test_a_region_with_fewer_cells_than_asked_for() -> None:
    region = Region.disk(46.05, 8.9, 1.0)
    for row, answer in enumerate(planet_answers("cell", 0.0, 0.0, region)):
        cells, mass = truth(row, 0.0, region)
        order = np.argsort(-mass)[: (mass > 0).sum()]
        assert 1 < len(order) < 10
        expected = dict(zip(names(cells[order]), mass[order].tolist(), strict=True))
        assert {p.cell: p.probability for p in answer.predictions} == pytest.approx(expected, abs=1e-6)
        assert (haversine_km(points(answer), (46.05, 8.9)) <= 1).all()  # though some centres are not
        assert answer.radius_90_km < 3
        assert sum(cell.probability for cell in answer.cells[:1]) == pytest.approx(1)
    for answer in planet_answers("cell", 0.0, 50.0, region):
        assert len(answer.predictions) == 1
        assert haversine_km(points(answer)[0], (46.05, 8.9)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("point", ["cell", "25", "geoscore"])
def test_no_prediction_lies_outside_the_region(point: str) -> None:
    """Leaves that were not opened overlap the region, and have their centre anywhere."""
    region = Region.disk(46.05, 8.9, 30.0)
    vectors = queries(centres(np.random.default_rng(4).choice(BORDER.cells(8), 6)), 1.2, 5)
    narrow = Effort((64,), 24, (Step(4, 0.0),))  # leaves most cells unopened
    asked = Asked(Question(k=5, effort=narrow, constraint=Constraint(region)), AnswerOptions(point, 15.0))
    places = planet().search(vectors, replace(asked.question, k=10), with_posteriors=True)
    titles = [""] * len(vectors)
    free = maker(5, point=point, apart_km=15.0).answers(titles, vectors, places, ON_PLANET)
    bound = answerer().answers(titles, vectors, asked)
    places = answerer().found(vectors, asked)

    def outside(answers: list[Answer]) -> int:
        return sum(int((~region.overlaps(cells_at(points(answer), 9))).sum()) for answer in answers)

    assert outside(free) > 0
    assert outside(bound) == 0
    assert sum(len(answer.predictions) for answer in bound) > 6
    gain = Mean.GEOSCORE if point == "geoscore" else 25.0
    for row, answer in enumerate(bound):
        discs, best = answerer().maker(asked).best(places, row)
        assert (best.lat, best.lng) == (answer.best.lat, answer.best.lng)
        if point != "cell":  # the best of what is inside
            most = discs.gains(places.lat_lng[row][:10], gain).max()
            assert discs.gains(points(answer)[:1], gain)[0] >= 0.95 * most - 1e-9
