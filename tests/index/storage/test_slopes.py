"""Slopes: what they tell of children, against the children's own vectors."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from index.building.representatives import of_cells
from index.grid.cells import centres, children
from index.grid.siblings import DIRECTIONS
from index.storage.manifest import BadIndexError
from index.storage.slopes import Slopes, coded_slopes, no_slopes, told_by
from tests.helpers.synthetic import ALPS, DIM, FIJI, encode, queries

CELLS = ALPS.cells(6)[:200]


def written(path: Path, content: bytes, cells: int) -> Slopes:
    path.write_bytes(content)
    return Slopes(path, cells, DIM)


def test_children_are_told_apart(tmp_path: Path) -> None:
    found = of_cells(CELLS, encode)
    slopes = written(tmp_path / "slopes.bin", found.slopes.tobytes(), len(CELLS))
    for query in queries(centres(CELLS[::40]), 0.6):
        exact = (encode(centres(children(CELLS, 7))) @ query).reshape(-1, 7)
        plane = exact @ np.linalg.pinv(DIRECTIONS).T @ DIRECTIONS.T
        told, known = told_by(slopes.of(np.arange(len(CELLS))), query)
        assert known.all()
        assert told.dtype == np.float32
        assert np.corrcoef(told.ravel(), plane.ravel())[0, 1] > 0.4  # the more dimensions, the better
        np.testing.assert_allclose(told_by(slopes.of(np.array([7, 3])), query)[0], told[[7, 3]], atol=1e-6)


def test_vectors_on_a_plane_of_signs_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    terms = rng.choice([-0.02, 0.02], (5, 2, DIM)).astype(np.float32)
    families = rng.normal(size=(5, 1, DIM)).astype(np.float32) + np.einsum("cs,nsd->ncd", DIRECTIONS, terms)
    slopes = written(tmp_path / "slopes.bin", coded_slopes(families.astype(np.float32)).tobytes(), 5)
    query = rng.normal(size=DIM).astype(np.float32)
    expected = np.einsum("cs,nsd,d->nc", DIRECTIONS, terms, query)
    np.testing.assert_allclose(told_by(slopes.of(np.arange(5)), query)[0], expected, rtol=1e-3, atol=1e-3)


def test_cells_astride_the_antimeridian_have_none() -> None:
    found = of_cells(FIJI.cells(6), encode)
    twice = np.isin(found.cells, found.cells[1:][found.cells[1:] == found.cells[:-1]])
    assert twice.any()
    query = np.ones(DIM, np.float32)
    scores, known = told_by(found.slopes[:, :-4], query)
    assert known.tolist() == (~twice).tolist()
    assert not scores[twice].any()


def test_a_damaged_cell_is_found_when_it_is_read(tmp_path: Path) -> None:
    content = bytearray(of_cells(CELLS, encode).slopes.tobytes())
    content[7 * 24 + 5] ^= 4
    slopes = written(tmp_path / "slopes.bin", bytes(content), len(CELLS))
    assert slopes.of(np.array([6, 8])).shape == (2, 20)
    with pytest.raises(BadIndexError, match=r"slopes\.bin is damaged: cell 7 differs"):
        slopes.of(np.array([8, 7]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scales_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    """With a checksum that is right."""
    codes = np.frombuffer(no_slopes(3, DIM).tobytes(), np.uint8).reshape(3, -1)[:, :-4].copy()
    codes[1, -4:-2] = np.array([value], np.float16).view(np.uint8)
    sums = np.array([crc32(row) for row in codes], np.uint32).view(np.uint8).reshape(3, 4)
    slopes = written(tmp_path / "slopes.bin", np.concatenate((codes, sums), axis=1).tobytes(), 3)
    with pytest.raises(BadIndexError, match=r"slopes\.bin holds slopes that are not finite"):
        slopes.of(np.arange(3))


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it has 24 bytes; the slopes of 3 cells take 72"):
        written(tmp_path / "slopes.bin", no_slopes(1, DIM).tobytes(), 3)
    assert no_slopes(3, DIM).shape == (3, 24)
