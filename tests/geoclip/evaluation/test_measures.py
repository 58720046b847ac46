"""The evaluator's measures against values worked out by hand, brute force, and scipy's bootstrap."""

import math
import time

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from geoclip.answers.answer import NEARBY_KM
from geoclip.answers.place_names import shared_place_names
from geoclip.distance import EARTH_RADIUS_KM, GEOSCORE_KM, Distance, geodesic_km, geoscore, haversine_km
from geoclip.evaluation import measures
from geoclip.evaluation.answer_table import AnswerTable
from geoclip.evaluation.by_country import whereabouts
from geoclip.evaluation.measures import (
    LEAST_RESAMPLES,
    MASSES,
    MEAN,
    MEASURES,
    MEDIAN,
    THRESHOLDS_KM,
    Bootstrap,
    distances,
    exchanged_km,
    intervals,
    measured,
    recall,
    resampled,
)
from geoclip.evaluation.overlap import overlap
from geoclip.evaluation.reliability import Bin, calibration
from geoclip.evaluation.significance import bootstrap_p, compared, holm, mcnemar_p
from tests.helpers.osv5m import game

Floats = NDArray[np.float64]

QUARTER = EARTH_RADIUS_KM * np.pi / 2


def answers_at(places: object) -> AnswerTable:
    """AnswerTable with the given places, (N, K, 2)."""
    where = np.asarray(places, dtype=np.float64)
    answers = AnswerTable.blank(where.shape[0], where.shape[1])
    answers.places[:] = where
    answers.seen[:] = True
    return answers


def errors(photos: int, seed: int = 0) -> Floats:
    """Distances as models make them: many orders of magnitude, a few photos without an answer."""
    rng = np.random.default_rng(seed)
    km: Floats = np.minimum(np.exp(rng.normal(5.5, 2.5, photos)), 20_000.0)
    km[rng.random(photos) < 0.03] = np.inf
    return km


# -- distances --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["", "_base"])
def test_equals_the_distances_and_scores_of_osv5m(model: str) -> None:
    rows = game()
    assert len(rows) == 50
    column = {
        key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key.startswith(("true_", "pred_l"))
    }
    truth = np.stack((column["true_lat"], column["true_lon"]), axis=1)
    found = np.stack((column[f"pred_lat{model}"], column[f"pred_lon{model}"]), axis=1)
    km = distances(answers_at(found[:, None]), truth, Distance.HAVERSINE)[:, 0]
    assert km == pytest.approx([float(row[f"distance{model}"]) for row in rows], abs=1e-9, rel=1e-12)
    scores = [float(row[f"score{model}"]) for row in rows]
    assert geoscore(km) == pytest.approx(scores, abs=1e-8, rel=1e-12)
    assert measured(km[None])[0, MEASURES.index("geoscore")] == pytest.approx(np.mean(scores))


@pytest.mark.parametrize(
    ("truth", "found", "km"),
    [
        ((0, 0), (0, 180), 2 * QUARTER),
        ((45, 30), (-45, -150), 2 * QUARTER),
        ((90, 0), (-90, 55), 2 * QUARTER),
        ((90, 10), (90, -170), 0.0),
        ((-90, 0), (0, 33), QUARTER),
        ((0, 179.5), (0, -179.5), QUARTER / 90),
        ((0, 180), (0, -180), 0.0),
        ((60, 0), (60, 180), 2 * QUARTER / 3),
    ],
)
def test_antipodes_poles_and_antimeridian(truth: tuple[float, float], found: tuple[float, float], km: float) -> None:
    got = distances(answers_at([[found]]), np.array([truth]), Distance.HAVERSINE)
    assert got[0, 0] == pytest.approx(km, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        ((0, 0), (0, 90), 6378.137 * math.pi / 2),  # a quarter of the equator
        ((90, 0), (-90, 0), 2 * 10001.965729),  # two meridian quadrants of WGS 84
        ((0, 179.5), (0, -179.5), 6378.137 * math.pi / 180),
        ((-37.95103342, 144.42486789), (-37.65282114, 143.92649553), 54.972271),  # Flinders Peak to Buninyong, GRS 80
    ],
)
def test_geodesics_of_the_ellipsoid(a: tuple[float, float], b: tuple[float, float], km: float) -> None:
    assert geodesic_km(a, b) == pytest.approx(km, abs=2e-6)
    assert Distance.GEODESIC.km(a, b) == geodesic_km(a, b)
    assert Distance.HAVERSINE.km(a, b) == haversine_km(a, b) != geodesic_km(a, b)


def test_places_that_are_none_are_infinitely_far() -> None:
    nan = np.nan
    answers = answers_at([[(1, 2), (nan, nan)], [(nan, nan), (nan, nan)], [(1, 2), (1, 3)]])
    for kind in Distance:
        km = distances(answers, np.array([[1.0, 2.0]] * 3), kind)
        assert km[0].tolist() == [0.0, np.inf]
        assert km[1].tolist() == [np.inf, np.inf]
        assert 100 < km[2, 1] < 120
    assert answers.answered.tolist() == [True, False, True]


def test_exchanged_latitude_and_longitude_are_noticed() -> None:
    truth = np.array([(48.0, 4.0), (47.0, 8.0), (52.0, 13.0), (-25.0, 134.0), (40.0, -3.0)])
    swapped = answers_at((truth + 0.1)[:, None, ::-1])
    given, exchanged = exchanged_km(swapped, truth) or (0, 0)
    assert given > 1000
    assert 10 < exchanged < 20  # of the four that have no latitude beyond 90
    assert exchanged_km(answers_at((truth + 0.1)[:, None]), truth) is None
    assert exchanged_km(answers_at((truth + 5.0)[:, None, ::-1]), truth + 4.0) is not None
    assert exchanged_km(answers_at(np.full((5, 1, 2), 30.0)), truth) is None
    assert exchanged_km(answers_at((truth[:2] + 0.1)[:, None, ::-1]), truth[:2]) is None


@pytest.mark.slow
def test_a_million_pairs_in_two_seconds() -> None:
    rng = np.random.default_rng(0)
    truth, found = (np.stack((rng.uniform(-90, 90, 10**6), rng.uniform(-180, 180, 10**6)), axis=1) for _ in range(2))
    answers, seconds = answers_at(found[:, None]), []
    for _ in range(3):
        start = time.process_time()
        km = distances(answers, truth, Distance.HAVERSINE)
        measured(km.T)
        seconds.append(time.process_time() - start)
    assert km.shape == (10**6, 1)
    assert km.max() <= 2 * QUARTER + 1e-9
    assert min(seconds) < 2.0, seconds


def test_the_score_is_that_of_the_index() -> None:
    assert GEOSCORE_KM == 1492.7  # OSV-5M, arXiv 2404.18873
    assert geoscore([0.0, 1492.7, np.inf]) == pytest.approx([5000.0, 5000 / math.e, 0.0])


# -- measures and intervals -------------------------------------------------------------------------------------------


def test_a_distance_equal_to_a_threshold_is_within_it() -> None:
    above = np.nextafter(THRESHOLDS_KM, np.inf)
    values = measured(np.array([THRESHOLDS_KM, above]))
    assert list(THRESHOLDS_KM) == [1, 25, 200, 750, 2500]
    assert values[0, :5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert values[1, :5] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


def test_photos_without_an_answer_stay_in_the_denominator() -> None:
    km = np.array([[0.5, 10.0, 100.0, np.inf], [0.5, np.inf, np.inf, np.inf], [np.inf] * 4])
    few, fewer, none = measured(km)
    assert few[:5].tolist() == [0.25, 0.5, 0.75, 0.75, 0.75]
    assert few[MEDIAN] == 55.0
    assert few[MEAN] == pytest.approx(110.5 / 3)
    assert few[7] == pytest.approx(
        5000 * (math.exp(-0.5 / 1492.7) + math.exp(-10 / 1492.7) + math.exp(-100 / 1492.7)) / 4
    )
    assert (fewer[MEDIAN], fewer[MEAN]) == (np.inf, 0.5)
    assert none[:5].tolist() == [0.0] * 5
    assert math.isnan(none[MEAN])


@pytest.mark.parametrize("photos", [1, 2, 7, 40])
def test_statistics_of_multisets_equal_those_of_the_photos_written_out(photos: int) -> None:
    rng = np.random.default_rng(photos)
    km = np.stack([errors(photos, seed) for seed in (1, 2)])
    counts = rng.multinomial(photos, np.full(photos, 1 / photos), size=20)
    found = Bootstrap(km).statistics(counts)
    for row, of in enumerate(counts):
        for run in range(2):
            sample = np.repeat(km[run], of)
            finite = sample[np.isfinite(sample)]
            expected = [(sample <= reach).mean() for reach in THRESHOLDS_KM]
            expected += [np.median(sample), finite.mean() if len(finite) else np.nan, geoscore(sample).mean()]
            assert found[row, run] == pytest.approx(expected, nan_ok=True)


def test_intervals_agree_with_scipy_s_bootstrap() -> None:
    km = errors(400)
    values, drawn = measured(km[None])[0], resampled(km[None], resamples=4000, seed=1)[:, 0]
    found = dict(zip(MEASURES, intervals(values, drawn), strict=True))
    for name, statistic, slack in (
        ("accuracy_200_km", lambda x, axis: (x <= 200).mean(axis=axis), 0.006),
        ("median_km", np.median, 30.0),
        ("geoscore", lambda x, axis: (5000 * np.exp(-x / 1492.7)).mean(axis=axis), 25.0),
    ):
        expected = scipy.stats.bootstrap(
            (km,), statistic, n_resamples=4000, method="percentile", rng=np.random.default_rng(5)
        ).confidence_interval
        assert found[name].low == pytest.approx(expected.low, abs=slack)
        assert found[name].high == pytest.approx(expected.high, abs=slack)
        assert found[name].low < found[name].value < found[name].high
    exact = scipy.stats.binom.ppf((0.025, 0.975), 400, values[1]) / 400  # resampling a share is a binomial draw
    assert found["accuracy_25_km"][1:] == pytest.approx(exact, abs=1.01 / 400)


def test_intervals_depend_on_the_seed_alone_and_cover_infinite_medians() -> None:
    km = errors(60)[None]
    assert (resampled(km, resamples=300, seed=3) == resampled(km, resamples=300, seed=3)).all()
    assert (resampled(km, resamples=300, seed=3) != resampled(km, resamples=300, seed=4)).any()
    half = np.array([[1.0] * 11 + [np.inf] * 10])
    median = intervals(measured(half)[0], resampled(half, resamples=500)[:, 0])[MEDIAN]
    assert median == (1.0, 1.0, np.inf)


def test_many_photos_are_resampled_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "DRAWS", 30_000)
    assert len(resampled(errors(100)[None], resamples=2000)) == 300
    assert len(resampled(errors(1000)[None], resamples=2000)) == LEAST_RESAMPLES
    assert len(resampled(errors(10)[None], resamples=2000)) == 2000


# -- significance -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(1, 7, 2 * (1 + 8) / 2**8), (7, 1, 18 / 256), (0, 6, 2 / 64), (5, 5, 1.0), (0, 0, 1.0), (2, 9, 2 * 67 / 2**11)],
)
def test_mcnemar_is_a_binomial_test(first: int, second: int, p: float) -> None:
    assert mcnemar_p(first, second) == pytest.approx(p)
    if first + second:
        assert mcnemar_p(first, second) == pytest.approx(scipy.stats.binomtest(first, first + second).pvalue)


def test_holm_and_bootstrap_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])
    assert bootstrap_p(np.ones(99)) == pytest.approx(2 / 100)
    assert bootstrap_p(np.array([-1.0] * 10 + [1.0] * 89)) == pytest.approx(2 * 11 / 100)
    assert bootstrap_p(np.zeros(99)) == 1.0


def test_two_systems_are_compared_on_the_same_photos() -> None:
    first = errors(300)
    second = np.where(np.arange(300) % 2, first * 0.5, first)  # half of the photos are better, none is worse
    km = np.stack((first, second, first))
    found = compared(["a", "b", "c"], km, measured(km), resampled(km, resamples=1000))
    by_key = {(each.first, each.second, each.measure): each for each in found}
    assert len(found) == len(by_key) == 3 * 7
    assert all(
        each.p == each.p_holm == 1.0 and each.difference == 0.0
        for each in found
        if each.second == "c" != each.first and each.first == "a"
    )
    better = by_key["a", "b", "accuracy_200_km"]
    gained = int(((second <= 200) & (first > 200)).sum())
    assert (better.first_only, better.second_only) == (0, gained)
    assert better.p == pytest.approx(min(1.0, 2 * 0.5**gained))
    assert better.difference == pytest.approx(gained / 300)
    score = by_key["a", "b", "geoscore"]
    assert score.test == "bootstrap"
    assert score.p == pytest.approx(2 / 1001)
    unpaired = np.std(geoscore(first)) * math.sqrt(2 / 300) * 1.96
    assert 0 < score.low < score.difference < score.high < score.difference + unpaired
    assert [each.p_holm for each in found] == pytest.approx(_holm_by_definition([each.p for each in found]))


def _holm_by_definition(p: list[float]) -> list[float]:
    """The largest product of a p-value not above it and the number of those not below that."""
    order = sorted(range(len(p)), key=p.__getitem__)
    return [
        min(1.0, max(p[other] * (len(p) - place) for place, other in enumerate(order[: order.index(at) + 1])))
        for at in range(len(p))
    ]


def test_an_infinite_median_differs_from_a_finite_one() -> None:
    km = np.array([[1.0] * 9 + [np.inf], [np.inf] * 10])
    found = {each.measure: each for each in compared(["a", "b"], km, measured(km), resampled(km, resamples=200))}
    assert found["median_km"].difference == np.inf
    assert found["median_km"].p < 0.05
    assert found["accuracy_1_km"].p == pytest.approx(2 / 2**9)


# -- recall, calibration, overlap, places -----------------------------------------------------------------------------


def test_recall_looks_around_the_first_places() -> None:
    km = np.array([[500.0, 20.0, 0.1], [10.0, 900.0, np.inf], [np.inf] * 3, [3000.0, 800.0, 700.0]])
    found = {(each.km, each.k): each for each in recall(km)}
    assert set(found) == {(reach, k) for reach in THRESHOLDS_KM for k in (1, 2, 3)}
    assert [found[25.0, k].share for k in (1, 2, 3)] == [0.25, 0.5, 0.5]
    assert [found[1.0, k].share for k in (1, 2, 3)] == [0.0, 0.0, 0.25]
    assert [found[750.0, k].share for k in (1, 2, 3)] == [0.5, 0.5, 0.75]
    assert found[25.0, 2].area_km2 == pytest.approx(2 * 25**2 * np.pi, rel=1e-5)
    assert found[2500.0, 1].area_km2 == pytest.approx(2 * np.pi * 6371**2 * (1 - np.cos(2500 / 6371)))
    assert max(each.k for each in recall(np.ones((2, 30)))) == 30


def test_claims_are_compared_with_the_truth() -> None:
    answers = answers_at(np.zeros((5, 1, 2)))
    answers.radius_50_km[:] = [10.0, 10.0, 100.0, np.nan, 1.0]
    answers.radius_90_km[:4] = [20.0, 5.0, 500.0, 1.0]
    answers.nearby[:] = [0.95, 0.91, 0.1, np.nan, 0.12]
    km = np.array([10.0, 11.0, 400.0, 2.0, np.inf])
    found = calibration(answers, km)
    assert found.coverage_50 == pytest.approx(1 / 3)  # the fourth claims nothing, the fifth is no answer
    assert found.coverage_90 == pytest.approx(2 / 4)
    assert NEARBY_KM == 25
    assert [tuple(each) for each in found.bins] == [pytest.approx((0.1, 0.0, 1)), pytest.approx((0.93, 1.0, 2))]
    assert found.error is None  # of so few claims it would say nothing
    for times, error in ((33, None), (34, pytest.approx((1 * 0.1 + 2 * 0.07) / 3))):  # 99 and 102 claims
        many = answers_at(np.zeros((5 * times, 1, 2)))
        many.nearby[:] = np.tile(answers.nearby, times)
        assert calibration(many, np.tile(km, times)).error == error
    assert calibration(answers_at(np.zeros((2, 1, 2))), np.ones(2)) == (None, None, None, ())
    answers.nearby[:] = 1.0
    assert calibration(answers, km).bins == (Bin(1.0, 0.75, 4),)


def test_overlap_counts_true_places_beside_the_gallery() -> None:
    metre = 1 / 111_195
    truth = np.array([(47.0, 8.0), (0.0, 179.9999999), (89.99999, 100.0), (10.0, 20.0), (-30.0, 5.0)])
    gallery = np.array(
        [(47.0 + 0.9 * metre, 8.0), (0.0, -180.0), (89.99999, -80.0), (10.0 + 90 * metre, 20.0), (-30 + 110 * metre, 5)]
    )
    found = overlap(truth, gallery, "g.csv")
    assert found == ("g.csv", 5, 2, 4)  # about the pole: 2.2 m
    assert overlap(truth, gallery[:0], "none.csv") == ("none.csv", 0, 0, 0)


def test_countries_are_those_of_this_program_s_answers() -> None:
    rng = np.random.default_rng(0)
    around = np.array([(41.9, 12.45), (47.56, 7.6), (25.28, 55.3), (-1.3, 36.8), (-16.8, 179.9), (22.3, 114.2)])
    points = np.concatenate(
        (
            (around[:, None] + rng.normal(0, 0.5, (6, 25, 2))).reshape(-1, 2),
            np.stack((rng.uniform(-90, 90, 50), rng.uniform(-180, 180, 50)), axis=1),
        )
    )
    points[:, 1] = (points[:, 1] + 180) % 360 - 180
    found = whereabouts(points)
    expected = shared_place_names().names(points)
    assert [found.known[row].iso2 for row in found.country] == [name.code for name in expected]
    assert [found.known[row].name for row in found.country] == [name.country for name in expected]
    assert len({name.code for name in expected}) > 20


def test_accuracy_by_country_and_continent() -> None:
    points = np.array([(48.85, 2.35), (45.75, 4.85), (60.0, 90.0), (-33.9, 151.2), (4.93, -52.33)])
    km = np.array([0.5, 100.0, np.inf, 2.0, 800.0])
    where = whereabouts(points)
    countries = {group.code: group for group in where.by_country(km)}
    assert set(countries) == {"FR", "RU", "AU", "GF"}
    assert countries["FR"] == ("France", "FR", 2, (0.5, 0.5, 1.0, 1.0, 1.0), 50.25)
    assert countries["RU"] == ("Russia", "RU", 1, (0.0,) * 5, np.inf)
    continents = {group.name: group for group in where.by_continent(km)}
    assert {name: group.photos for name, group in continents.items()} == {
        "Europe": 3,
        "Oceania": 1,
        "South America": 1,
    }
    assert continents["Europe"].accuracy == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3))
    assert where.by_country(km)[0].code == "FR"


def test_masses_are_probabilities_in_order() -> None:
    assert list(MASSES) == sorted(MASSES)
    assert 0 < MASSES[0] < MASSES[-1] < 1
