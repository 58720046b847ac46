"""It learns: photos of a made-up world, drawn so that they show where they were taken, from chance to most placed.

    python -m benchmarks.synthetic_world

The world is the sphere between 60 south and 60 north. A picture is a pattern of smooth waves whose phases are those of
its place, under light, contrast and grain of its own. A frozen tower of random weights turns it into 768 numbers;
perceptron, location encoder and temperature start from nothing. Candidates are other places than the photos'.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoclip.train.data.batch import Batch
from geoclip.train.module import GeoModule
from geoclip.train.settings import Optimizer, Schedule

GRID, SIDE = 16, 224
Floats = NDArray[np.float64]


def places(count: int, seed: int) -> Floats:
    """Return places (count, 2) in degrees, even over the world."""
    rng = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(rng.uniform(-0.866, 0.866, count)))
    return np.stack((lat, rng.uniform(-180, 180, count)), axis=1)


def pictures(lat_lng: Floats, seed: int) -> NDArray[np.uint8]:
    """Draw photos (N, 3, 16, 16), each of whose pixels stands for a square of 14 x 14."""
    waves = np.random.default_rng(1).normal(size=(3, 3 * GRID * GRID)) * np.repeat((1.0, 3.0, 9.0), GRID * GRID)
    lat, lng = np.radians(lat_lng).T
    xyz = np.stack((np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)), axis=1)
    rng = np.random.default_rng(seed)
    light, contrast = rng.normal(0, 0.1, (len(xyz), 1)), rng.uniform(0.7, 1.0, (len(xyz), 1))
    shades = contrast * np.sin(xyz @ waves) + light + rng.normal(0, 0.15, (len(xyz), waves.shape[1]))
    drawn: NDArray[np.uint8] = (127.5 + 90 * shades).clip(0, 255).astype(np.uint8)
    return drawn.reshape(-1, 3, GRID, GRID)


class SmallTower(nn.Module):
    """A frozen random tower: (N, 3, 224, 224) to (N, 768)."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.weight = nn.Parameter(torch.randn(3 * GRID * GRID, 768, generator=generator) / 20)

    def forward(self, x: Tensor) -> Tensor:
        """Average over squares, then one layer."""
        return torch.relu(nn.functional.adaptive_avg_pool2d(x, GRID).flatten(1) @ self.weight)


class Photos:
    """Batches of drawn photos, made larger as they are asked for."""

    def __init__(self, lat_lng: Floats, seed: int, batch_size: int, *, shuffle: bool) -> None:
        self._drawn, self._lat_lng = torch.from_numpy(pictures(lat_lng, seed)), torch.from_numpy(lat_lng)
        self._size, self._rng = batch_size, np.random.default_rng(seed) if shuffle else None

    def __len__(self) -> int:
        """Return the number of batches."""
        full, rest = divmod(len(self._drawn), self._size)
        return full + (rest > 0)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        order = np.arange(len(self._drawn))
        if self._rng is not None:
            self._rng.shuffle(order)
        for start in range(0, len(order), self._size):
            rows = torch.from_numpy(order[start : start + self._size])
            small = (self._drawn[rows].float() - 127.5) / 64
            large = small.repeat_interleave(SIDE // GRID, dim=2).repeat_interleave(SIDE // GRID, dim=3)
            yield Batch(large, self._lat_lng[rows], rows)


class World(L.LightningDataModule):
    """Training and held-out photos."""

    def __init__(self, train: int, val: int, batch_size: int) -> None:
        super().__init__()
        self._train, self._val, self._size = places(train, 1), places(val, 2), batch_size

    def train_dataloader(self) -> Photos:
        """Return the training photos, in an order of their own each epoch."""
        return Photos(self._train, 11, self._size, shuffle=True)

    def val_dataloader(self) -> Photos:
        """Return the held-out photos."""
        return Photos(self._val, 12, self._size, shuffle=False)

    def coordinates(self) -> Floats:
        """Return the places of the training photos."""
        return self._train


def main() -> None:
    """Train, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--queue", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--sigma", type=float, nargs="+", default=[2.0, 8.0])
    options = parser.parse_args()
    L.seed_everything(0)
    with tempfile.TemporaryDirectory() as folder:
        gallery = Path(folder) / "candidates.csv"
        rows = "".join(f"{lat},{lng}\n" for lat, lng in places(options.candidates, 3))
        gallery.write_text(f"lat,lng\n{rows}", encoding="utf-8")
        module = GeoModule(
            start="scratch",
            sigma=options.sigma,
            queue_size=options.queue,
            optimizer=Optimizer("adamw", options.lr, 1e-4),
            schedule=Schedule("cosine"),
            gallery=str(gallery),
            backbone=SmallTower(),
        )
        data = World(options.photos, options.held_out, options.batch_size)
        trainer = L.Trainer(
            max_epochs=options.epochs,
            check_val_every_n_epoch=options.epochs,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        (before,) = trainer.validate(module, datamodule=data, verbose=False)
        start = time.perf_counter()
        trainer.fit(module, datamodule=data)
        seconds = time.perf_counter() - start
    after = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    about = vars(options) | {"threads": torch.get_num_threads(), "seconds": round(seconds)}
    print(json.dumps({"options": about, "before": dict(before), "after": after}, indent=2))


if __name__ == "__main__":
    main()
