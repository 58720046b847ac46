"""Points close together: near the exact vectors, and the same to the byte in any block and on any number of threads."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from geoclip.encoders import few
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.neighbourhood import KM_PER_UNIT, NODE_TURNS, STORED_SPACING, FromHost, grids, stored_capsules
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


class Kept:
    """Nodes in memory."""

    def __init__(self, keys: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        self.keys, self._values = keys, values

    def rows(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._values[rows]


EVERYWHERE = np.concatenate([around(*place, count=60) for place in PLACES.values()])


@pytest.fixture(scope="module")
def kept(encoder: LocationEncoder) -> Kept:
    keys = encoder.nodes_around(EVERYWHERE)
    return Kept(keys, encoder.values_at(keys))


def test_from_stored_nodes_as_well_as_bf16(encoder: LocationEncoder, kept: Kept) -> None:
    vectors, exact = encoder.quickly(EVERYWHERE, kept), encoder.exactly(EVERYWHERE)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosine = (vectors * exact).sum(axis=1)
    assert cosine.min() > 0.999
    assert 0.9998 < cosine.mean() < 1 - 1e-6
    np.testing.assert_allclose(encoder.quickly(EVERYWHERE), exact, atol=1e-5)


@pytest.mark.parametrize(("device", "atol"), [("cpu", 1e-6), pytest.param("cuda", 1e-3, marks=pytest.mark.gpu)])
def test_from_tensor_to_tensor_as_from_array_to_array(
    encoder: LocationEncoder, kept: Kept, device: str, atol: float
) -> None:
    """Also where some nodes are missing; on a GPU products round in other ways."""
    own = copy.deepcopy(encoder).to(device)
    points = torch.from_numpy(EVERYWHERE).to(device)
    some = np.delete(np.arange(len(kept.keys)), 11)
    for nodes in (None, kept, Kept(kept.keys[some], kept.values(some))):
        found = own.quickly_on_device(points, None if nodes is None else FromHost(nodes))
        assert found.device == points.device
        np.testing.assert_allclose(found.cpu().numpy(), encoder.quickly(EVERYWHERE, nodes), atol=atol)
    assert own.quickly_on_device(points[:0]).shape == (0, encoder.dim)


def test_at_a_node_what_is_stored_is_exact(encoder: LocationEncoder) -> None:
    keys = encoder.nodes_around(np.array([[46.6, 8.2]]))
    assert len(keys) == 4
    assert (np.diff(keys) > 0).all()
    values = encoder.values_at(keys)
    again = encoder.values_at(keys[[2, 0]])
    assert np.array_equal(again, values[[2, 0]])
    x, y = (keys >> 31) - (1 << 30), (keys & ((1 << 31) - 1)) - (1 << 30)
    plane = torch.from_numpy(np.stack((x, y), axis=1) * STORED_SPACING).float()
    with torch.no_grad():
        exact = encoder.capsules[0](plane) + encoder.capsules[1](plane)
    assert np.linalg.norm(values - exact.numpy(), axis=1).max() < 0.01 * np.linalg.norm(values, axis=1).min()


def test_where_a_node_is_missing_all_is_computed(encoder: LocationEncoder, kept: Kept) -> None:
    part = Kept(kept.keys[::7], kept.values(np.arange(0, len(kept.keys), 7)))
    assert np.array_equal(encoder.quickly(EVERYWHERE, part), encoder.quickly(EVERYWHERE))
    most = np.delete(np.arange(len(kept.keys)), 11)
    mixed = encoder.quickly(EVERYWHERE, Kept(kept.keys[most], kept.values(most)))
    whole, none = encoder.quickly(EVERYWHERE, kept), encoder.quickly(EVERYWHERE)
    own = (mixed == whole).all(axis=1)
    assert 0 < (~own).sum() < len(own) / 2
    assert np.array_equal(mixed[~own], none[~own])


@pytest.mark.parametrize("least", [8, 64, None])
def test_few_points_are_the_same_among_others(
    monkeypatch: pytest.MonkeyPatch, encoder: LocationEncoder, kept: Kept, least: int | None
) -> None:
    """Also where products of few rows, or of any other shape, round in other ways."""
    if least != 8:
        monkeypatch.setattr(few, "_least", {})
        monkeypatch.setattr(few, "_round_alike", lambda tried, *_, apart: tried[0] == least)
    whole = encoder.quickly(EVERYWHERE, kept), encoder.exactly(EVERYWHERE)
    for rows in ([3], [5, 400, 77], range(100, 171), range(470)):
        some = EVERYWHERE[list(rows)]
        assert np.array_equal(encoder.quickly(some, kept), whole[0][list(rows)])
        assert np.array_equal(encoder.exactly(some), whole[1][list(rows)])


@pytest.mark.parametrize("count", [1, 8, 9, 63, 64, 65, 384, 385, 700, 768, 769, 2000, 100_000])
def test_products_hold_all_points_and_are_of_shapes_that_were_tried(encoder: LocationEncoder, count: int) -> None:
    rows, shared, _ = few.products(count, (2,), encoder, encoder.layers())
    assert 8 <= rows <= 384
    assert rows % 8 == 0
    threads = 1 if shared else torch.get_num_threads()
    times = -(-count // rows)
    assert (times - 1) * rows < count <= times * rows
    assert times < threads + count / 192  # none is much smaller than it may be


@pytest.mark.parametrize(
    ("sigma", "numbers"), [([1, 16, 256], [0, 1]), ([256, 1, 4096], [1]), ([64.0, 512], []), ([15, 17], [0])]
)
def test_which_capsules_are_stored(sigma: list[float], numbers: list[int]) -> None:
    assert sorted(stored_capsules(sigma)) == numbers
