"""`Constraint`: where to look and where not, as the flags of the command line say it.

Countries are Natural Earth's outlines at 1:50,000,000 with 10 km of coastal water, and 3 km around inhabited places
that the outline misses. Such a border is off by a kilometre or a few: near it, a constraint may let in a place of the
neighbour or lose one of its own. Where that matters, give the border as a .geojson file, which is followed exactly.
A country that is left out takes the sea off its coast with it, see `index/grid/offshore.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from itertools import combinations
from operator import and_, or_
from pathlib import Path
from typing import NamedTuple, Self

from index.grid.countries import ANYWHERE, Country, CountryLimits, find_continent, find_country
from index.grid.offshore import with_offshore
from index.grid.region import Region, is_region_file


class Flag(StrEnum):
    """Kinds of flags; `--not-` before the kind takes away."""

    COUNTRY = "country"
    REGION = "region"
    BBOX = "bbox"
    NEAR = "near"


@dataclass(frozen=True)
class Constraint:
    """Where places are looked for."""

    region: Region | None = None
    """None is everywhere."""
    words: str = ""
    """The same for people, without a capital or full stop; empty is everywhere."""
    countries: CountryLimits = ANYWHERE
    """The same as far as it is made of whole countries: outlines overlap a little, names need not."""

    @classmethod
    def parse(
        cls,
        *,
        country: Sequence[str] = (),
        region: Sequence[str] = (),
        bbox: Sequence[str] = (),
        near: Sequence[str] = (),
        not_country: Sequence[str] = (),
        not_region: Sequence[str] = (),
        not_bbox: Sequence[str] = (),
        not_near: Sequence[str] = (),
    ) -> Self:
        """Read flags. A place must be in one of each kind that is given, and in none of the `not` ones.

        Args:
            country: codes or English names, one or several between commas.
            region: what `Region.parse` reads: `index.grid.region.FORMS`.
            bbox: SOUTH,WEST,NORTH,EAST in degrees; west above east is across the antimeridian.
            near: LAT,LNG,KM in degrees and kilometres.
            not_country: to be left out, and so on.
            not_region: as `region`.
            not_bbox: as `bbox`.
            not_near: as `near`.

        Raises:
            ValueError: a flag cannot be read, or no place is left; the message names the flags.
        """
        kept = list(_groups("--", (country, region, bbox, near)))
        taken = list(_groups(_NOT, (not_country, not_region, not_bbox, not_near)))
        if not kept and not taken:
            return cls()
        # all of `kept` without `taken`, by De Morgan
        result = ~reduce(or_, [*(~group.region for group in kept), *(group.region for group in taken)])
        if not result:
            raise ValueError(_why_empty(kept, taken))
        *first, last = [*(group.words for group in kept), *(f"not {group.words}" for group in taken)]
        words = ", ".join([*first, f"and {last}" if first else last])
        only = [group.codes for group in kept if group.political]
        limits = CountryLimits(
            reduce(and_, only) if only else frozenset(), frozenset().union(*(group.codes for group in taken))
        )
        return cls(result, words, limits)


_NOT = "--not-"


class _FlagGroup(NamedTuple):
    """All flags of one kind, as one region."""

    flag: str
    """With its values, as typed."""
    region: Region
    words: str
    codes: frozenset[str]
    """Of the countries among it."""
    political: bool
    """Whether it is made of countries only, all of which have codes."""


def _groups(dashes: str, texts: Iterable[Sequence[str]]) -> Iterator[_FlagGroup]:
    for kind, values in zip(Flag, texts, strict=True):
        flag = f"{dashes}{kind}"
        try:
            found = [part for value in values for part in _READERS[kind](value)]
        except ValueError as error:
            raise ValueError(f"{flag}: {error}") from error
        if found:
            typed = " ".join(f"{flag} {value}" for value in values)
            regions = [part.region for part in found if not part.political]
            if countries := [part.region for part in found if part.political]:
                land = reduce(or_, countries)
                regions.append(with_offshore(land) if dashes == _NOT else land)
            codes = frozenset().union(*(part.codes for part in found))
            political = all(part.political and "" not in part.codes for part in found)
            words = _either([part.words for part in found])
            yield _FlagGroup(typed, reduce(or_, regions), words, codes - {""}, political)


def _why_empty(kept: list[_FlagGroup], taken: list[_FlagGroup]) -> str:
    """Say which flags exclude each other: the fewest kinds without a place in common, or those that leave none."""
    for count in range(2, len(kept) + 1):
        for some in combinations(kept, count):
            if not reduce(and_, [group.region for group in some]):
                return f"{_flags(some)} have no place in common; leave one out, or make one larger."
    of_what = _flags(kept) or "the whole globe"
    return f"{_flags(taken)} leave no place of {of_what}; give fewer or smaller ones to leave out."


def _flags(groups: Iterable[_FlagGroup]) -> str:
    return " and ".join(group.flag for group in groups)


class _NamedRegion(NamedTuple):
    region: Region
    words: str
    codes: frozenset[str] = frozenset()
    """Of the countries it is made of; empty where it is made of something else."""

    @property
    def political(self) -> bool:
        """Whether it is made of countries."""
        return bool(self.codes)


def _country(text: str) -> list[_NamedRegion]:
    """Read codes or names; a text with a comma may be one name, such as "Korea, South"."""
    try:
        return [_one_country(text)]
    except ValueError:
        if "," not in text:
            raise
    return [_one_country(name) for name in text.split(",")]


def _one_country(text: str) -> _NamedRegion:
    rows = find_country(text)
    name = max(rows, key=lambda row: len(row.wkb)).name  # of Ukraine and Crimea, the former
    return _NamedRegion(Region.country(text), f"in {name}", _codes(rows))


def _codes(rows: list[Country]) -> frozenset[str]:
    return frozenset(row.iso2 for row in rows)


def _region(text: str) -> list[_NamedRegion]:
    kind, _, rest = text.partition(":")
    if kind == "bbox":
        return _bbox(rest)
    if kind == "disk":
        return _near(rest)
    region = Region.parse(text)
    if kind == "continent":
        rows = find_continent(rest)
        return [_NamedRegion(region, f"in {rows[0].continent}", _codes(rows))]
    if is_region_file(text):
        path = Path(text)
        return [_NamedRegion(region, f"in {path.name}" if path.suffix else f"in the outline {text}")]
    return [_one_country(text.removeprefix("country:"))]


def _bbox(text: str) -> list[_NamedRegion]:
    south, west, north, east = numbers = _numbers(text, "SOUTH,WEST,NORTH,EAST in degrees, such as 48,2,49,3")
    try:
        region = Region.bbox(south, west, north, east)
    except ValueError as error:
        swapped = numbers[1], numbers[0], numbers[3], numbers[2]
        if not -90 <= swapped[0] < swapped[2] <= 90:
            raise
        order = ",".join(f"{number:g}" for number in swapped)
        raise ValueError(f"{error} If the numbers begin with the west, as in GeoJSON, write {order}.") from error
    corners = [f"{_side(lat, 'NS')}, {_side(lng, 'EW')}" for lat, lng in ((south, west), (north, east))]
    return [_NamedRegion(region, f"in the box {corners[0]} to {corners[1]}")]


def _side(degrees: float, sides: str) -> str:
    """Return degrees with the side they lie on, which a wrong order of numbers shows."""
    return f"{abs(degrees):g}° {sides[degrees < 0]}"


def _near(text: str) -> list[_NamedRegion]:
    lat, lng, km = _numbers(text, "LAT,LNG,KM in degrees and kilometres, such as 48.86,2.35,50")
    return [_NamedRegion(Region.disk(lat, lng, km), f"within {km:,.12g} km of {lat:g}, {lng:g}")]


def _numbers(text: str, form: str) -> list[float]:
    """Read as many numbers as the form has commas between its capitals, and one."""
    count = form.split(maxsplit=1)[0].count(",") + 1
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ValueError(f"{text!r} is not {count} numbers; write {form}.")
    return numbers


_READERS: dict[Flag, Callable[[str], list[_NamedRegion]]] = {
    Flag.COUNTRY: _country,
    Flag.REGION: _region,
    Flag.BBOX: _bbox,
    Flag.NEAR: _near,
}


def _either(words: list[str]) -> str:
    """Join phrases: in France, Germany or within 5 km of 1, 2."""
    words = list(dict.fromkeys(words))
    short = [
        word.removeprefix("in ") if before.startswith("in ") else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    return " or ".join(filter(None, (", ".join(short[:-1]), short[-1])))
