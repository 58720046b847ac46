"""Accuracy by continent and country of the true places."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.place_names import shared_place_names
from geoclip.evaluation.measures import MEDIAN, THRESHOLDS_KM, measured
from index.grid.countries import Country, countries
from index.grid.shapes import Borders
from index.grid.sphere import Floats


class Group(NamedTuple):
    """One system on the photos of one continent or country."""

    name: str
    code: str
    """ISO 3166 alpha-2; empty for a continent."""
    photos: int
    accuracy: tuple[float, ...]
    """Share within each of `THRESHOLDS_KM`."""
    median_km: float


class Whereabouts(NamedTuple):
    """The countries of N points."""

    known: tuple[Country, ...]
    """One row a code."""
    country: NDArray[np.int64]
    """(N,) rows of `known`."""

    def by_country(self, km: Floats) -> tuple[Group, ...]:
        """Return a system's figures by country, those with most photos first; `km` are its distances (N,)."""
        labels = [(country.name, country.iso2) for country in self.known]
        return _groups(labels, self.country, km)

    def by_continent(self, km: Floats) -> tuple[Group, ...]:
        """Return a system's figures by continent; a country is in one continent whole, Russia in Europe."""
        names = sorted({country.continent for country in self.known})
        rows = np.array([names.index(country.continent) for country in self.known])
        return _groups([(name, "") for name in names], rows[self.country], km)


def whereabouts(lat_lng: Floats) -> Whereabouts:
    """Return the country of each of (N, 2) points: the one whose outline it is in, with the waters 10 km off its coast.

    A point in no outline or in several is in the country of the nearest inhabited place, as in this program's answers.
    """
    known, borders = _outlines()
    country = borders.owners_at(lat_lng) - 1
    by_code = {each.iso2: each for each in known}
    codes = list(by_code)
    open_ = np.flatnonzero(country < 0)
    if len(open_):
        for row, place in zip(open_.tolist(), shared_place_names().names(lat_lng[open_]), strict=True):
            if place.code not in by_code:  # territories without an outline of their own
                by_code[place.code] = Country(place.code, "", place.country, (), "elsewhere", b"")
                codes.append(place.code)
            country[row] = codes.index(place.code)
    return Whereabouts(tuple(by_code[code] for code in codes), country)


@cache
def _outlines() -> tuple[tuple[Country, ...], Borders]:
    """Return the countries by code, one row each, and whose outline a point is in: a row of these from 1."""
    largest_first = sorted((each for each in countries() if each.iso2), key=lambda each: -len(each.wkb))
    by_code: dict[str, Country] = {}
    for each in largest_first:  # Northern Cyprus has Cyprus's code, Crimea Ukraine's: the largest part gives the name
        by_code.setdefault(each.iso2, each)
    codes = sorted(by_code)
    owners = np.array([codes.index(each.iso2) + 1 for each in largest_first])
    return tuple(by_code[code] for code in codes), Borders([each.wkb for each in largest_first], owners)


def _groups(labels: list[tuple[str, str]], rows: NDArray[np.int64], km: Floats) -> tuple[Group, ...]:
    counts = np.bincount(rows, minlength=len(labels))
    order = np.argsort(rows, kind="stable")
    parts = np.split(km[order], np.cumsum(counts)[:-1])
    found = []
    for row in np.argsort(-counts, kind="stable").tolist():
        if counts[row]:
            values = measured(parts[row][None])[0].tolist()
            name, code = labels[row]
            found.append(Group(name, code, int(counts[row]), tuple(values[: len(THRESHOLDS_KM)]), values[MEDIAN]))
    return tuple(found)
