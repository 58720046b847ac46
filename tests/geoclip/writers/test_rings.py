"""Circles and outlines of cells, as polygons and lines on maps, against great-circle distances and H3."""

import math

import h3
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoclip.distance import EARTH_RADIUS_KM, haversine_km
from geoclip.writers.rings import SMALLEST_KM, cell_lines, circle, circle_line, outline
from index.grid.cells import areas_km2, base_cells, cells_at, children
from tests.helpers.outlines import area_km2, check_rfc_7946

FIJI = (-16.8, 179.95)


def near_and_far(lat: float, lng: float, reach_km: float, seed: int) -> NDArray[np.float64]:
    """Points (2000, 2), half of them anywhere, half within about the reach of a point."""
    rng = np.random.default_rng(seed)
    anywhere = rng.normal(size=(2000, 3))
    centre = np.array([math.cos(math.radians(lng)), math.sin(math.radians(lng))]) * math.cos(math.radians(lat))
    spread = min(reach_km / EARTH_RADIUS_KM, 2.0)
    anywhere[:1000] = np.array([*centre, math.sin(math.radians(lat))]) + spread * anywhere[:1000]
    x, y, z = anywhere.T
    lat_lng: NDArray[np.float64] = np.degrees(np.stack((np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)), axis=1))
    return lat_lng


@settings(max_examples=150, deadline=None)
@example(lat=-17.8, lng=179.2, radius_km=500.0)
@example(lat=89.9, lng=0.0, radius_km=500.0)
@example(lat=89.9, lng=0.0, radius_km=math.radians(0.1) * EARTH_RADIUS_KM)
@example(lat=90.0, lng=0.0, radius_km=5.0)
@example(lat=-90.0, lng=180.0, radius_km=5000.0)
@example(lat=0.0, lng=180.0, radius_km=0.02)
@example(lat=0.0, lng=-180.0, radius_km=math.pi / 2 * EARTH_RADIUS_KM)
@example(lat=10.0, lng=0.0, radius_km=15000.0)
@example(lat=-40.0, lng=170.0, radius_km=15000.0)
@example(lat=0.0, lng=0.0, radius_km=20015.0)
@example(lat=0.0, lng=0.0, radius_km=20037.0)
@given(
    lat=st.floats(-90, 90), lng=st.floats(-180, 180), radius_km=st.floats(math.log(0.05), math.log(2e4)).map(math.exp)
)
def test_circles_hold_what_is_within_their_radius(lat: float, lng: float, radius_km: float) -> None:
    polygons = circle((lat, lng), radius_km)
    geometry = check_rfc_7946(polygons)
    cap = 2 * math.pi * EARTH_RADIUS_KM**2 * (1 - math.cos(min(radius_km / EARTH_RADIUS_KM, math.pi)))
    slack = 0.01 if radius_km > 1 else 0.04  # the rounding of coordinates shows in small circles
    assert area_km2(polygons) == pytest.approx(cap, rel=slack)
    points = near_and_far(lat, lng, radius_km, seed=1)
    distances = haversine_km(points, (lat, lng))
    clear = np.abs(distances - radius_km) > 0.003 * radius_km + 0.001
    inside = shapely.contains_xy(geometry, points[:, 1], points[:, 0])
    assert (inside == (distances < radius_km))[clear].all()
    assert clear.sum() > 1900


@pytest.mark.parametrize("radius_km", [0.0, SMALLEST_KM / 2])
def test_circles_too_small_to_draw_are_left_out(radius_km: float) -> None:
    assert circle((45.0, 5.0), radius_km) == []


def corner_cells() -> list[str]:
    """Every cell of resolution 0 and 1, those around the poles and along the antimeridian, and the pentagons."""
    coarse = [*h3.get_res0_cells(), *(cell for base in h3.get_res0_cells() for cell in h3.cell_to_children(base, 1))]
    poles = [h3.latlng_to_cell(lat, 0, res) for lat in (-90, 90) for res in range(12)]
    across = [h3.latlng_to_cell(lat, 180, res) for lat in (-75.3, -17.5, 0.1, 52.0, 84.0) for res in range(2, 10)]
    pentagons = [cell for res in range(6) for cell in h3.get_pentagons(res)]
    return [*coarse, *poles, *across, *pentagons]


@pytest.mark.slow
def test_outlines_have_the_area_of_their_cells() -> None:
    cells = corner_cells()
    assert len(cells) > 1000
    for cell in cells:
        polygons = outline(np.array(h3.cell_to_boundary(cell)))
        check_rfc_7946(polygons)
        slack = 0.005 if h3.get_resolution(cell) < 8 else 0.03
        assert area_km2(polygons) == pytest.approx(h3.cell_area(cell, "km^2"), rel=slack), cell


@settings(max_examples=40, deadline=None)
@example(lat=90.0, lng=0.0, res=3)
@example(lat=-90.0, lng=0.0, res=0)
@example(lat=-17.8, lng=179.99, res=4)
@example(lat=43.0, lng=47.0, res=1)
@given(lat=st.floats(-90, 90), lng=st.floats(-180, 180), res=st.integers(0, 7))
def test_outlines_hold_the_points_of_their_cells(lat: float, lng: float, res: int) -> None:
    cell = h3.latlng_to_cell(lat, lng, res)
    geometry = check_rfc_7946(outline(np.array(h3.cell_to_boundary(cell))))
    centre_lat, centre_lng = h3.cell_to_latlng(cell)
    points = near_and_far(centre_lat, centre_lng, h3.average_hexagon_edge_length(res, "km"), seed=2)
    inside = shapely.contains_xy(geometry, points[:, 1], points[:, 0])
    expected = np.array([h3.latlng_to_cell(*point, res) == cell for point in points])
    assert 100 < expected.sum() < 1500
    assert (inside != expected).sum() <= 0.012 * expected.sum()


# lines, which go on beyond 180 degrees


def test_lines_have_the_area_of_their_cells_also_around_the_poles_and_across_the_antimeridian() -> None:
    spots = [(90.0, 0.0), (-90.0, 0.0), FIJI, (65.0, -179.99), (48.85, 2.35), (0.0, 0.0), (82.0, 100.0)]
    cells = np.concatenate([base_cells(), *(cells_at(spots, res) for res in (1, 2, 3, 4, 6, 9))])
    found = [abs(area_km2([[np.concatenate((line, line[:1]))]])) for line in cell_lines(cells)]
    np.testing.assert_allclose(found, areas_km2(cells), rtol=0.004)


def test_no_step_of_a_line_spans_half_the_map() -> None:
    cells = np.concatenate([base_cells(), children(base_cells(), 1), cells_at([FIJI, (90, 0), (-90, 0)], 4)])
    for ring in cell_lines(cells):
        assert np.abs(np.diff(ring[:, 1], append=ring[0, 1])).max() < 180
        assert abs(ring[:, 1].min() + ring[:, 1].max()) / 2 <= 180


def test_no_cells_have_no_lines() -> None:
    assert cell_lines(np.zeros(0, np.uint64)) == []


@settings(max_examples=100, deadline=None)
@given(lat=st.floats(-90, 90), lng=st.floats(-180, 180), radius=st.floats(0.05, 19_900))
def test_circle_lines_keep_their_distance_and_do_not_jump(lat: float, lng: float, radius: float) -> None:
    line = circle_line((lat, lng), radius)
    np.testing.assert_allclose(haversine_km(line, (lat, lng)), radius, rtol=1e-6, atol=1e-3)
    assert np.abs(np.diff(line[:, 1])).max() <= 180.0
    ends = line[-1] - line[0]
    assert abs(ends[0]) < 1e-4
    assert min(abs(ends[1]), abs(abs(ends[1]) - 360)) < 1e-4 or 90 - abs(line[0, 0]) < 1e-4


@pytest.mark.parametrize("radius", [math.nan, math.inf, 20_100.0])
def test_a_radius_without_a_circle_gives_an_empty_line(radius: float) -> None:
    assert circle_line((10, 10), radius).shape == (0, 2)


def test_a_circle_line_around_a_pole_goes_once_around() -> None:
    assert np.ptp(circle_line((80, 30), 2000)[:, 1]) == pytest.approx(360)
    assert np.ptp(circle_line((0, 30), 2000)[:, 1]) < 60
