"""Answers and places in notebooks, and as other programs take them."""

import html.parser
import io
import json
import sys
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import shapely

from geoclip.answers.answer import Answer
from geoclip.writers.formats import Format
from index.search.hits import FoundPlaces
from tests.helpers.answers import bare, full


class Text(html.parser.HTMLParser):
    """Collects what a reader sees, and the tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.tags = "", list[str]()
        self.feed(source)

    def handle_data(self, data: str) -> None:
        self.text += data + "|"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        self.tags.append(tag)


def places() -> FoundPlaces:
    cells = np.array([[0x891FB466257FFFF, 0x891FB46625BFFFF], [0x89754E64993FFFF, 0]], np.uint64)
    lat_lng = np.array([[[48.8, 2.3], [48.9, 2.4]], [[-17.0, 179.9], [np.nan, np.nan]]])
    scores = np.array([[0.5, 0.4], [0.3, -np.inf]], np.float32)
    return FoundPlaces(cells, lat_lng, scores, np.array([[0.2, 0.1], [0.05, 0.0]]), np.zeros(2), np.zeros(2, np.int64))


def test_an_answer_as_features() -> None:
    one = full("holiday.jpg")
    features = one.__geo_interface__["features"]
    assert [each["properties"]["rank"] for each in features] == list(range(1, len(one.predictions) + 1))
    for feature, prediction in zip(features, one.predictions, strict=True):
        assert shapely.geometry.shape(feature["geometry"]).coords[0] == (prediction.lng, prediction.lat)
        assert feature["properties"]["share"] == prediction.share
    frame = one.to_geopandas()
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert frame.crs == "EPSG:4326"
    assert frame.geometry.y.tolist() == [p.lat for p in one.predictions]


def test_an_answer_as_html() -> None:
    one = full("holiday.jpg")
    shown = Text(one._repr_html_())
    assert one.verdict in shown.text
    assert shown.tags.count("tr") == len(one.predictions) + 1
    for seen in ("12 km", "9.0 km", "300 km"):
        assert f"|{seen}|" in shown.text


def test_places_of_a_gallery_have_no_radius() -> None:
    one = bare("holiday.jpg")
    assert "radius" not in Text(one._repr_html_()).text
    assert "nan" not in one._repr_html_()
    features = json.loads(json.dumps(one.__geo_interface__, allow_nan=False))["features"]
    assert [each["properties"]["radius_km"] for each in features] == [None, None]


def test_coordinates_are_those_of_the_terminal() -> None:
    """The best point is known as exactly as the circle around it says, and not as the area that it lies in."""
    one = replace(full("holiday.jpg"), radius_50_km=4000.0)
    shown, printed = Text(one._repr_html_()), io.StringIO()
    with Format.TABLE.writer(printed) as writer:
        writer.write(one)
    for where in ("45.8, 4.8", "43.30, 5.37"):
        assert f"|{where}|" in shown.text
        assert where in printed.getvalue()


def test_names_of_files_are_text_and_never_markup() -> None:
    one = Answer("<script>alert(1)</script>.jpg", error="It is <b>no</b> photo & so on.")
    shown = Text(one._repr_html_())
    assert set(shown.tags) == {"p", "b", "br"}
    assert "<script>alert(1)</script>.jpg" in shown.text
    assert one.__geo_interface__ == {"type": "FeatureCollection", "features": []}


def test_places_as_features_and_html() -> None:
    found = places()
    frame = found.to_geopandas()
    assert frame[["query", "rank"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1]]
    assert frame.geometry.x.tolist() == [2.3, 2.4, 179.9]
    assert frame.cell[2] == "89754e64993ffff"
    assert Text(found._repr_html_()).tags.count("tr") == 4
    many = FoundPlaces._make([*(np.repeat(each, 30, axis=0) for each in found[:6]), ()])
    assert "and 70 more" in Text(many._repr_html_()).text


def test_without_geopandas_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geopandas", None)
    for each in (full("a.jpg"), places()):
        with pytest.raises(ImportError, match=r"run `pip install geopandas`"):
            each.to_geopandas()
