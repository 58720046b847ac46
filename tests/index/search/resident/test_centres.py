"""H3 on tensors against h3ronpy: children, pentagons and centres, above all where the faces of the icosahedron meet."""

from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, cells_at, centres, children, descendant_range, pentagons
from index.grid.sphere import coordinates, haversine_km, unit_vectors
from index.search.resident import cells as resident
from index.search.resident.centres import FINEST_CENTRE, Table

CLOSE_KM, CLOSE_DEG = 1e-7, 1e-9
CORNERS = base_cells()[pentagons(base_cells())]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def tensor(cells: Cells) -> torch.Tensor:
    return torch.from_numpy(cells.view(np.int64))


def check(cells: Cells, res: int, device: str = "cpu") -> None:
    found = Table.on(device).lat_lng(tensor(cells).to(device), res).cpu().numpy()
    expected = centres(cells)
    assert found.dtype == np.float64
    assert ((found[:, 1] >= -180) & (found[:, 1] < 180)).all()
    shrunk = np.cos(np.radians(expected[:, :1]))
    assert (haversine_km(found, expected) < CLOSE_KM + 2e-12 / shrunk[:, 0]).all()  # H3's own latitudes are arcsines
    away = np.abs(found - expected)
    away[:, 1] = np.minimum(away[:, 1], 360 - away[:, 1])
    assert (away < CLOSE_DEG / shrunk + 1e-13 / shrunk**2).all()


def around(lat_lng: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Places at all distances of some from each of these, as cells are large at all resolutions."""
    rng = np.random.default_rng(seed)
    vectors = unit_vectors(lat_lng).repeat(4, axis=0)
    vectors += rng.normal(size=vectors.shape) * 10.0 ** rng.uniform(-7, -1, (len(vectors), 1))
    return coordinates(vectors)


def edges() -> NDArray[np.float64]:
    """Places on the 30 edges of the icosahedron, whose corners are pentagons."""
    corners = unit_vectors(centres(CORNERS))
    ends = [(a, b) for a, b in combinations(corners, 2) if a @ b > 0.4]
    assert len(ends) == 30
    share = np.random.default_rng(2).uniform(size=(100, 1))
    return coordinates(np.concatenate([a * share + b * (1 - share) for a, b in ends]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("res", range(FINEST_CENTRE + 1))
def test_centres_anywhere(res: int, device: str) -> None:
    rng = np.random.default_rng(res)
    check(np.unique(cells_at(coordinates(rng.normal(size=(20_000, 3))), res)), res, device)


@pytest.mark.parametrize("res", range(FINEST_CENTRE + 1))
def test_centres_where_faces_meet_at_the_poles_and_at_the_antimeridian(res: int) -> None:
    beside = np.stack((np.linspace(-89.99, 89.99, 1000), np.full(1000, 180.0)), axis=1)
    for where in (edges(), beside, np.array([(90.0, 0.0), (-90.0, 0.0), (89.9999, 45.0), (-89.9999, 170.0)])):
        check(np.unique(cells_at(around(where, res), res)), res)


@pytest.mark.parametrize("res", range(FINEST_CENTRE + 1))
def test_centres_of_pentagons_and_of_all_below_them(res: int) -> None:
    pentagon = CORNERS if res == 0 else descendant_range(CORNERS, res)[0]
    assert pentagons(pentagon).all()
    check(pentagon, res)
    for finer in range(res + 1, min(res + 4, FINEST_CENTRE) + 1):
        check(children(pentagon, finer), finer)


def test_no_cells() -> None:
    assert Table.on("cpu").lat_lng(torch.zeros(0, dtype=torch.int64), 9).shape == (0, 2)


@pytest.mark.parametrize("res", range(11))
def test_bits(res: int) -> None:
    """Children, pentagons and descendants are those of `index/grid/cells.py`."""
    rng = np.random.default_rng(res)
    some = cells_at(coordinates(rng.normal(size=(500, 3))), res)
    cells = np.unique(np.concatenate((some, CORNERS if res == 0 else descendant_range(CORNERS, res)[0])))
    made = resident.children(tensor(cells), res)
    numbers = resident.pentagon_numbers("cpu")
    five = resident.pentagons(tensor(cells), res, numbers)
    assert np.array_equal(five.numpy(), pentagons(cells))
    real = torch.ones_like(made, dtype=torch.bool)
    real[five, resident.ABSENT] = False
    assert np.array_equal(made[real].numpy().view(np.uint64), children(cells, res + 1))
    first, last = descendant_range(cells, 15)
    assert np.array_equal(resident.first_descendants(tensor(cells), res).numpy().view(np.uint64), first)
    assert (resident.last_descendants(tensor(cells), res).numpy().view(np.uint64) >= last).all()
    if len(cells) > 1:  # cells of one resolution do not overlap
        assert (resident.last_descendants(tensor(cells), res).numpy().view(np.uint64)[:-1] < first[1:]).all()
