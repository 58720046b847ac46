"""Calibration on made-up truth: places drawn from a distribution whose temperature and prior weight are known."""

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import h3
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import geoclip.answers.fitting as module
from geoclip.answers.answerer import Answerer
from geoclip.answers.answering import AnswerOptions, Circles
from geoclip.answers.calibration import Calibration, EntropyClass
from geoclip.answers.fitting import DISTANCES_KM, LEAST, SCALES, Measured, calibrate, measure
from geoclip.answers.searchers import GallerySearcher, PlanetSearcher
from geoclip.answers.source import Asked, SearchSource
from geoclip.distance import haversine_km
from geoclip.encoders.embedded_gallery import EmbeddedGallery
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from index.grid.cells import cells_at, centres, children
from index.search.planet import Planet
from index.search.posterior import Posterior
from index.search.question import Question
from tests.helpers.calibrations import a_calibration
from tests.helpers.synthetic import ALPS, TAU, encode, queries, small_index

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]

PLACES = 400
HOT = 3.0
"""Truth is drawn at this temperature: the model's own probabilities are far too sure."""
COARSE_QUESTION = Question(resolution=7, prior_weight=SearchOptions.prior_weight)


@cache
def places() -> Floats:
    """Places all over the globe."""
    rng = np.random.default_rng(3)
    lat = np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, PLACES)))
    return np.stack((lat, rng.uniform(-180, 180, PLACES)), axis=1).astype(np.float32).astype(np.float64)


@cache
def in_gallery() -> tuple[Answerer, Asked]:
    gallery = EmbeddedGallery(places().astype(np.float32), torch.from_numpy(encode(places())), np.arange(PLACES))
    source = SearchSource("synthetic", Candidates.GALLERY)
    answerer = Answerer(GallerySearcher(gallery, TAU, torch.device("cpu")), encode, source)
    return answerer, answerer.asked()


@cache
def on_planet() -> tuple[Answerer, Asked]:
    searcher = PlanetSearcher(Planet.open(small_index(ALPS), encode))
    answerer = Answerer(searcher, encode, SearchSource("synthetic", Candidates.PLANET))
    return answerer, Asked(COARSE_QUESTION, AnswerOptions())


@cache
def drawn_from_gallery(temperature: float, count: int, seed: int = 1) -> tuple[Vectors, Floats, Floats]:
    """Vectors, their logits (N, places) in float64, and true places drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    vectors = queries(places()[rng.integers(0, PLACES, count)], 1.5, seed)
    logits = TAU * (vectors.astype(np.float64) @ encode(places()).astype(np.float64).T)
    truth = [rng.choice(PLACES, p=row) for row in softmax(logits / temperature)]
    return vectors, logits, places()[truth]


@cache
def drawn_from_planet(temperature: float, weight: float, count: int, seed: int = 2) -> tuple[Vectors, Floats]:
    """Vectors and true places drawn from the planet's own posteriors."""
    rng = np.random.default_rng(seed)
    vectors = queries(centres(rng.choice(ALPS.cells(7), count)), 1.5, seed)
    question = replace(COARSE_QUESTION, temperature=temperature, prior_weight=weight)
    posteriors = on_planet()[0].searcher.posteriors_at(vectors, question)(temperature, weight)
    return vectors, np.concatenate([drawn(posterior, 1, seed + row) for row, posterior in enumerate(posteriors)])


def softmax(logits: Floats) -> Floats:
    mass = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))


# -- what the fit finds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.3, 0.9, 1.0, 1.02, 2.0, 6.0])
def test_the_temperature_is_found(temperature: float) -> None:
    """By the likelihood of single places, of 20,000 draws: its own error is below 2 %."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2.5, (20_000, 30))
    cumulative = softmax(logits / temperature).cumsum(axis=1)
    truth = (cumulative < rng.random((len(logits), 1))).sum(axis=1).clip(max=29)

    def likelihood(t: float, _: float) -> float:
        return float(np.log(softmax(logits / t)[np.arange(len(logits)), truth]).mean())

    found, weight = module._most_likely(likelihood, 0.5, False)
    assert found == pytest.approx(temperature, rel=0.03)
    assert weight == 0


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("temperature", "weight"), [(0.4, 1.2), (1.0, 0.1), (5.0, 0.7), (1.0, 0.5)])
def test_the_top_of_a_hill_is_found_from_any_start(temperature: float, weight: float, start: float) -> None:
    def hill(t: float, w: float) -> float:
        return float(-(np.log(t / temperature) ** 2) - (w - weight) ** 2 - 0.5 * np.log(t / temperature) * (w - weight))

    found = module._most_likely(hill, start, True)
    assert found[0] == pytest.approx(temperature, rel=0.03)
    assert found[1] == pytest.approx(weight, abs=0.03)


@pytest.mark.parametrize("start", [0.0, 0.5, 2.0])
def test_a_top_outside_is_sought_at_the_border(start: float) -> None:
    found = module._most_likely(lambda t, w: -(np.log(t / 100) ** 2) - (w + 1) ** 2, start, True)
    assert found[0] == pytest.approx(np.exp(3), rel=0.03)
    assert found[0] <= np.exp(3) + 1e-9
    assert 0 <= found[1] < 0.03
    assert module._most_likely(lambda t, _: -t, start, False)[0] == pytest.approx(np.exp(-2), rel=0.03)


@pytest.mark.slow
def test_temperature_and_prior_weight_of_a_planet_are_found() -> None:
    """Several true places a photo, drawn evenly from its distribution, so that there is less chance in them."""
    each = 40
    vectors = queries(centres(np.random.default_rng(2).choice(ALPS.cells(7), 20)), 1.5, 2)
    posteriors_at = on_planet()[0].searcher.posteriors_at(vectors, COARSE_QUESTION)
    truth = np.concatenate([drawn(posterior, each, row) for row, posterior in enumerate(posteriors_at(HOT, 0.8))])

    def likelihood(t: float, w: float) -> float:
        posteriors = (posterior for posterior in posteriors_at(t, w) for _ in range(each))
        return module._log_likelihood(posteriors, truth)

    temperature, weight = module._most_likely(likelihood, 0.5, True)
    assert temperature == pytest.approx(HOT, rel=0.06)
    assert weight == pytest.approx(0.8, abs=0.06)
    best = likelihood(temperature, weight)
    for t, w in ((0.9, 0.0), (1.1, 0.0), (1.0, -0.1), (1.0, 0.1)):
        assert best > likelihood(temperature * t, weight + w)


def drawn(posterior: Posterior, count: int, seed: int) -> Floats:
    """True places (count, 2): one from each of as many equal parts of the distribution, heaviest leaves first."""
    rng = np.random.default_rng(seed)
    order = np.argsort(-posterior.mass)
    parts = (np.arange(count) + rng.random(count)) / count
    leaves = posterior.cells[order[np.searchsorted(posterior.mass[order].cumsum(), parts).clip(max=len(order) - 1)]]
    return np.concatenate(
        [centres(rng.choice(children(np.array([leaf]), posterior.finest).ravel(), 1)) for leaf in leaves]
    )


# -- what a calibration does to unseen photos -------------------------------------------------------------------------


@cache
def of_gallery() -> Calibration:
    vectors, _, truth = drawn_from_gallery(HOT, 800)
    return calibrate(*in_gallery(), vectors, truth)


@cache
def of_planet() -> Calibration:
    vectors, truth = drawn_from_planet(HOT, 0.8, 120)
    return calibrate(*on_planet(), vectors, truth)


@pytest.mark.slow
def test_circles_hold_what_they_say_on_a_gallery() -> None:
    fitted = of_gallery()
    before, after = fitted.report["before"], fitted.report["after"]
    assert fitted.temperature == pytest.approx(HOT, rel=0.1)
    assert (fitted.prior_weight, fitted.candidates, fitted.photos, fitted.model) == (0.0, "gallery", 800, "synthetic")
    assert before["photos"] == after["photos"] == 400
    assert before["coverage_90"] < 0.6
    # 400 held-out places, and 400 that chose the circle: a standard error of 3.5 % and 2 %
    assert after["coverage_50"] == pytest.approx(0.5, abs=0.1)
    assert after["coverage_90"] == pytest.approx(0.9, abs=0.06)
    assert after["error"] < 0.1
    assert before["error"] > 0.3
    assert after["log_likelihood"] > before["log_likelihood"] + 0.5


@pytest.mark.slow
def test_circles_hold_what_they_say_on_a_planet() -> None:
    fitted = of_planet()
    before, after = fitted.report["before"], fitted.report["after"]
    assert before["coverage_90"] < 0.7
    assert after["coverage_50"] == pytest.approx(0.5, abs=0.2)
    assert after["coverage_90"] == pytest.approx(0.9, abs=0.12)
    assert after["error"] < 0.6 * before["error"]
    assert after["log_likelihood"] > before["log_likelihood"]


@pytest.mark.slow
def test_circles_hold_what_they_say_where_no_temperature_is_right() -> None:
    """Every photo was taken at the place that scores ninth: no softmax is like that."""
    vectors, logits, _ = drawn_from_gallery(HOT, 800)
    truth = places()[np.argsort(-logits, axis=1)[:, 8]]
    fitted = calibrate(*in_gallery(), vectors, truth)
    after = fitted.report["after"]
    assert after["coverage_50"] == pytest.approx(0.5, abs=0.1)
    assert after["coverage_90"] == pytest.approx(0.9, abs=0.06)
    answerer, asked = in_gallery()
    question, how = fitted.applied(*asked)
    uncorrected = Asked(question, replace(how, circles=(Circles(),)))
    assert measure(answerer, uncorrected, vectors, truth).coverage_50 < 0.4


def test_the_report_is_of_the_other_half(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _, truth = drawn_from_gallery(HOT, 41)
    vectors = vectors.copy()
    seen: dict[str, set[bytes]] = {}

    def spy(name: str) -> None:
        original = getattr(module, name)

        def spied(answerer: Answerer, asked: Asked, some: Vectors, places: Floats) -> Any:
            assert len(some) == len(places)
            for vector, place in zip(some, places, strict=True):  # each with its own place
                assert (truth[(vectors == vector).all(axis=1).argmax()] == place).all()
            seen.setdefault(name, set()).update(vector.tobytes() for vector in some)
            return original(answerer, asked, some, places)

        monkeypatch.setattr(module, name, spied)

    spy("_reached")
    spy("measure")
    calibrate(*in_gallery(), vectors, truth, seed=5)
    assert (len(seen["_reached"]), len(seen["measure"])) == (21, 20)
    assert not seen["_reached"] & seen["measure"]
    first = seen["measure"]
    seen.clear()
    calibrate(*in_gallery(), vectors, truth, seed=6)
    assert seen["measure"] != first


def test_labels_at_sea_and_a_model_that_is_wrong_do_no_harm() -> None:
    rng = np.random.default_rng(9)
    vectors, _, _ = drawn_from_gallery(HOT, 40)
    anywhere = np.stack((rng.uniform(-60, 60, 40), rng.uniform(-180, 180, 40)), axis=1)
    fitted = calibrate(*in_gallery(), vectors, anywhere)
    assert fitted.temperature > 10  # nothing is known, so nothing is claimed
    assert np.isfinite([fitted.report["after"]["log_likelihood"], fitted.report["after"]["median_km"]]).all()
    fitted.applied(Question(), AnswerOptions())


def test_too_few_labels_are_refused() -> None:
    vectors, _, truth = drawn_from_gallery(HOT, 41)
    with pytest.raises(InputError, match=f"19 labelled photos are too few to calibrate; give at least {LEAST}"):
        calibrate(*in_gallery(), vectors[:19], truth[:19])
    assert calibrate(*in_gallery(), vectors[:20], truth[:20]).photos == 20


# -- the parts, against plain loops -----------------------------------------------------------------------------------


def mass_by_loop(posterior: Posterior, truth: Floats, res: int) -> float:
    finest = h3.latlng_to_cell(*truth, posterior.finest)
    cell = h3.cell_to_parent(finest, min(res, posterior.finest))
    total = 0.0
    for leaf, mass in zip((h3.int_to_str(int(c)) for c in posterior.cells), posterior.mass, strict=True):
        own, wanted = h3.get_resolution(leaf), h3.get_resolution(cell)
        if own >= wanted:
            total += mass if h3.cell_to_parent(leaf, wanted) == cell else 0.0
        elif h3.cell_to_parent(cell, own) == leaf:
            total += mass / h3.cell_to_children_size(leaf, wanted)
    return total


def some_posterior(around: Floats, finest: int, seed: int) -> Posterior:
    """Leaves of all resolutions: at each level one child is divided on, the one that holds the point."""
    rng = np.random.default_rng(seed)
    leaves = []
    cell = cells_at(around[None], 0)
    for res in range(1, finest + 1):
        below = children(cell, res).ravel()
        cell = h3_parent(around, finest, res)
        leaves += [int(child) for child in below if child != cell[0]]
    leaves += [int(cell[0])]
    mass = rng.dirichlet(np.ones(len(leaves)))
    return Posterior(np.array(leaves, dtype=np.uint64), mass, finest)


def h3_parent(point: Floats, finest: int, res: int) -> NDArray[np.uint64]:
    return np.array([h3.str_to_int(h3.cell_to_parent(h3.latlng_to_cell(*point, finest), res))], dtype=np.uint64)


PENTAGON = np.array(h3.cell_to_latlng(h3.get_pentagons(2)[4]))


@pytest.mark.parametrize("point", [np.array([46.6, 8.2]), np.array([-17.0, 179.99]), PENTAGON], ids=str)
@pytest.mark.parametrize("finest", [6, 9])
def test_the_mass_of_a_cell_is_that_of_its_leaves_and_its_share_of_a_coarser_one(point: Floats, finest: int) -> None:
    posterior = some_posterior(point, finest, seed=finest)
    rng = np.random.default_rng(1)
    asked = np.concatenate((point[None], point + rng.normal(0, 10.0 ** -rng.integers(-1, 4, (60, 1)), (60, 2))))
    asked[:, 0] = asked[:, 0].clip(-89, 89)
    seen = set()
    for truth in asked:
        scales = (*SCALES, 0, 9)
        expected = [mass_by_loop(posterior, truth, res) for res in scales]
        np.testing.assert_allclose(module._masses(posterior, truth, scales), expected, rtol=1e-12)
        seen |= {mass > 0 for mass in expected}
    assert seen == {True, False}
    logs = [np.mean([np.log(max(mass_by_loop(posterior, truth, res), 1e-9)) for res in SCALES]) for truth in asked]
    assert module._log_likelihood(iter([posterior] * len(asked)), asked) == pytest.approx(np.mean(logs), rel=1e-9)


def test_over_all_cells_the_masses_add_up_to_one() -> None:
    point = np.array([46.6, 8.2])
    posterior = some_posterior(point, 6, seed=0)
    for res in (0, 1):
        every = [h3.cell_to_latlng(c) for base in h3.get_res0_cells() for c in h3.cell_to_children(base, res)]
        owners = {h3.cell_to_parent(h3.latlng_to_cell(*p, 6), res) for p in every}
        assert len(owners) == len(every)
        total = sum(module._masses(posterior, np.array(p), (res,))[0] for p in every)
        assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("count", [10, 11, 19, 40])
def test_a_level_covers_a_new_value_as_often_as_asked(count: int) -> None:
    """Split conformal: on average over calibration sets, at least the share and less than 1 / (n + 1) more."""
    rng = np.random.default_rng(count)
    for share in (0.5, 0.9):
        levels = [
            module._level(rng.random(count), share) for _ in range(20_000)
        ]  # a new value is below with this chance
        assert share - 0.004 < np.mean(levels) < share + 1 / (count + 1) + 0.004
    assert 0 < module._level(np.zeros(10), 0.5) <= 1
    assert module._level(np.full(10, 1.5), 0.9) == 1


def test_reliability_is_what_a_loop_over_bins_says() -> None:
    rng = np.random.default_rng(4)
    claims = np.concatenate((rng.random(500), [0.0, 1.0, 0.999]))
    truths = rng.random(len(claims)) < claims**2
    error, curve = module._reliability(claims, truths)
    gaps, expected = 0.0, []
    for low in range(10):
        inside = [i for i, c in enumerate(claims) if low <= c * 10 < low + 1 or (low == 9 and c == 1)]
        claimed, true = sum(claims[inside]) / len(inside), sum(truths[inside]) / len(inside)
        expected.append((claimed, true, len(inside)))
        gaps += len(inside) * abs(claimed - true)
    assert error == pytest.approx(gaps / len(claims))
    np.testing.assert_allclose(curve, expected)
    error, ((claimed, true, count),) = module._reliability(np.array([0.95, 0.95]), np.array([True, False]))
    assert (error, claimed, true, count) == pytest.approx((0.45, 0.95, 0.5, 2))


def test_measuring_by_hand() -> None:
    """A gallery of exact places: what lies within a distance can be counted."""
    vectors, logits, truth = drawn_from_gallery(HOT, 41)
    asked = Asked(Question(temperature=2.0), AnswerOptions("cell", 0.0))
    found = measure(in_gallery()[0], asked, vectors, truth)
    probabilities = softmax(logits / 2.0)
    best = places()[logits.argmax(axis=1)]
    away = haversine_km(best, truth)
    assert found.photos == 41
    assert found.median_km == pytest.approx(float(np.median(away)), abs=0.3)
    claims, truths, inside = [], [], []
    for row, centre in enumerate(best):
        distances = haversine_km(centre[None], places())
        claims += [probabilities[row][distances <= km].sum() for km in DISTANCES_KM]
        truths += [away[row] <= km for km in DISTANCES_KM]
        order = np.argsort(distances)
        sums = probabilities[row][order].cumsum()
        radii = [distances[order][np.searchsorted(sums, share)] for share in (0.5, 0.9)]
        inside.append([away[row] <= radius + 1e-6 for radius in radii])
    error, _ = module._reliability(np.array(claims), np.array(truths))
    assert found.error == pytest.approx(error, abs=0.02)
    # a circle's edge runs through the last place's cell, which is in or out by a hair
    assert found.coverage_50 <= np.mean(inside, axis=0)[0] + 1e-9
    assert found.coverage_90 <= np.mean(inside, axis=0)[1] + 1e-9
    assert sum(count for _, _, count in found.reliability) == 41 * len(DISTANCES_KM)


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_saved_calibration_loads_equal(tmp_path: Path) -> None:
    for fitted in (of_gallery(), of_planet()):
        fitted.save(tmp_path / "c.json")
        loaded = Calibration.load(tmp_path / "c.json")
        assert loaded == fitted.model_copy(update={"report": json.loads(json.dumps(fitted.report))})
        assert {f"{k}" for k in loaded.report["after"]} == set(Measured.__dataclass_fields__)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_a_calibration_is_applied() -> None:
    fitted = a_calibration("synthetic")
    question, how = fitted.applied(Question(k=3, resolution=8), AnswerOptions(point="geoscore"))
    assert question == Question(k=3, resolution=8, temperature=2.5, prior_weight=0.7)
    promise = fitted.classes[0].promise()
    assert how == AnswerOptions("geoscore", circles=(Circles(math.inf, 0.4, 0.95, promise),), calibrated=100)
    question, _ = fitted.model_copy(update={"candidates": Candidates.GALLERY}).applied(Question(), AnswerOptions())
    assert question == Question(temperature=2.5)


def test_another_model_or_other_candidates_are_refused() -> None:
    fitted = a_calibration("m" * 64)
    same: dict[str, str | int] = {"index": "", "resolution": 9, "effort": "default", "point": "all", "crops": 1}
    fitted.check(model="m" * 64, candidates=Candidates.PLANET, **same)
    changes: tuple[tuple[dict[str, str | int], str], ...] = (
        ({"model": "o" * 64}, "the model mmmmmmmmmmmm, this search has oooooooooooo; search as it was fitted"),
        ({"candidates": Candidates.GALLERY}, "the candidates planet, this search has gallery"),
        ({"index": "abc"}, "the index none, this search has abc"),
        ({"resolution": 8}, "the resolution 9, this search has 8"),
        ({"effort": "fast"}, "the effort default, this search has fast"),
        ({"point": "25"}, "the choice of the point all, this search has 25"),
        ({"crops": 10}, "the number of crops 1, this search has 10"),
    )
    for change, said in changes:
        with pytest.raises(InputError, match=said):
            fitted.check(**change)


def test_a_promise_is_as_wide_as_the_photos_are_few() -> None:
    """Of so many new circles as the Beta distribution says: by drawing calibrations of uniform scores."""
    rng = np.random.default_rng(0)
    for photos in (20, 50, 400):
        promise = EntropyClass(up_to_bits=None, level_50=0.5, level_90=0.9, photos=photos).promise()
        scores = np.sort(rng.random((20_000, photos)), axis=1)
        for share, low, high in ((0.5, promise.low_50, promise.high_50), (0.9, promise.low_90, promise.high_90)):
            drawn = scores[:, min(math.ceil((photos + 1) * share), photos) - 1]  # the share of new photos inside
            assert (low, high) == pytest.approx(tuple(np.quantile(drawn, (0.05, 0.95))), abs=0.01)
    assert promise.photos == 400


def test_each_class_of_entropy_has_circles_of_its_own() -> None:
    rng = np.random.default_rng(1)
    bits = rng.uniform(0, 12, 600)
    reached = np.clip(rng.random(600) * np.where(bits < 4, 0.5, 1.0), 0, 1)  # the sure ones need half as much
    classes = module._classes(reached, bits)
    assert [each.photos for each in classes] == [200, 200, 200]
    assert [each.up_to_bits is None for each in classes] == [False, False, True]
    assert classes[0].level_50 == pytest.approx(0.25, abs=0.05)
    assert classes[2].level_50 == pytest.approx(0.5, abs=0.08)
    how = AnswerOptions(circles=tuple(Circles(each.up_to_bits or math.inf, each.level_50) for each in classes))
    for each, own in zip(classes, np.array_split(np.argsort(bits), 3), strict=True):
        assert {how.circles_at(float(b)).level_50 for b in bits[own]} == {each.level_50}
    assert len(module._classes(reached[:99], bits[:99])) == 1


GOOD = a_calibration("m").model_dump(mode="json")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist"),
        (b"", "cannot be read"),
        (json.dumps(GOOD)[:-9].encode(), "cannot be read as a calibration"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "cannot be read"),
        (json.dumps(GOOD | {"kind": "geoclip-calibration/9"}).encode(), "'geoclip-calibration/9'"),
        (json.dumps(GOOD | {"more": 1}).encode(), "more"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "crops"}).encode(), "crops"),
        (json.dumps(GOOD | {"model": 5}).encode(), r"model: .*it is 5"),
        (json.dumps(GOOD | {"photos": "many"}).encode(), r"photos: .*it is 'many'"),
        (json.dumps(GOOD | {"temperature": 0}).encode(), r"temperature: .*it is 0"),
        (json.dumps(GOOD | {"temperature": float("nan")}).encode(), r"temperature: .*it is nan"),
        (json.dumps(GOOD | {"temperature": "hot"}).encode(), r"temperature: .*it is 'hot'"),
        (json.dumps(GOOD | {"prior_weight": None}).encode(), r"prior_weight: .*it is None"),
        (json.dumps(GOOD | {"classes": [GOOD["classes"][0] | {"level_90": 1.5}]}).encode(), "1.5"),
        (json.dumps(GOOD | {"classes": []}).encode(), "classes"),
        (json.dumps(GOOD | {"candidates": "moon"}).encode(), "'moon'"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "c.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=complaint) as error:
        Calibration.load(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert str(error.value).endswith("give a file that `geoclip calibrate` wrote.")


def test_a_folder_is_no_calibration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Calibration.load(tmp_path)
