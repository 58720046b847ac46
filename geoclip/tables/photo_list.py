"""Tables that list photos by path or address, one a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from geoclip.errors import InputError
from geoclip.tables.bad_rows import BadRows
from geoclip.tables.columns import Columns, shown
from geoclip.tables.coordinates import as_text
from geoclip.tables.rows import TABLE_SUFFIXES, open_table

LIST_SUFFIXES = tuple(suffix for suffix in TABLE_SUFFIXES if suffix != ".txt")
"""Of tables of photos; a .txt has a path or address a line."""
ADDRESS_NAMES = ("uri", "url", "image_uri", "image_url", "photo_uri", "photo_url")
"""Columns that hold addresses; they come before those with a photo's name."""


class ListedPhoto(NamedTuple):
    """A row."""

    number: int
    """From 1."""
    words: str | None
    """Path or address; None where the row has none or cannot be read."""


@dataclass(frozen=True)
class _ListColumns(Columns):
    options = MappingProxyType({"photo": "--column"})


def listed_in(path: Path, column: str | None = None) -> Iterator[ListedPhoto]:
    """Yield the rows of a table, in order; none is left out.

    Args:
        path: CSV, TSV, JSON Lines or Parquet.
        column: its name; None takes the first of uri, url, ..., photo, image, ... that is there.

    Raises:
        InputError: the table cannot be read, or has no such column: at once. Or it has no rows.
    """
    table = open_table(path)
    at = _ListColumns(column).find_photo(table.columns, path) if column is not None else _usual(table.columns, path)
    if at is None:
        raise InputError(
            f"{path} has the columns {shown(table.columns)}; name the one with paths or addresses with --column."
        )

    def rows(wanted: int) -> Iterator[ListedPhoto]:
        upcoming, bad = 1, BadRows()
        for block in table.blocks([wanted], bad):
            names = as_text(block.columns[0]).to_pylist()
            for number, name in zip(block.numbers.tolist(), names, strict=True):
                yield from (ListedPhoto(lost, None) for lost in range(upcoming, number))
                yield ListedPhoto(number, (name or "").strip() or None)
                upcoming = number + 1
        yield from (ListedPhoto(lost, None) for lost in range(upcoming, bad.rows + 1))
        if not bad.rows:
            raise InputError(f"{path} has no rows; give at least one.")

    return rows(at)


def _usual(header: tuple[str, ...], path: Path) -> int | None:
    names = [name.strip(' "\t').lower() for name in header]
    for name in ADDRESS_NAMES:
        if names.count(name) == 1:
            return names.index(name)
    return Columns().find_photo(header, path)
