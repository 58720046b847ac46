"""The same table in every format and encoding gives the same rows to everybody who reads tables."""

import csv
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoclip.errors import InputError
from geoclip.evaluation.predictions import read_answers, read_labels
from geoclip.tables import rows as rows_module
from geoclip.tables.bad_rows import BadRows, OnBadRows, Reason
from geoclip.tables.columns import USUAL, Columns, OptionColumns
from geoclip.tables.coordinates import PhotoNames, numbers_in, read_lat_lng, read_places
from geoclip.tables.labels import Labels
from geoclip.tables.rows import open_table
from geoclip.train.data.entries import table_entries
from index.storage.gallery import Gallery
from tests.helpers.tables import FORMATS, ROWS, written

Rows = list[tuple[str, float, float]]


def places(path: Path, columns: Columns = USUAL) -> tuple[Rows, BadRows]:
    bad = BadRows()
    found: Rows = []
    for _, lat_lng, names in read_places(path, columns, bad, photos=PhotoNames.TAKE):
        assert names is not None
        found += zip(names.to_pylist(), *lat_lng.T.tolist(), strict=True)
    return found, bad


def of_coordinates(path: Path) -> Rows:
    """Read as embed and galleries do: photos have no names there."""
    lat, lng = read_lat_lng(path, OptionColumns(), policy=OnBadRows.SKIP).T.tolist()
    return [("", *place) for place in zip(lat, lng, strict=True)]


def of_labels(labels: Labels) -> Rows:
    return list(zip(labels.names or (), *labels.lat_lng.T.tolist(), strict=True))


def of_predictions(path: Path) -> Rows:
    names, answers = read_answers(path)
    return list(zip(names or (), *answers.places[:, 0].T.tolist(), strict=True))


def of_training(path: Path) -> Rows:
    entries = table_entries(path, Columns(), path.with_suffix(".bad"))
    return [(entries.name(at), *entries.lat_lng[at].tolist()) for at in range(len(entries))]


CONSUMERS: dict[str, Callable[[Path], Rows]] = {
    "build --gallery, embed": of_coordinates,
    "calibrate": lambda path: of_labels(Labels.read(path)),
    "evaluate, labels": lambda path: of_labels(read_labels(path)),
    "evaluate, predictions": of_predictions,
    "train": of_training,
}


def unnamed(consumer: str, rows: Rows) -> Rows:
    """Return rows without names where the consumer has none."""
    return rows if CONSUMERS[consumer] is not of_coordinates else [("", lat, lng) for _, lat, lng in rows]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("kind", FORMATS)
def test_everybody_reads_the_same_rows(tmp_path: Path, kind: str) -> None:
    path = FORMATS[kind](tmp_path)
    for consumer, read in CONSUMERS.items():
        assert unnamed(consumer, read(path)) == unnamed(consumer, list(ROWS)), consumer


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("photo,x,y,lat,lng", "a.jpg,1920,1080,48.5,2.25"),
        ("x,y,IMG_FILE,Latitude,LON", "1,2,a.jpg,48.5,2.25"),
        ("file,y,x", "a.jpg,48.5,2.25"),
        ("lng_deg,lat_deg,other,name", "2.25,48.5,z,a.jpg"),
        ("lat,lng,true_lng,true_lat,photo", "48.5,2.25,2.25,48.5,a.jpg"),
        ('"Photo ", lat , "LNG"', 'a.jpg,48.5,"2.25"'),
    ],
)
def test_columns_are_found_by_one_rule(tmp_path: Path, consumer: str, header: str, row: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    assert unnamed(consumer, CONSUMERS[consumer](path)) == unnamed(consumer, [("a.jpg", 48.5, 2.25)])


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("photo,LAT,LON,Lat,Lng", "a,1,2,3,4", r"2 columns for the lat: LAT, Lat; name the one to read with (--|col)"),
        ("photo,lat,lng,lat,lng", "a,1,2,3,4", "2 columns for the lat: lat, lat; name the one"),
        ("photo,lat,lon,longitude", "a,1,2,3", "2 columns for the lng: lon, longitude"),
        ("photo,lat,x", "a,1,2", "for the lng one of lng, lon, .* is needed, or its name with"),
        ("photo,breite,laenge", "a,1,2", "has the columns photo, breite, laenge; for the lat one of lat"),
        ("photo,x,y", "a,1920,1080", "columns y and x hold 1080, 1920 in row 1: pixels or projected coordinates"),
        ("photo,y,x", "a,4803123.5,441000", "not degrees"),
        ("photo,lat,lng", "", "has no rows"),
        ("photo,lat,lng", "a,91,2\nb,3,400", r"2 of 2 rows .*: 1 latitude .* \(row 1: 91, 2\), 1 longitude"),
        ("photo,lat,lng", "a,120.5,30", "Latitude and longitude seem to be exchanged"),
        ("", "", "is empty"),
    ],
)  # fmt: skip
def test_what_everybody_refuses(tmp_path: Path, consumer: str, header: str, row: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        CONSUMERS[consumer](path)
    assert "\n" not in str(caught.value)
    assert "t.csv" in str(caught.value)


def test_columns_that_are_asked_for_count(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("photo,LAT,LON,Lat,Lng,key,y,x\na,1,2,3,4,k,500,600\n", encoding="utf-8")
    assert places(path, Columns("key", "Lat", "Lng"))[0] == [("k", 3, 4)]
    assert places(path, Columns(None, "LAT", "LON"))[0] == [("a", 1, 2)]
    for asked, words in (
        (Columns("key", "LAT"), r"2 columns for the lng: LON, Lng; .* columns.lng"),
        (Columns("no", "LAT", "LON"), "no column 'no' for the photo"),
        (Columns("key", "LAT", "nope"), "no column 'nope' for the lng; it has photo, LAT"),
        (Columns(None, "LAT", "LAT"), "cannot be both latitude and longitude"),
    ):
        with pytest.raises(InputError, match=words):
            places(path, asked)
    assert places(path, Columns(None, "y", "x"))[1].counts == {Reason.LATITUDE: 1}, "asked for, so not a question"
    with pytest.raises(InputError, match=r"the key 'lon'.*did you mean lng"):
        Columns.of({"lon": "x"})


# -- bad rows ---------------------------------------------------------------------------------------------------------

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
    b"10,1\r\n"
    b"\r\n"  # no row
    b"  \t\r\n"  # row 11, of nothing
    b'"12, with a comma","48.85", +2.35e0 \r\n'  # row 12: the first place again
    b"13,\xff\xfe,9\r\n"
    b"14,1_0,5\r\n"
    b"15,0x10,5\r\n"
    b'16,"48,85",5\r\n'  # row 16: a place, decimal comma
    b"17,1,2\x00\r\n"
    b"18,1,2,3\r\n"
    b",1,2\r\n"
    b"20,-90.,.5\r\n"  # row 20: a place
    b"21,1,720\r\n"
    b"22,1,190\r\n"  # row 22: a place, longitude -170
)
BAD = {
    2: Reason.NOT_A_NUMBER, 3: Reason.MISSING, 4: Reason.NOT_FINITE, 5: Reason.NOT_FINITE, 6: Reason.LATITUDE,
    7: Reason.LONGITUDE, 9: Reason.NULL_ISLAND, 10: Reason.RAGGED, 13: Reason.NOT_A_NUMBER, 14: Reason.NOT_A_NUMBER,
    15: Reason.NOT_A_NUMBER, 17: Reason.NOT_A_NUMBER, 18: Reason.RAGGED, 19: Reason.NO_PHOTO, 21: Reason.LONGITUDE,
}  # fmt: skip
GOOD = {1: (48.85, 2.35), 8: (10, 0), 12: (48.85, 2.35), 16: (48.85, 5), 20: (-90, 0.5), 22: (1, -170)}


@pytest.mark.parametrize("block", [256, 1 << 20])
def test_hostile_rows_are_counted_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(rows_module, "_BLOCK_BYTES", block)
    path, bad = tmp_path / "a.csv", BadRows()
    path.write_bytes(HOSTILE)
    found: dict[int, tuple[float, ...]] = {}
    for rows, lat_lng, _ in read_places(path, bad=bad, photos=PhotoNames.TAKE):
        found |= dict(zip(rows.tolist(), map(tuple, lat_lng.tolist()), strict=True))
    assert found == GOOD
    assert {each.row: each.reason for each in bad.listed} == BAD
    assert bad.total == len(BAD) == sum(bad.counts.values())
    assert bad.rows == len(BAD) + len(GOOD)
    bad.write(tmp_path / "bad.csv")
    with (tmp_path / "bad.csv").open(encoding="utf-8", newline="") as file:
        listed = {int(row["row"]): row for row in csv.DictReader(file)}
    assert list(listed) == sorted(BAD)
    assert {row: each["reason"] for row, each in listed.items()} == BAD
    assert [listed[2][part] for part in ("photo", "lat", "lng")] == ["2", "abc", "2"]
    assert listed[13]["lat"] == "ÿþ"
    assert listed[18]["photo"] == "18,1,2,3"


@pytest.mark.parametrize("consumer", ["build --gallery, embed", "evaluate, predictions", "train"])
def test_some_skip_bad_rows_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture, consumer: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("photo,lat,lng\na,1,2\nb,3,x\nc,0,0\nd,3,190\n", encoding="utf-8")
    read = [row for row in CONSUMERS[consumer](path) if np.isfinite(row[1])]
    assert unnamed(consumer, read) == unnamed(consumer, [("a", 1, 2), ("d", 3, -170)])
    assert "2 of 4 rows cannot be used: 1 a coordinate is not a number (row 2: 3, x), 1 exactly 0, 0" in caplog.text


def test_others_refuse_them_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("photo,lat,lng\na,1,2\n" + "b,91,2\n" * 7 + "c,x,2\n", encoding="utf-8")
    for read in (Labels.read, read_labels, read_lat_lng):
        with pytest.raises(
            InputError, match=r"8 of 9 .*: 1 a .* number \(row 9: x, 2\), 7 .* \(rows 2, 3, 4, 5, 6, ...\)"
        ):
            read(path)
    assert len(Labels.read(path, policy=OnBadRows.SKIP).lat_lng) == 1


def test_values_of_other_types_are_judged_too(tmp_path: Path) -> None:
    records: list[Any] = [
        {"photo": 7, "lat": "48,5", "lng": 2}, {"photo": 1, "lat": True, "lng": 2}, {"photo": "x", "lat": [], "lng": 2},
        {"lat": 1, "lng": 2}, {"photo": "n", "lng": 2}, {"photo": "e", "lat": float("inf"), "lng": 2}, [1, 2],
    ]  # fmt: skip
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n\n" for record in records) + '{"torn', encoding="utf-8")
    found, bad = places(path)
    assert found == [("7", 48.5, 2)]
    assert {each.row: each.reason for each in bad.listed} == {
        2: Reason.NOT_A_NUMBER, 3: Reason.NOT_A_NUMBER, 4: Reason.NO_PHOTO, 5: Reason.MISSING, 6: Reason.NOT_FINITE,
        7: Reason.NOT_AN_OBJECT, 8: Reason.NOT_AN_OBJECT,
    }  # fmt: skip
    table = pa.table({
        "photo": pa.array([1.0, 123456789012.0, None]), "lat": pa.array([Decimal("1.5"), None, Decimal(3)]),
        "lng": pa.array([1, 2, 3], pa.uint8()), "nothing": pa.nulls(3),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    found, bad = places(tmp_path / "t.parquet")
    assert found == [("1", 1.5, 1)]
    assert bad.rows == 3
    assert {each.row: (each.photo, each.reason) for each in bad.listed} == {
        2: ("123456789012", Reason.MISSING), 3: (None, Reason.NO_PHOTO)
    }  # fmt: skip


def test_text_in_parquet_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    name = pa.array([b"Z\xfcrich", None]).view(pa.string())
    pq.write_table(pa.table({"photo": name, "lat": ["1", "2"], "lng": ["3", "4"]}), tmp_path / "t.parquet")
    found, bad = places(tmp_path / "t.parquet")
    assert (found, bad.counts) == ([("Zürich", 1, 3)], {Reason.NO_PHOTO: 1})


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_an_unclosed_quote_costs_its_row_and_says_so(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "a.csv"
    rows = ["a,1,2", '"b,3,4', "c,5,6", '"d\n""x""",7,8', 'e"5"",1,1', '"f"x,1,2', '"g,9,9', "h,10,11", '"i,1,1']
    path.write_bytes(ends.join(["id,lat,lng", *rows]).encode())
    found, bad = places(path)
    read = {"a": (1, 2), "c": (5, 6), 'd\n"x"': (7, 8), 'e"5""': (1, 1), "fx": (1, 2), "h": (10, 11)}
    assert {name: place for name, *place in found} == {name: list(place) for name, place in read.items()}
    assert [(each.row, each.reason, each.photo) for each in bad.listed] == [
        (2, Reason.QUOTE, '"b,3,4'), (7, Reason.QUOTE, '"g,9,9'), (9, Reason.QUOTE, '"i,1,1')
    ]  # fmt: skip
    assert bad.rows == len(rows)
    path.write_text('id,lat,lng\na,1,2\n"b,3,4\n' + "c,5,6\n" * 400_000, encoding="utf-8")
    found, bad = places(path)
    assert (len(found), bad.rows, bad.counts) == (400_001, 400_002, {Reason.QUOTE: 1})


def test_an_unclosed_quote_among_the_names_of_columns_takes_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('"id,lat,lng\na,1,2\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"has the columns id,lat,lng"):
        places(path)


def test_row_numbers_hold_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_BLOCK_BYTES", 1000)
    kinds = np.random.default_rng(1).choice(["fine", "ragged", "text", "broken"], size=3000, p=[0.7, 0.1, 0.1, 0.1])
    lines = {"fine": "x,1.5,2.5", "ragged": "x,1.5", "text": "x,here,2.5", "broken": '"x\n\ny",1.5,91'}
    path = tmp_path / "a.csv"
    path.write_text("id,lng,lat\n" + "\n".join(lines[kind] for kind in kinds) + "\n", encoding="utf-8")
    found, bad = places(path)
    assert len(found) == (kinds == "fine").sum()
    expected = {"ragged": Reason.RAGGED, "text": Reason.NOT_A_NUMBER, "broken": Reason.LATITUDE}
    for kind, reason in expected.items():
        assert {each.row - 1 for each in bad.listed if each.reason is reason} == set(np.flatnonzero(kinds == kind))


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(_TEXT, st.floats(-90, 90), st.floats(-180, 180, exclude_max=True)), min_size=1, max_size=40),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
    st.sampled_from([1 << 10, 1 << 20]),
)
def test_what_is_written_is_read(
    rows: list[tuple[str, float, float]], delimiter: str, encoding: str, comma: bool, block: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, patch.object(rows_module, "_BLOCK_BYTES", block):
        path = written(Path(folder) / "t.csv", rows, delimiter=delimiter, encoding=encoding, comma=comma)
        found, bad = places(path)
    assert found == [row for row in rows if row[1:] != (0, 0)]
    assert bad.total == sum(row[1:] == (0, 0) for row in rows)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.floats(), st.text(max_size=6), st.none()), max_size=20))
def test_numbers_are_those_of_python(values: list[float | str | None]) -> None:
    texts = [None if value is None else str(value) for value in values]
    found = numbers_in(
        pa.array([None if t is None else t.encode(errors="replace").decode() for t in texts], pa.string())
    )
    for text, value, missing, wrong in zip(texts, *found, strict=True):
        assert missing == (text is None or not text.strip())
        try:
            expected = float((text or "").replace(",", ".", 1)) if text and text.isascii() and "_" not in text else None
        except ValueError:
            expected = None
        assert wrong == (not missing and expected is None)
        assert expected is None or value == expected or (np.isnan(value) and np.isnan(expected))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.csv", None, "does not exist"),
        (
            "torn.parquet",
            b"PAR1 and no more",
            "cannot be read: .*; give a whole file of the format that its suffix names",
        ),
        (
            "labels.json",
            b"[]",
            "is not a table this program reads; give .csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .pq",
        ),
        ("text.jsonl", b"no objects\n[1]\n", "does not begin with JSON objects"),
        ("long.csv", b"lat,lng\n1," + b"2" * (1 << 24), "16,777,216 characters or more"),
        ("many.csv", b",".join(b"c%d" % i for i in range(500)), "c0, c1, .*, c11 and 488 more"),
        ("lines.csv", b'"a\n\nb",c\n1,2\n', "has the columns a b, c; for the lat"),
    ],
)
def test_files_that_are_not_tables_are_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        list(read_places(tmp_path / name))
    assert name in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_what_is_not_an_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("pipe.csv", "folder.jsonl"):
        with pytest.raises(InputError, match="is a folder, a pipe or a device"):
            open_table(tmp_path / name)


def test_a_photo_has_one_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("photo,Photo,lat,lng\na,b,1,2\n", encoding="utf-8")
    with pytest.raises(
        InputError, match="2 columns for the photo: photo, Photo; name the one to read with --label-name"
    ):
        Labels.read(path)
    assert read_lat_lng(path).tolist() == [[1, 2]], "photos do not matter there"


def test_a_gallery_keeps_its_counts(tmp_path: Path) -> None:
    path, bad = tmp_path / "a.csv", BadRows()
    path.write_bytes(HOSTILE)
    gallery = Gallery.gathered((each.lat_lng for each in read_places(path, bad=bad)), bad.counts)
    assert gallery.total == len(GOOD) + 1  # a place needs no photo's name
    gallery.save(tmp_path / "g.parquet")
    assert Gallery.parse((tmp_path / "g.parquet").read_bytes()).bad == gallery.bad == bad.counts
