"""Points close together: near the exact vectors, and the same to the byte in any block and on any number of threads."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.neighbourhood import KM_PER_UNIT, NODE_TURNS, grids
from geoclip.encoders.projection import equal_earth
from geoclip.release.directory import Release

SPACING_KM = 2.3
"""Of cells of resolution 7."""

PLACES = {
    "Alps": (46.6, 8.2),
    "Fiji, astride the antimeridian": (-17.0, 180.0),
    "Chukotka, astride the antimeridian": (66.5, 180.0),
    "north pole": (90.0, 0.0),
    "south pole": (-90.0, 120.0),
    "west end of the map": (0.0, -179.999),
    "east end of the map": (0.0, 179.999),
    "Null Island": (0.0, 0.0),
}


def around(lat: float, lng: float, count: int = 600, km: float = 60.0, seed: int = 1) -> NDArray[np.float64]:
    """Points within some distance of a place, on both sides of the antimeridian and of a pole."""
    rng = np.random.default_rng(seed)
    arc, bearing = km * np.sqrt(rng.random(count)) / 6371.0, rng.uniform(0, 2 * np.pi, count)
    phi, theta = np.radians(lat), np.radians(lng)
    to_lat = np.arcsin(np.sin(phi) * np.cos(arc) + np.cos(phi) * np.sin(arc) * np.cos(bearing))
    turn = np.arctan2(np.sin(bearing) * np.sin(arc) * np.cos(phi), np.cos(arc) - np.sin(phi) * np.sin(to_lat))
    return np.stack((np.degrees(to_lat), (np.degrees(theta + turn) + 180) % 360 - 180), axis=1)


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def either(request: pytest.FixtureRequest, release: Release) -> LocationEncoder:
    encoder = LocationEncoder(release.config.sigma, from_pretrained=False, precision=request.param)
    encoder.load_released(release.location_encoder())
    return encoder.eval()


@pytest.mark.parametrize("place", list(PLACES))
def test_close_to_the_exact_vectors(encoder: LocationEncoder, place: str) -> None:
    lat_lng = around(*PLACES[place])
    vectors = encoder.nearby(lat_lng, SPACING_KM)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosine = (vectors * encoder.exactly(lat_lng)).sum(axis=1)
    assert cosine.min() >= 0.9999
    assert cosine.min() < 1 - 1e-7, "nothing was interpolated"


@pytest.mark.slow
def test_below_float32_as_close_as_its_own_rounding(encoder: LocationEncoder, release: Release) -> None:
    low = LocationEncoder(release.config.sigma, from_pretrained=False, precision="bf16")
    low.load_released(release.location_encoder())
    lat_lng = np.concatenate([around(*place) for place in PLACES.values()])
    assert (low.nearby(lat_lng, SPACING_KM) * encoder.exactly(lat_lng)).sum(axis=1).min() >= 0.99985


@pytest.mark.slow
def test_the_same_bytes_in_any_block_and_on_any_number_of_threads(either: LocationEncoder) -> None:
    lat_lng = np.concatenate([around(*PLACES["Alps"]), around(*PLACES["Fiji, astride the antimeridian"])])
    ways = (partial(either.nearby, spacing_km=SPACING_KM), either.quickly)
    wholes = [(encode, encode(lat_lng)) for encode in (*ways, either.exactly)]
    order = np.random.default_rng(0).permutation(len(lat_lng))
    before = torch.get_num_threads()
    for count in (1, 3):
        torch.set_num_threads(count)
        for start, stop in ((0, 1), (5, 12), (500, 1013), (0, len(lat_lng))):
            some = order[start:stop]
            either.nearby(around(10.0, 10.0, 20), SPACING_KM)  # another neighbourhood in between
            for encode, whole in wholes:
                assert np.array_equal(encode(lat_lng[some]), whole[some])
    torch.set_num_threads(before)
    for _, whole in wholes:
        np.testing.assert_allclose(whole, wholes[0][1], atol=5e-3)


def test_far_apart_nothing_is_interpolated(encoder: LocationEncoder) -> None:
    lat_lng = np.concatenate([around(lat, lng, 20, 9000.0) for lat, lng in PLACES.values()])
    np.testing.assert_allclose(encoder.nearby(lat_lng, 5000.0), encoder.exactly(lat_lng), atol=1e-6)


def test_no_points_and_bad_points(encoder: LocationEncoder) -> None:
    assert encoder.nearby(np.empty((0, 2)), 1.0).shape == (0, 512)
    with pytest.raises(ValueError, match="latitude must be in"):
        encoder.nearby(np.array([[91.0, 0.0]]), 1.0)


def test_new_weights_are_used(release: Release) -> None:
    encoder = LocationEncoder(release.config.sigma, from_pretrained=False, precision="fp32")
    lat_lng = around(*PLACES["Alps"], count=10)
    before = encoder.nearby(lat_lng, SPACING_KM)
    encoder.load_released(release.location_encoder())
    assert np.abs(encoder.nearby(lat_lng, SPACING_KM) - before).max() > 0.01


@pytest.mark.parametrize(
    ("sigma", "spacing_km", "interpolated"),
    [
        ([1, 16, 256], 5000.0, []),
        ([1, 16, 256], 40.0, [0]),
        ([1, 16, 256], 8.0, [0]),
        ([1, 16, 256], 6.0, [0, 1]),
        ([1, 16, 256], 2.3, [0, 1]),
        ([1, 16, 256], 0.9, [0, 1]),
        ([1, 16, 256], 0.13, [0, 1, 2]),
        ([1, 16, 256, 4096], 0.13, [0, 1, 2]),
        ([1, 16, 256, 4096], 0.01, [0, 1, 2, 3]),
        ([256, 1, 1.2], 2.3, [1, 2]),
    ],
)
def test_which_capsules_are_interpolated(sigma: list[float], spacing_km: float, interpolated: list[int]) -> None:
    levels, computed = grids(dict(enumerate(sigma)), spacing_km)
    found = [number for level in levels for number in level.capsules]
    assert sorted(found) == interpolated
    assert sorted((*found, *computed)) == list(range(len(sigma)))
    for level in levels:
        assert level.spacing * KM_PER_UNIT >= 1.2 * spacing_km
        assert np.log2(level.spacing) % 1 == 0
        assert all(NODE_TURNS / 2 < level.spacing * sigma[number] <= NODE_TURNS for number in level.capsules)
    assert [level.spacing for level in levels] == sorted((level.spacing for level in levels), reverse=True)


def test_the_plane_has_the_area_of_the_earth() -> None:
    lat = np.radians(np.linspace(-90, 90, 20001))
    edge = equal_earth(torch.from_numpy(np.stack((np.degrees(lat), np.full(len(lat), 180 - 1e-9)), axis=1))).numpy()
    area = 2 * np.trapezoid(edge[:, 0], edge[:, 1])
    assert area * KM_PER_UNIT**2 == pytest.approx(4 * np.pi * 6371.0088**2, rel=1e-3)
