"""The page's files without a browser: they are there, belong together and load nothing from elsewhere."""

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from geoclip.map.page import asset
from geoclip.serve.page_files import PAGE

BROWSER = PAGE.parents[1] / "map" / "browser"
OURS = sorted(
    [*PAGE.glob("*.js"), *(path for path in BROWSER.glob("*.js") if path.name not in ("h3.js", "maplibre-gl.js"))]
)
LINKS = {"https://tile.openstreetmap.org", "https://www.openstreetmap.org"}


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def index() -> Elements:
    return Elements(text_of(PAGE / "index.html"))


def test_all_that_the_page_names_is_served(client: TestClient, index: Elements) -> None:
    assert client.get("/").text == text_of(PAGE / "index.html")
    addresses = {a[name] or "" for _, a in index.found for name in ("src", "href") if a.get(name, "data:,") != "data:,"}
    assert {"main.js", "page.css", "map/style.css", "map/maplibre-gl.js"} <= addresses
    for path in PAGE.glob("*.js"):
        addresses |= set(re.findall(r'(?:from "\./|fetch\(")([^"]+)"', text_of(path)))
    kinds = {".js": "text/javascript", ".css": "text/css", ".gz": "application/"}
    for address in sorted(addresses):
        given = client.get(f"/{address}")
        assert given.status_code == 200, address
        assert given.headers["content-type"].startswith(kinds[Path(address).suffix]), address
        assert "content-encoding" not in given.headers


def test_modules_find_each_other() -> None:
    for path in OURS:
        for name in re.findall(r'^import .* from "(.*)"$', text_of(path), flags=re.M):
            wanted = BROWSER / name.removeprefix("./map/") if "/map/" in name else path.parent / name
            assert wanted.is_file(), f"{path.name} imports {name}"


def test_towns_come_packed(client: TestClient) -> None:
    given = client.get("/map/towns.json.gz")
    assert len(json.loads(gzip.decompress(given.content))["names"]) > 100_000


def test_other_addresses_are_not_taken_by_the_page(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/map/../app.py").status_code == 404
    assert client.get("/map/..%2fpage.py").status_code == 404
    assert client.get("/v1/search").status_code == 405
    assert "/" not in client.get("/openapi.json").json()["paths"]


def test_nothing_comes_from_elsewhere_but_tiles_that_are_asked_for(index: Elements) -> None:
    policy = next(a["content"] or "" for _, a in index.found if a.get("http-equiv") == "Content-Security-Policy")
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == ["'self'"]
    assert set(re.findall(r"https?://[^\s;]*", policy)) == {"https://tile.openstreetmap.org"}
    assert "unsafe" not in policy
    assert not [name for _, a in index.found for name in a if name.startswith("on") or name == "style"]
    for path in [*OURS, PAGE / "page.css", BROWSER / "style.css", BROWSER / "answer.html"]:
        addresses = set(re.findall(r"https?://[^/\s\"'`)]+", text_of(path)))
        assert addresses <= LINKS, path.name
    holders = [path.name for path in OURS if "tile.openstreetmap.org" in text_of(path)]
    assert holders == ["base_map.js"]
    online = next(a for _, a in index.found if a.get("id") == "online")
    assert online["type"] == "checkbox"
    assert "checked" not in online


def test_text_goes_in_as_text() -> None:
    for path in OURS:
        for markup in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "setHTML",
            "document.write",
            "eval(",
            "Function(",
        ):
            assert markup not in text_of(path), path.name


def test_scripts_use_elements_that_are_there(index: Elements) -> None:
    ids = {a["id"] for _, a in index.found if a.get("id")}
    shared = ("viewer.js", "panel.js", "answer_map.js")
    used = {
        name
        for path in [*PAGE.glob("*.js"), *(BROWSER / name for name in shared)]
        for name in re.findall(r'(?:element|getElementById)\("([\w-]+)"\)', text_of(path))
    }
    assert used <= ids
    of_file = {a["id"] for _, a in Elements(asset("answer.html").decode()).found if a.get("id")}
    needed = {
        name
        for path in (BROWSER / name for name in (*shared, "answer_page.js"))
        for name in re.findall(r'(?:element|getElementById)\("([\w-]+)"\)', text_of(path))
    }
    assert needed <= of_file


def test_every_field_has_a_label_and_every_picture_a_text(index: Elements) -> None:
    named = {a.get("for") for tag, a in index.found if tag == "label"}
    for tag, a in index.found:
        if tag == "select" or (tag == "input" and "hidden" not in a):
            inside = (
                a.get("name") in {"mode", "south", "west", "north", "east", "lat", "lng", "km"}
                or a.get("id") == "online"
            )
            assert inside or a.get("id") in named, a
        assert tag != "img" or "alt" in a
