"""Which row of the labels belongs to which photo."""

import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoclip.errors import InputError
from geoclip.tables.columns import PHOTO_NAMES
from geoclip.tables.labels import Labels
from geoclip.tables.names import rows_of, spellings


def labels(folder: Path, text: str) -> Labels:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return Labels.read(path)


@pytest.mark.parametrize("name", PHOTO_NAMES)
def test_every_name_of_the_column_is_read(tmp_path: Path, name: str) -> None:
    found = labels(tmp_path, f"lng,other,{name.title()},lat\n2.25,x,a.jpg,48.5\n")
    assert (found.names, found.lat_lng.tolist()) == (("a.jpg",), [[48.5, 2.25]])
    assert found.lat_lng.dtype == np.float64


def test_the_first_of_several_name_columns_counts(tmp_path: Path) -> None:
    assert labels(tmp_path, "query,lat,lng,IMG_FILE,photo\nq,1,2,i,p\n").names == ("p",)


@pytest.mark.parametrize(
    ("names", "known", "rows"),
    [
        (["a/1.jpg", "b/1.jpg"], ["b/1.jpg", "a/1.jpg"], [1, 0]),
        (["photos/deep/2.jpg", "3.jpg", "x/3.jpg/4.jpg", "5.jpg"], ["2.jpg", "c/3.jpg"], [0, 1, -1, -1]),
        (["/d/setB/1.jpg", "/d/setA/1.jpg", "/d/setC/1.jpg"], ["setA/1.jpg", "setB/1.jpg"], [1, 0, -1]),
        (["x/y/1.jpg", "1.jpg"], ["y/1.jpg"], [0, -1]),
        (["whole", "00/101.jpg", "00/102.png"], ["101", "whole", "102"], [1, 0, 2]),
        (["101", "102.JPG"], ["a/101.webp", "b/102.jpg"], [0, 1]),
        (["2019.05.01_a.jpg", "2019.05.01.jpg"], ["2019.05.01_a", "2019.05", "2019.05.01"], [0, 2]),
        (
            ["Zu\u0308rich.jpg", "no\udcff.jpg", "set\\1.jpg"],
            ["Z\u00fcrich.jpg", "no\u00ff.jpg", "set/1.jpg"],
            [0, 1, 2],
        ),
        (["a", "a", "b"], ["c/a.jpg"], [0, 0, -1]),
        ([], ["a"], []),
        (["a"], [], [-1]),
    ],
)
def test_names_match_whole_then_by_last_parts_then_without_suffix(
    names: list[str], known: list[str], rows: list[int]
) -> None:
    found = rows_of(names, known)
    assert found.tolist() == rows
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("names", "known", "words"),
    [
        (["c.jpg"], ["c.jpg", "c.jpg"], r"The labels have 2 rows for 'c\.jpg'; name each photo once, by its path"),
        (
            ["x/1.jpg", "y/2.jpg"],
            ["a/1.jpg", "b/1.jpg", "a/2.jpg", "b/2.jpg"],
            r"2 rows for '1\.jpg' \(1 more are so\)",
        ),
        (["a/1.jpg", "b/1.jpg"], ["1.jpg"], r"one row for 2 photos called '1\.jpg'"),
        (["7.jpg"], ["a/7", "b/7.png"], "2 rows for '7'"),
    ],
)
def test_what_could_be_several_is_refused(names: list[str], known: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rows_of(names, known)


_PATHS = st.lists(st.text("ab/.", min_size=1, max_size=5), max_size=12, unique=True)


@settings(max_examples=50, deadline=None)
@given(_PATHS, _PATHS)
def test_a_name_that_is_there_whole_is_found(names: list[str], known: list[str]) -> None:
    try:
        rows = rows_of(names, known)
    except InputError:
        return
    for name, row in zip(names, rows.tolist(), strict=True):
        assert name not in known or row == known.index(name)
    taken = rows[rows >= 0].tolist()
    assert len(set(taken)) == len(taken)


@pytest.mark.slow
def test_many_names_are_joined_in_seconds() -> None:
    known = pa.array([f"set/{i // 1000}/{i % 1000:06}.jpg" for i in range(200_000)])
    backwards = np.arange(len(known))[::-1]
    start = time.process_time()
    assert (rows_of(known.take(pa.array(backwards)), known) == backwards).all()
    assert time.process_time() - start < 3


def test_a_name_is_looked_for_under_other_spellings() -> None:
    assert list(spellings("plain.jpg")) == ["plain.jpg"]
    assert "set/1.jpg" in spellings("set\\1.jpg")
    assert {"Z\u00fcrich", "Zu\u0308rich", os.fsdecode(b"Z\xfcrich")} <= set(spellings("Z\u00fcrich"))


def test_order_counts_only_where_it_is_asked_for(tmp_path: Path) -> None:
    text = "{},lat,lng\n" + "".join(f"{i},{i + 1},1\n" for i in range(3))
    unknown, known = labels(tmp_path, text.format("Bild")), labels(tmp_path, text.format("photo"))
    for table, names, words in (
        (unknown, ["0", "1", "2"], "labels name no photos; .* name theirs with --label-name-column, or add --by-order"),
        (known, None, "inputs have no names .* or add --by-order"),
    ):
        with pytest.raises(InputError, match=words):
            table.rows(names, 3)
        assert table.rows(names, 3, by_order=True).tolist() == [0, 1, 2]
        with pytest.raises(InputError, match="have 3 rows for 2 inputs; give one row an input"):
            table.rows(names and names[:2], 2, by_order=True)
    assert known.rows(["2", "0"], 2, by_order=True).tolist() == [2, 0], "names count where there are any"
    left = known.rows(None, 3, positions=np.array([0, 2]), by_order=True)
    assert left.tolist() == [0, 2], "what cannot be used keeps its place"
