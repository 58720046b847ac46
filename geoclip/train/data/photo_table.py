"""A table of photos as entries."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from geoclip.errors import InputError
from geoclip.train.data.checks import RowCounts, usable
from geoclip.train.data.columns import Columns
from geoclip.train.data.entries import Entries, batch_of, kept
from geoclip.train.data.rows import DELIMITERS, PARQUET, read_rows
from geoclip.train.data.sampling import keys_of


def table_entries(path: Path, columns: Columns, rejected: Path) -> Entries:
    """Return the usable rows of a table; see `entries.kept` and `rows.read_rows` for what is raised."""
    return kept([path], f"table {columns}", lambda tally: _entries(path, columns, tally), rejected)


def _entries(path: Path, columns: Columns, tally: RowCounts) -> Iterator[pa.RecordBatch]:
    for rows in read_rows(path, columns, tally):
        good, lat_lng = usable(rows.numbers, rows.names, rows.lat, rows.lng, tally)
        names = rows.names.filter(pa.array(good))
        yield batch_of(rows.numbers[good], lat_lng[good], keys_of(names.to_pylist()), names)


def table_in(folder: Path) -> Path:
    """Return the table in a folder of photos: `metadata` with a table's suffix, else its only table.

    Raises:
        InputError: there is none, or several.
    """
    suffixes = (*DELIMITERS, *PARQUET)
    tables = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and not path.stem.endswith(".rejected")
    )
    named = [path for path in tables if path.stem.lower() == "metadata"] or tables
    if len(named) != 1:
        raise InputError(
            f"{folder} holds {len(named)} tables of photos; put one there called metadata.csv or metadata.parquet, "
            "with a photo, its latitude and its longitude a row."
        )
    return named[0]
