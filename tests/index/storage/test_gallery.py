"""Galleries: hostile tables, deduplication, and row ranges against brute force with h3-py."""

import csv
from collections import Counter
from decimal import Decimal
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
import index.storage.gallery_rows as rows_module
from index.grid.cells import FINEST, base_cells, cells_at, children, parents
from index.storage.gallery import Gallery
from index.storage.gallery_rows import Reason

HOSTILE = (
    b"\xef\xbb\xbfid,Latitude, LON \r\n"
    b"1,48.85,2.35\r\n"  # row 1: a place
    b"2,abc,2\r\n"
    b"3,,2\r\n"
    b"4,nan,2\r\n"
    b"5,1e400,2\r\n"  # row 5: parses to infinity
    b"6,91,2\r\n"
    b"7,10,-180.5\r\n"
    b"8,10,360\r\n"  # row 8: a place, longitude 0
    b"9,0,0.0\r\n"
    b"10,1\r\n"  # row 10: ragged
    b"\r\n"  # no row
    b'"11, with a comma","48.85", +2.35e0 \r\n'  # row 11: the first place again
    b"12,\xff\xfe,9\r\n"
    b"13,1_0,5\r\n"
    b"14,0x10,5\r\n"
    b'15,"48,85",5\r\n'
    b"16,1,2\x00\r\n"
    b"17,1,2,3\r\n"
    b"18,-90.,.5\r\n"  # row 18: a place
)
REJECTED = {
    2: Reason.NOT_A_NUMBER,
    3: Reason.MISSING,
    4: Reason.NOT_FINITE,
    5: Reason.NOT_FINITE,
    6: Reason.LATITUDE,
    7: Reason.LONGITUDE,
    9: Reason.NULL_ISLAND,
    10: Reason.RAGGED,
    12: Reason.NOT_A_NUMBER,
    13: Reason.NOT_A_NUMBER,
    14: Reason.NOT_A_NUMBER,
    15: Reason.NOT_A_NUMBER,
    16: Reason.NOT_A_NUMBER,
    17: Reason.RAGGED,
}
PLACES = {(48.85, 2.35): 2, (10.0, 0.0): 1, (-90.0, 0.5): 1}


def places_of(gallery: Gallery) -> dict[tuple[float, float], int]:
    return {(float(lat), float(lng)): int(n) for (lat, lng), n in zip(gallery.lat_lng, gallery.counts, strict=True)}


def in_float32(places: dict[tuple[float, float], int]) -> dict[tuple[float, float], int]:
    return {(float(np.float32(lat)), float(np.float32(lng))): n for (lat, lng), n in places.items()}


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


@pytest.mark.parametrize("block", [64, 1 << 20])
def test_hostile_rows_are_counted_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(rows_module, "_BLOCK_BYTES", block)
    gallery = Gallery.read(write(tmp_path / "a.csv", HOSTILE), rejected=tmp_path / "bad.csv")
    assert places_of(gallery) == in_float32(PLACES)
    assert gallery.total == 4
    assert gallery.bad == Counter(REJECTED.values())
    with (tmp_path / "bad.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert {int(row["row"]): row["reason"] for row in written} == REJECTED
    texts = {int(row["row"]): (row["lat"], row["lng"]) for row in written}
    assert texts[2] == ("abc", "2")
    assert texts[12] == ("ÿþ", "9")
    assert texts[17] == ("17,1,2,3", "")


def test_quoted_values_may_hold_lines(tmp_path: Path) -> None:
    gallery = Gallery.read(write(tmp_path / "a.csv", b'id,lat,lng\n"a\n,b",1,2\nc,3,4\n'))
    assert places_of(gallery) == {(1.0, 2.0): 1, (3.0, 4.0): 1}
    assert not gallery.bad


def test_text_beside_the_coordinates_may_be_of_any_encoding(tmp_path: Path) -> None:
    content = '\ufeff"lat",lng,name\n1,2,Malé\n48°,2,x\n3,4,Malé,Malé\n'.encode() + b"5,6,Mal\xe9\n7,8,Mal\xe9,x\n"
    gallery = Gallery.read(write(tmp_path / "a.csv", content), rejected=tmp_path / "bad.csv")
    assert places_of(gallery) == {(1.0, 2.0): 1, (5.0, 6.0): 1}
    with (tmp_path / "bad.csv").open(encoding="utf-8", newline="") as file:
        written = {int(row["row"]): row["lat"] for row in csv.DictReader(file)}
    assert written == {2: "48°", 3: "3,4,Malé,Malé", 5: "7,8,Malé,x"}


def test_an_unclosed_quote_costs_its_lines_and_says_so(tmp_path: Path) -> None:
    gallery = Gallery.read(write(tmp_path / "a.csv", b'id,lat,lng\na,1,2\n"b,3,4\nc,5,6\nd,7,8\n'))
    assert gallery.total == 1
    assert gallery.bad == {Reason.RAGGED: 3}


def test_row_numbers_hold_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_BLOCK_BYTES", 1000)
    rng = np.random.default_rng(1)
    kinds = rng.choice(["fine", "ragged", "text"], size=3000, p=[0.8, 0.1, 0.1])
    lines = {"fine": "x,1.5,2.5", "ragged": "x,1.5", "text": "x,here,2.5"}
    content = "id,lat,lng\n" + "\n".join(lines[kind] for kind in kinds) + "\n"
    gallery = Gallery.read(write(tmp_path / "a.csv", content.encode()), rejected=tmp_path / "bad.csv")
    assert gallery.counts.tolist() == [int((kinds == "fine").sum())]
    rows = [line.split(",") for line in (tmp_path / "bad.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert sorted(int(row[0]) for row in rows) == (np.flatnonzero(kinds != "fine") + 1).tolist()
    assert {int(row[0]) for row in rows if row[-1] == Reason.RAGGED} == set(np.flatnonzero(kinds == "ragged") + 1)


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_large_file_in_small_batches_equals_the_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(rows_module, "_BLOCK_BYTES", 4096)
    monkeypatch.setattr(rows_module, "_BATCH_ROWS", 100)
    monkeypatch.setattr(gallery_module, "_MERGE_AT", 300)
    points = somewhere(5_000)
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"y": points[:, 0], "x": points[:, 1]}), path)
    else:
        mark = "," if kind == "csv" else "\t"
        path.write_text(
            f"lat{mark}lng\n" + "".join(f"{lat!r}{mark}{lng!r}\n" for lat, lng in points.tolist()), encoding="utf-8"
        )
    read, made = Gallery.read(path), Gallery.of(points)
    assert not read.bad
    assert np.array_equal(read.lat_lng, made.lat_lng)
    assert np.array_equal(read.counts, made.counts)
    assert np.array_equal(read.cells, made.cells)
    assert read.digest() == made.digest()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.5, None, float("nan"), 91.0], pa.float32()),
        pa.array([" 1.5", None, "nan", "91"]),
        pa.array(["1.5", "", "inf", "91"], pa.large_string()),
        pa.array(["1.5", None, "nan", "91"]).dictionary_encode(),
    ],
    ids=["float32", "string", "large_string", "dictionary"],
)
def test_parquet_columns_of_any_plain_type(tmp_path: Path, column: Any) -> None:
    pq.write_table(pa.table({"LAT": column, "Lon": pa.array([3, 3, 3, 3])}), tmp_path / "a.parquet")
    gallery = Gallery.read(tmp_path / "a.parquet")
    assert places_of(gallery) == {(1.5, 3.0): 1}
    assert gallery.bad == {Reason.MISSING: 1, Reason.NOT_FINITE: 1, Reason.LATITUDE: 1}


def test_parquet_decimals(tmp_path: Path) -> None:
    pq.write_table(pa.table({"lat": [Decimal("1.5")], "lng": [Decimal("-2.25")]}), tmp_path / "a.pq")
    assert places_of(Gallery.read(tmp_path / "a.pq")) == {(1.5, -2.25): 1}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "cannot be read as a table"),
        ("a.csv", b"lat,lng\n", "it has no rows"),
        ("a.csv", b"lat,lng\n95,1\nx,2\n", "1 a coordinate is not a number, 1 latitude"),
        ("a.csv", b"lat,height\n1,2\n", "one of lng, lon"),
        ("a.csv", b"\xff\xfelat,lng\n1,2\n", "one of lat, latitude"),
        ("a.csv", "lat,lng\n1,2\n".encode("utf-16"), "a.csv"),
        ("a.csv", b"lat,lng\n" + b"1" * 12_000_000 + b",2\n", "cannot be read as a table"),
        ("a.parquet", b"PAR1 but no", "cannot be read as a table"),
        ("a.xlsx", b"", "give a file named"),
    ],
)
def test_files_that_are_no_gallery_are_refused_in_words(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Gallery.read(write(tmp_path / name, content))


def test_more_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        Gallery.read(tmp_path / "absent.csv")
    pq.write_table(pa.table({"lat": [True], "lng": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="holds bool; expected numbers"):
        Gallery.read(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="no usable coordinates"):
        Gallery.read(write(tmp_path / "a.csv", b"lat,lng\n1\n"), rejected=tmp_path / "bad.csv")
    assert len((tmp_path / "bad.csv").read_text(encoding="utf-8").splitlines()) == 2
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("lat_lng", "counts", "says"),
    [
        ([[91.0, 0.0]], None, "Row 0 is .* latitude"),
        ([[1.0, 2.0], [1.0, float("nan")]], None, "Row 1 is .* not finite"),
        ([[1.0, 361.0]], None, "longitude"),
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


def test_what_was_rejected_is_saved_too(tmp_path: Path) -> None:
    gallery = Gallery.read(write(tmp_path / "a.csv", HOSTILE))
    gallery.save(tmp_path / "g.parquet")
    assert Gallery.parse((tmp_path / "g.parquet").read_bytes()).bad == gallery.bad


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
