"""A region whose finest cells are few enough to store: its grid, queries, the exact answer and our index of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.released_model import ReleasedModel, photo_vectors, released_model
from benchmarks.simulated import Kind, places, queries
from geoclip.index_builder import build_index
from index.grid.cells import FINEST, Cells, cells_at, centres, children
from index.grid.region import Region
from index.search.planet import Planet

COARSE = 6
KINDS = (Kind.PHOTO_LIKE, Kind.PLACE)
K = 10


@dataclass(frozen=True)
class World:
    """What a search is measured in."""

    model: ReleasedModel
    planet: Planet
    cells: Cells
    """(N,) of the finest resolution, sorted: what an explicit grid stores."""
    vectors: NDArray[np.float32]
    """(N, 512) unit vectors of their centres, in float32 arithmetic."""
    queries: dict[str, NDArray[np.float32]]
    """(Q, 512) by kind; the first kind is what latencies are measured with."""
    best: dict[str, Cells]
    """(Q, 10) the exact answers, best first."""


def world(where: str, resolution: int, count: int, seed: int, folder: Path, photos: Path | None = None) -> World:
    """Build the index of a region in a folder, encode all its cells, and answer the queries exactly.

    Args:
        where: the region.
        resolution: of the cells.
        count: of queries of each kind; of photos, at most.
        seed: of the simulated queries.
        folder: an empty one.
        photos: vectors of real photos taken in the region, as `geoclip embed` writes them, in place of simulated ones.
    """
    model = released_model()
    build_index(folder / "index", coarse_res=COARSE, region=where)
    planet = model.open(folder / "index")
    cells = np.sort(children(planet.cells, resolution))
    vectors = model.exact(centres(cells))
    inside = Region.parse(where).contains(cells_at(model.gallery, FINEST))
    lat_lng = places(model.gallery[inside], count, seed)
    sets = {str(kind): queries(kind, lat_lng, model.exact, seed) for kind in KINDS}
    if photos is not None:
        sets = {"photos": photo_vectors(photos)[:count]} | {str(Kind.PLACE): sets[Kind.PLACE]}
    return World(model, planet, cells, vectors, sets, {kind: cells[exact(vectors, own)] for kind, own in sets.items()})


def exact(vectors: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rows (Q, 10) of the best vectors, best first."""
    rows = []
    for start in range(0, len(own), 64):
        scores = torch.from_numpy(own[start : start + 64]) @ torch.from_numpy(vectors).T
        rows.append(scores.topk(K, dim=1).indices.numpy())
    return np.concatenate(rows)
