"""The page in a real browser without a network, on a real service of a small index; and the file of `--map`."""

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geoclip.encoders.location import LocationEncoder
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions
from tests.helpers.browser import Seen, browser, drawn
from tests.helpers.served import ServedWork, served_work
from tests.helpers.small_release import SmallRelease

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

import uvicorn

from geoclip.serve.app import create_app
from geoclip.serve.service import Service
from geoclip.serve.settings import ServedOptions, ServeOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

NOTICE = "CLIP's weights are random here: the places mean nothing."
HOSTILE = "<img src=x onerror=alert(1)> & <b>.png"
KEY = "k3y"


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def work(
    chromium: "Browser", tmp_path_factory: pytest.TempPathFactory, encoder: LocationEncoder, small_towers: SmallRelease
) -> ServedWork:
    made = served_work(tmp_path_factory.mktemp("work"), encoder, small_towers)
    (made.folder / "photos" / HOSTILE).write_bytes(made.photos[0].read_bytes())
    (made.folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    (made.folder / "photos" / "words.png").write_text("words")
    return made


@contextmanager
def serving(work: ServedWork, **options: Any) -> Iterator[str]:
    """Yield the address of a service in a thread."""
    settings = ServeOptions(port=0, notice=NOTICE, upload_mb=1, **options)
    machine = MachineOptions(device="cpu", workers=1)
    service = Service.open(
        ServedOptions(index=(str(work.basel),)), IndexOptions(), PhotoOptions(), ModelOptions(), machine, settings
    )
    server = uvicorn.Server(uvicorn.Config(create_app(service), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(work: ServedWork) -> Iterator[str]:
    with serving(work) as address:
        yield address


@pytest.fixture
def page(chromium: "Browser", address: str) -> Iterator["Page"]:
    with opened(chromium, address) as page:
        yield page


@contextmanager
def opened(chromium: "Browser", address: str, width: int = 1000, height: int = 600, **more: Any) -> Iterator["Page"]:
    context = chromium.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **more)
    context.set_default_timeout(240_000)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]")
    try:
        yield page
    finally:
        context.close()


def add_photos(page: "Page", paths: list[Path]) -> None:
    page.set_input_files("#files", [str(path) for path in paths])
    page.wait_for_selector("#progress", state="hidden")


def drop(page: "Page", paths: list[Path]) -> None:
    """Drop files on the page, as a file manager does."""
    files = [{"name": path.name, "bytes": list(path.read_bytes())} for path in paths]
    transfer = page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer()
          for (const {name, bytes} of files) transfer.items.add(new File([new Uint8Array(bytes)], name))
          return transfer
        }""",
        files,
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})
    page.wait_for_selector(f"#chooser li >> nth={len(paths) - 1}")
    page.wait_for_selector("#progress", state="hidden")


def test_a_dropped_photo_is_located_and_its_name_stays_text(page: "Page", address: str, work: ServedWork) -> None:
    seen = Seen(page)
    assert page.inner_text("#notice") == NOTICE
    drop(page, [work.folder / "photos" / HOSTILE])
    page.wait_for_selector("#answer .verdict")
    assert page.inner_text("#answer .query") == HOSTILE
    assert "located" in page.inner_text("#summary")
    assert page.locator(".places li").count() >= 1
    assert page.locator("#answer .photo").get_attribute("src").startswith("data:image/jpeg")  # type: ignore[union-attr]
    said = page.inner_text("#answer .verdict")
    assert "Switzerland" in said or "France" in said or "Germany" in said
    assert page.get_attribute("#status", "aria-live") == "polite"
    drawn(page)
    assert page.locator(".marker.best").count() == 1
    assert (seen.errors, seen.outside(address)) == ([], [])


def test_twenty_photos_of_which_two_are_bad(page: "Page", work: ServedWork) -> None:
    bad = [work.folder / "photos" / name for name in ("broken.jpg", "words.png")]
    drop(page, [*(work.photos * 3), *bad])
    assert page.inner_text("#summary") == "18 located, 2 could not be located."
    assert page.locator("#chooser .failed").count() == 2
    page.click("#chooser button:has-text('words.png')")
    assert "words.png" in page.inner_text("#answer .warning")
    page.click("#together")
    page.wait_for_selector("#chooser button[aria-current=true]:has-text('18 photos together')")
    assert page.locator("#chooser li").count() == 21
    page.click("[aria-label='Remove words.png']")
    assert page.locator("#chooser li").count() == 20


def test_areas_are_searched_without_sending_the_photo_again(page: "Page", address: str, work: ServedWork) -> None:
    add_photos(page, work.photos[:2])
    drawn(page)
    seen = Seen(page)
    page.fill("#country", "Switzerland")
    page.press("#country", "Enter")
    page.wait_for_selector("#asked button[aria-pressed=true]:has-text('Switzerland')")
    assert page.inner_text(".shares li >> nth=0").startswith("Switzerland")
    box = page.locator("#map").bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for kind, parameter in (("box", "bbox"), ("circle", "near")):
        page.click(f"#draw-{kind}")
        page.mouse.move(middle[0] - 60, middle[1] - 60)
        page.mouse.down()
        page.mouse.move(middle[0] + 90, middle[1] + 90, steps=3)
        page.mouse.up()
        page.wait_for_selector(f"#draw-{kind}[aria-pressed=false]")
        page.wait_for_selector(f"#areas li >> nth={2 if kind == 'circle' else 1}")
        page.wait_for_load_state("networkidle")
        assert parameter in seen.requests[-1]
    assert page.locator("#areas li").count() == 3
    assert {urllib.parse.urlsplit(one).path for one in (each.split()[1] for each in seen.requests)} == {"/v1/search"}
    page.fill("#country", "Atlantis")
    page.press("#country", "Enter")
    page.wait_for_selector("#status:has-text('no country')")
    assert page.locator("#areas li").count() == 3
    page.click("#asked button:has-text('everywhere')")
    assert page.get_attribute("#asked button:has-text('everywhere')", "aria-pressed") == "true"
    assert seen.outside(address) == []


def test_each_format_is_downloaded(chromium: "Browser", page: "Page", work: ServedWork, tmp_path: Path) -> None:
    add_photos(page, work.photos[:2])
    page.select_option("#scope", "all")
    saved = {}
    for kind in ("geojson", "kml", "csv", "json", "html"):
        with page.expect_download() as waiting:
            page.click(f"[data-format={kind}]")
        assert waiting.value.suggested_filename == f"photos.{kind}"
        saved[kind] = tmp_path / f"photos.{kind}"
        waiting.value.save_as(saved[kind])
    kinds = {each["properties"]["kind"] for each in json.loads(saved["geojson"].read_text())["features"]}
    assert {"place", "circle", "cell"} <= kinds
    assert saved["kml"].read_text().count("<Folder>") >= 2
    assert len(saved["csv"].read_text().splitlines()) > 2
    answers = json.loads(saved["json"].read_text())["answers"]
    assert [answer["query"] for answer in answers] == ["0.png", "1.png"]
    # the file stands alone: opened from the disk it has the map, the small pictures and the notice
    other = chromium.new_context(offline=True).new_page()
    seen = Seen(other)
    other.goto(saved["html"].as_uri())
    drawn(other)
    assert other.inner_text("#notice") == NOTICE
    assert other.locator("#chooser img").count() == 2
    assert other.locator(".marker.best").count() == 1
    assert (seen.errors, seen.outside(saved["html"].as_uri())) == ([], [])
    other.context.close()


def test_the_keyboard_is_enough(page: "Page", work: ServedWork) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#choose-files")
    page.evaluate(
        """() => document.querySelector("#files").addEventListener("click", event => {
          event.preventDefault()
          document.body.dataset.asked = "files"
        })"""
    )
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-asked=files]")  # where the system's chooser would open
    page.set_input_files("#files", [str(path) for path in work.photos[:2]])
    page.wait_for_selector("#progress", state="hidden")
    tab_to("#chooser li:last-child > button:first-child")
    page.keyboard.press("Enter")
    assert page.inner_text("#answer .query") == "1.png"
    tab_to("#country")
    page.keyboard.type("France")
    page.keyboard.press("Enter")
    page.wait_for_selector("#areas button")
    tab_to(".where summary")
    page.keyboard.press("Enter")
    tab_to("[name=lat]")
    for text in ("47,6", "7.5", "20"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#areas li:nth-child(2)")
    assert "within 20 km of 47.6, 7.5" in page.inner_text("#areas")
    tab_to(".maplibregl-canvas")
    before = page.inner_text(".maplibregl-ctrl-scale")
    for _ in range(3):
        page.keyboard.press("-")
    page.wait_for_selector(f".maplibregl-ctrl-scale:not(:text-is('{before}'))")
    tab_to(".places li button")
    page.keyboard.press("Enter")
    tab_to("[data-format=json]")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_nothing_spills_from_a_small_phone_to_4k(chromium: "Browser", address: str, work: ServedWork) -> None:
    with opened(chromium, address, 400, 800, color_scheme="dark") as page:
        add_photos(page, work.photos[:1])
        page.wait_for_selector("#answer .verdict")
        for width, height in ((400, 800), (320, 600), (3840, 400)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if width < 700:
                order = ["#intake", ".photos", "#map", "#answer", ".where"]
                tops = [page.locator(one).bounding_box()["y"] for one in order]  # type: ignore[index]
                assert tops == sorted(tops)


def test_tiles_are_asked_for_only_when_they_are_wanted(page: "Page") -> None:
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.headers.get("referer", ""))
        route.fulfill(status=404)

    page.route("https://tile.openstreetmap.org/**", answer)
    drawn(page)
    assert (asked, "OpenStreetMap contributors" in page.inner_text(".maplibregl-ctrl-attrib")) == ([], False)
    page.check("#online")
    page.wait_for_selector(".maplibregl-ctrl-attrib:has-text('OpenStreetMap contributors')")
    page.wait_for_timeout(500)
    assert asked
    assert all(referer.startswith("http://127.0.0.1") for referer in asked)  # their rules ask who it is
    page.uncheck("#online")
    page.wait_for_selector(".maplibregl-ctrl-attrib:not(:has-text('OpenStreetMap'))")


def test_a_key_is_asked_for(chromium: "Browser", work: ServedWork) -> None:
    with serving(work, api_key=KEY) as address, opened(chromium, address) as page:
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", KEY)
        page.press("#key", "Enter")
        page.wait_for_selector("#notice:not([hidden])")
        assert page.inner_text("#notice") == NOTICE
        add_photos(page, work.photos[:1])
        assert page.inner_text("#summary") == "1 located."
