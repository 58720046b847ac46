"""Slopes: what they tell of children, against the children's own vectors."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from index.building.representatives import of_cells
from index.grid.cells import centres, children
from index.grid.siblings import DIRECTIONS
from index.storage.manifest import BadIndexError
from index.storage.slopes import Slopes, coded_slopes, no_slopes, slope_bytes, slopes_on_disk
from tests.helpers.synthetic import ALPS, DIM, FIJI, encode, queries

CELLS = ALPS.cells(6)[:200]


def written(path: Path, codes: NDArray[np.uint8], *, rests: bool = False) -> Slopes:
    path.write_bytes(slopes_on_disk(codes))
    return Slopes(path, len(codes), codes_dim(codes, rests=rests), rests=rests)


def codes_dim(codes: NDArray[np.uint8], *, rests: bool) -> int:
    assert codes.shape[1] == slope_bytes(DIM, rests=rests)
    return DIM


def told_by(
    slopes: Slopes, query: NDArray[np.float32], rows: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    return slopes.told(np.array(rows), query[None], np.zeros(len(rows), np.int64))


@pytest.mark.parametrize("rests", [False, True])
def test_children_are_told_apart(tmp_path: Path, rests: bool) -> None:
    slopes = written(tmp_path / "slopes.bin", of_cells(CELLS, encode, rests=rests).slopes, rests=rests)
    vectors = encode(centres(children(CELLS, 7)))
    likeness = []
    for query in queries(centres(CELLS[::40]), 0.6):
        exact = (vectors @ query).reshape(-1, 7)
        exact -= exact.mean(axis=1, keepdims=True)
        told, known = told_by(slopes, query, list(range(len(CELLS))))
        assert known.all()
        assert told.dtype == np.float32
        likeness.append(np.corrcoef(told.ravel(), exact.ravel())[0, 1])
        np.testing.assert_allclose(told_by(slopes, query, [7, 3])[0], told[[7, 3]], atol=1e-6)
    assert min(likeness) > (0.6 if rests else 0.3)  # the more dimensions, the better


def test_many_queries_at_once(tmp_path: Path) -> None:
    slopes = written(tmp_path / "slopes.bin", of_cells(CELLS, encode, rests=True).slopes, rests=True)
    asked = queries(centres(CELLS[:3]), 0.6)
    rows, owners = np.array([5, 9, 5, 2, 1]), np.array([0, 0, 2, 2, 2])
    scores, known = slopes.told(rows, asked, owners)
    assert known.all()
    for at, (row, owner) in enumerate(zip(rows.tolist(), owners.tolist(), strict=True)):
        np.testing.assert_allclose(scores[at], told_by(slopes, asked[owner], [row])[0][0], atol=1e-6)


def test_vectors_on_a_plane_of_signs_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    terms = rng.choice([-0.02, 0.02], (5, 2, DIM)).astype(np.float32)
    families = rng.normal(size=(5, 1, DIM)).astype(np.float32) + np.einsum("cs,nsd->ncd", DIRECTIONS, terms)
    slopes = written(tmp_path / "slopes.bin", coded_slopes(families.astype(np.float32)))
    query = rng.normal(size=DIM).astype(np.float32)
    expected = np.einsum("cs,nsd,d->nc", DIRECTIONS, terms, query)
    np.testing.assert_allclose(told_by(slopes, query, list(range(5)))[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rests", [False, True])
def test_cells_astride_the_antimeridian_have_none(tmp_path: Path, rests: bool) -> None:
    found = of_cells(FIJI.cells(6), encode, rests=rests)
    twice = np.isin(found.cells, found.cells[1:][found.cells[1:] == found.cells[:-1]])
    assert twice.any()
    slopes = written(tmp_path / "slopes.bin", found.slopes, rests=rests)
    scores, known = told_by(slopes, np.ones(DIM, np.float32), list(range(len(found.cells))))
    assert known.tolist() == (~twice).tolist()
    assert not scores[twice].any()


def test_a_damaged_cell_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "slopes.bin"
    slopes = written(path, of_cells(CELLS, encode).slopes)
    content = bytearray(path.read_bytes())
    content[7 * 24 + 5] ^= 4
    path.write_bytes(bytes(content))
    slopes = Slopes(path, len(CELLS), DIM)
    assert slopes.of(np.array([6, 8])).shape == (2, 20)
    with pytest.raises(BadIndexError, match=r"slopes\.bin is damaged: row 7 differs"):
        slopes.of(np.array([8, 7]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scales_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    """With a checksum that is right."""
    codes = no_slopes(3, DIM)
    codes[1, -4:-2] = np.array([value], np.float16).view(np.uint8)
    slopes = written(tmp_path / "slopes.bin", codes)
    assert crc32(codes[1]) == int.from_bytes((tmp_path / "slopes.bin").read_bytes()[44:48], "little")
    with pytest.raises(BadIndexError, match=r"slopes\.bin holds slopes that are not finite"):
        slopes.of(np.arange(3))


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "slopes.bin", no_slopes(1, DIM))
    with pytest.raises(ValueError, match=r"it has 24 bytes; 3 rows take 72"):
        Slopes(tmp_path / "slopes.bin", 3, DIM)
