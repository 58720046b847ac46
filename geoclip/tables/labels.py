"""Tables of photos with their true places."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.coordinates import lat_lng_columns, read_table

NAME_NAMES = ("photo", "image", "img_file", "file", "filename", "file_name", "path", "name", "query", "img_id")
"""Columns that can hold a photo's name, case ignored; the first that is there counts. Not `id`, which is often a mere
number: so are the names of the rows of an .npy file."""


@dataclass(frozen=True)
class Labels:
    """True places by photo."""

    names: tuple[str, ...] | None
    """(N,) as in the table; None where it names no photos, so that its order counts."""
    lat_lng: NDArray[np.float64]
    """(N, 2) degrees."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a CSV or Parquet file with the columns lat, lng and, if photos are named, one of `NAME_NAMES`.

        Raises:
            InputError: the file cannot be read, a column is missing, it has no rows, or a coordinate is out of range.
        """
        table = read_table(path)
        lat_lng = lat_lng_columns(table, str(path))
        if not len(lat_lng):
            raise InputError(f"{path} has no rows; give a photo and its coordinates a line.")
        bad = ~(np.isfinite(lat_lng).all(axis=1) & (np.abs(lat_lng[:, 0]) <= 90) & (np.abs(lat_lng[:, 1]) <= 180))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{path}: row {row + 1} has the coordinates {lat_lng[row].tolist()}; latitudes are -90 to 90, "
                "longitudes -180 to 180."
            )
        columns = {column.strip().lower(): column for column in table.column_names}
        name = next((columns[wanted] for wanted in NAME_NAMES if wanted in columns), None)
        return cls(None if name is None else tuple(map(str, table[name].to_pylist())), lat_lng)

    def rows(self, names: list[str]) -> NDArray[np.int64]:
        """Return the row of each photo, -1 where it has none: by its whole name, else by its last part.

        Raises:
            InputError: the table names no photos and has another length, or two photos share the name that counts.
        """
        if self.names is None:
            if len(names) != len(self.lat_lng):
                raise InputError(
                    f"The labels name no photos (a column {', '.join(NAME_NAMES[:4])}) and have {len(self.lat_lng)} "
                    f"rows for {len(names)} inputs; add the names, or give one row an input."
                )
            return np.arange(len(names))
        rows = np.array([self._row(name) for name in names], dtype=np.int64)
        self._check_shared(names, rows)
        return rows

    def _row(self, name: str) -> int:
        last = PurePath(name).name
        for key, found in ((name, self._by_name), (last, self._by_last)):
            rows = found.get(key, [])
            if len(rows) > 1:
                raise InputError(f"The labels have {len(rows)} rows for {key!r}; name the photos by their paths.")
            if rows:
                return rows[0]
        return -1

    def _check_shared(self, names: list[str], rows: NDArray[np.int64]) -> None:
        """Raise InputError where photos of different names come to one row, by their last parts."""
        owner: dict[int, str] = {}
        for name, row in zip(names, rows.tolist(), strict=True):
            if row >= 0 and owner.setdefault(row, name) != name:
                raise InputError(
                    f"The labels have one row for {owner[row]!r} and {name!r}; name the photos by their paths."
                )

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        return _grouped(self.names or ())

    @cached_property
    def _by_last(self) -> dict[str, list[int]]:
        return _grouped(tuple(PurePath(name).name for name in self.names or ()))


def _grouped(keys: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the rows of each key."""
    found: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found
