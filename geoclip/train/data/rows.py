"""The rows of a CSV or Parquet table of photos, in batches: names as bytes, coordinates as they stand in the file."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.train.data.checks import Reason, RowCounts
from geoclip.train.data.columns import Columns

DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
_BLOCK_BYTES, _BATCH_ROWS = 1 << 20, 1 << 16
_BOM = "\xef\xbb\xbf"  # UTF-8's byte order mark, read as Latin-1


class Rows(NamedTuple):
    """Some rows of a table."""

    numbers: NDArray[np.int64]
    """(N,) from 0; the header and blank lines are not counted."""
    names: pa.Array
    """(N,) binary, the bytes of the file."""
    lat: pa.Array
    """(N,) numbers, or binary texts."""
    lng: pa.Array


def read_rows(path: Path, columns: Columns, tally: RowCounts) -> Iterator[Rows]:
    """Yield the rows of a table; rows of another number of columns go to the tally.

    Raises:
        InputError: no such file, another format, a file that cannot be parsed, or a column is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in (*PARQUET, *DELIMITERS):
        raise InputError(f"{path} is not a table this program reads; give {', '.join((*DELIMITERS, *PARQUET))}.")
    try:
        yield from _parquet(path, columns) if suffix in PARQUET else _csv(path, DELIMITERS[suffix], columns, tally)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a table: {line}; write it again as CSV or Parquet.") from error


def _parquet(path: Path, columns: Columns) -> Iterator[Rows]:
    with pq.ParquetFile(path) as file:
        found = columns.found(file.schema_arrow.names, str(path))
        start = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(found))):
            names = as_binary(batch.column(found.photo), path, found.photo)
            lat, lng = (numbers_or_binary(batch.column(name), path, name) for name in found[1:])
            yield Rows(np.arange(start, start + len(batch), dtype=np.int64), names, lat, lng)
            start += len(batch)


def as_binary(column: pa.Array, path: Path, name: str) -> pa.Array:
    """Return names as binary; whole numbers as their digits.

    Raises:
        InputError: the column holds something else.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    with suppress(pa.ArrowException):
        return column.cast(pa.binary())
    raise InputError(f"{path}: column {name} holds {column.type}; photos' names are texts.")


def numbers_or_binary(column: pa.Array, path: Path, name: str) -> pa.Array:
    """Return coordinates as numbers, or as binary texts.

    Raises:
        InputError: the column holds something else.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return column
    with suppress(pa.ArrowException):
        return (column.dictionary_decode() if pa.types.is_dictionary(kind) else column).cast(pa.binary())
    raise InputError(f"{path}: column {name} holds {kind}; expected numbers, degrees.")


def _csv(path: Path, delimiter: str, columns: Columns, tally: RowCounts) -> Iterator[Rows]:
    skipped: list[int] = []

    def note(row: Any) -> str:
        number = row.number - 2  # numbered from the header, which is 1
        skipped.append(number)
        tally.rows += 1
        tally.reject(number, Reason.RAGGED, _bytes(row.text))
        return "skip"

    # Any bytes are Latin-1, while a bad row that is not UTF-8 could not be noted. With threads, rows have no numbers.
    read = pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False, encoding="latin-1")
    parse = pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda _: "skip")
    with pa_csv.open_csv(path, read_options=read, parse_options=parse) as header:
        written = {_readable(name): name for name in header.schema.names}
    found = columns.found(list(written), str(path))
    wanted = [written[name] for name in found]
    parse.invalid_row_handler = note
    convert = pa_csv.ConvertOptions(
        include_columns=wanted,
        column_types=dict.fromkeys(wanted, pa.binary()),  # so that one bad value does not end the reading
        strings_can_be_null=False,
    )
    upcoming = 0
    with pa_csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert) as reader:
        for batch in reader:
            # the reader is ahead: some of the skipped rows come after this batch
            numbers = np.arange(upcoming, upcoming + len(batch) + len(skipped), dtype=np.int64)
            numbers = np.setdiff1d(numbers, skipped, assume_unique=True)[: len(batch)]
            yield Rows(numbers, _file_bytes(batch.column(0)), batch.column(1), batch.column(2))
            upcoming = int(numbers[-1]) + 1 if len(numbers) else upcoming
            skipped[:] = [number for number in skipped if number >= upcoming]


def _readable(name: str) -> str:
    """Return a column's name as its file means it."""
    name = name.removeprefix(_BOM).strip('"')
    with suppress(UnicodeError):
        return name.encode("latin-1").decode("utf-8")
    return name


def _file_bytes(names: pa.Array) -> pa.Array:
    """Undo the reading as Latin-1."""
    if pc.all(pc.string_is_ascii(names.cast(pa.string()))).as_py() is not False:
        return names
    return pa.array([_bytes(name.decode()) for name in names.to_pylist()], type=pa.binary())


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", errors="replace")
