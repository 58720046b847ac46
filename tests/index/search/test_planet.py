"""An opened index as its user sees it."""

import time
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import index.search.batches as batches_module
from index.grid.cells import Cells, cells_at, centres, parents, resolution, resolutions
from index.grid.constraint import Constraint
from index.grid.region import Region
from index.grid.sphere import haversine_km
from index.search.efforts import Effort, EffortName, Step
from index.search.hits import FoundPlaces
from index.search.planet import Planet
from index.search.question import Question
from index.storage.gallery import Gallery
from index.storage.manifest import BadIndexError
from tests.helpers.synthetic import ALPS, DIM, FIJI, TAU, SyntheticEncoder, encode, queries, small_index

VALLEY = Region.disk(46.6, 8.2, 20.0)
FEW = Effort((16, 32), 4, (Step(2, 0.0),))


@cache
def planet(region: Region = ALPS, engine: str = "tree") -> Planet:
    return Planet.open(small_index(region), encode, engine=engine)


@cache
def asked(region: Region = ALPS, count: int = 6) -> NDArray[np.float32]:
    return queries(centres(np.random.default_rng(5).choice(region.cells(8), count)), 0.5, 5)


def check(hits: FoundPlaces, count: int, question: Question) -> None:
    """What is promised of any answer."""
    k = question.k
    assert hits.cells.shape == hits.scores.shape == hits.probabilities.shape == (count, k)
    assert hits.lat_lng.shape == (count, k, 2)
    assert hits.estimated.shape == hits.encodings.shape == (count,)
    assert [part.dtype for part in hits[:6]] == [np.uint64, np.float64, np.float32, np.float64, np.float64, np.int64]
    real = hits.cells > 0
    assert (real[:, :-1] >= real[:, 1:]).all()  # what there is comes first
    assert (resolutions(hits.cells[real]) == question.resolution).all()
    assert np.isnan(hits.lat_lng[~real]).all()
    assert (hits.scores[~real] == -np.inf).all()
    assert (hits.probabilities[~real] == 0).all()
    assert np.isfinite(hits.lat_lng[real]).all()
    assert (np.abs(hits.scores[real]) <= 1 + 1e-6).all()
    assert ((hits.probabilities >= 0) & (hits.probabilities <= 1 + 1e-9)).all()
    assert ((hits.estimated >= 0) & (hits.estimated <= 1 + 1e-9)).all()
    for row, cells in zip(real, hits.cells, strict=True):
        assert len(np.unique(cells[row])) == row.sum()
    if question.prior_weight == 0 and question.mass_resolution is None:
        assert (np.diff(np.where(real, hits.scores, -2.0), axis=1) <= 1e-6).all()


@pytest.mark.parametrize("engine", ["tree", "exact", "resident"])
@pytest.mark.parametrize(
    "question",
    [
        Question(),
        Question(k=1, resolution=6),
        Question(k=3, resolution=11, effort=EffortName.FAST, prior_weight=1.0),
        Question(k=100, effort=FEW, gallery=False),
        Question(k=30, resolution=7, constraint=Constraint(VALLEY), prior_weight=0.5),
        Question(k=5000, resolution=7, constraint=Constraint(VALLEY)),
        Question(k=7, mass_resolution=7),
        Question(k=2000, mass_resolution=0),
    ],
    ids=repr,
)
def test_hits(engine: str, question: Question) -> None:
    opened = planet(engine=engine)
    hits = opened.search(asked(), question)
    check(hits, len(asked()), question)
    real = hits.cells > 0
    assert real[:, 0].all()
    if question.region is not None:
        assert question.region.overlaps(hits.cells[real]).all()
    if question.mass_resolution is None and question.resolution > 6 and not question.gallery:
        np.testing.assert_array_equal(hits.lat_lng[real], centres(hits.cells[real]))
        near = encode(hits.lat_lng[real]) @ asked().T
        rows = np.nonzero(real)[0]
        np.testing.assert_allclose(near[np.arange(len(rows)), rows], hits.scores[real], atol=1e-6)


BOX = (46.31, 7.93, 46.92, 8.71)
"""South, west, north, east."""


@pytest.mark.parametrize(
    ("resolution", "effort", "gallery"),
    [
        (6, EffortName.EXHAUSTIVE, False),
        (7, EffortName.EXHAUSTIVE, True),
        (9, EffortName.FAST, True),
        (9, EffortName.FAST, False),
        (11, EffortName.FAST, True),
    ],
)
def test_hits_are_inside_the_region(resolution: int, effort: EffortName, gallery: bool) -> None:
    """Not only in cells that overlap it: compared with the numbers the region was made of."""
    shapes = {"bbox": [",".join(map(str, BOX))], "near": ["46.6,8.2,9"], "not_near": ["46.6,8.2,9"]}
    vectors = queries(np.array([BOX[:2], BOX[2:], (46.6, 8.2 + 9 / 76.5), (46.5, 8.3)]))
    for flag, values in shapes.items():
        made = Constraint.parse(bbox=shapes["bbox"]) if flag == "bbox" else Constraint.parse(**{flag: values})
        question = Question(k=30, resolution=resolution, effort=effort, constraint=made, gallery=gallery)
        hits = planet().search(vectors, question)
        real = hits.cells > 0
        assert real[:, 0].all()
        where = hits.lat_lng[real]
        away = haversine_km(where, (46.6, 8.2))
        south, west, north, east = BOX
        box = (where[:, 0] >= south) & (where[:, 0] <= north) & (where[:, 1] >= west) & (where[:, 1] <= east)
        assert {"bbox": box, "near": away <= 9, "not_near": away > 9}[flag].all()
        if resolution > 6:
            rows = np.nonzero(real)[0]
            near = (encode(where) * vectors[rows]).sum(axis=1)
            np.testing.assert_allclose(near, hits.scores[real], atol=1e-6)


def test_a_region_of_metres_has_a_place_inside() -> None:
    for km in ("0.003", "0.05", "0.4"):
        made = Constraint.parse(near=[f"46.60123,8.20345,{km}"])
        hits = planet().search(asked(), Question(k=3, constraint=made))
        assert (hits.cells[:, 0] > 0).all()
        assert (haversine_km(hits.lat_lng[:, 0], (46.60123, 8.20345)) <= float(km)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effort", "resolution"),
    [(EffortName.FAST, 6), (EffortName.FAST, 9), (EffortName.DEFAULT, 9), (EffortName.EXHAUSTIVE, 7)],
)
def test_the_first_hits_do_not_depend_on_how_many_are_asked_for(effort: EffortName, resolution: int) -> None:
    rough = Planet.open(small_index(ALPS), SyntheticEncoder(lambda x: encode(x.round(3))))
    cases: list[tuple[Planet, dict[str, Any]]] = [
        (planet(), {}),
        (rough, {"prior_weight": 0.5}),
        (planet(), {"constraint": Constraint(VALLEY)}),
        (planet(), {"mass_resolution": 6}),
    ]
    for opened, more in cases:
        asked_for = Question(k=50, resolution=resolution, effort=effort, **more)
        many = opened.search(asked(), asked_for, with_posteriors=True)
        for k in (1, 10, 11):
            few = opened.search(asked(), replace(asked_for, k=k), with_posteriors=True)
            assert np.array_equal(few.cells, many.cells[:, :k])
            assert np.array_equal(few.lat_lng, many.lat_lng[:, :k], equal_nan=True)
            assert np.array_equal(few.scores, many.scores[:, :k])
            assert np.array_equal(few.probabilities, many.probabilities[:, :k])
            for one, other in zip(few.posteriors, many.posteriors, strict=True):
                assert np.array_equal(one.cells, other.cells)
                assert np.array_equal(one.mass, other.mass)


def test_engines_give_the_same_answers() -> None:
    question = Question(k=20, effort=EffortName.EXHAUSTIVE, resolution=7, prior_weight=0.5)
    tree, *others = (planet(engine=name).search(asked(), question) for name in ("tree", "exact", "resident"))
    for other in others:
        np.testing.assert_allclose(tree.scores, other.scores, atol=1e-6)
        np.testing.assert_allclose(tree.probabilities, other.probabilities, atol=1e-6)
        assert np.array_equal(tree.cells, other.cells)


def test_no_queries() -> None:
    check(planet().search(asked()[:0], Question(k=4)), 0, Question(k=4))
    assert list(planet().posteriors(asked()[:0], Question())) == []


def test_a_query_alone_equals_the_query_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "BATCH", 4)
    question = Question(k=5, prior_weight=0.4)
    whole = planet().search(asked(), question)
    for row in range(len(asked())):
        alone = planet().search(asked()[row : row + 1], question)
        assert np.array_equal(alone.cells[0], whole.cells[row])
        assert np.array_equal(alone.lat_lng[0], whole.lat_lng[row])
        assert np.array_equal(alone.scores[0], whole.scores[row])
        assert np.array_equal(alone.probabilities[0], whole.probabilities[row])
        assert (alone.estimated[0], alone.encodings[0]) == (whole.estimated[row], whole.encodings[row])


@pytest.mark.parametrize("mass_resolution", [0, 4, 7, 9])
def test_ranked_by_the_mass_of_coarser_cells(mass_resolution: int) -> None:
    question = Question(k=6, mass_resolution=mass_resolution, gallery=False)
    hits = planet().search(asked(), question)
    check(hits, len(asked()), question)
    for row, posterior in enumerate(planet().posteriors(asked(), question)):
        cells, mass = posterior.at(mass_resolution)
        weights = dict(zip(cells.tolist(), mass.tolist(), strict=True))
        real = hits.cells[row] > 0
        groups = parents(hits.cells[row][real], mass_resolution)
        assert len(np.unique(groups)) == len(groups)
        np.testing.assert_allclose(hits.probabilities[row][real], [weights[group] for group in groups.tolist()])
        assert (np.diff(hits.probabilities[row]) <= 0).all()
        finest = posterior.cells[resolutions(posterior.cells) == 9]
        own = posterior.mass[resolutions(posterior.cells) == 9]
        for cell, group in zip(hits.cells[row][real].tolist(), groups.tolist(), strict=True):
            inside = parents(finest, mass_resolution) == group
            assert cell == finest[inside][own[inside].argmax()]  # the best cell stands for its group
        if len(groups) == 6:
            opened = np.isin(cells, parents(finest, mass_resolution))
            assert groups.tolist() == cells[opened][:6].tolist()


def test_an_exact_encoder_changes_scores_and_not_what_is_asked() -> None:
    rough = Question(k=4, gallery=False)
    exact = Planet.open(small_index(ALPS), SyntheticEncoder(lambda x: encode(x.round(3)))).search(asked(), rough)
    check(exact, len(asked()), rough)
    real = exact.cells > 0
    rows = np.nonzero(real)[0]
    near = (encode(centres(exact.cells[real])) * asked()[rows]).sum(axis=1)
    np.testing.assert_allclose(exact.scores[real], near, atol=1e-6)


def with_gallery(places: Gallery, encoder: SyntheticEncoder = encode) -> Planet:
    opened = Planet.open(small_index(ALPS), encoder)
    opened.gallery = places
    return opened


def places_in(cell: Cells, count: int) -> NDArray[np.float64]:
    """Up to so many coordinates all over a cell, as float32 holds them."""
    around = centres(cell) + np.random.default_rng(0).normal(size=(count * 4, 2)) * 5e-3
    around = around.astype(np.float32).astype(np.float64)
    inside: NDArray[np.float64] = around[parents(cells_at(around, 15), resolution(cell)) == cell][:count]
    return inside


def test_places_of_the_gallery_are_candidates() -> None:
    """A query for a place far from its cell's centre is answered with the place, and a worse place changes nothing."""
    cell = cells_at([(46.6012, 8.2034)], 9)
    inside = places_in(cell, 60)
    asked_for = encode(inside)
    gains = 1 - (asked_for @ encode(centres(cell))[0])
    target = int(gains.argmax())
    assert gains[target] > 1e-4
    opened = with_gallery(Gallery.of(inside))
    question = Question(k=3, effort=EffortName.THOROUGH)
    hits = opened.search(asked_for[target : target + 1], question)
    assert hits.cells[0, 0] == cell[0]
    np.testing.assert_allclose(hits.lat_lng[0, 0], inside[target], atol=1e-9)
    assert hits.scores[0, 0] == pytest.approx(1, abs=1e-6)
    check(hits, 1, question)

    centre = encode(centres(cell))
    hits = opened.search(centre, question)
    np.testing.assert_array_equal(hits.lat_lng[0, 0], centres(cell)[0])
    assert hits.scores[0, 0] == pytest.approx(1, abs=1e-6)
    off = opened.search(asked_for[target : target + 1], replace(question, gallery=False))
    np.testing.assert_array_equal(off.lat_lng[0], centres(off.cells[0]))


def test_of_many_places_in_a_cell_some_from_all_over_it_are_tried() -> None:
    cell = cells_at([(46.6012, 8.2034)], 8)
    places = Gallery.of(places_in(cell, 2000))
    tried: list[NDArray[np.float64]] = []

    def watched(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        tried.append(lat_lng)
        return encode(lat_lng)

    opened = with_gallery(places, SyntheticEncoder(watched, encode))
    opened.search(encode(centres(cell)), Question(k=1, resolution=8))
    own = np.array([place for place in tried[-1].tolist() if tuple(place) in set(map(tuple, places.lat_lng.tolist()))])
    own = own[cells_at(own, 8) == cell]
    assert 32 <= len(own) <= 64
    assert len(np.unique(parents(cells_at(own, 15), 9))) == 7


def test_the_index_s_own_gallery_never_lowers_a_score() -> None:
    for k in (1, 50):
        plain = planet().search(asked(), Question(k=k, gallery=False))
        refined = planet().search(asked(), Question(k=k))
        assert (refined.scores >= plain.scores - 1e-6).all()
        real = refined.cells > 0
        vectors = encode(refined.lat_lng[real])
        rows = np.nonzero(real)[0]
        np.testing.assert_allclose((vectors * asked()[rows]).sum(axis=1), refined.scores[real], atol=1e-6)
        moved = (refined.lat_lng[real] != centres(refined.cells[real])).any(axis=1)
        places = {tuple(place) for place in planet().gallery.lat_lng.tolist()}
        assert all(tuple(place) in places for place in refined.lat_lng[real][moved].tolist())


@pytest.mark.parametrize("lng", [179.97, -179.97, 179.9995, -179.9995])
def test_both_sides_of_the_antimeridian(lng: float) -> None:
    """A place beside the antimeridian is found from its own side."""
    cell = cells_at([(-17.2, lng)], 9)
    hits = planet(FIJI).search(encode(centres(cell)), Question(k=3, gallery=False))
    assert hits.cells[0, 0] == cell[0]
    assert hits.scores[0, 0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(hits.lat_lng[0, 0], centres(cell)[0])


def test_a_resolution_the_index_cannot_answer_is_refused() -> None:
    for res in (0, 5, 12):
        with pytest.raises(ValueError, match=rf"resolution is {res}; this index answers at 6 to 11"):
            planet().search(asked(), Question(resolution=res))
        with pytest.raises(ValueError, match=rf"resolution is {res}"):
            planet().posteriors(asked(), Question(resolution=res))


def test_a_region_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no land of this index"):
        planet().search(asked(), Question(constraint=Constraint(FIJI)))


def test_bad_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=rf"shape \(6, 7\); expected \(N, {DIM}\)"):
        planet().search(asked()[:, :7], Question())
    bad = asked().copy()
    bad[2, 1] = np.inf
    with pytest.raises(ValueError, match="Query 2"):
        planet().search(bad, Question())


@pytest.mark.parametrize(
    ("field", "value"), [("k", 0), ("prior_weight", -0.1), ("prior_weight", 2.1), ("mass_resolution", 10)]
)
def test_questions_that_are_none_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{value}"):
        replace(Question(), **{field: value})


def test_another_model_is_refused() -> None:
    folder = small_index(ALPS)
    assert Planet.open(folder, encode, model="synthetic").manifest.tau == TAU
    with pytest.raises(BadIndexError, match="built with the model synthetic, the vectors come from abcdef012345;"):
        Planet.open(folder, encode, model="abcdef0123456789")


def test_opening_is_quick() -> None:
    folder = small_index(ALPS)
    Planet.open(folder, encode)
    begin = time.process_time()
    Planet.open(folder, encode)
    assert time.process_time() - begin < 0.5
