"""GeoJSON as people have it: other systems, encodings, shapes; and what would cost minutes or gigabytes."""

import json
import os
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.grid import geojson_polygons
from index.grid.cells import cells_at
from index.grid.constraint import Constraint
from index.grid.region import Region

IBERIA = [[-9.0, 37.0], [3.0, 37.0], [3.0, 43.0], [-9.0, 43.0], [-9.0, 37.0]]
MADRID, NAIROBI, PARIS, SUVA, BRASILIA, WINDHOEK = (
    (40.42, -3.70),
    (-1.29, 36.82),
    (48.86, 2.35),
    (-18.12, 178.45),
    (-15.79, -47.88),
    (-22.56, 17.08),
)
Ring = list[list[float]]


def holds(region: Region, *places: tuple[float, float]) -> list[bool]:
    found: list[bool] = region.contains(cells_at(places, 15)).tolist()
    return found


def polygon(*rings: Any, **more: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings), **more}


def named(name: str) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": name}}


# Encodings and members


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(polygon(IBERIA, name="península"), ensure_ascii=False), encoding=encoding)
    assert Region.geojson(path) == Region.geojson(polygon(IBERIA))


def test_features_without_a_place_and_positions_with_more_than_two_numbers() -> None:
    given = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {}, "geometry": None},
            {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": []}},
            {"type": "Feature", "geometry": polygon([[*position, 700.0, 1.7e9] for position in IBERIA])},
            {"type": "Feature", "geometry": polygon()},
        ],
    }
    assert Region.geojson(given) == Region.geojson(polygon(IBERIA))
    assert Region.geojson(polygon(IBERIA[:-1])) == Region.geojson(polygon(IBERIA))  # not closed


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", None])
def test_names_of_what_is_meant_anyway(name: str | None) -> None:
    crs = None if name is None else named(name)
    assert Region.geojson(polygon(IBERIA, crs=crs)) == Region.geojson(polygon(IBERIA))


# Coordinate systems


@pytest.mark.parametrize("name", ["EPSG:3857", "urn:ogc:def:crs:EPSG::3857", "EPSG:25830", "EPSG:4258", "ESRI:102013"])
def test_other_systems_are_converted(name: str) -> None:
    """A quadrangle whose edges are straight there, against its points converted one by one."""
    transformer = pyproj.Transformer.from_crs("OGC:CRS84", name, always_xy=True)
    corners = np.array([transformer.transform(lng, lat) for lng, lat in IBERIA])
    region = Region.geojson({"type": "Feature", "geometry": polygon(corners.tolist()), "crs": named(name)})
    assert holds(region, MADRID, PARIS, NAIROBI) == [True, False, False]
    along = np.linspace(0, 1, 40)[:, None]
    edges = [a * (1 - along) + b * along for a, b in pairwise(corners)]
    inward = 0.995 * np.concatenate(edges) + 0.005 * corners.mean(axis=0)
    outward = 1.005 * np.concatenate(edges) - 0.005 * corners.mean(axis=0)
    for points, inside in ((inward, True), (outward, False)):
        lng, lat = transformer.transform(points[:, 0], points[:, 1], direction="INVERSE")
        assert (region.contains(cells_at(np.stack((lat, lng), axis=1), 15)) == inside).all()


@pytest.mark.parametrize(
    ("crs", "why"),
    [
        (named("urn:ogc:def:crs:EPSG::4326"), r"urn:ogc:def:crs:EPSG::4326, of which some programs write the northing"),
        (named("http://www.opengis.net/def/crs/EPSG/0/4326"), r"EPSG/0/4326, of which some programs"),
        (named("urn:ogc:def:crs:EPSG::3035"), r"EPSG::3035, of which some"),
        (named("EPSG:999999"), r"names the coordinate system EPSG:999999, which is not known"),
        (named("EPSG:25830"), r"-?\d.*EPSG:25830|enclose no area|corner"),
        (named("+proj=utm +zone=30 +nadgrids=/etc/passwd"), r"which cannot be looked up"),
        (named(7), r"which cannot be looked up"),  # type: ignore[arg-type]
        ({"type": "link", "properties": {"href": "http://example.com/crs"}}, r"which cannot be looked up"),
        ("EPSG:4326", r"by 'EPSG:4326', which cannot be looked up"),
    ],
)
def test_systems_that_cannot_be_told_are_refused_by_name(tmp_path: Path, crs: Any, why: str) -> None:
    path = tmp_path / "given.json"
    swapped = [[1e9 * lat, 1e9 * lng] for lng, lat in IBERIA]
    path.write_text(json.dumps(polygon(swapped, crs=crs)))
    with pytest.raises(ValueError, match=rf"given\.json: .*({why})") as error:
        Region.parse(str(path))
    assert "\n" not in str(error.value)


# The antimeridian, poles and holes


def test_an_edge_of_more_than_half_the_globe_goes_the_other_way() -> None:
    fiji = [[176.0, -20.0], [-178.0, -20.0], [-178.0, -15.0], [176.0, -15.0], [176.0, -20.0]]
    region = Region.geojson(polygon(fiji))
    assert region == Region.bbox(-20, 176, -15, -178)
    assert holds(region, SUVA, BRASILIA, WINDHOEK) == [True, False, False]
    assert Region.geojson(polygon(fiji[1:] + fiji[1:2])) == region  # whatever corner is the first
    world = [[-180.0, -90.0], [180.0, -90.0], [180.0, 90.0], [-180.0, 90.0], [-180.0, -90.0]]
    assert len(Region.geojson(polygon(world))) == 1
    assert Region.geojson(polygon(world)) == ~(Region.disk(0, 0, 1) & Region.disk(50, 50, 1))


def test_holes_across_the_antimeridian() -> None:
    """Drawn on either side of it, or across."""
    outer = [[170.0, -25.0], [190.0, -25.0], [190.0, -10.0], [170.0, -10.0], [170.0, -25.0]]
    hole = np.array([(176.0, -20.0), (182.0, -20.0), (182.0, -15.0), (176.0, -15.0), (176.0, -20.0)])
    expected = Region.bbox(-25, 170, -10, -170) & ~Region.bbox(-20, 176, -15, -178)
    short_way = np.where(hole > 180, hole - 360, hole)
    for drawn in (hole, hole - (360, 0), short_way):
        for shell in (np.array(outer), np.array(outer) - (360, 0)):
            region = Region.geojson(polygon(shell.tolist(), drawn.tolist()))
            assert holds(region, SUVA, (-12.0, 178.0), (-12.0, -172.0)) == [False, True, True]
            assert region == expected


@pytest.mark.parametrize(("lat", "pole"), [(70.0, 90.0), (-70.0, -90.0)])
def test_a_ring_around_a_pole_holds_the_pole(lat: float, pole: float) -> None:
    for start in (-180.0, 35.0):
        lngs = (start + np.arange(0, 361, 30) + 180) % 360 - 180
        for ring in (np.stack((lngs, np.full(13, lat)), axis=1), np.stack((lngs[::-1], np.full(13, lat)), axis=1)):
            region = Region.geojson(polygon(ring.tolist()))
            inside, outside = (lat + pole) / 2, lat - pole / 10
            found = holds(region, (inside, 0.0), (inside, 179.9), (pole, 12.0), (outside, 0.0), (outside, -179.9))
            assert found == [True, True, True, False, False]


def test_a_hole_larger_than_its_polygon_leaves_nothing() -> None:
    inner = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]]
    outer = [[-5.0, -5.0], [9.0, -5.0], [9.0, 9.0], [-5.0, 9.0], [-5.0, -5.0]]
    with pytest.raises(ValueError, match="enclose no area"):
        Region.geojson(polygon(inner, outer))
    half = [[2.0, -5.0], [9.0, -5.0], [9.0, 9.0], [2.0, 9.0], [2.0, -5.0]]
    region = Region.geojson(polygon(inner, half))
    assert holds(region, (2.0, 1.0), (2.0, 3.0), (2.0, 6.0), (-1.0, 6.0)) == [True, False, False, False]
    assert region == Region.bbox(0, 0, 4, 2)


# Bounds


def bounded(given: Any, why: str, seconds: float = 30.0) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=why):
        Region.geojson(given)
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize("along", [0, 1])
def test_a_zigzag(along: int) -> None:
    count = 40_000
    ring = np.stack((np.where(np.arange(count) % 2, 0.0, 10.0), np.linspace(0, 20, count)), axis=1)
    closed = [*ring.tolist(), [20.0, 20.0], [20.0, 0.0], ring[0].tolist()]
    bounded(polygon([position[:: 1 - 2 * along] for position in closed]), r"outlines are 4\d,\d+,\d+ km long; they may")


@pytest.mark.slow
def test_a_checkerboard() -> None:
    squares = [
        [[[x, y], [x + 2, y], [x + 2, y + 2], [x, y + 2], [x, y]]]
        for x in range(-180, 180, 2)
        for y in range(-90, 90, 2)
        if (x + y) % 4
    ]
    bounded({"type": "MultiPolygon", "coordinates": squares}, r"outlines are 5,\d+,\d+ km long")


@pytest.mark.slow
def test_outlines_that_cross_themselves_without_end() -> None:
    ring = np.random.default_rng(0).uniform(0, 20, (40_000, 2)).tolist()
    bounded(polygon([*ring, ring[0]]), r"40,000 edges cross or overlap too often")
    few = np.random.default_rng(0).uniform(0, 20, (200, 2)).tolist()
    began = time.monotonic()
    assert len(Region.geojson(polygon([*few, few[0]]))) > 1000
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_the_same_polygon_again_and_again() -> None:
    angle = np.linspace(0, 2 * np.pi, 100)
    ring = np.stack((np.cos(angle), np.sin(angle)), axis=1).tolist()
    bounded({"type": "MultiPolygon", "coordinates": [[ring]] * 5000}, r"edges cross or overlap too often")


def test_too_many_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson_polygons, "MOST_CORNERS", 12)
    Region.geojson({"type": "MultiPolygon", "coordinates": [[IBERIA], [IBERIA]]})
    bounded({"type": "MultiPolygon", "coordinates": [[IBERIA]] * 3}, r"more than 12 corners; simplify")


@pytest.mark.parametrize("depth", [40, 900, 5000])
def test_deep_nesting(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.json"
    head, tail = '{"type": "GeometryCollection", "geometries": [', "]}"
    path.write_text(head * depth + json.dumps(polygon(IBERIA)) + tail * depth)
    bounded(path, r"deep\.json( is not GeoJSON \(maximum recursion|: The GeoJSON is nested more than 32 deep)")
    nested: dict[str, Any] = polygon(IBERIA)
    for _ in range(depth):
        nested = {"type": "GeometryCollection", "geometries": [nested]}
    bounded(nested, "nested more than 32 deep")


def test_a_file_of_gigabytes_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    bounded(path, r"large\.json is not GeoJSON \(it has more than 100 MB\)")


def test_devices_folders_and_numbers_beyond_all_bounds(tmp_path: Path) -> None:
    bounded(Path("/dev/zero"), r"/dev/zero is not GeoJSON \(it is not an ordinary file\)")
    bounded(tmp_path, r"cannot be read \(Is a directory\)")
    path = tmp_path / "huge.json"
    path.write_text('{"type": "Polygon", "coordinates": [[[1%s, 0], [1, 0], [1, 1], [1, 0]]]}' % ("0" * 400))
    bounded(path, r"huge\.json: The GeoJSON Polygon is malformed")


# Pipes and names


def test_a_pipe_is_read_when_somebody_writes_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe.geojson"
    os.mkfifo(pipe)
    content = json.dumps(polygon(IBERIA)).encode()
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    assert Region.parse(str(pipe)) == Region.geojson(polygon(IBERIA))
    writer.join()
    monkeypatch.setattr(geojson_polygons, "_WAIT_S", 0.2)
    bounded(pipe, r"nothing was written into the pipe for 0\.2 seconds", seconds=2)


def test_a_pipe_without_end_takes_no_longer_than_its_bytes(tmp_path: Path) -> None:
    """Joined part by part, 100 MB were copied a thousand times: a minute."""
    pipe = tmp_path / "pipe.geojson"
    os.mkfifo(pipe)

    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))

    writer = threading.Thread(target=write)
    writer.start()
    began = time.process_time()
    bounded(pipe, r"pipe\.geojson is not GeoJSON \(it has more than 100 MB\)")
    assert time.process_time() - began < 5
    writer.join()


def test_the_shell_s_process_substitution() -> None:
    reading, writing = os.pipe()
    os.write(writing, json.dumps(polygon(IBERIA)).encode())
    os.close(writing)
    made = Constraint.parse(region=[f"/dev/fd/{reading}"])
    os.close(reading)
    assert made.region == Region.geojson(polygon(IBERIA))
    assert made.words == f"in the outline /dev/fd/{reading}"


@pytest.mark.parametrize("name", ["./x.kml", "x.kml", "outlines/France", "x.shp", "x.geojson"])
def test_a_file_is_not_called_a_country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"The region's file {name} cannot be read \(No such file"):
        Region.parse(name)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("<kml></kml>")
    with pytest.raises(
        ValueError, match=rf"--region: The region's file {name} is not GeoJSON .*; export it as GeoJSON"
    ):
        Constraint.parse(region=[name])


# Anything at all

numbers = st.one_of(st.floats(-400, 400), st.integers(-200, 200), st.sampled_from([1e300, float("inf"), float("nan")]))
positions = st.lists(numbers, max_size=4)
rings = st.lists(positions, max_size=6)
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
systems = st.one_of(junk, st.builds(named, st.sampled_from(["EPSG:3857", "EPSG:4326", "EPSG:1", "urn:ogc:def:crs:x"])))
shapes = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("Polygon"), "coordinates": st.one_of(junk, st.lists(rings, max_size=3))},
        optional={"crs": systems},
    ),
    st.fixed_dictionaries(
        {"type": st.just("MultiPolygon"), "coordinates": st.one_of(junk, st.lists(st.lists(rings, max_size=2)))}
    ),
)
anything = st.recursive(
    shapes,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("Feature"), "geometry": st.one_of(junk, inner)}),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["FeatureCollection", "GeometryCollection"])},
            optional={"features": st.lists(inner, max_size=3), "geometries": junk, "crs": systems},
        ),
    ),
    max_leaves=5,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=int(os.environ.get("GEOCLIP_FUZZ", "300")))
@given(anything)
def test_whatever_it_is_it_is_a_region_or_a_sentence(given_object: dict[str, Any]) -> None:
    try:
        region = Region.geojson(given_object)
    except ValueError as error:
        assert "\n" not in str(error)
        assert str(error)[-1] in ".)"
    else:
        assert len(region) > 0
