"""Tables of true places: which column counts, and which row belongs to which photo."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geoclip.errors import InputError
from geoclip.tables.labels import NAME_NAMES, Labels


def labels(folder: Path, text: str, suffix: str = ".csv") -> Labels:
    path = folder / f"labels{suffix}"
    path.write_text(text, encoding="utf-8")
    return Labels.read(path)


@pytest.mark.parametrize(
    "header",
    ["IMG_FILE,LAT,LON", "photo,lat,lng", "Image,Latitude,Longitude", " path ,lat_deg,lng_deg", "IMG_ID,y,x"],
)
def test_columns_in_any_case(tmp_path: Path, header: str) -> None:
    found = labels(tmp_path, f"{header}\na.jpg,48.5,2.25\nb.jpg,-33,151\n")
    assert found.names == ("a.jpg", "b.jpg")
    assert found.lat_lng.tolist() == [[48.5, 2.25], [-33, 151]]
    assert found.lat_lng.dtype == np.float64


@pytest.mark.parametrize("name", NAME_NAMES)
def test_every_name_of_the_column_is_read_in_any_order_and_format(tmp_path: Path, name: str) -> None:
    table = pa.table({"LON": [2.25], "other": ["x"], name.upper(): ["a.jpg"], "LAT": [48.5]})
    pq.write_table(table, tmp_path / "labels.parquet")
    for found in (
        Labels.read(tmp_path / "labels.parquet"),
        labels(tmp_path, f"lng\tother\t{name.title()}\tlat\n2.25\tx\ta.jpg\t48.5\n", ".tsv"),
        labels(tmp_path, f"\ufefflng,other,{name},lat\n2.25,x,a.jpg,48.5\n"),
    ):
        assert found.names == ("a.jpg",)
        assert found.lat_lng.tolist() == [[48.5, 2.25]]


def test_the_first_of_several_name_columns_counts(tmp_path: Path) -> None:
    found = labels(tmp_path, "query,lat,lng,IMG_FILE,photo\nq,1,2,i,p\n")
    assert found.names == ("p",)


def test_a_row_is_found_by_the_whole_name_then_by_its_last_part(tmp_path: Path) -> None:
    found = labels(tmp_path, "photo,lat,lng\nb/1.jpg,1,1\na/1.jpg,2,2\n2.jpg,3,3\nc/3.jpg,4,4\n")
    rows = found.rows(["a/1.jpg", "b/1.jpg", "photos/deep/2.jpg", "3.jpg", "elsewhere/3.jpg/4.jpg", "2.JPG"])
    assert rows.tolist() == [1, 0, 2, 3, -1, -1]
    assert rows.dtype == np.int64
    assert found.rows([]).tolist() == []


def test_numbers_are_names(tmp_path: Path) -> None:
    """Vectors of an .npy file are called by their row."""
    found = labels(tmp_path, "query,lat,lng\n2,1,1\n0,2,2\n")
    assert found.rows(["0", "1", "2"]).tolist() == [1, -1, 0]


def test_one_last_part_in_several_rows_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    found = labels(tmp_path, "photo,lat,lng\na/1.jpg,1,1\nb/1.jpg,2,2\nc.jpg,3,3\nc.jpg,4,4\nd.jpg,5,5\n")
    assert found.rows(["b/1.jpg", "d.jpg"]).tolist() == [1, 4]
    with pytest.raises(InputError, match=r"The labels have 2 rows for '1.jpg'; name the photos by their paths"):
        found.rows(["d.jpg", "x/1.jpg"])
    for name in ("c.jpg", "x/c.jpg"):
        with pytest.raises(InputError, match=r"2 rows for 'c.jpg'"):
            found.rows([name])


def test_photos_that_share_one_row_are_refused(tmp_path: Path) -> None:
    found = labels(tmp_path, "photo,lat,lng\n1.jpg,1,1\n")
    with pytest.raises(InputError, match=r"one row for 'a/1.jpg' and 'b/1.jpg'; name the photos by their paths"):
        found.rows(["a/1.jpg", "b/1.jpg"])
    assert found.rows(["a/1.jpg", "a/1.jpg", "x", "y"]).tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize("header", ["lat,lng", "id,lat,lng"])
def test_without_names_the_order_counts(tmp_path: Path, header: str) -> None:
    before = "7," if header.startswith("id") else ""
    rows = "".join(f"{before}{i},{i}\n" for i in range(3))
    found = labels(tmp_path, f"{header}\n{rows}")
    assert found.names is None
    assert found.rows(["x", "y", "z"]).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"name no photos .* have 3 rows for 2 inputs; add the names, or give one row"):
        found.rows(["x", "y"])


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("a,1,2\nb,90.5,2\n", r"row 2 has the coordinates \[90.5, 2.0\]; latitudes are -90 to 90"),
        ("a,1,-180.1\n", r"row 1 has the coordinates \[1.0, -180.1\]"),
        ("a,nan,2\n", r"row 1 has the coordinates \[nan, 2.0\]"),
        ("a,1,inf\n", r"row 1 has the coordinates \[1.0, inf\]"),
        ("a,1,2\nb,,2\n", r"row 2 has the coordinates \[nan, 2.0\]"),
        ("a,1,east\n", "column lng holds something that is no number"),
        ("", "has no rows; give a photo and its coordinates a line"),
    ],
)
def test_bad_coordinates_are_refused(tmp_path: Path, rows: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        labels(tmp_path, f"photo,lat,lng\n{rows}")
    assert "\n" not in str(error.value)
    assert "labels.csv" in str(error.value)


def test_the_borders_of_the_globe_are_on_it(tmp_path: Path) -> None:
    found = labels(tmp_path, "lat,lng\n-90,-180\n90,180\n")
    assert found.lat_lng.tolist() == [[-90, -180], [90, 180]]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("absent.csv", None, "does not exist"),
        ("empty.csv", b"", "cannot be read as a table"),
        ("torn.parquet", b"PAR1 and no more", "cannot be read as a table"),
        ("labels.json", b"[]", "is not a table this program reads"),
        ("half.csv", b"photo,lat\na.jpg,1\n", "has the columns photo, lat; one of lng"),
        ("uneven.csv", b"photo,lat,lng\na.jpg,1\n", "cannot be read as a table"),
    ],
)
def test_files_that_are_no_labels_are_refused(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=complaint) as error:
        Labels.read(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
