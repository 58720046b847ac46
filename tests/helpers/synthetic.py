"""A location encoder that costs nothing, and small indexes made with it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from index.building.build import build
from index.building.request import Request
from index.building.working_folder import save_grid, working_folder
from index.encoder import Encode, NodeValues, StoredNodes
from index.grid.cells import cells_at, centres
from index.grid.region import Region
from index.storage.gallery import Gallery
from tests.helpers.shared import made_once

DIM = 64
TAU = 39.687

ALPS = Region.disk(46.6, 8.2, 110.0)
"""About 1,000 cells of resolution 6, 50,000 of resolution 8."""
FIJI = Region.bbox(-17.6, 179.3, -16.4, -179.7)
"""Astride the antimeridian: about 400 cells of resolution 6."""

_SCALES = np.repeat([0.5, 6.0, 60.0, 400.0], DIM // 8)  # wave numbers: from continents to kilometres
_WEIGHTS = np.repeat([1.0, 0.8, 0.7, 0.6], DIM // 8)
_rng = np.random.default_rng(2309_16020)
_WAVES = _rng.normal(size=(3, DIM // 2)) * _SCALES
_TURNS = _rng.uniform(0.2, 0.8, DIM // 2)  # what a phase gains once around the globe: no whole turn, so it jumps


def _encoded(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map degrees (N, 2) to unit vectors (N, 64): random Fourier features of the sphere at four scales.

    Near places are similar and far ones are not, except across the antimeridian, where the encoder jumps like the
    released one. A row does not depend on the others.
    """
    lat, lng = np.radians(lat_lng[:, :1]), np.radians(lat_lng[:, 1:])
    x, y, z = np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)
    phases = 2 * np.pi * (x * _WAVES[0] + y * _WAVES[1] + z * _WAVES[2]) + lng * _TURNS
    features = np.concatenate((np.cos(phases) * _WEIGHTS, np.sin(phases) * _WEIGHTS), axis=1)
    result: NDArray[np.float32] = (features / np.sqrt((_WEIGHTS**2).sum())).astype(np.float32)
    return result


@dataclass(frozen=True)
class SyntheticEncoder:
    """An index's encoder made of functions."""

    quick: Encode = _encoded
    exact: Encode = _encoded

    def __call__(self, lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        """Encode (N, 2) degrees exactly."""
        return self.exact(lat_lng)

    def exactly(self, lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `Encoder.exactly`."""
        return self.exact(lat_lng)

    def quickly(self, lat_lng: NDArray[np.float64], nodes: StoredNodes | None = None) -> NDArray[np.float32]:
        """See `Encoder.quickly`; what is stored at nodes is only looked at."""
        vectors = self.quick(lat_lng)
        if nodes is not None and len(lat_lng):
            keys = np.unique(_keys(lat_lng))
            rows = nodes.rows(keys)
            values = nodes.values(np.maximum(rows, 0))
            assert np.abs(values[rows >= 0] - self.values_at(keys[rows >= 0])).max(initial=0) < 0.01
        return vectors

    def quickly_on_device(self, lat_lng: torch.Tensor, nodes: NodeValues | None = None) -> torch.Tensor:
        """See `Encoder.quickly_on_device`; what is stored at nodes is only looked at."""
        points = lat_lng.cpu().numpy()
        if nodes is not None and len(points):
            keys = np.unique(_keys(points))
            values, stored = (part.cpu().numpy() for part in nodes.at(torch.from_numpy(keys).to(lat_lng.device)))
            assert np.abs(values[stored] - self.values_at(keys[stored])).max(initial=0) < 0.01
        return torch.from_numpy(self.quick(points)).to(lat_lng.device)

    def nearby(self, lat_lng: NDArray[np.float64], spacing_km: float) -> NDArray[np.float32]:
        """See `Encoder.nearby`."""
        del spacing_km
        return self.quick(lat_lng)

    def nodes_around(self, lat_lng: NDArray[np.float64]) -> NDArray[np.int64]:
        """See `Encoder.nodes_around`: one node for each tenth of a degree."""
        return np.unique(_keys(lat_lng))

    def values_at(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Encoder.values_at`."""
        return _encoded(np.stack((keys // 10_000 / 10 - 90, keys % 10_000 / 10 - 180), axis=1)) / np.float32(2)


def _keys(lat_lng: NDArray[np.float64]) -> NDArray[np.int64]:
    tenths = np.rint((lat_lng + np.array([90.0, 180.0])) * 10).astype(np.int64)
    keys: NDArray[np.int64] = tenths[:, 0] * 10_000 + tenths[:, 1]
    return keys


encode = SyntheticEncoder()


def queries(lat_lng: NDArray[np.float64], noise: float = 0.6, seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors that are near places and not the same, as photos' are: the noise has this length."""
    random = np.random.default_rng(seed).normal(size=(len(lat_lng), DIM))
    vectors = encode(lat_lng) + noise * random / np.linalg.norm(random, axis=1, keepdims=True)
    result: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return result


def gallery(region: Region, places: int, seed: int = 0) -> Gallery:
    """Return photos in a region: some places far more often than others."""
    rng = np.random.default_rng(seed)
    cells = region.cells(6)
    where = centres(rng.choice(cells, places))
    popular = where[: places // 10].repeat(5, axis=0)
    lat_lng = np.concatenate((where, popular + rng.normal(size=popular.shape) / 300))
    inside = region.contains(cells_at(lat_lng, 11))
    return Gallery.of(lat_lng[inside], rng.integers(1, 30, int(inside.sum())))


def request(region: Region, coarse_res: int = 6, *, start_res: int = 3, memory_bytes: int = 1 << 20) -> Request:
    """Return a request for a small index; a block has 314 cells unless less memory is given."""
    return Request(
        coarse_res,
        gallery(region, 200),
        "synthetic",
        region=region,
        region_name="test",
        start_res=start_res,
        memory_bytes=memory_bytes,
        dim=DIM,
        model="synthetic",
        tau=TAU,
    )


def begin(wanted: Request, target: Path) -> None:
    """Leave in the working folder what a build has after it found land: here all of the region, which takes no time."""
    work = working_folder(target)
    work.mkdir()
    (work / "request.json").write_text(json.dumps(wanted.described(), indent=2) + "\n", encoding="utf-8")
    assert wanted.region is not None
    save_grid(work, wanted.region.cells(wanted.coarse_res))


def make(wanted: Request, target: Path) -> Path:
    """Build an index of all cells of the request's region."""
    begin(wanted, target)
    build(wanted, encode, target, report=lambda *_: None)
    return target


def small_index(region: Region, coarse_res: int = 6, start_res: int = 3) -> Path:
    """Return an index of a region; not to be changed."""
    wanted = request(region, coarse_res, start_res=start_res)
    return made_once(f"synthetic-{region.digest()[:8]}-{coarse_res}-{start_res}", lambda path: make(wanted, path))
