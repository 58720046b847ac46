"""The sphere against values worked out by hand, formulas of spherical trigonometry, and itself both ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.grid.sphere import (
    EARTH_RADIUS_KM,
    GEOSCORE_KM,
    SPHERE_KM2,
    cap_km2,
    chords_of_km,
    circle,
    coordinates,
    haversine_km,
    km_of_chords,
    km_of_cosines,
    moved,
    unit_vectors,
    wrapped,
)

QUARTER = EARTH_RADIUS_KM * np.pi / 2


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        ((0, 0), (0, 180), 2 * QUARTER),
        ((90, 0), (-90, 123), 2 * QUARTER),
        ((90, 10), (90, -170), 0),
        ((0, 179.5), (0, -179.5), QUARTER / 90),
        ((45, 30), (-45, -150), 2 * QUARTER),
        ((0, 0), (90, 77), QUARTER),
        ((60, 0), (60, 180), 2 * QUARTER / 3),
        ((1, 2), (1, 2), 0),
    ],
)
def test_known_distances(a: tuple[float, float], b: tuple[float, float], km: float) -> None:
    assert haversine_km(a, b) == pytest.approx(km, abs=1e-6)


places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(places, places)
def test_equals_the_angle_between_unit_vectors(a: tuple[float, float], b: tuple[float, float]) -> None:
    def on_sphere(place: tuple[float, float]) -> np.ndarray:
        lat, lng = np.radians(place)
        return np.array([np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)])

    u, v = on_sphere(a), on_sphere(b)
    angle = np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v)
    assert haversine_km(a, b) == pytest.approx(EARTH_RADIUS_KM * angle, abs=1e-4)
    assert haversine_km(a, b) == haversine_km(b, a)


def test_broadcasts() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-80, 80, (3, 1, 2)), rng.uniform(-80, 80, (1, 4, 2))
    assert haversine_km(a, b).shape == (3, 4)
    assert haversine_km(a, b)[2, 1] == pytest.approx(float(haversine_km(a[2, 0], b[0, 1])))


@pytest.mark.parametrize(
    ("lat_lng", "vector"),
    [((0, 0), (1, 0, 0)), ((0, 90), (0, 1, 0)), ((90, 77), (0, 0, 1)), ((-30, 180), (-(0.75**0.5), 0, -0.5))],
)
def test_unit_vectors_by_hand(lat_lng: tuple[float, float], vector: tuple[float, float, float]) -> None:
    assert unit_vectors(lat_lng) == pytest.approx(np.array(vector), abs=1e-15)


@given(places, st.floats(0.1, 10.0))
def test_coordinates_come_back(place: tuple[float, float], length: float) -> None:
    back = coordinates(unit_vectors(place) * length)
    assert back[0] == pytest.approx(place[0], abs=1e-9)
    assert float(haversine_km(place, back)) < 1e-6


@given(places, st.floats(0, 20_015), st.floats(0, 360))
def test_moving_is_the_direct_problem_of_geodesy(place: tuple[float, float], km: float, bearing: float) -> None:
    """By the sine and cosine rules for sides, which the code does not use."""
    turn, way, lat = np.radians(bearing), km / EARTH_RADIUS_KM, np.radians(place[0])
    end = moved(place, km * np.cos(turn), km * np.sin(turn))
    sine = np.sin(lat) * np.cos(way) + np.cos(lat) * np.sin(way) * np.cos(turn)
    assert np.sin(np.radians(end[0])) == pytest.approx(sine, abs=1e-12)
    assert float(haversine_km(place, end)) == pytest.approx(km, abs=1e-3)
    east = np.sin(np.radians(end[1] - place[1])) * np.cos(np.radians(end[0]))
    assert east == pytest.approx(np.sin(turn) * np.sin(way), abs=1e-12)


def test_a_circle_is_evenly_counter_clockwise_from_the_east() -> None:
    ring = circle((0.0, 179.0), 1000.0, 4)
    arc = np.degrees(1000 / EARTH_RADIUS_KM)
    assert ring == pytest.approx(np.array([(0, arc - 181), (arc, 179), (0, 179 - arc), (-arc, 179)]))
    assert haversine_km((90, 0), circle((90.0, 45.0), 0.01, 12)) == pytest.approx(np.full(12, 0.01), rel=1e-6)


def test_areas_chords_and_turns() -> None:
    assert cap_km2([np.pi * EARTH_RADIUS_KM, 1e6]) == pytest.approx(np.full(2, SPHERE_KM2))
    assert cap_km2(2500.0) == pytest.approx(2 * np.pi * 6371**2 * (1 - np.cos(2500 / 6371)))
    assert cap_km2(1e-3) == pytest.approx(np.pi * 1e-6)
    km = np.array([0.0, 1e-6, 1.0, 12_345.0, 20_000.0])
    assert km_of_chords(chords_of_km(km)) == pytest.approx(km, rel=1e-9)
    assert km_of_cosines(np.cos(km / 6371)) == pytest.approx(km, abs=1e-1)
    assert wrapped([-180, 180, 540, -190, 359.5]).tolist() == [-180, -180, -180, 170, -0.5]
    assert GEOSCORE_KM == 1492.7  # OSV-5M, arXiv 2404.18873
