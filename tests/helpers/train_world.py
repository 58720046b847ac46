"""A small world to train on: places, pictures and CLIP-like features that encode them, and a data module."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoclip.tables.vectors import ResumableVectors, VectorSource
from geoclip.train.data.sources import Batch
from geoclip.train.module import GeoModule

Floats = NDArray[np.float64]


def sites(count: int, seed: int = 0) -> Floats:
    """Return places (count, 2) spread evenly over the sphere between 65 south and 65 north."""
    rng = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, count)))
    return np.stack((lat, rng.uniform(-180, 180, count)), axis=1)


def around(places: Floats, count: int, spread_deg: float, seed: int) -> Floats:
    """Return `count` photos' places, each near one of `places`."""
    rng = np.random.default_rng(seed)
    lat_lng = places[rng.integers(0, len(places), count)] + rng.normal(scale=spread_deg, size=(count, 2))
    lat_lng[:, 1] = (lat_lng[:, 1] + 180.0) % 360.0 - 180.0
    return lat_lng


def features(lat_lng: Floats, noise: float = 0.3, seed: int = 0) -> NDArray[np.float32]:
    """Return CLIP-like features (N, 768): smooth in the place, plus noise of their own; lengths about 10."""
    waves = np.random.default_rng(1).normal(size=(3, 384)) * np.repeat((1.0, 4.0, 12.0), 128)
    lat, lng = np.radians(lat_lng).T
    xyz = np.stack((np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)), axis=1)
    phases = xyz @ waves
    clean = np.concatenate((np.cos(phases), np.sin(phases)), axis=1)
    own = np.random.default_rng(seed).normal(size=clean.shape)
    return (0.5 * (clean + noise * own)).astype(np.float32)


class Loader:
    """Shuffled batches of one split, each dealt out to the ranks; a checkpoint has the epoch and the position in it."""

    def __init__(
        self, inputs: Tensor, lat_lng: Tensor, batch_size: int, *, shuffle: bool, rank: int = 0, world: int = 1
    ) -> None:
        self._inputs, self._lat_lng, self._size, self._shuffle = inputs, lat_lng, batch_size, shuffle
        self._rank, self._world, self._epoch, self._done, self._resumed = rank, world, -1, 0, False

    def __len__(self) -> int:
        return (len(self._inputs) + self._size - 1) // self._size

    def __iter__(self) -> Iterator[Batch]:
        if not self._resumed or self._done == len(self):
            self._epoch, self._done = self._epoch + 1, 0
        self._resumed, n = False, len(self._inputs)
        order = np.random.default_rng(self._epoch).permutation(n) if self._shuffle else np.arange(n)
        for start in range(self._done * self._size, n, self._size):
            rows = torch.from_numpy(np.array_split(order[start : start + self._size], self._world)[self._rank])
            self._done += 1
            yield Batch(self._inputs[rows], self._lat_lng[rows], rows)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch, self._done, self._resumed = state["epoch"], state["done"], True


class WorldData(L.LightningDataModule):
    """Training and validation samples in memory: inputs and places of each."""

    def __init__(self, train: tuple[Any, Floats], val: tuple[Any, Floats], batch_size: int) -> None:
        super().__init__()
        self._splits = {"train": train, "val": val}
        self._size = batch_size

    def _loader(self, split: str) -> Loader:
        inputs, lat_lng = self._splits[split]
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        parts = torch.as_tensor(inputs), torch.from_numpy(lat_lng)
        return Loader(*parts, self._size, shuffle=split == "train", rank=rank, world=world)

    def train_dataloader(self) -> Loader:
        return self._loader("train")

    def val_dataloader(self) -> Loader:
        return self._loader("val")

    def coordinates(self) -> Floats:
        return self._splits["train"][1]


def town_data(*, towns: int = 40, train: int = 600, val: int = 100, batch_size: int = 64) -> WorldData:
    """Return photos' features: each was taken within some 20 km of one of a few towns."""
    centres = sites(towns)
    places = around(centres, train, 0.1, seed=1), around(centres, val, 0.1, seed=2)
    first, second = ((features(lat_lng, seed=seed), lat_lng) for seed, lat_lng in zip((11, 12), places, strict=True))
    return WorldData(first, second, batch_size)


def write_features(path: Path, lat_lng: Floats, seed: int = 0) -> Path:
    """Write a features file with places, one view a photo."""
    columns = {"photo": pa.string(), "view": pa.uint8(), "lat": pa.float64(), "lng": pa.float64()}
    source = VectorSource("features", "tower", "fp32", views=1, seed=0)
    with ResumableVectors(path, columns, source, resume=False) as writer:
        for number, (place, vector) in enumerate(zip(lat_lng.tolist(), features(lat_lng, seed=seed), strict=True)):
            writer.add((f"{seed}-{number}.jpg", 0, *place), vector)
        writer.finish()
    return path


def trainer(**options: Any) -> L.Trainer:
    """Return a quiet trainer on the CPU."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "num_sanity_val_steps": 0}
    return L.Trainer(accelerator="cpu", **(quiet | {"enable_checkpointing": False} | options))


def scratch(**options: Any) -> GeoModule:
    """Return an untrained module of one coarse scale, with the same weights each time."""
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"start": "scratch", "sigma": [4.0], "queue_size": 32, "gallery": "train"} | options
    return GeoModule(**chosen)
