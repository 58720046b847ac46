"""Maps: geometry against spherical trigonometry, what the page holds and loads, what the picture shows."""

import base64
import gzip
import hashlib
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
from geoclip.answers.record import record
from geoclip.errors import InputError
from geoclip.map import map_html, picture, write_map
from geoclip.map.contents import LAND, LEAST, LEAST_PIXELS, LEAST_REST, POINT, SEA, resolution_for, thumbnail, tree_of
from geoclip.map.outline import outlines
from geoclip.map.page import MODULES, asset, joined_modules
from geoclip.map.picture import write_png
from geoclip.map.towns import MOST_EVERYWHERE, MOST_NEAR, towns_file
from geoclip.options import Candidates
from index.grid.cells import areas_km2, base_cells, cells_at, children, parents
from tests.helpers.outlines import area_km2

HOSTILE = "a </script><b onclick=alert(1)>$x_y$ {{ 7 * 7 }} @name \udcff.jpg"
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


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def points_of(steps: list[int]) -> np.ndarray:
    """(V, 2) degrees, latitude and longitude, of whole numbers as the base map has them."""
    points: np.ndarray = np.cumsum(np.reshape(steps, (-1, 2)), axis=0)[:, ::-1] / 1000
    return points


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

    def all(self, tag: str) -> list[tuple[str, dict[str, str | None]]]:
        return [element for element in self.elements if element[0] == tag]

    @property
    def content(self) -> Any:
        position = [a.get("id") for _, a in self.all("script")].index("content")
        return json.loads(self.scripts[position])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("map") / "out.html"
    failed = Answer("broken.jpg", error="broken.jpg is no photo.")
    write_map([fake(48.85, 2.35, HOSTILE), fake(*FIJI), failed], path, thumbnails={HOSTILE: photo()})
    return Page(path)


# geometry


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


def test_the_policy_allows_the_scripts_and_styles_of_the_page_and_nothing_else(page: Page) -> None:
    policy = next(a["content"] or "" for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    run = [
        text for text, (_, a) in zip(page.scripts, page.all("script"), strict=True) if a.get("type") in (None, "module")
    ]
    assert rules["script-src"] == [digest(text) for text in run]
    assert rules["style-src"] == [digest(text) for text in page.styles]
    assert rules["default-src"] == ["'none'"]
    assert not re.search(r"https?:|unsafe|\*|self", policy)
    assert not [name for _, a in page.elements for name in a if name.startswith("on") or name == "style"]


def test_the_page_holds_the_published_records(page: Page) -> None:
    shown = page.content["answers"]
    for answer, one in zip([fake(48.85, 2.35, HOSTILE), fake(*FIJI)], shown, strict=False):
        expected = json.loads(json.dumps(record(answer)))
        expected["query"] = one["query"]
        assert one == expected


def test_names_stay_text(page: Page) -> None:
    assert not [tag for tag, _ in page.elements if tag == "b"]
    assert "{{ 7 * 7 }}" in page.content["answers"][0]["query"]
    assert page.content["answers"][0]["query"] == HOSTILE.replace("\udcff", "\\xff")
    ours = joined_modules()
    for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "setHTML", "document.write", "eval("):
        assert markup not in ours


def test_the_scripts_become_one(page: Page) -> None:
    text = joined_modules()
    assert "\nimport " not in text
    assert "\nexport " not in text
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, flags=re.M)
    assert len(names) == len(set(names))
    for position, module in enumerate(MODULES):
        used = re.findall(r'from "\./(\w+)\.js"', asset(f"{module}.js").decode())
        assert set(used) <= set(MODULES[:position])


def test_the_colour_scale_and_the_choice_of_cells_are_those_of_the_picture() -> None:
    cells, panel = asset("cells.js").decode(), asset("panel.js").decode()
    assert f"LEAST_REST = {LEAST_REST:.0e}".replace("e-03", "e-3") in cells
    assert f"LEAST_PIXELS = {LEAST_PIXELS:.0f}" in cells
    assert "LEAST = 1e-5" in cells
    assert "power = -5; power <= 0" in panel
    assert LEAST == 1e-5


def test_the_base_map_covers_the_land() -> None:
    base = json.loads(gzip.decompress(asset("base.json.gz")))
    polygons = [[points_of(ring) for ring in polygon] for polygon in base["land"]]
    south = [polygon for polygon in polygons if polygon[0][:, 0].min() < -60]
    assert abs(area_km2([ring for polygon in polygons if polygon[0][:, 0].min() >= -60 for ring in [polygon]])) == (
        pytest.approx(135.1e6, rel=0.01)  # km2 of land without Antarctica; lakes count as land
    )
    assert len(south) > 1
    assert {code for code, *_ in base["countries"]} >= {"FR", "JP", "US", "ZA"}
    assert len(asset("base.json.gz")) < 800_000


def test_towns_are_those_around_the_answers_and_the_largest_ones(page: Page) -> None:
    towns = page.content["towns"]
    places = points_of(towns["places"])
    assert MOST_EVERYWHERE < len(places) == len(towns["names"]) == len(towns["people"]) <= MOST_EVERYWHERE + MOST_NEAR
    assert towns["people"][:MOST_EVERYWHERE] == sorted(towns["people"][:MOST_EVERYWHERE], reverse=True)
    by_name = dict(zip(towns["names"], places.tolist(), strict=True))
    assert by_name["Fontainebleau"] == pytest.approx((48.41, 2.70), abs=0.02)  # 55 km from Paris
    assert "Obernai" not in by_name  # 400 km from it
    assert by_name["Tokyo"] == pytest.approx((35.69, 139.69), abs=0.02)


@pytest.mark.slow
def test_the_file_of_towns_holds_them_all() -> None:
    towns = json.loads(gzip.decompress(towns_file()))
    assert len(towns["names"]) > 100_000
    assert "Obernai" in towns["names"]


def test_a_notice_stands_above_everything() -> None:
    assert '"notice":"Random \\u003cb>"' in map_html([], notice="Random <b>")


def test_answers_with_errors_are_listed(page: Page) -> None:
    failed = page.content["answers"][2]
    assert (failed["query"], failed["error"]) == ("broken.jpg", "broken.jpg is no photo.")
    assert failed["predictions"] == failed["cells"] == []


def test_no_answers_make_a_page(tmp_path: Path) -> None:
    write_map([], tmp_path / "out.html")
    assert Page(tmp_path / "out.html").content["answers"] == []


def test_the_page_names_the_index_but_not_where_it_lies() -> None:
    searched = Searched(Candidates.PLANET, "/home/ann/planet", "0123456789abcdef", "in France")
    html = map_html([fake(48.85, 2.35, searched=searched)])
    assert '"index":"planet","index_digest":"0123456789abcdef","constraint":"in France"' in html
    assert "/home/ann" not in html


def test_thumbnails_are_small_upright_and_without_metadata(page: Page) -> None:
    uri = page.content["photos"][0]
    assert uri.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        assert image.size == (320, 213)
    assert page.content["photos"][1] is None
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
