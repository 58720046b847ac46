"""What lies in a GPU's memory beside the vectors, against the files it was read from."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import index.search.resident.stored as module
from index.grid.cells import Cells, children, pentagons, resolution
from index.grid.region import Region
from index.search.planet import Planet
from index.search.resident.cells import CHILDREN
from index.search.resident.stored import ResidentNodes, ResidentPrior, ResidentRegion, ResidentSlopes
from index.storage.contents import IndexContents
from index.storage.manifest import BadIndexError
from tests.helpers.synthetic import ALPS, DIM, encode, small_index

CPU = torch.device("cpu")


@cache
def contents() -> IndexContents:
    return IndexContents.open(small_index(ALPS))


def tensor(cells: Cells) -> torch.Tensor:
    return torch.from_numpy(cells.view(np.int64).copy())


def some_rows(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(count).integers(0, len(contents().cells), count)


def test_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 100)
    queries = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32)
    rows = some_rows(60)
    scores, known = ResidentSlopes(contents().slopes, len(contents().cells), CPU).told(
        torch.from_numpy(rows).view(3, 20), torch.from_numpy(queries)
    )
    expected, told = contents().slopes.told(rows, queries, np.arange(3).repeat(20))
    np.testing.assert_allclose(scores.numpy().reshape(-1, CHILDREN), expected, atol=1e-5)
    assert np.array_equal(known.numpy().ravel(), told)


def test_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 100)
    nodes = contents().nodes
    keys = np.concatenate((nodes.keys[::3], nodes.keys[:5] + 1, [0, np.iinfo(np.int64).max]))
    values, stored = ResidentNodes(nodes, CPU).at(torch.from_numpy(keys))
    rows = nodes.rows(keys)
    assert np.array_equal(stored.numpy(), rows >= 0)
    assert 0 < (~stored).sum() < len(keys) / 2
    assert np.array_equal(values.numpy()[rows >= 0], nodes.values(rows[rows >= 0]))


def test_the_prior_carried_down_is_that_of_each_cell() -> None:
    prior = ResidentPrior(contents().prior, 6, CPU)
    rows = np.unique(some_rows(40))
    cells, state = contents().cells[rows], prior.of_coarse(torch.from_numpy(rows))
    np.testing.assert_allclose(state.log_mass.numpy(), contents().prior.log_mass(cells), rtol=1e-12)
    with_photos = []
    for res in range(7, 10):
        five = torch.from_numpy(pentagons(cells))
        cells = children(cells, res)
        state = prior.of_children(state, five, tensor(cells).view(-1, CHILDREN), res)
        np.testing.assert_allclose(state.log_mass.numpy().ravel(), contents().prior.log_mass(cells), rtol=1e-12)
        state = type(state)(*(part.flatten() for part in state))
        with_photos.append(int((state.photos > 0).sum()))
    assert min(with_photos) > 0


@pytest.mark.parametrize("res", [3, 6, 8])
def test_regions(res: int) -> None:
    region = Region.disk(46.6, 8.2, 30.0)
    cells = Region.disk(46.6, 8.2, 60.0).cells(res)
    assert resolution(cells) == res
    found = ResidentRegion.of(region, CPU).overlaps(tensor(cells), res)
    assert np.array_equal(found.numpy(), region.overlaps(cells))
    if res > 3:
        assert 0 < found.sum() < len(cells)


@pytest.mark.parametrize("name", ["slopes.bin", "nodes.bin", "level-6.lists"])
def test_damage_is_found_when_it_is_read(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(small_index(ALPS), tmp_path / "planet")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 4
    (folder / name).write_bytes(content)
    with pytest.raises(BadIndexError, match=rf"{name} is damaged"):
        Planet.open(folder, encode, engine="resident")
