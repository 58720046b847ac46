"""Great-circle distances against values worked out by hand on the sphere of 6371 km."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoclip.distance import EARTH_RADIUS_KM, haversine_km

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
