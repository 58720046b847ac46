"""Answers out: JSON Lines, CSV and Parquet for programs, GeoJSON and KML for maps, tables for people."""

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from geoclip.errors import InputError
from geoclip.writers.csv import CSV_COLUMNS, CsvWriter
from geoclip.writers.formats import FILES_ONLY, RESUMABLE, Format, Writer, one_line
from geoclip.writers.jsonl import JsonLinesWriter
from geoclip.writers.record import SCHEMA
from geoclip.writers.resume import answered
from geoclip.writers.table import TableWriter

if TYPE_CHECKING:
    from geoclip.writers.map_shapes import Boundaries

__all__ = [
    "CSV_COLUMNS",
    "FILES_ONLY",
    "RESUMABLE",
    "SCHEMA",
    "Format",
    "Writer",
    "answered",
    "one_line",
    "open_writer",
]


def open_writer(
    kind: Format, target: TextIO | Path, *, header: bool = True, boundaries: "Boundaries | None" = None
) -> Writer:
    """Return the writer of a format, to be closed at the end or used as a context manager.

    Args:
        kind: how to write.
        target: a text stream, which stays open, for JSON Lines, CSV and tables; a path, which takes its name only when
            all is written, for KML and Parquet; either for GeoJSON.
        header: whether a CSV begins with the names of its columns; not where a file is continued.
        boundaries: the outlines of H3 cells, `index.grid.cells.boundaries`; without it the maps hold no cells.

    Raises:
        InputError: this format does not go to such a target, or the file cannot be made.
    """
    if isinstance(target, Path):
        return _file_writer(kind, target, boundaries)
    if kind in FILES_ONLY:
        raise InputError(f"The format {kind} is written to a file only, not to stdout; name one with --output.")
    if kind is Format.JSONL:
        return JsonLinesWriter(target)
    if kind is Format.CSV:
        return CsvWriter(target, header=header)
    if kind is Format.GEOJSON:
        from geoclip.writers.geojson import GeoJsonWriter

        return GeoJsonWriter(target, boundaries)
    return TableWriter(target)


def _file_writer(kind: Format, path: Path, boundaries: "Boundaries | None") -> Writer:
    if kind is Format.GEOJSON:
        from geoclip.writers.geojson import GeoJsonWriter

        return GeoJsonWriter(path, boundaries)
    if kind is Format.KML:
        from geoclip.writers.kml import KmlWriter

        return KmlWriter(path, boundaries)
    if kind is Format.PARQUET:
        from geoclip.writers.parquet import ParquetWriter

        return ParquetWriter(path)
    raise InputError(f"The format {kind} is written to an open stream, not to the path {path}; open the file first.")
