"""The location encoder against the released package's numbers and a float64 computation written independently."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import geoclip.encoders.location as module
from geoclip.encoders.degrees import checked_lat_lng
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.multi_gpu import MultiGpuEncoder
from geoclip.encoders.precision import Precision
from geoclip.encoders.projection import equal_earth
from geoclip.errors import InputError, WeightsError
from geoclip.release.directory import Release
from tests.helpers.oracles import unit

GOLDEN = Path(__file__).parents[2] / "data" / "released_embeddings.npz"

# -- Oracles ---------------------------------------------------------------------------------------------------------


def equal_earth_oracle(lat_lng_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Šavrič et al. 2019 in float64; the denominator is the derivative of y by theta, scaled as published."""
    lat, lng = np.radians(lat_lng_deg).T
    theta = np.arcsin(np.sqrt(3) / 2 * np.sin(lat))
    y = np.polynomial.Polynomial([0, 1.340264, 0, -0.081106, 0, 0, 0, 0.000893, 0, 0.003796])
    x = 2 * np.sqrt(3) * lng * np.cos(theta) / (3 * y.deriv()(theta))
    return np.stack((x, y(theta)), axis=1) * (66.50336 / 180)


def encoder_oracle(weights: dict[str, torch.Tensor], lat_lng_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """The whole encoder in float64 numpy."""
    w = {name: tensor.double().numpy() for name, tensor in weights.items()}
    plane = equal_earth_oracle(lat_lng_deg)
    total = np.zeros((len(plane), 512))
    for i in range(3):
        phase = 2 * np.pi * plane @ w[f"LocEnc{i}.capsule.0.b"].T
        x = np.concatenate((np.cos(phase), np.sin(phase)), axis=1)
        for layer in (1, 3, 5):
            p = f"LocEnc{i}.capsule.{layer}"
            x = np.maximum(x @ w[f"{p}.weight"].T + w[f"{p}.bias"], 0)
        total += x @ w[f"LocEnc{i}.head.0.weight"].T + w[f"LocEnc{i}.head.0.bias"]
    return total


def relative_error(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The largest difference of a row, relative to the row's largest entry."""
    return float((np.abs(a - b).max(axis=1) / np.abs(b).max(axis=1)).max())


# -- Numbers ---------------------------------------------------------------------------------------------------------


def test_equals_the_released_package(encoder: LocationEncoder) -> None:
    golden = np.load(GOLDEN)
    with torch.no_grad():
        ours = encoder(torch.from_numpy(golden["lat_lng"])).numpy()
    assert relative_error(ours, golden["embeddings"]) <= 1e-5


def test_equals_float64(encoder: LocationEncoder, release: Release) -> None:
    lat_lng = random_places(300, seed=3)
    expected = encoder_oracle(release.location_encoder(), lat_lng)
    with torch.no_grad():
        ours = encoder(torch.from_numpy(lat_lng)).numpy()
    # float32 rounds the phase of the finest features, thousands of radians, to about 2e-4
    assert relative_error(ours, expected) <= 2e-3
    assert (unit(ours.astype(np.float64)) * unit(expected)).sum(axis=1).min() >= 1 - 1e-6


def test_bf16_keeps_the_direction(encoder: LocationEncoder, release: Release) -> None:
    low = LocationEncoder.of(release, precision="bf16")
    lat_lng = random_places(400, seed=4)
    cosine = (encoder.embed(lat_lng) * low.embed(lat_lng)).sum(axis=1)
    assert cosine.min() >= 0.9999
    assert cosine.max() < 1 - 1e-7, "bf16 was not used"


@pytest.mark.slow
def test_denormal_weights_are_dropped_and_no_bit_depends_on_them(release: Release) -> None:
    weights = release.location_encoder()
    tiny = torch.finfo(torch.float32).tiny
    denormal = sum(int(((w != 0) & (w.abs() < tiny)).sum()) for w in weights.values())
    assert denormal == 96_859  # what makes the released encoder five times slower than its products on some processors
    loaded = LocationEncoder(release.config.sigma, from_pretrained=False, precision="fp32")
    loaded.load_released(weights)
    assert not any(bool(((p != 0) & (p.abs() < tiny)).any()) for p in loaded.parameters())
    as_released = LocationEncoder(release.config.sigma, from_pretrained=False, precision="fp32")
    as_released.load_state_dict(weights)
    points = torch.from_numpy(np.random.default_rng(0).uniform((-90, -180), (90, 180), (500, 2)))
    assert torch.equal(loaded.eval()(points), as_released.eval()(points))


def test_gradient_path_equals_fast_path(encoder: LocationEncoder) -> None:
    places = torch.from_numpy(random_places(50, seed=5)).float()
    slow = encoder(places)
    with torch.no_grad():
        fast = encoder(places)
    assert slow.requires_grad
    assert not fast.requires_grad
    torch.testing.assert_close(slow.detach(), fast, rtol=1e-5, atol=1e-5)


def test_ambient_autocast_spoils_neither_path(encoder: LocationEncoder) -> None:
    places = torch.from_numpy(random_places(50, seed=6)).float()
    with torch.no_grad():
        plain = encoder(places)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fast = encoder(places)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        slow = encoder(places).detach()
    torch.testing.assert_close(fast, plain)
    # autocasting the Fourier product as well gives a median cosine of 0.64
    assert nn.functional.cosine_similarity(slow, plain).min() >= 0.9999


@pytest.mark.gpu
def test_gpu_equals_cpu(release: Release) -> None:
    lat_lng = random_places(5000, seed=7)
    for precision, bound in (("fp32", 1 - 1e-5), ("bf16", 0.9999)):
        on_cpu = LocationEncoder.of(release, precision="fp32")
        on_gpu = LocationEncoder.of(release, precision=precision)
        cosine = (on_cpu.embed(lat_lng) * on_gpu.to("cuda").embed(lat_lng)).sum(axis=1)
        assert cosine.min() >= bound


# -- Behaviour -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "atol"), [(Precision.FP32, 2e-6), (Precision.BF16, 2e-3)])
def test_rows_do_not_depend_on_the_batch(
    encoder: LocationEncoder, monkeypatch: pytest.MonkeyPatch, precision: Precision, atol: float
) -> None:
    lat_lng = random_places(100, seed=8)
    whole = encoder.embed(lat_lng, precision=precision)
    monkeypatch.setattr(module, "CPU_CHUNK", 7)
    monkeypatch.setattr(module, "CPU_STEP", 21)
    seen: list[tuple[int, int]] = []
    chunked = encoder.embed(lat_lng, precision=precision, on_progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(chunked, whole, atol=atol)
    assert seen[0] == (21, 100)
    assert seen[-1] == (100, 100)


def test_embed_returns_unit_rows_for_any_number(encoder: LocationEncoder) -> None:
    assert encoder.embed(np.empty((0, 2))).shape == (0, 512)
    vectors = encoder.embed([[1, 2], [-3, 4]])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_low_precision_copies_follow_the_weights(release: Release) -> None:
    encoder = LocationEncoder(release.config.sigma, from_pretrained=False, precision="bf16")
    places = random_places(5, seed=9)
    before = encoder.embed(places)
    encoder.load_released(release.location_encoder())
    assert np.abs(encoder.embed(places) - before).max() > 0.01


@pytest.mark.parametrize("lng", [181.0, -180.0 - 1e-3, 540.0, 180.0, -719.5])
def test_longitude_is_wrapped(encoder: LocationEncoder, lng: float) -> None:
    wrapped = (lng + 180) % 360 - 180
    np.testing.assert_allclose(encoder.embed([[12.5, lng]]), encoder.embed([[12.5, wrapped]]), atol=1e-6)


@given(st.floats(-90, 90), st.floats(-1e4, 1e4))
def test_wrapping_keeps_the_place_and_the_bits(lat: float, lng: float) -> None:
    out = checked_lat_lng(torch.tensor([[lat, lng]], dtype=torch.float64))[0]
    assert float(out[0]) == lat
    assert -180 <= float(out[1]) < 180
    assert np.isclose(np.cos(np.radians(lng)), np.cos(np.radians(float(out[1]))), atol=1e-9)
    assert np.isclose(np.sin(np.radians(lng)), np.sin(np.radians(float(out[1]))), atol=1e-9)
    if -180 <= lng < 180:
        assert float(out[1]) == lng


@given(st.floats(-90, 90), st.floats(-180, 180, exclude_max=True))
def test_projection_equals_the_published_formula(lat: float, lng: float) -> None:
    point = np.array([[lat, lng]])
    np.testing.assert_allclose(equal_earth(torch.from_numpy(point)).numpy(), equal_earth_oracle(point), atol=1e-14)


@pytest.mark.parametrize(
    ("coordinates", "words"),
    [
        (torch.zeros(3), "shape"),
        (torch.zeros(3, 3), "shape"),
        (torch.zeros(3, 2, dtype=torch.int64), "dtype"),
        (torch.tensor([[0.0, 0.0], [90.5, 0.0]]), "Coordinate 1"),
        (torch.tensor([[0.0, float("nan")]]), "finite"),
        (torch.tensor([[float("inf"), 0.0]]), "finite"),
    ],
)
def test_bad_coordinates_are_refused_in_words(encoder: LocationEncoder, coordinates: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        encoder(coordinates)


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="fp16"):
        LocationEncoder(from_pretrained=False, precision="fp16")
    with pytest.raises(WeightsError, match="sigma"):
        LocationEncoder([1, 16], from_pretrained=False).load_released(
            LocationEncoder(from_pretrained=False).state_dict()
        )


def random_places(n: int, seed: int) -> NDArray[np.float64]:
    """Uniform on the sphere."""
    rng = np.random.default_rng(seed)
    return np.stack((np.degrees(np.arcsin(rng.uniform(-1, 1, n))), rng.uniform(-180, 180, n)), axis=1)


def test_a_fleet_answers_as_one_encoder(encoder: LocationEncoder) -> None:
    places = np.random.default_rng(3).uniform((-90, -180), (90, 180), (37, 2))
    cpu = torch.device("cpu")
    fleet = MultiGpuEncoder(encoder, [cpu, cpu])
    assert len(fleet.encoders) == 2
    np.testing.assert_allclose(fleet.embed(places), encoder.embed(places), atol=1e-6)
    assert fleet.embed(places[:1]).shape == (1, 512)


def test_a_copy_after_use_in_bf16_embeds_alike(release: Release) -> None:
    used = LocationEncoder.of(release, precision="bf16")
    places = random_places(5, seed=9)
    before = used.embed(places)
    for other in (copy.deepcopy(used), pickle.loads(pickle.dumps(used))):
        np.testing.assert_array_equal(other.embed(places), before)
