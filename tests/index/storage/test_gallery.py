"""Galleries: deduplication, and row ranges against brute force with h3-py."""

from pathlib import Path
from typing import Any

import h3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import index.storage.gallery as gallery_module
from index.grid.cells import FINEST, base_cells, cells_at, children, parents
from index.storage.gallery import Gallery


def places_of(gallery: Gallery) -> dict[tuple[float, float], int]:
    return {(float(lat), float(lng)): int(n) for (lat, lng), n in zip(gallery.lat_lng, gallery.counts, strict=True)}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def somewhere(rows: int, seed: int = 0) -> NDArray[np.float64]:
    """Clustered coordinates, many of them twice, on both sides of the antimeridian and near a pole."""
    rng = np.random.default_rng(seed)
    around = np.array([[48.8, 2.3], [48.9, 2.4], [-17.0, 179.99], [64.7, 10.5], [89.9, 0.0]])
    spread = rng.choice([1e-6, 1e-3, 0.1], size=(rows, 1))
    points = around[rng.integers(0, len(around), rows)] + spread * rng.normal(size=(rows, 2))
    points[:, 0] = points[:, 0].clip(-90, 90)
    return points[rng.integers(0, rows, rows)]


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_blocks_give_what_their_rows_give_together(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(gallery_module, "_MERGE_AT", 300)
    points = somewhere(5_000)
    gathered = Gallery.gathered((points[at : at + size] for at in range(0, 5_000, size)), {"odd": 2, "even": 0})
    made = Gallery.of(points)
    assert gathered.bad == {"odd": 2}
    assert np.array_equal(gathered.lat_lng, made.lat_lng)
    assert np.array_equal(gathered.counts, made.counts)
    assert np.array_equal(gathered.cells, made.cells)
    assert gathered.digest() == made.digest()
    assert Gallery.gathered([], {}).digest() == Gallery.empty().digest()
    with pytest.raises(ValueError, match=r"Row 1 is .* longitudes -180 to 360"):
        Gallery.gathered([points, np.array([[1.0, 2.0], [1.0, 720.0]])], {})


@pytest.mark.parametrize(
    ("lat_lng", "counts", "says"),
    [
        ([[91.0, 0.0]], None, "Row 0 is .* latitudes are -90 to 90"),
        ([[1.0, 2.0], [1.0, float("nan")]], None, "Row 1 is .*nan"),
        ([[1.0, 361.0]], None, "longitudes"),
        ([1.0, 2.0], None, "shape"),
        ([[1.0, 2.0]], [0], "from 1"),
        ([[1.0, 2.0]], [1.5], "whole numbers"),
        ([[1.0, 2.0]], [1, 2], "1 whole numbers"),
    ],
)
def test_arrays_with_bad_rows_are_refused(lat_lng: Any, counts: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Gallery.of(lat_lng, counts)


def test_equal_places_are_one_and_longitudes_are_wrapped() -> None:
    gallery = Gallery.of(
        [[1.0, 359.5], [1.0, -0.5], [2.0, 180.0], [2.0, -180.0], [2.0, 179.99999999], [0.0, 0.0], [-0.0, 360.0]],
        [1, 2, 3, 4, 5, 6, 7],
    )
    assert places_of(gallery) == {(1.0, -0.5): 3, (2.0, -180.0): 12, (0.0, 0.0): 13}
    assert gallery.total == 28
    nearly = Gallery.of([[48.85, 2.35], [48.85 + 1e-9, 2.35]])
    assert nearly.counts.tolist() == [2]


def test_the_empty_gallery(tmp_path: Path) -> None:
    empty = Gallery.empty()
    assert (len(empty), empty.total) == (0, 0)
    assert empty.count_in(base_cells()).tolist() == [0] * 122
    assert len(empty.cells_at(3)) == 0
    empty.save(tmp_path / "g")
    assert (
        Gallery.parse((tmp_path / "g").read_bytes()).digest() == empty.digest() == Gallery.of(np.zeros((0, 2))).digest()
    )


def test_ranges_and_counts_equal_brute_force() -> None:
    gallery = Gallery.of(somewhere(3000))
    names = [h3.int_to_str(int(cell)) for cell in gallery.cells]
    assert [h3.latlng_to_cell(*place, FINEST) for place in gallery.lat_lng.tolist()] == names
    for res in range(FINEST + 1):
        parent = np.array([h3.str_to_int(h3.cell_to_parent(name, res)) for name in names], dtype=np.uint64)
        held = np.unique(parent)
        assert np.array_equal(gallery.cells_at(res), held)
        around = np.unique(np.concatenate((held[:50], cells_at(somewhere(50, seed=9), res))))
        start, stop = gallery.within(around)
        for cell, first, last in zip(around, start, stop, strict=True):
            assert np.array_equal(np.arange(first, last), np.flatnonzero(parent == cell))
        expected = [int(gallery.counts[parent == cell].sum()) for cell in around]
        assert gallery.count_in(around).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 360)), min_size=1, max_size=60), st.integers(0, 14))
def test_order_of_rows_does_not_matter_and_children_add_up(rows: list[tuple[float, float]], res: int) -> None:
    gallery = Gallery.of(rows)
    assert gallery.digest() == Gallery.of(rows[::-1]).digest()
    assert gallery.total == len(rows)
    assert (gallery.cells[1:] >= gallery.cells[:-1]).all()
    assert len(np.unique(gallery.lat_lng, axis=0)) == len(gallery)
    assert ((gallery.lat_lng[:, 1] >= -180) & (gallery.lat_lng[:, 1] < 180)).all()
    held = gallery.cells_at(res)
    below = children(held, res + 1)
    sums = np.zeros(len(held), dtype=np.int64)
    np.add.at(sums, np.searchsorted(held, parents(below, res)), gallery.count_in(below))
    assert np.array_equal(sums, gallery.count_in(held))
    assert sums.sum() == gallery.total


def test_saved_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    points = somewhere(2000)
    Gallery.of(points).save(tmp_path / "a.parquet")
    Gallery.of(points[::-1]).save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    loaded, made = Gallery.parse((tmp_path / "a.parquet").read_bytes()), Gallery.of(points)
    assert loaded.lat_lng.dtype == np.float64
    assert np.array_equal(loaded.lat_lng, made.lat_lng)
    assert np.array_equal(loaded.counts, made.counts)
    assert np.array_equal(loaded.cells, made.cells)
    assert loaded.digest() == made.digest()
    assert Gallery.of(points[1:]).digest() != made.digest()


def test_what_was_left_out_is_saved_too(tmp_path: Path) -> None:
    gallery = Gallery.gathered([np.array([[1.0, 2.0]])], {"exactly 0, 0": 3})
    gallery.save(tmp_path / "g.parquet")
    assert Gallery.parse((tmp_path / "g.parquet").read_bytes()).bad == {"exactly 0, 0": 3}


def test_other_files_are_not_opened_as_galleries(tmp_path: Path) -> None:
    pq.write_table(pa.table({"lat": [1.0]}), tmp_path / "other.parquet")
    Gallery.of([[1.0, 2.0], [50.0, 2.0]]).save(tmp_path / "g.parquet")
    table = pq.read_table(tmp_path / "g.parquet")
    pq.write_table(table.take([1, 0]), tmp_path / "unsorted.parquet")
    write(tmp_path / "torn.parquet", (tmp_path / "g.parquet").read_bytes()[:-100])
    for name, says in (
        ("other", "its format is None"),
        ("unsorted", "not sorted"),
        ("torn", "cannot be opened"),
    ):
        with pytest.raises(ValueError, match=says):
            Gallery.parse((tmp_path / f"{name}.parquet").read_bytes())
