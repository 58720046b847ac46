"""One training step against a computation in float64 that shares no code with it; the queue; the noise."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geoclip.distance import haversine_km
from geoclip.encoders.backbone import image_tower
from geoclip.errors import InputError
from geoclip.train.loss import contrastive_loss
from geoclip.train.module import GeoModule
from geoclip.train.noise import displaced
from geoclip.train.queue import PlaceQueue
from geoclip.train.settings import Optimizer
from tests.helpers.small_release import SMALL, SmallRelease, small_release
from tests.helpers.train_world import features, sites


def released_plane(lat_lng: Tensor) -> Tensor:
    """The Equal Earth plane of float64 degrees, written from the paper, rounded to float32 as the encoder takes it."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    lat, lng = lat_lng.numpy().T * math.pi / 180
    theta = np.arcsin(math.sqrt(3) / 2 * np.sin(lat))
    x = 2 * math.sqrt(3) * lng * np.cos(theta)
    x /= 3 * (9 * a4 * theta**8 + 7 * a3 * theta**6 + 3 * a2 * theta**2 + a1)
    y = a4 * theta**9 + a3 * theta**7 + a2 * theta**3 + a1 * theta
    return torch.from_numpy(np.stack((x, y), axis=1) * 66.50336 / 180).float()


def by_hand(module: GeoModule, inputs: Tensor, batch: Tensor, queue: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients in float64: explicit sums over photos and places, from the paper's equation."""
    weights = {name: p.detach().double().requires_grad_() for name, p in module.named_parameters()}

    def layer(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    photos = layer(layer(inputs.double(), "mlp.0").clamp(min=0), "mlp.2")
    plane, places = released_plane(torch.cat((batch, queue))), torch.zeros(1, dtype=torch.float64)
    for i in range(len(module.location_encoder.sigma)):
        name = f"location_encoder.LocEnc{i}"
        turns = (2 * math.pi * plane) @ module.state_dict()[f"{name}.capsule.0.b"].T  # float32: it defines the features
        hidden = torch.cat((turns.cos(), turns.sin()), dim=1).double()
        for j in (1, 3, 5):
            hidden = layer(hidden, f"{name}.capsule.{j}").clamp(min=0)
        places = places + layer(hidden, f"{name}.head.0")
    photos = photos / photos.square().sum(1, keepdim=True).sqrt()
    places = places / places.square().sum(1, keepdim=True).sqrt()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(photos)):
        scores = torch.stack([weights["logit_scale"].exp() * (photos[i] * place).sum() for place in places])
        total = total - (scores[i] - scores.exp().sum().log())
    loss = total / len(photos)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: w.grad for name, w in weights.items() if w.grad is not None}


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("sigma", [[1.0, 16.0], [1.0, 4096.0]])
def test_loss_and_gradients_equal_a_float64_computation(sigma: list[float]) -> None:
    torch.manual_seed(0)
    module = GeoModule(start="scratch", sigma=sigma, queue_size=9, noise_m=0, queue_noise_m=0)
    places = torch.from_numpy(sites(15))
    inputs = torch.from_numpy(features(places[:6].numpy()))
    module.queue.start(places[6:], module.noise)
    queue = module.queue.contents()
    loss = module.loss(inputs, places[:6])
    loss.backward()  # type: ignore[no-untyped-call]
    expected, gradients = by_hand(module, inputs, places[:6], queue)
    assert abs(loss.item() / expected - 1) < 1e-6
    found = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    assert found.keys() == gradients.keys()
    together = [torch.cat([g[name].double().flatten() for name in gradients]) for g in (found, gradients)]
    assert relative(*together) < 1e-6
    worst = {name: relative(found[name], gradients[name]) for name in found}
    assert max(worst.values()) < 5e-6, worst  # single tensors cancel more; all of this is float32 rounding


def test_the_loss_function_is_exact_in_float64_and_skips_places_that_are_the_photos_own() -> None:
    rng = np.random.default_rng(0)
    photos, places = (rng.normal(size=(n, 8)) for n in (4, 7))
    photos, places = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (photos, places))
    same = np.eye(4, 7, dtype=bool)
    same[1, 5] = same[2, 3] = True  # photo 1's place again in the queue; photo 3 shows the place of photo 2
    arguments = [torch.tensor(x, requires_grad=True) for x in (photos, places, np.float64(2.5))]
    loss = contrastive_loss(arguments[0], arguments[1], arguments[2], torch.from_numpy(same))
    loss.backward()  # type: ignore[no-untyped-call]
    tau = math.exp(2.5)
    scores = tau * photos @ places.T
    weights = np.exp(scores) * (~same | np.eye(4, 7, dtype=bool))
    chance = weights / weights.sum(axis=1, keepdims=True)
    expected = -np.log(chance[range(4), range(4)]).mean()
    slope = (chance - np.eye(4, 7)) / 4  # of the loss by the scores
    gradients = (tau * slope @ places, tau * slope.T @ photos, (slope * scores).sum())
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-13)
    for argument, gradient in zip(arguments, gradients, strict=True):
        assert argument.grad is not None
        np.testing.assert_allclose(argument.grad.numpy(), gradient, rtol=1e-10, atol=1e-13)


def test_a_batch_without_photos_changes_nothing() -> None:
    module = GeoModule(start="scratch", sigma=[4.0], queue_size=4)
    module.queue.start(torch.from_numpy(sites(6)), module.noise)
    before = module.queue.contents()
    loss = module.loss(torch.zeros(0, 3, 224, 224), torch.zeros(0, 2, dtype=torch.float64))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())
    torch.testing.assert_close(module.queue.contents(), before, rtol=0, atol=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    """A model behind a small CLIP."""
    return small_release(tmp_path_factory.mktemp("small"))


def behind(small: SmallRelease) -> GeoModule:
    torch.manual_seed(0)
    model, clip = str(small.weights), str(small.clip)
    return GeoModule(start="scratch", like=model, queue_size=0, clip_checkpoint=clip, clip_precision="fp32")


def test_photos_go_through_the_frozen_tower_and_it_is_no_part_of_the_state(small: SmallRelease) -> None:
    places, tower = torch.from_numpy(sites(5)), image_tower(SMALL, small.clip)
    photos = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    losses = []
    for inputs in (photos, tower(photos)):
        module = behind(small)
        loss = module.loss(inputs, places)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
    assert losses[0] == losses[1]
    assert all(p.grad is None and not p.requires_grad for tower in module._towers for p in tower.parameters())
    assert {name.split(".")[0] for name in module.state_dict()} == {"mlp", "logit_scale", "location_encoder", "queue"}


def test_autocast_does_not_reach_the_frozen_tower(small: SmallRelease) -> None:
    photos = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = behind(small).features(photos)
    torch.testing.assert_close(features, image_tower(SMALL, small.clip)(photos), rtol=0, atol=0)


def test_under_autocast_the_fourier_features_and_the_loss_stay_float32() -> None:
    torch.manual_seed(0)
    module = GeoModule(start="scratch", sigma=[256.0], queue_size=0)
    places = torch.from_numpy(sites(16))
    inputs = torch.from_numpy(features(places.numpy()))

    def embedded() -> Tensor:
        return torch.nn.functional.normalize(module.location_encoder(places), dim=1)

    exact, loss = embedded(), module.loss(inputs, places)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, rough = embedded(), module.loss(inputs, places)
    assert rough.dtype == torch.float32
    assert (exact * rounded).sum(1).min().item() > 0.999  # 0.64 if the phases were rounded too
    assert abs(rough.item() / loss.item() - 1) < 0.05


def test_queue_is_a_ring_that_wraps_takes_short_batches_and_large_ones() -> None:
    queue = PlaceQueue(5)
    lat_lng = torch.arange(40, dtype=torch.float64).reshape(20, 2)
    queue.start(lat_lng[:5], torch.Generator().manual_seed(0))
    assert sorted(queue.contents()[:, 0].tolist()) == [0, 2, 4, 6, 8]
    queue.push(lat_lng[5:8])
    queue.push(lat_lng[8:12])  # wraps
    assert queue.contents()[:, 0].tolist() == [20.0, 22.0, 14.0, 16.0, 18.0]
    queue.push(lat_lng[12:13])
    assert queue.contents()[:, 0].tolist() == [20.0, 22.0, 24.0, 16.0, 18.0]
    queue.push(lat_lng[:0])
    queue.push(lat_lng)  # more than fit: the last five
    assert sorted(queue.contents()[:, 0].tolist()) == [30, 32, 34, 36, 38]


def test_queue_starts_from_real_places_and_stays_shorter_where_there_are_fewer() -> None:
    queue = PlaceQueue(8)
    places = torch.from_numpy(sites(3))
    queue.start(places, torch.Generator().manual_seed(0))
    assert sorted(queue.contents().tolist()) == sorted(places.tolist())
    queue.push(places[:2] + 1)
    assert len(queue.contents()) == 3
    with pytest.raises(InputError, match="no places"):
        queue.start(places[:0], torch.Generator())


def test_noise_has_the_spread_in_metres_everywhere() -> None:
    for lat in (0.0, 60.0, 89.99, 90.0, -90.0):
        start = torch.tensor([[lat, 179.9]], dtype=torch.float64).expand(40_000, 2)
        moved = displaced(start, torch.full((40_000,), 1000.0), torch.Generator().manual_seed(1)).numpy()
        assert np.isfinite(moved).all()
        assert (np.abs(moved) <= (90, 180)).all()
        metres = 1000 * haversine_km(start.numpy(), moved)
        assert abs(metres.mean() / (1000 * math.sqrt(math.pi / 2)) - 1) < 0.01  # Rayleigh
        assert abs((metres**2).mean() / (2 * 1000**2) - 1) < 0.02
        if abs(lat) < 89:
            north = (moved[:, 0] - lat) * math.pi / 180 * 6_371_000
            assert abs(north.mean()) < 20
            assert abs(north.std() / 1000 - 1) < 0.02


def test_no_noise_moves_nothing_and_each_place_has_its_own() -> None:
    places = torch.from_numpy(sites(50))
    still = displaced(places, torch.zeros(50), torch.Generator())
    np.testing.assert_allclose(still.numpy(), places.numpy(), atol=1e-12)
    sigma = torch.tensor([150.0] * 25 + [1000.0] * 25)
    metres = 1000 * haversine_km(places.numpy(), displaced(places, sigma, torch.Generator().manual_seed(0)).numpy())
    assert metres[:25].max() < 800 < metres[25:].max() < 6000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_size": -1}, "queue_size is -1"),
        ({"noise_m": math.nan}, "noise_m is nan"),
        ({"sigma": []}, "one or more numbers"),
        ({"sigma": [0.0]}, "above 0"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GeoModule(**({"start": "scratch"} | options))
    with pytest.raises(InputError, match=r"optimizer\.lr"):
        Optimizer(lr=0.0)
