"""Maps: geometry against spherical trigonometry, what the page holds and loads, what the picture shows."""

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoclip.answers.answer import Answer, CellProbability, PlaceName, Prediction, Searched
from geoclip.errors import InputError
from geoclip.map import picture, write_map, write_png
from geoclip.map.canvas import web_mercator
from geoclip.map.contents import LAND, LEAST_PIXELS, LEAST_REST, POINT, SEA, resolution_for, thumbnail, tree_of
from geoclip.map.outline import outlines
from geoclip.options import Candidates
from index.grid.cells import areas_km2, base_cells, cells_at, children, parents
from tests.helpers.outlines import area_km2

HOSTILE = "a </script><b onclick=alert(1)>$x_y$ {{ 7 * 7 }} @name \udcff.jpg"
WORLD_M = 2 * math.pi * 6378137
FIJI = (-16.8, 179.95)


def fake(lat: float, lng: float, query: str = "photo.jpg", *, finest: int = 6, **more: Any) -> Answer:
    """An answer with a disk of cells around a point and an alternative elsewhere, as answers have them."""
    spread = np.random.default_rng(7).normal(size=(2000, 2)) * (0.3, 0.3 / max(math.cos(math.radians(lat)), 0.1))
    points = np.clip(np.array((lat, lng)) + spread, (-90, -1000), (90, 1000))
    leaves, counts = np.unique(cells_at(points, finest), return_counts=True)
    cells = []
    for res in range(finest + 1):
        above, rows = np.unique(parents(leaves, res), return_inverse=True)
        mass = np.bincount(rows, counts) / counts.sum()
        cells += [CellProbability(f"{c:x}", m) for c, m in zip(above.tolist(), mass.tolist(), strict=True) if m >= 1e-3]
    name = PlaceName("Town </script><b>", "Region", "Country", "CC")
    predictions = (
        Prediction(lat, lng, 0.625, 0.31, f"{leaves[0]:x}", 0.7, name),
        Prediction(-lat / 2, lng - 40 * np.sign(lng), 0.0625, 0.29, ""),
    )
    given = {"radius_50_km": 30.0, "radius_90_km": 90.0, "cells": tuple(cells)}
    return Answer(query, predictions, **{**given, **more})


def photo(width: int = 900, height: int = 600, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (10, 200, 30)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


class Page(HTMLParser):
    """A page as a browser reads it: its elements with attributes, and the text of each script and style."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._open = ""
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        if self._open == "style":
            self.styles[-1] += data

    @property
    def content(self) -> Any:
        position = [a.get("id") for tag, a in self.elements if tag == "script"].index("content")
        return json.loads(self.scripts[position])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("map") / "out.html"
    failed = Answer("broken.jpg", error="broken.jpg is no photo.")
    write_map([fake(48.85, 2.35, HOSTILE), fake(*FIJI), failed], path, thumbnails={HOSTILE: photo()})
    return Page(path)


# geometry


def test_web_mercator_is_the_textbook_formula() -> None:
    points = np.array([(48.8584, 2.2945), (-33.86, 151.2), (0.0, -180.0)])
    expected = [
        (6378137 * math.radians(lng), 6378137 * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2)))
        for lat, lng in points.tolist()
    ]
    np.testing.assert_allclose(web_mercator(points), expected, atol=1e-6)
    np.testing.assert_allclose(web_mercator(np.array([(90.0, 0), (-89, 0)]))[:, 1], [WORLD_M / 2, -WORLD_M / 2], atol=1)


def test_outlines_cover_the_land() -> None:
    rings = outlines()
    assert max(np.abs(ring).max(axis=0)[1] for ring in rings) <= 180
    assert abs(area_km2([list(rings)])) == pytest.approx(152.45e6, rel=0.002)  # of the table as it is, on the sphere
    assert sum(map(len, rings)) < 70_000


# the tree of cells


def test_rests_are_what_the_children_leave() -> None:
    listed = fake(48.85, 2.35).cells
    tree = tree_of(listed[::-1])
    probability = dict(listed)
    assert tree.resolutions.tolist() == sorted(tree.resolutions.tolist())
    for cell, own, rest in zip(tree.cells, tree.probabilities.tolist(), tree.rests.tolist(), strict=True):
        name = f"{cell:x}"
        assert own == probability[name]
        res = tree.resolutions[tree.cells == cell][0]
        below = children(np.array([cell]), int(res) + 1)
        assert rest == pytest.approx(own - sum(probability.get(f"{c:x}", 0.0) for c in below.tolist()), abs=1e-12)


@pytest.mark.parametrize("res", [0, 3, 6, 12])
def test_nothing_vanishes_at_any_zoom(res: int) -> None:
    tree = tree_of(fake(48.85, 2.35).cells)
    rows, shades = tree.shown_at(res)
    exact = tree.resolutions[rows] == res
    held = np.where(exact, tree.probabilities[rows], tree.rests[rows]).sum()
    hidden = tree.rests[(tree.resolutions < res) & (tree.rests < LEAST_REST)].sum()
    assert held + hidden == pytest.approx(1.0)
    assert (shades[exact] == tree.probabilities[rows][exact]).all()
    assert (np.diff(tree.resolutions[rows]) >= 0).all()


def test_a_coarse_cell_is_shaded_by_the_mean_of_the_finer_cells_it_stands_for() -> None:
    parent = cells_at([(48.85, 2.35)], 3)
    one = children(parent, 4)[:1]
    tree = tree_of([CellProbability(f"{parent[0]:x}", 0.8), CellProbability(f"{one[0]:x}", 0.2)])
    rows, shades = tree.shown_at(5)
    assert rows.tolist() == [0, 1]
    assert shades.tolist() == pytest.approx([0.6 / 42, 0.2 / 7])  # 6 of 7 children are free, 7 cells in each


def test_the_resolution_fits_the_scale() -> None:
    for scale in (1.0, 30.0, 1000.0, 40_000.0):
        res = resolution_for(scale)
        wide = [math.sqrt(float(areas_km2(children(base_cells()[:1], r)).mean()) * 1e6) / scale for r in (2, 3)]
        assert wide[0] > wide[1]
        edge = 1281256 / math.sqrt(7) ** res
        assert LEAST_PIXELS <= 2 * edge / scale < LEAST_PIXELS * math.sqrt(7) or res in (0, 15)
    assert (resolution_for(1e9), resolution_for(1e-9)) == (0, 15)


# the page


def test_the_page_loads_nothing(page: Page) -> None:
    links = [(tag, name, a[name] or "") for tag, a in page.elements for name in ("src", "href", "data") if name in a]
    loaded = [link for link in links if link[0] != "a"]
    assert all(address.startswith("data:") for _, _, address in loaded), loaded
    assert not re.search(r"@import|url\(\s*['\"]?(http|//)", "".join(page.styles))
    policy = next(a["content"] or "" for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert re.findall(r"https?:\S*", policy) == ["https://tile.openstreetmap.org"]


def test_the_tiles_are_named_only_where_they_are_switched_on(page: Page) -> None:
    holders = [script for script in page.scripts if "tile.openstreetmap.org" in script]
    assert len(holders) == 1
    handler = holders[0].split('element("online").onchange')[1].split("\n  }\n")[0]
    assert handler.count("tile.openstreetmap.org") == holders[0].count("tile.openstreetmap.org") == 1
    box = next(a for tag, a in page.elements if a.get("id") == "online")
    assert box["type"] == "checkbox"
    assert "checked" not in box


def test_the_page_holds_the_answers_numbers(page: Page) -> None:
    shown = page.content["answers"]
    for answer, one in zip([fake(48.85, 2.35, HOSTILE), fake(*FIJI)], shown, strict=False):
        for prediction, place in zip(answer.predictions, one["predictions"], strict=True):
            assert (place["lat"], place["lng"]) == (prediction.lat, prediction.lng)
            assert (place["probability"], place["score"]) == (prediction.probability, prediction.score)
            assert place["nearby"] == (None if math.isnan(prediction.nearby) else prediction.nearby)
            assert place["x"] == pytest.approx(math.radians(prediction.lng) * 6378137)
        listed = dict(zip(one["cells"]["id"], one["cells"]["probability"], strict=True))
        assert listed == dict(answer.cells)
        assert (one["radius_50_km"], one["radius_90_km"]) == (30.0, 90.0)
        assert len(one["cells"]["xs"]) == len(answer.cells)
    assert shown[0]["predictions"][0]["name"] == "Town </script><b>, Region, Country"


def test_names_stay_text(page: Page) -> None:
    assert not [tag for tag, _ in page.elements if tag == "b"]
    assert "{{ 7 * 7 }}" in page.content["answers"][0]["query"]
    assert page.content["answers"][0]["query"] == HOSTILE.replace("\udcff", "\\xff")
    assert "innerHTML" not in next(script for script in page.scripts if "function start(" in script)


def test_cells_and_circles_across_the_antimeridian_stay_together(page: Page) -> None:
    fiji = page.content["answers"][1]
    finer = [row for row, res in enumerate(fiji["cells"]["resolution"]) if res >= 2]
    assert finer
    for line in [*(fiji["cells"]["xs"][row] for row in finer), *(xs for xs, _ in fiji["circles"])]:
        assert max(line) - min(line) < 0.02 * WORLD_M
    assert any(min(xs) < WORLD_M / 2 < max(xs) for xs, _ in fiji["circles"])


def test_outlines_arrive_within_half_a_hundredth_of_a_degree(page: Page) -> None:
    for steps, ring in zip(page.content["outlines"], outlines(), strict=True):
        decoded = np.cumsum(np.reshape(steps, (-1, 2)), axis=0)[:, ::-1] / 100
        assert np.abs(decoded - ring).max() <= 0.00501


def test_answers_with_errors_are_listed(page: Page) -> None:
    failed = page.content["answers"][2]
    assert (failed["query"], failed["error"]) == ("broken.jpg", "broken.jpg is no photo.")
    assert failed["predictions"] == failed["cells"]["id"] == failed["circles"] == []


def test_no_answers_make_a_page(tmp_path: Path) -> None:
    write_map([], tmp_path / "out.html")
    assert Page(tmp_path / "out.html").content["answers"] == []


@pytest.mark.parametrize(("calibrated", "said"), [(True, "are calibrated"), (False, "uncalibrated")])
def test_the_page_says_what_was_searched_and_whether_it_is_calibrated(
    tmp_path: Path, calibrated: bool, said: str
) -> None:
    searched = Searched(Candidates.PLANET, "/home/ann/planet", "0123456789abcdef", "in France", calibrated=calibrated)
    write_map([fake(48.85, 2.35, searched=searched)], tmp_path / "out.html")
    content = Page(tmp_path / "out.html").content["answers"][0]
    text = " ".join(content["sentences"])
    assert said in text
    assert "planet index planet (0123456789ab), in France" in text
    assert "/home/ann" not in json.dumps(content)


def test_thumbnails_are_small_upright_and_without_metadata(page: Page) -> None:
    uri = page.content["answers"][0]["photo"]
    assert uri.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        assert image.size == (320, 213)
    assert page.content["answers"][1]["photo"] is None
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    exif[0x010E] = "secret"
    with Image.open(io.BytesIO(thumbnail(photo(exif=exif), "a"))) as image:
        assert image.size == (213, 320)
        assert not image.getexif()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page, image = tmp_path / "out.html", tmp_path / "out.png"
    for path in (page, image):
        path.write_text("as it was")
    with pytest.raises(InputError, match=r"thumbnail of photo\.jpg"):
        write_map([fake(1, 1)], page, thumbnails={"photo.jpg": b"no picture"})
    with pytest.raises(InputError, match=r"thumbnail of photo\.jpg"):
        write_png(fake(1, 1), image, thumbnail=b"no picture")
    assert page.read_text() == image.read_text() == "as it was"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.html", "out.png"]


def test_a_folder_cannot_be_the_file(tmp_path: Path) -> None:
    (tmp_path / "out.html").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        write_map([], tmp_path / "out.html")
    assert [p.name for p in tmp_path.iterdir()] == ["out.html"]


# the picture


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (picture.WIDTH_PX, picture.HEIGHT_PX))
        return np.asarray(image.convert("RGB"), dtype=int)


def colour(text: str) -> np.ndarray:
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)])


def at(box: picture.Box, right: float, up: float) -> tuple[int, int]:
    """Row and column of a place in a map, given as shares of its width and height."""
    left, bottom, width, height = box
    return (
        round((1 - bottom - up * height) * picture.HEIGHT_PX),
        round((left + right * width) * picture.WIDTH_PX),
    )


@pytest.mark.slow
def test_the_picture_shows_the_best_point_in_both_maps(tmp_path: Path) -> None:
    write_png(fake(48.85, 2.35, HOSTILE), tmp_path / "out.png", thumbnail=photo())
    image = pixels(tmp_path / "out.png")
    star = at(picture.WORLD_BOX, (2.35 + 180) / 360, (48.85 + 90) / 180)
    for spot in (star, at(picture.ZOOM_BOX, 0.5, 0.5)):
        assert np.abs(image[spot] - colour(POINT)).max() <= 2
    assert np.abs(image[at(picture.WORLD_BOX, 0.1, 0.5)] - colour(SEA)).max() <= 2  # the Pacific
    assert (np.abs(image - (10, 200, 30)).max(axis=2) < 12).sum() > 20_000  # the photo
    assert (image[-300:, : picture.WIDTH_PX // 2].min(axis=2) < 80).sum() > 3000  # the caption


def test_the_picture_has_no_band_around_the_world(tmp_path: Path) -> None:
    write_png(fake(*FIJI), tmp_path / "out.png")
    image = pixels(tmp_path / "out.png")
    # 180 degrees is the middle of this map
    assert np.abs(image[at(picture.WORLD_BOX, 0.5 - 0.05 / 360, (-16.8 + 90) / 180)] - colour(POINT)).max() <= 2
    row, _ = at(picture.WORLD_BOX, 0.0, (-16.8 + 90) / 180)
    left, right = (at(picture.WORLD_BOX, share, 0.0)[1] for share in (0.01, 0.99))
    plain = [(np.abs(image[row, left:right] - colour(c)).max(axis=1) <= 2).sum() for c in (SEA, LAND)]
    assert sum(plain) > 0.9 * (right - left)


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        Answer("broken.jpg", error="broken.jpg is no photo."),
        Answer("gallery.jpg", (Prediction(48.8, 2.3, 0.5, 0.3), Prediction(10.0, -179.9, 0.2, 0.2))),
        fake(-89.9, 0.0, radius_90_km=900.0),
        fake(10.0, 20.0, radius_50_km=8000.0, radius_90_km=19_000.0),
    ],
    ids=["error", "no cells", "pole", "anywhere"],
)
def test_unusual_answers_make_a_picture(tmp_path: Path, answer: Answer) -> None:
    write_png(answer, tmp_path / "out.png")
    image = pixels(tmp_path / "out.png")
    row, left = at(picture.WORLD_BOX, 0.0, 1.0)
    world = image[row : row + 500, left : left + 950]
    assert len(np.unique(world.reshape(-1, 3), axis=0)) > 50
