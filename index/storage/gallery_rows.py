"""The rows of a coordinate table, CSV or Parquet: usable ones streamed as arrays, bad ones counted and written down."""

import csv
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.files import written_whole

LAT_NAMES = ("lat", "latitude", "lat_deg", "y")
LNG_NAMES = ("lng", "lon", "long", "longitude", "lng_deg", "lon_deg", "x")

_DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")
_BLOCK_BYTES, _BATCH_ROWS = 4 << 20, 1 << 17
_NUMBER = r"(?i)^\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)\s*$"
_BOM = "\xef\xbb\xbf"  # UTF-8's byte order mark, read as Latin-1
_TEXT_LIMIT = 200
"""Characters of a rejected value that are written down."""


class Reason(StrEnum):
    """Why a row is not a place. Of several, the first in this order is given."""

    MISSING = "a coordinate is missing"
    NOT_A_NUMBER = "a coordinate is not a number"
    NOT_FINITE = "a coordinate is not finite"
    LATITUDE = "latitude is not within -90 to 90"
    LONGITUDE = "longitude is not within -180 to 360"
    NULL_ISLAND = "exactly 0, 0"
    RAGGED = "the row has another number of columns"
    """The lines that an unclosed quote swallowed count one each, but are one row in the file of rejected ones."""


_REASONS = tuple(Reason)
_Codes = NDArray[np.int8]
"""For each row its reason's position in `_REASONS`, or -1 for a place."""


class _Columns(NamedTuple):
    """Rows as they stand in the file."""

    numbers: NDArray[np.int64]
    """(N,) row numbers from 1."""
    lat: pa.Array
    lng: pa.Array


class _Ragged(NamedTuple):
    number: int
    text: str


_Batch = _Columns | _Ragged


def first_bad_row(lat_lng: NDArray[np.float64]) -> tuple[int, Reason] | None:
    """Return the first row of (N, 2) degrees that cannot be on Earth, and why; None if all can. (0, 0) can."""
    codes = _judged(lat_lng[:, 0], lat_lng[:, 1])
    found = np.flatnonzero((codes >= 0) & (codes != _REASONS.index(Reason.NULL_ISLAND)))
    return (int(found[0]), _REASONS[codes[found[0]]]) if len(found) else None


def read_rows(path: Path, bad: dict[Reason, int], rejected: Path | None) -> Iterator[NDArray[np.float64]]:
    """Yield the usable coordinates of a file, (N, 2) degrees, batch by batch.

    Args:
        path: .csv, .tsv, .txt, .parquet or .pq; see `Gallery.read`.
        bad: counts of rejected rows, added to as they are met.
        rejected: the CSV file for rejected rows; it appears when the last batch has been taken.

    Raises:
        ValueError: the file cannot be read, or a column is missing.
    """
    with ExitStack() as stack:
        writer = None
        if rejected is not None:
            temporary = stack.enter_context(written_whole(rejected))
            writer = csv.writer(stack.enter_context(temporary.open("w", encoding="utf-8", newline="")))
            writer.writerow(("row", "lat", "lng", "reason"))
        for batch in _batches(path):
            if isinstance(batch, _Ragged):
                bad[Reason.RAGGED] += 1 + batch.text.count("\n")
                if writer:
                    writer.writerow((batch.number, _as_written(batch.text), "", Reason.RAGGED))
                continue
            lat, lng = _parsed(batch.lat), _parsed(batch.lng)
            codes = _judged(lat.values, lng.values)
            codes[lat.not_a_number | lng.not_a_number] = _REASONS.index(Reason.NOT_A_NUMBER)
            codes[lat.missing | lng.missing] = _REASONS.index(Reason.MISSING)
            wrong = np.flatnonzero(codes >= 0)
            for code, count in zip(*np.unique(codes[wrong], return_counts=True), strict=True):
                bad[_REASONS[code]] += int(count)
            if writer:
                for row in wrong.tolist():
                    texts = (_text(column[row]) for column in (batch.lat, batch.lng))
                    writer.writerow((batch.numbers[row], *texts, _REASONS[codes[row]]))
            yield np.stack((lat.values, lng.values), axis=1)[codes < 0]


class _Parsed(NamedTuple):
    values: NDArray[np.float64]
    """NaN where missing or not a number."""
    missing: NDArray[np.bool_]
    not_a_number: NDArray[np.bool_]


def _judged(lat: NDArray[np.float64], lng: NDArray[np.float64]) -> _Codes:
    with np.errstate(invalid="ignore"):
        conditions = {
            Reason.NOT_FINITE: ~(np.isfinite(lat) & np.isfinite(lng)),
            Reason.LATITUDE: np.abs(lat) > 90.0,
            Reason.LONGITUDE: (lng < -180.0) | (lng > 360.0),
            Reason.NULL_ISLAND: (lat == 0.0) & (lng == 0.0),
        }
    codes = np.full(len(lat), -1, dtype=np.int8)
    for reason in reversed(conditions):
        codes[conditions[reason]] = _REASONS.index(reason)
    return codes


def _parsed(column: pa.Array) -> _Parsed:
    """Read a column of numbers, or of texts that may be numbers."""
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return _Parsed(values, missing, np.zeros(len(column), dtype=bool))
    filled = pc.fill_null(column, b"")
    missing = pc.match_substring_regex(filled, r"^\s*$").to_numpy(zero_copy_only=False)
    number = pc.match_substring_regex(filled, _NUMBER)  # such a text is ASCII, so it can be cast
    texts = pc.utf8_trim_whitespace(pc.if_else(number, filled, b"nan").cast(pa.string()))
    values = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return _Parsed(values, missing, ~missing & ~number.to_numpy(zero_copy_only=False))


def _text(value: pa.Scalar) -> str:
    plain = value.as_py()
    if isinstance(plain, bytes):
        return _as_written(plain[: 4 * _TEXT_LIMIT].decode("utf-8", errors="replace"))
    return "" if plain is None else str(plain)[:_TEXT_LIMIT]


def _as_written(text: str) -> str:
    """Undo the reading of UTF-8 as Latin-1, where it was UTF-8; see `_csv`."""
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    return text[:_TEXT_LIMIT]


def _batches(path: Path) -> Iterator[_Batch]:
    suffix = path.suffix.lower()
    if suffix not in (*_PARQUET, *_DELIMITERS):
        known = ", ".join((*_DELIMITERS, *_PARQUET))
        raise ValueError(f"{path} is not a table this program reads; give a file named {known}.")
    try:
        yield from _parquet(path) if suffix in _PARQUET else _csv(path, _DELIMITERS[suffix])
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; check the path.") from error
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as a table: {line}; write it again as CSV or Parquet.") from error


def _parquet(path: Path) -> Iterator[_Columns]:
    with pq.ParquetFile(path) as file:
        names = _column_names(path, file.schema_arrow.names)
        read = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(names)):
            lat, lng = (_plain(batch.column(name), f"{path}: column {name}") for name in names)
            yield _Columns(np.arange(read + 1, read + 1 + len(batch), dtype=np.int64), lat, lng)
            read += len(batch)


def _plain(column: Any, name: str) -> pa.Array:
    """Return a column as numbers or as binary texts."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.large_binary() if pa.types.is_large_string(kind) else pa.binary())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return column
    raise ValueError(f"{name} holds {kind}; expected numbers, degrees.")


def _csv(path: Path, delimiter: str) -> Iterator[_Batch]:
    ragged: list[_Ragged] = []

    def note(row: Any) -> str:
        ragged.append(_Ragged(row.number - 1, row.text))  # numbered from the header, which is 1
        return "skip"

    # Any bytes are Latin-1, while a bad row that is not UTF-8 could not be noted. With threads, rows have no numbers.
    read = pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False, encoding="latin-1")
    parse = pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda _: "skip")
    with pa_csv.open_csv(path, read_options=read, parse_options=parse) as header:
        names = _column_names(path, header.schema.names)
    parse.invalid_row_handler = note
    convert = pa_csv.ConvertOptions(
        include_columns=list(names),
        column_types=dict.fromkeys(names, pa.binary()),  # so that one bad value does not end the reading
        strings_can_be_null=False,
    )
    upcoming = 1
    with pa_csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert) as reader:
        for batch in reader:
            skipped = np.array([row.number for row in ragged], dtype=np.int64)
            numbers = np.arange(upcoming, upcoming + len(batch) + len(ragged), dtype=np.int64)
            numbers = np.setdiff1d(numbers, skipped, assume_unique=True)[: len(batch)]
            yield _Columns(numbers, *(batch.column(name) for name in names))
            upcoming = int(numbers[-1]) + 1 if len(numbers) else upcoming
            # The reader is ahead: rows after this batch are kept until their batch has been numbered.
            yield from (row for row in ragged if row.number < upcoming)
            ragged[:] = [row for row in ragged if row.number >= upcoming]
    yield from ragged


def _column_names(path: Path, found: list[str]) -> tuple[str, str]:
    def first(names: tuple[str, ...]) -> str:
        for column in found:
            if column.removeprefix(_BOM).strip(' "').lower() in names:
                return column
        raise ValueError(f"{path} has the columns {', '.join(found)}; one of {', '.join(names)} is needed.")

    return first(LAT_NAMES), first(LNG_NAMES)
