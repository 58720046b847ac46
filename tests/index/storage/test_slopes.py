"""Slopes: what they tell of children, against the children's own vectors."""

from pathlib import Path

import numpy as np
import pytest

from index.building.representatives import of_cells
from index.grid.cells import centres, children
from index.grid.siblings import DIRECTIONS
from index.storage.slopes import Slopes, coded_slopes, no_slopes, slope_bytes
from tests.helpers.synthetic import ALPS, DIM, FIJI, encode, queries

CELLS = ALPS.cells(6)[:200]


def written(path: Path, content: bytes, cells: int) -> Slopes:
    path.write_bytes(content)
    return Slopes.open(path, cells, DIM)


def test_children_are_told_apart(tmp_path: Path) -> None:
    found = of_cells(CELLS, encode)
    slopes = written(tmp_path / "slopes.bin", found.slopes.tobytes(), len(CELLS))
    for query in queries(centres(CELLS[::40]), 0.6):
        exact = (encode(centres(children(CELLS, 7))) @ query).reshape(-1, 7)
        plane = exact @ np.linalg.pinv(DIRECTIONS).T @ DIRECTIONS.T
        told = slopes.scores(query, np.arange(len(CELLS)))
        assert told.dtype == np.float32
        assert np.corrcoef(told.ravel(), plane.ravel())[0, 1] > 0.4  # the more dimensions, the better
        np.testing.assert_allclose(slopes.scores(query, np.array([7, 3])), told[[7, 3]], atol=1e-6)


def test_vectors_on_a_plane_of_signs_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    terms = rng.choice([-0.02, 0.02], (5, 2, DIM)).astype(np.float32)
    families = rng.normal(size=(5, 1, DIM)).astype(np.float32) + np.einsum("cs,nsd->ncd", DIRECTIONS, terms)
    slopes = written(tmp_path / "slopes.bin", coded_slopes(families.astype(np.float32)).tobytes(), 5)
    query = rng.normal(size=DIM).astype(np.float32)
    expected = np.einsum("cs,nsd,d->nc", DIRECTIONS, terms, query)
    np.testing.assert_allclose(slopes.scores(query, np.arange(5)), expected, rtol=1e-3, atol=1e-3)


def test_cells_astride_the_antimeridian_have_none() -> None:
    found = of_cells(FIJI.cells(6), encode)
    twice = np.isin(found.cells, found.cells[1:][found.cells[1:] == found.cells[:-1]])
    assert twice.any()
    assert not found.slopes[twice].any()
    assert found.slopes[~twice].any(axis=1).all()


def test_any_bytes_are_finite_scores(tmp_path: Path) -> None:
    content = np.random.default_rng(2).integers(0, 256, 50 * slope_bytes(DIM), np.uint8).tobytes()
    scores = written(tmp_path / "slopes.bin", content, 50).scores(np.ones(DIM, np.float32), np.arange(50))
    assert np.isfinite(scores).all()


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it has 20 bytes; the slopes of 3 cells take 60"):
        written(tmp_path / "slopes.bin", no_slopes(1, DIM).tobytes(), 3)
    assert no_slopes(3, DIM).shape == (3, 20)
