"""H3 on whole arrays against h3-py, which wraps H3's own C library, and against golden cells."""

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.grid import cells
from index.grid.cells import Cells

PENTAGON_BASES = [4, 14, 24, 38, 49, 58, 63, 72, 83, 97, 107, 117]

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180, exclude_max=True)
points = st.tuples(latitudes, longitudes)


def sample(res: int, count: int = 300) -> Cells:
    """Cells of one resolution all over the globe, the twelve pentagons among them."""
    random = np.random.default_rng(res)
    lat = np.degrees(np.arcsin(random.uniform(-1, 1, count)))
    lng = random.uniform(-180, 180, count)
    found = [h3.latlng_to_cell(*point, res) for point in zip(lat, lng, strict=True)]
    return np.array(sorted({*found, *h3.get_pentagons(res)}), dtype=np.uint64)


@pytest.mark.parametrize(
    ("lat_lng", "res", "name"),
    [
        ((37.775938728915946, -122.41795063018799), 9, "8928308280fffff"),  # H3's documentation, San Francisco
        ((37.3615593, -122.0553238), 5, "85283473fffffff"),  # H3's README
        ((48.8583701, 2.2944813), 9, "891fb46741bffff"),  # the Eiffel Tower
        ((90.0, 0.0), 0, "8001fffffffffff"),  # the North Pole
        ((-90.0, 0.0), 0, "80f3fffffffffff"),  # the South Pole
    ],
)
def test_golden_cells(lat_lng: tuple[float, float], res: int, name: str) -> None:
    found = cells.cells_at([lat_lng], res)
    assert found.dtype == np.uint64
    assert cells.names(found) == [name]


def test_base_cells() -> None:
    assert cells.base_cells().tolist() == sorted(h3.get_res0_cells())


@settings(deadline=None)
@given(st.lists(points, min_size=1, max_size=20), st.integers(0, 15))
def test_cells_at_agrees(lat_lng: list[tuple[float, float]], res: int) -> None:
    assert cells.cells_at(lat_lng, res).tolist() == [h3.latlng_to_cell(*point, res) for point in lat_lng]


@pytest.mark.parametrize("lat", [-90.0, -89.999999, 89.999999, 90.0])
def test_cells_at_the_poles_and_the_antimeridian(lat: float) -> None:
    lng = np.array([-180.0, -179.9999999, 0.0, 179.9999999])
    for res in range(16):
        found = cells.cells_at(np.stack((np.full(4, lat), lng), axis=1), res)
        assert found.tolist() == [h3.latlng_to_cell(lat, x, res) for x in lng]


@settings(deadline=None)
@given(latitudes, st.floats(-180, 180), st.integers(-2, 2))
def test_longitudes_are_wrapped(lat: float, lng: float, turns: int) -> None:
    lng = round(lng * 1024) / 1024  # so that adding turns loses no digits
    assert cells.cells_at([(lat, lng + 360 * turns)], 12) == cells.cells_at([(lat, lng)], 12)


@pytest.mark.parametrize("bad", [(90.1, 0.0), (-91.0, 0.0), (np.nan, 0.0), (0.0, np.inf)])
def test_coordinates_that_are_none_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"Row 1 is .*latitudes are -90 to 90 and values finite"):
        cells.cells_at([(0.0, 0.0), bad], 5)


def test_coordinates_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(N, 2\)"):
        cells.cells_at([1.0, 2.0, 3.0], 5)


def test_no_cells_are_no_error() -> None:
    none = np.zeros(0, dtype=np.uint64)
    assert cells.cells_at(np.zeros((0, 2)), 5).shape == (0,)
    assert cells.centres(none).shape == (0, 2)
    for result in (cells.children(none, 5), cells.parents(none, 5), cells.areas_km2(none), cells.valid(none)):
        assert result.shape == (0,)


@pytest.mark.parametrize("res", range(16))
def test_resolutions_parents_pentagons_centres_and_areas_agree(res: int) -> None:
    some = sample(res)
    listed = some.tolist()
    assert cells.resolution(some) == res
    assert cells.pentagons(some).tolist() == [h3.is_pentagon(cell) for cell in listed]
    assert int(cells.pentagons(some).sum()) == 12
    assert cells.valid(some).all()
    for coarser in range(res + 1):
        assert cells.parents(some, coarser).tolist() == [h3.cell_to_parent(cell, coarser) for cell in listed]
    lat, lng = np.array([h3.cell_to_latlng(cell) for cell in listed]).T
    found = cells.centres(some)
    np.testing.assert_allclose(found[:, 0], lat, atol=1e-10)
    np.testing.assert_allclose((found[:, 1] - lng + 180) % 360 - 180, 0, atol=1e-9)
    assert ((found[:, 1] >= -180) & (found[:, 1] < 180)).all()
    np.testing.assert_allclose(cells.areas_km2(some), [h3.cell_area(cell) for cell in listed], rtol=3e-6)


@pytest.mark.parametrize("res", [0, 4, 5, 6, 9, 15])
def test_areas_are_h3s(res: int) -> None:
    """Also of pentagons, and of cells on the edges of the icosahedron."""
    rng = np.random.default_rng(res)
    lat_lng = np.stack((np.degrees(np.arcsin(rng.uniform(-1, 1, 3_000))), rng.uniform(-180, 180, 3_000)), axis=1)
    some = np.concatenate((cells.cells_at(lat_lng, res), np.array(list(h3.get_pentagons(res)), np.uint64)))
    ours, theirs = cells.areas_km2(some), [h3.cell_area(cell) for cell in some.tolist()]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4 if res > 12 else 3e-6)  # H3 itself loses digits below


@pytest.mark.parametrize("res", range(15))
def test_children_counts_and_ranges_agree(res: int) -> None:
    some = np.array(sorted({*sample(res, 8).tolist()}), dtype=np.uint64)
    for finer in range(res, min(res + 4, 16)):
        expected = [sorted(h3.cell_to_children(cell, finer)) for cell in some.tolist()]
        assert cells.children(some, finer).tolist() == [child for family in expected for child in family]
        assert cells.children_counts(some, finer).tolist() == [len(family) for family in expected]
        first, last = cells.descendant_range(some, finer)
        assert first.tolist() == [family[0] for family in expected]
        assert last.tolist() == [family[-1] for family in expected]


@pytest.mark.parametrize("base", PENTAGON_BASES)
def test_every_pentagon_counts_its_descendants(base: int) -> None:
    for res in range(16):
        pentagon = cells.descendant_range(cells.base_cells()[[base]], res)[0]
        assert cells.pentagons(pentagon).all()
        for finer in range(res, 16):
            assert cells.children_counts(pentagon, finer)[0] == h3.cell_to_children_size(int(pentagon[0]), finer)
        if res <= 12:
            assert cells.children(pentagon, res + 3).tolist() == sorted(h3.cell_to_children(int(pentagon[0]), res + 3))


@settings(deadline=None)
@given(points, points, st.integers(0, 15))
def test_ranges_tell_descendants_from_others(a: tuple[float, float], b: tuple[float, float], res: int) -> None:
    cell, fine = cells.cells_at([a], res), cells.cells_at([a, b], 15)
    first, last = cells.descendant_range(cell, 15)
    inside = (first <= fine) & (fine <= last)
    assert inside.tolist() == [h3.cell_to_parent(descendant, res) == cell[0] for descendant in fine.tolist()]


@pytest.mark.parametrize("res", range(5))
def test_following_and_preceding_lead_from_cell_to_cell(res: int) -> None:
    every = cells.children(cells.base_cells(), res)
    first, last = cells.descendant_range(every, 15)
    assert np.array_equal(cells.following(last[:-1]), first[1:])
    assert np.array_equal(cells.preceding(first[1:]), last[:-1])


@pytest.mark.parametrize("base", [0, 4, 64, 117, 121])
def test_following_and_preceding_count_through_a_cell(base: int) -> None:
    ends = cells.descendant_range(cells.base_cells()[[base]], 15)
    for end in ends:
        family = np.array(sorted(h3.cell_to_children(int(cells.parents(end, 12)[0]), 15)), dtype=np.uint64)
        assert np.array_equal(cells.following(family[:-1]), family[1:])
        assert np.array_equal(cells.preceding(family[1:]), family[:-1])


@pytest.mark.parametrize("rings", [0, 1, 2])
def test_neighbours_agree(rings: int) -> None:
    some = sample(6, 20)
    expected = sorted(set().union(*(h3.grid_disk(cell, rings) for cell in some.tolist())))
    assert cells.with_neighbours(some, rings).tolist() == expected


def test_valid_agrees() -> None:
    random = np.random.default_rng(3)
    ids = np.concatenate((random.integers(0, 2**63, 500, dtype=np.uint64), sample(7)))
    ids = np.concatenate((ids, ids ^ np.uint64(1)))
    assert cells.valid(ids).tolist() == [h3.is_valid_cell(cell) for cell in ids.tolist()]


def test_mixed_and_wrong_resolutions_are_refused() -> None:
    mixed = np.concatenate((sample(3, 2), sample(4, 2)))
    with pytest.raises(ValueError, match=r"resolutions \[3, 4\]; expected cells of one"):
        cells.resolution(mixed)
    with pytest.raises(ValueError, match="no parent at the finer resolution 5"):
        cells.parents(mixed, 5)
    with pytest.raises(ValueError, match="no children at the coarser resolution 2"):
        cells.children(sample(3, 2), 2)
