"""Which columns of a table hold the photo's name and its place: one rule for every table that is read."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Self

from geoclip.errors import InputError

PHOTO_NAMES = (
    *("photo", "image", "img_file", "file", "filename", "file_name", "path", "name", "query", "img_id"),
    *("image_id", "photo_id", "image_path", "photo_path", "file_path", "id"),
)
"""Columns that can hold a photo's name, case ignored; the first in this order that is there counts."""

Pair = tuple[tuple[str, ...], tuple[str, ...]]
GEOGRAPHIC: Pair = (("lat", "latitude", "lat_deg"), ("lng", "lon", "long", "longitude", "lng_deg", "lon_deg"))
PLANE: Pair = (("y",), ("x",))
"""Often pixels, or metres of a projection: they count only where nothing else does, and only as degrees."""
TRUE: Pair = (("true_lat", "gt_lat"), ("true_lng", "true_lon", "gt_lng", "gt_lon"))
PREDICTED: Pair = (("pred_lat", "predicted_lat"), ("pred_lng", "pred_lon", "predicted_lng", "predicted_lon"))
_SHOWN = 12


class MissingColumnError(InputError):
    """A table has no column for a latitude, a longitude or a photo's name."""


class Found(NamedTuple):
    """Where the columns of a table stand, from 0."""

    lat: int
    lng: int
    photo: int | None
    """None where no column names photos."""
    plane: bool
    """Whether they are columns called y and x that nobody asked for."""


@dataclass(frozen=True)
class Columns:
    """Names of columns; None takes the usual ones, case ignored: true_lat, lat, latitude, ..., y; photo, image, ...

    Latitude and longitude are taken from one pair: exact names of true places, then geographic ones, then y and x. Two
    columns for one part are refused, and so is a pair of which half is there.
    """

    photo: str | None = None
    lat: str | None = None
    lng: str | None = None

    pairs: ClassVar[tuple[Pair, ...]] = (TRUE, GEOGRAPHIC, PLANE)
    options: ClassVar[Mapping[str, str]] = MappingProxyType(
        {part: f"columns.{part}" for part in ("photo", "lat", "lng")}
    )
    """What a message calls the way to name a column."""

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

    def find(self, header: Sequence[str], where: object, *, photo: bool = True) -> Found:
        """Return the columns of a table with these names, that of photos if asked for; `where` stands in messages.

        Raises:
            MissingColumnError: a coordinate has no column.
            InputError: several columns could be meant, or one that was asked for is not there.
        """
        lat, lng, plane = self._place(header, where)
        if lat == lng:
            raise InputError(f"{where}: the column {header[lat]!r} cannot be both latitude and longitude; name two.")
        return Found(lat, lng, self.find_photo(header, where) if photo else None, plane)

    def find_photo(self, header: Sequence[str], where: object) -> int | None:
        """Return the column of photos' names, None where there is none; raises as `find`."""
        if self.photo is not None:
            return self._asked("photo", header, where)
        for name in PHOTO_NAMES:
            if (found := self._only("photo", (name,), header, where)) is not None:
                return found
        return None

    def no_photo(self, header: Sequence[str], where: object) -> MissingColumnError:
        """Return what to say where photos must have names and no column holds them."""
        return MissingColumnError(
            f"{where} has the columns {shown(header)}; for the photo one of {', '.join(PHOTO_NAMES)} is needed"
            f"{self._or_option('photo')}."
        )

    def _place(self, header: Sequence[str], where: object) -> tuple[int, int, bool]:
        asked = [None if getattr(self, part) is None else self._asked(part, header, where) for part in ("lat", "lng")]
        for pair in self.pairs:
            lat, lng = (
                self._only(part, names, header, where) if asked[at] is None else asked[at]
                for at, (part, names) in enumerate(zip(("lat", "lng"), pair, strict=True))
            )
            if lat is not None and lng is not None:
                return lat, lng, pair is PLANE and asked == [None, None]
            if asked == [None, None] and (lat, lng) != (None, None):
                raise self._missing("lng" if lng is None else "lat", pair, header, where)
        raise self._missing("lat" if asked[0] is None else "lng", GEOGRAPHIC, header, where)

    def _asked(self, part: str, header: Sequence[str], where: object) -> int:
        wanted = str(getattr(self, part))
        found = [at for at, name in enumerate(header) if name == wanted]
        if not found:
            raise InputError(f"{where} has no column {wanted!r} for the {part}; it has {shown(header)}.")
        if len(found) > 1:
            raise InputError(f"{where} has {len(found)} columns called {wanted!r}; rename all but one of them.")
        return found[0]

    def _only(self, part: str, names: Sequence[str], header: Sequence[str], where: object) -> int | None:
        found = [at for at, name in enumerate(header) if _plain(name) in names]
        if len(found) > 1:
            raise InputError(
                f"{where} has {len(found)} columns for the {part}: {shown([header[at] for at in found])}; "
                + (f"name the one to read with {self.options[part]}, or " if part in self.options else "")
                + "rename the others."
            )
        return found[0] if found else None

    def _missing(self, part: str, pair: Pair, header: Sequence[str], where: object) -> MissingColumnError:
        names = pair[0 if part == "lat" else 1]
        return MissingColumnError(
            f"{where} has the columns {shown(header)}; for the {part} one of {', '.join(names)} is needed"
            f"{self._or_option(part)}."
        )

    def _or_option(self, part: str) -> str:
        return f", or its name with {self.options[part]}" if part in self.options else ""


class GalleryColumns(Columns):
    """Columns of a gallery, which nobody can name."""

    options: ClassVar[Mapping[str, str]] = MappingProxyType({})


class OptionColumns(Columns):
    """Columns of a table that a command reads."""

    options = MappingProxyType({"photo": "--name-column", "lat": "--lat-column", "lng": "--lng-column"})


class PredictionColumns(OptionColumns):
    """Columns of predictions: pred_lat and pred_lng come before lat and lng."""

    pairs = (PREDICTED, GEOGRAPHIC, PLANE)


class LabelColumns(Columns):
    """Columns of true places beside photos, vectors or predictions."""

    options = MappingProxyType(
        {"photo": "--label-name-column", "lat": "--label-lat-column", "lng": "--label-lng-column"}
    )


USUAL, LABELS, PREDICTIONS = GalleryColumns(), LabelColumns(), PredictionColumns()


def shown(header: Sequence[str]) -> str:
    """Return the names of columns for a message, which stays of readable length."""
    names = [" ".join(name.split()) for name in header[:_SHOWN]]
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in names]
    return ", ".join(names) + (f" and {len(header) - _SHOWN} more" if len(header) > _SHOWN else "")


def _plain(name: str) -> str:
    return name.strip(' "\t').lower()
