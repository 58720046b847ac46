"""Answers as GeoJSON, KML and Parquet, read back by shapely, GDAL and pyarrow."""

import json
import math
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h3
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
import shapely.geometry

from geoclip.answers.answer import Answer, CellProbability, Prediction
from geoclip.answers.record import record
from geoclip.writers import Format
from geoclip.writers.map_shapes import leaves
from geoclip.writers.parquet import GROUP_ROWS
from geoclip.writers.rings import Polygon
from geoclip.writers.wording import utf8
from tests.helpers.answers import NAMES, bare, full
from tests.helpers.outlines import area_km2, check_rfc_7946

KML = "{http://www.opengis.net/kml/2.2}"
WHOLE = [Format.GEOJSON, Format.KML, Format.PARQUET]


def write(path: Path, answers: Iterable[Answer]) -> Path:
    """Write answers, those without places too."""
    stream = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    with stream, Format(path.suffix[1:]).writer(stream) as writer:
        for answer in answers:
            writer.write(answer)
    return path


def tree(lat: float, lng: float, finest: int) -> tuple[CellProbability, ...]:
    """A pruned tree with two branches from resolution 0 to the cells around a point and 30 degrees south of it."""
    found: dict[tuple[int, str], float] = {}
    for at, mass in ((lat, 0.75), (max(lat - 30, -90), 0.25)):
        cell = h3.latlng_to_cell(at, lng, finest)
        for res in range(finest + 1):
            name = h3.cell_to_parent(cell, res)
            found[res, name] = found.get((res, name), 0.0) + mass
    return tuple(CellProbability(name, p) for (_, name), p in sorted(found.items()))


def placed(name: str, lat: float, lng: float, radius_50_km: float, radius_90_km: float) -> Answer:
    best = Prediction(lat, lng, 0.5, 0.25, h3.latlng_to_cell(lat, lng, 9), 0.6)
    return Answer(
        name, (best,), radius_50_km=radius_50_km, radius_90_km=radius_90_km, cells=tree(lat, lng, 5), entropy_bits=3.0
    )


ANSWERS = [
    *(full(name) for name in NAMES),
    bare("bare.jpg"),
    bare("none.jpg", 0),
    Answer("x.jpg", error="It cannot be read: <b>&."),
    placed("fiji.jpg", -17.8, 179.2, 30.0, 500.0),
    placed("pole.jpg", 89.9, 20.0, 5.0, 500.0),
    placed("antarctica.jpg", -90.0, 0.0, 5.0, 9000.0),
    placed("anywhere.jpg", 30.0, 10.0, 8000.0, 17000.0),
    placed("anywhere east.jpg", 10.0, -5.0, 12000.0, 19000.0),
]


def test_leaves_are_the_cells_without_listed_children() -> None:
    cells = tree(48.0, 2.0, 9)
    listed = {one.cell for one in cells}
    expected = [
        one for one in cells if h3.get_resolution(one.cell) == 15 or not listed & set(h3.cell_to_children(one.cell))
    ]
    assert leaves(cells) == expected
    assert len(expected) == 2
    assert leaves(cells[:-2]) == [one for one in cells[:-2] if h3.get_resolution(one.cell) == 8]
    assert leaves(()) == []


# GeoJSON


def features(path: Path) -> list[Any]:
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert list(collection) == ["type", "features"]
    assert collection["type"] == "FeatureCollection"
    return list(collection["features"])


def polygons_of(geometry: Any) -> list[Polygon]:
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [[[(lat, lng) for lng, lat in ring] for ring in part] for part in parts]


def test_geojson_holds_the_answers(tmp_path: Path) -> None:
    found = features(write(tmp_path / "a.geojson", ANSWERS))
    for answer in ANSWERS:
        own = [f for f in found if f["properties"]["query"] == answer.query]
        kinds = {k: [f for f in own if f["properties"]["kind"] == k] for k in ("place", "circle", "cell", "nothing")}
        for rank, (p, feature) in enumerate(zip(answer.predictions, kinds["place"], strict=True), 1):
            assert feature["geometry"]["type"] == "Point"
            assert feature["geometry"]["coordinates"] == pytest.approx([p.lng, p.lat], abs=1e-6)
            properties = feature["properties"]
            assert properties["rank"] == rank
            assert properties["probability"] == pytest.approx(p.probability, rel=1e-5)
            assert properties["share"] == (None if math.isnan(p.share) else p.share)
            assert properties["place"] == (str(p.name) if p.name else None)
        radii = [r for r in (answer.radius_50_km, answer.radius_90_km) if not math.isnan(r)]
        assert [f["properties"]["share"] for f in kinds["circle"]] == [0.5, 0.9][: len(radii)]
        for radius, feature in zip(radii, kinds["circle"], strict=True):
            assert feature["properties"]["radius_km"] == pytest.approx(radius, rel=0.005)
            check_rfc_7946(polygons_of(feature["geometry"]))
        assert [f["properties"]["cell"] for f in kinds["cell"]] == [one.cell for one in leaves(answer.cells)]
        for feature in kinds["cell"]:
            polygons = polygons_of(feature["geometry"])
            check_rfc_7946(polygons)
            assert area_km2(polygons) == pytest.approx(h3.cell_area(feature["properties"]["cell"]), rel=0.01)
        assert len(kinds["nothing"]) == (not answer.predictions)
        for feature in kinds["nothing"]:
            assert feature["geometry"] is None
            assert feature["properties"]["error"] == answer.error


def test_gdal_reads_the_geojson(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", ANSWERS)
    meta, _, geometries, fields = pyogrio.raw.read(path)
    expected = features(path)
    columns = dict(zip(meta["fields"], fields, strict=True))
    assert columns["kind"].tolist() == [f["properties"]["kind"] for f in expected]
    assert columns["query"].tolist()[-1] == "anywhere east.jpg"
    for wkb, feature in zip(geometries, expected, strict=True):
        same = feature["geometry"] and shapely.geometry.shape(feature["geometry"])
        assert same is wkb is None or shapely.from_wkb(wkb).equals(same)


# KML


def names_in(placemark: ET.Element) -> dict[str, str]:
    return {data.attrib["name"]: data.findtext(f"{KML}value") or "" for data in placemark.iter(f"{KML}Data")}


def test_kml_has_a_folder_for_every_query(tmp_path: Path) -> None:
    root = ET.parse(write(tmp_path / "a.kml", ANSWERS)).getroot()
    folders = root.findall(f"{KML}Document/{KML}Folder")
    assert root.tag == f"{KML}kml"
    titles = [folder.findtext(f"{KML}name") for folder in folders]
    escaped = {"two\nlines.jpg": "two\\nlines.jpg", "bytes-\udcff.jpg": "bytes-\\xff.jpg"}
    escaped["<b>&amp;]]>\x07\x1b.jpg"] = "<b>&amp;]]>\\x07\\x1b.jpg"
    assert titles == [escaped.get(answer.query, answer.query) for answer in ANSWERS]
    for answer, folder in zip(ANSWERS, folders, strict=True):
        points = [placemark for placemark in folder.iter(f"{KML}Placemark") if placemark.find(f"{KML}Point")]
        for rank, (p, placemark) in enumerate(zip(answer.predictions, points, strict=True), 1):
            lng, lat = map(float, (placemark.findtext(f"{KML}Point/{KML}coordinates") or "").split(","))
            assert (lat, lng) == pytest.approx((p.lat, p.lng), abs=1e-6)
            data = names_in(placemark)
            assert int(data["rank"]) == rank
            assert float(data["probability"]) == pytest.approx(p.probability, rel=1e-5)
            assert ("share" in data) == (not math.isnan(p.share))
    best = folders[0].find(f"{KML}Placemark")
    assert best is not None
    assert best.findtext(f"{KML}name") == "Lyon, Auvergne-Rhône-Alpes, France"
    assert "France (81 %), Auvergne-Rhône-Alpes (60 %)." in (best.findtext(f"{KML}description") or "")
    assert folders[len(NAMES) + 2].findtext(f"{KML}description") == "It cannot be read: <b>&."


def test_kml_cells_are_the_fuller_the_more_probable(tmp_path: Path) -> None:
    root = ET.parse(write(tmp_path / "a.kml", [ANSWERS[-1]])).getroot()
    cells = {}
    for placemark in root.iter(f"{KML}Placemark"):
        if "cell" in (data := names_in(placemark)):
            colour = placemark.findtext(f"{KML}Style/{KML}PolyStyle/{KML}color") or ""
            cells[data["cell"]] = (float(data["probability"]), int(colour[:2], 16))
    assert set(cells) == {one.cell for one in leaves(ANSWERS[-1].cells)}
    (low, faint), (high, full_) = sorted(cells.values())
    assert (low, high) == (0.25, 0.75)
    assert 0 < faint < full_ < 256


def test_gdal_reads_the_same_shapes_from_kml_as_from_geojson(tmp_path: Path) -> None:
    one_each = {answer.query: answer for answer in ANSWERS[len(NAMES) :]}.values()
    expected = features(write(tmp_path / "a.geojson", one_each))
    shapes = [shapely.geometry.shape(f["geometry"]) for f in expected if f["geometry"]]
    path = write(tmp_path / "a.kml", one_each)
    found = []
    for layer, _ in pyogrio.list_layers(path):
        found += shapely.from_wkb(pyogrio.raw.read(path, layer=layer)[2]).tolist()
    assert len(found) == len(shapes) > 20
    key = shapely.to_wkt
    normal = [sorted(key(shapely.force_2d(shape).normalize()) for shape in side) for side in (found, shapes)]
    assert normal[0] == normal[1]


# Parquet


def test_parquet_holds_the_records(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ANSWERS)
    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"geoclip"]) == {"schema": "geoclip-answer/3"}
    for answer, row in zip(ANSWERS, table.to_pylist(), strict=True):
        expected = record(answer)
        assert expected.pop("schema") == "geoclip-answer/3"
        expected["query"] = utf8(answer.query)
        expected["searched"]["index"] = utf8(answer.searched.index)
        assert row == expected
    assert table["query"].to_pylist()[4] == "bytes-\\xff.jpg"
    assert table["query"].to_pylist()[2] == "two\nlines.jpg"


def test_parquet_is_written_in_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", (bare(f"{i}.jpg") for i in range(2 * GROUP_ROWS + 5)))
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [1000, 1000, 5]
    assert pq.read_table(path, columns=["query"])["query"].to_pylist() == [f"{i}.jpg" for i in range(2005)]


# All of them


@pytest.mark.parametrize("kind", WHOLE)
def test_no_answers_make_an_empty_file_of_the_format(tmp_path: Path, kind: Format) -> None:
    path = write(tmp_path / f"a.{kind}", [])
    if kind is Format.GEOJSON:
        assert features(path) == []
    elif kind is Format.KML:
        assert ET.parse(path).getroot().findall(f"{KML}Document/{KML}Folder") == []
    else:
        assert pq.read_table(path).num_rows == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Format.GEOJSON, Format.KML])
def test_memory_does_not_grow_with_the_answers(tmp_path: Path, kind: Format) -> None:
    answers = (bare("a.jpg", k=1) for _ in range(1500))
    with (tmp_path / "a").open("w") as stream, kind.writer(stream) as writer:
        writer.write(bare("first.jpg", k=1))
        tracemalloc.start()
        for answer in answers:
            writer.write(answer)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100_000 < (tmp_path / "a").stat().st_size
