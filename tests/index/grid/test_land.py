"""The grid of land against Natural Earth's outlines of countries, drawn by others from other sources."""

from functools import cache

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, cells_at, centres, children, resolution
from index.grid.countries import countries
from index.grid.land import _any_land, _on_raster, inhabited_places, land_cells
from index.grid.raster import Raster
from index.grid.sphere import moved

OUTSIDE_THE_GRID = {
    "Ashmore and Cartier Islands",  # no town, and too small for the raster, like the next two
    "Bouvet Island",
    "British Indian Ocean Territory",
    "Pitcairn Islands",  # a point in the sea between its islands
    "United States Minor Outlying Islands",
}


@cache
def land(res: int) -> Cells:
    return land_cells(res)


@cache
def outline() -> shapely.Geometry:
    """All countries, simplified to a kilometre or so."""
    return shapely.unary_union([shapely.from_wkb(country.wkb).buffer(0) for country in countries()])


def is_in(lat_lng: NDArray[np.float64], res: int) -> NDArray[np.bool_]:
    return np.isin(cells_at(lat_lng, res), land(res))


def anywhere(count: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.stack((np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)), axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("res", [3, 4])
def test_sorted_distinct_and_about_a_third_of_the_globe(res: int) -> None:
    cells = land(res)
    assert cells.dtype == np.uint64
    assert resolution(cells) == res
    assert (cells[1:] > cells[:-1]).all()
    assert 0.3 < len(cells) / len(children(base_cells(), res)) < 0.45  # land is 0.29, and there is the coast


@pytest.mark.slow
def test_what_lies_inside_a_country_is_land() -> None:
    points = anywhere(20_000, 1)
    inside = shapely.contains_xy(outline(), points[:, 1], points[:, 0])
    assert 0.25 < inside.mean() < 0.35
    assert is_in(points[inside], 4).mean() > 0.997  # Tuvalu and its like are drawn with the sea between their islands
    somewhere = [shapely.from_wkb(country.wkb).representative_point() for country in countries()]
    found = is_in(np.array([(point.y, point.x) for point in somewhere]), 4)
    assert {
        country.name for country, is_land in zip(countries(), found, strict=True) if not is_land
    } <= OUTSIDE_THE_GRID


@pytest.mark.slow
def test_what_lies_far_from_every_country_is_sea() -> None:
    points = anywhere(20_000, 2)
    points = points[np.abs(points[:, 0]) < 80]
    shapely.prepare(outline())
    far = ~shapely.dwithin(outline(), shapely.points(points[:, 1], points[:, 0]), 3.0)
    assert far.mean() > 0.3
    found = is_in(points[far], 4).mean()
    assert found < 0.01  # islets that the outlines leave out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lat", "lng"),
    [
        ("Malé", 4.175, 73.509),
        ("Funafuti", -8.52, 179.2),
        ("Taveuni, on the antimeridian", -16.85, -179.97),
        ("Wrangel Island, on the antimeridian", 71.2, 179.999),
        ("the South Pole", -90.0, 0.0),
        ("McMurdo", -77.85, 166.67),
        ("Tristan da Cunha", -37.07, -12.31),
        ("Pitcairn", -25.07, -130.1),
        ("Paris", 48.8566, 2.3522),
        ("Longyearbyen", 78.22, 15.64),
    ],
)
def test_land_that_is_easily_forgotten(name: str, lat: float, lng: float) -> None:
    assert is_in(np.array([[lat, lng]]), 4).all(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lat", "lng"),
    [(90.0, 0.0), (85.0, 180.0), (0.0, -30.0), (-45.0, -120.0), (40.0, -179.999), (-60.0, 0.0), (0.0, 0.0)],
)
def test_the_open_sea(lat: float, lng: float) -> None:
    assert not is_in(np.array([[lat, lng]]), 4).any()


@pytest.mark.slow
def test_towns_are_in() -> None:
    towns = inhabited_places()
    assert len(towns) > 100_000
    assert is_in(towns, 4).all()


@pytest.mark.slow
@pytest.mark.parametrize("res", [3, 4])
def test_a_part_equals_the_whole_restricted(res: int) -> None:
    rng = np.random.default_rng(res)
    every = children(base_cells(), res)
    for within in (
        children(base_cells()[[4, 60]], res),  # one of them a pentagon
        np.sort(rng.choice(every, 300, replace=False)),
        cells_at([(-17.0, 179.99), (-17.0, -179.99), (71.2, 180.0)], res),
    ):
        asked = np.unique(within)
        assert np.array_equal(land_cells(res, within=asked), np.intersect1d(land(res), asked))


@pytest.mark.slow
def test_what_the_caller_adds_is_in() -> None:
    sea = cells_at([(0.0, -30.0), (85.0, 0.0)], 3)
    assert not np.isin(sea, land(3)).any()
    within = np.unique(np.concatenate((sea[:1], cells_at(centres(base_cells()[[20]]), 3))))
    found = land_cells(3, also=np.sort(sea), within=within)
    assert sea[0] in found
    assert sea[1] not in found  # `within` has the last word
    assert np.array_equal(land_cells(3, also=sea[:0], within=within), np.intersect1d(land(3), within))


def test_nothing_within_nothing() -> None:
    assert land_cells(4, within=np.zeros(0, dtype=np.uint64)).shape == (0,)


@pytest.mark.slow
@pytest.mark.parametrize(("south", "north"), [(-90.0, 90.0), (46.0, 47.0), (89.99, 90.0), (-90.0, -89.999), (0.0, 0.0)])
def test_the_raster_is_the_packages(south: float, north: float) -> None:
    from global_land_mask import globe

    rng = np.random.default_rng(7)
    points = np.stack((rng.uniform(south, north, 20_000), rng.uniform(-180, 180, 20_000)), axis=1)
    points[:4] = [(south, -180.0), (south, 180.0), (north, -180.0), (north, 179.9999)]
    expected = globe.is_land(points[:, 0], points[:, 1])
    assert np.array_equal(Raster.over(south, north).is_land(points), expected)


@pytest.mark.slow
def test_what_ancestors_settle_is_what_each_cell_would_say() -> None:
    rng = np.random.default_rng(5)
    poles = cells_at([(89.9, 0.0), (-89.9, 0.0), (71.2, 180.0), (-17.0, -180.0)], 3)
    for cells in (
        children(base_cells(), 3),
        children(np.unique(np.concatenate((poles, rng.choice(children(base_cells(), 3), 60)))), 6),
        children(base_cells()[4:5], 1),
        base_cells(),
    ):
        assert np.array_equal(_on_raster(cells), cells[_any_land(cells, Raster.over(-90.0, 90.0))])


@pytest.mark.slow
@pytest.mark.parametrize("radius_km", [1.0, 40.0, 900.0])
def test_nothing_is_settled_against_the_raster(radius_km: float) -> None:
    raster, rng = Raster.over(-90.0, 90.0), np.random.default_rng(6)
    points = np.concatenate((anywhere(4_000, 6), [(90.0, 10.0), (-90.0, 0.0), (0.0, -180.0), (88.0, 179.99)]))
    land, sea = raster.around(points, radius_km)
    assert (land | sea).all()
    assert (land & sea).mean() < (0.9 if radius_km > 100 else 0.2)
    for _ in range(20):
        turns, shares = rng.uniform(0, 2 * np.pi, len(points)), np.sqrt(rng.uniform(0, 1, len(points)))
        near = moved(points, radius_km * shares * np.cos(turns), radius_km * shares * np.sin(turns))
        on_land = raster.is_land(near)
        assert not (on_land & ~land).any()
        assert not (~on_land & ~sea).any()


@pytest.mark.parametrize("res", [-1, 10])
def test_a_resolution_out_of_range_is_refused(res: int) -> None:
    with pytest.raises(ValueError, match=rf"grid is {res}; choose 0 to 9"):
        land_cells(res)


def test_cells_of_another_resolution_are_refused() -> None:
    for options in ({"also": base_cells()}, {"within": base_cells()}):
        with pytest.raises(ValueError, match="resolution 0 were given for a grid of resolution 3"):
            land_cells(3, **options)
