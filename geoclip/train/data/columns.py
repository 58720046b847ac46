"""Which columns of a table hold the photo's name and its place."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

from geoclip.errors import InputError
from geoclip.tables.coordinates import LAT_NAMES, LNG_NAMES
from geoclip.tables.labels import NAME_NAMES

_KNOWN = {"photo": NAME_NAMES, "lat": LAT_NAMES, "lng": LNG_NAMES}


class Found(NamedTuple):
    """Columns of one table, as the table calls them."""

    photo: str
    lat: str
    lng: str


@dataclass(frozen=True)
class Columns:
    """Names of columns; None takes the first column with a usual name, case ignored.

    Usual are IMG_FILE, LAT, LON (the released code's) and photo, lat, lng; all of them are `NAME_NAMES` in
    `geoclip.tables.labels`, `LAT_NAMES` and `LNG_NAMES` in `geoclip.tables.coordinates`.
    """

    photo: str | None = None
    lat: str | None = None
    lng: str | None = None

    @classmethod
    def of(cls, given: "Columns | Mapping[str, str] | None") -> Self:
        """Return columns given as a mapping.

        Raises:
            InputError: an unknown key.
        """
        if isinstance(given, Columns):
            return cls(given.photo, given.lat, given.lng)
        known = [field.name for field in fields(cls)]
        for key in given or {}:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1, 0)
                raise InputError(f"columns has the key {key!r}; use {', '.join(known)} (did you mean {near[0]}?).")
        return cls(**(given or {}))

    def found(self, header: Sequence[str], where: str) -> Found:
        """Return the columns that a table has; `where` stands in the message.

        Raises:
            InputError: one is missing.
        """
        return Found(*(self.one(part, header, where) for part in _KNOWN))

    def one(self, part: str, header: Sequence[str], where: str) -> str:
        """Return the column of one part: `photo`, `lat` or `lng`; raises as `found`."""
        wanted: str | None = getattr(self, part)
        if wanted is not None:
            if wanted in header:
                return wanted
            raise InputError(f"{where} has the columns {', '.join(header)}; there is no {wanted} for the {part}.")
        lowered = {column.strip(' "').lower(): column for column in reversed(header)}
        for name in _KNOWN[part]:
            if name in lowered:
                return lowered[name]
        raise InputError(
            f"{where} has the columns {', '.join(header)}; for the {part} one of {', '.join(_KNOWN[part])} is needed, "
            f"or its name in columns.{part}."
        )

    def has(self, part: str, header: Sequence[str]) -> bool:
        """Whether a table has a column for `photo`, `lat` or `lng`."""
        wanted = getattr(self, part)
        if wanted is not None:
            return wanted in header
        return not {column.strip(' "').lower() for column in header}.isdisjoint(_KNOWN[part])

    def has_place(self, header: Sequence[str]) -> bool:
        """Whether a table has both coordinates."""
        return self.has("lat", header) and self.has("lng", header)
