"""The table of countries: ISO codes, English names, continents, outlines.

`data/countries.parquet` is made by `scripts/make_countries.py` from Natural Earth's 1:50m countries (public domain,
https://www.naturalearthdata.com); that script says where the two differ.
"""

import difflib
import importlib.resources
import unicodedata
from functools import cache
from typing import NamedTuple


class Country(NamedTuple):
    """A row of the table. The codes are empty where there is no code; rows of one code are one country's parts."""

    iso2: str
    iso3: str
    name: str
    aliases: tuple[str, ...]
    continent: str
    wkb: bytes
    """Polygons in (lng, lat) degrees."""


class CountryLimits(NamedTuple):
    """Which countries a place can be in, by ISO 3166 alpha-2 codes, as far as countries were named."""

    only: frozenset[str] = frozenset()
    """Empty is all."""
    without: frozenset[str] = frozenset()

    def allow(self, code: str) -> bool:
        """Return whether a place can be in this country."""
        return (not self.only or code in self.only) and code not in self.without


ANYWHERE = CountryLimits()


@cache
def countries() -> tuple[Country, ...]:
    """Return the whole table, sorted by name."""
    import pyarrow.parquet as pq

    with importlib.resources.files("index").joinpath("data/countries.parquet").open("rb") as file:
        rows = pq.read_table(file).to_pylist()
    return tuple(Country(**{**row, "aliases": tuple(row["aliases"])}) for row in rows)


def find_country(code_or_name: str) -> list[Country]:
    """Return the rows of a country by ISO 3166 alpha-2 code, alpha-3 code or English name; case and accents are free.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    wanted = _folded(code_or_name)
    for names_of in (_codes, _name, _aliases):
        found = [country for country in countries() if wanted and wanted in names_of(country)]
        if found:
            return _with_parts(found)
    known = {_folded(name): name for country in countries() for name in (country.name, *country.aliases)}
    nearest = difflib.get_close_matches(wanted, known, n=1)
    hint = f" Did you mean {known[nearest[0]]!r}?" if nearest else ""
    raise ValueError(
        f"There is no country {code_or_name!r}; give an ISO 3166 code, such as FR or FRA, or an English name.{hint}"
    )


def _with_parts(found: list[Country]) -> list[Country]:
    """Return all rows of the code, if those found are not just its smaller parts: Crimea is not all of Ukraine."""
    rows = [country for country in countries() if country.iso2 and country.iso2 == found[0].iso2]
    return rows if rows and max(rows, key=lambda row: len(row.wkb)) in found else found


def find_continent(name: str) -> list[Country]:
    """Return the countries of a continent, each whole: Russia is in Europe, Turkey in Asia, Egypt in Africa.

    Raises:
        ValueError: there is none of that name; the message lists them.
    """
    found = [country for country in countries() if _folded(country.continent) == _folded(name)]
    if not found:
        known = sorted({country.continent for country in countries()})
        raise ValueError(f"There is no continent {name!r}; choose from {', '.join(known)}.")
    return found


def _codes(country: Country) -> set[str]:
    return {country.iso2.casefold(), country.iso3.casefold()}


def _name(country: Country) -> set[str]:
    return {_folded(country.name)}


def _aliases(country: Country) -> set[str]:
    return {_folded(alias) for alias in country.aliases}


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").casefold()
    return " ".join("".join(mark for mark in plain if not unicodedata.combining(mark)).replace("-", " ").split())
