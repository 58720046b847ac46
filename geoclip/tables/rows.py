"""The rows of a table in blocks, whatever its format: CSV, TSV, JSON Lines, Parquet.

Text is read as people write it: UTF-8, with or without a mark; UTF-16; bytes that are not UTF-8 as Windows-1252. A CSV
file's columns are divided by commas, semicolons, tabs or bars, whichever its first line has most of.
"""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.bad_rows import BadRows, Reason
from geoclip.tables.quotes import ClosedQuotes

_BLOCK_BYTES, _BATCH_ROWS = 4 << 20, 1 << 16
_JSON_ROWS = 1 << 12
"""Lines of JSON whose keys are looked at for columns."""
_LONGEST_LINE = 1 << 24
_DELIMITERS = ",;\t|"


class RowBlock(NamedTuple):
    """Some rows of a table."""

    numbers: NDArray[np.int64]
    """(N,) from 1; the line of column names and empty lines do not count."""
    columns: tuple[pa.Array, ...]
    """Those asked for, (N,) each: text, or numbers. Lists and objects are JSON text."""


class Table(NamedTuple):
    """A table whose columns are known."""

    path: Path
    columns: tuple[str, ...]

    def blocks(self, wanted: Sequence[int], bad: BadRows) -> Iterator[RowBlock]:
        """Yield its rows; those that are none go to `bad`, which counts all of them.

        Args:
            wanted: positions of columns, from 0, each once.
            bad: added to.

        Raises:
            InputError: the file cannot be read.
        """
        _, read = _FORMATS[self.path.suffix.lower()]
        with reading(self.path):
            for block in read(self.path, wanted, bad):
                bad.rows += len(block.numbers)
                yield block


def open_table(path: Path) -> Table:
    """Find the columns of a table.

    Raises:
        InputError: no such file, another format, or a file that cannot be read.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{path} is not a table this program reads; give {', '.join(TABLE_SUFFIXES)}.")
    header, _ = _FORMATS[path.suffix.lower()]
    with reading(path):
        return Table(path, header(path))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one sentence.

    Raises:
        InputError: that sentence.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is a folder, a pipe or a device; give an ordinary file.")
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except (OSError, ValueError, EOFError, csv.Error, pa.ArrowException) as error:
        said = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read: {said}; give a whole file of the format that its suffix names."
        ) from error


# -- text -------------------------------------------------------------------------------------------------------------

_FALLBACK = "geoclip-windows-1252"


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


codecs.register_error(_FALLBACK, _as_windows)


def readable(name: str) -> str:
    """Return a name as tables are read: bytes that are not UTF-8, as `os.fsdecode` marks them, are Windows-1252."""
    with suppress(UnicodeEncodeError):
        return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors=_FALLBACK)
    return name.encode("utf-8", errors="replace").decode()


def _open_text(path: Path) -> io.TextIOWrapper:
    file = path.open("rb")
    head = file.read(64)
    file.seek(0)
    encoding = "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif len(head) > 1 and 0 in head and (not any(head[1::2]) or not any(head[::2])):
        encoding = "utf-16-le" if not any(head[1::2]) else "utf-16-be"
    return io.TextIOWrapper(file, encoding, errors=_FALLBACK, newline="")


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines that are not empty."""
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a line has {_LONGEST_LINE:,} characters or more")
        if line.strip():
            yield line


# -- CSV --------------------------------------------------------------------------------------------------------------


def _csv_header(path: Path) -> tuple[str, ...]:
    with _open_text(path) as text:
        return tuple(_csv_start(text, path)[0])


def _csv_start(text: io.TextIOWrapper, path: Path) -> tuple[list[str], str]:
    """Read the names of columns from the beginning of a file; return them and what divides them."""
    first = next(_lines(text), "")
    delimiter = None
    if first.strip('" \r\n').lower().startswith("sep=") and len(first.strip('" \r\n')) == 5:  # as spreadsheets write it
        delimiter = first.strip('" \r\n')[-1]
        first = next(_lines(text), "")
    if not first:
        raise ValueError("it is empty")
    if delimiter is None and path.suffix.lower() == ".tsv" and "\t" in first:
        delimiter = "\t"
    delimiter = delimiter or max(_DELIMITERS, key=lambda each: len(next(csv.reader([first], delimiter=each))))
    try:
        return next(csv.reader(chain([first], iter(text.readline, "")), delimiter=delimiter, strict=True)), delimiter
    except csv.Error:  # a quote that does not end would take the whole file into a name
        return next(csv.reader([first], delimiter=delimiter)), delimiter


class _Utf8(io.RawIOBase):
    """A text in pieces as bytes of UTF-8."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces, self._waiting = pieces, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = _BLOCK_BYTES) -> bytes:
        """Return at most `size` bytes."""
        self._waiting = self._waiting or next(self._pieces, "").encode()
        content, self._waiting = self._waiting[:size], self._waiting[size:]
        return content


def _csv_blocks(path: Path, wanted: Sequence[int], bad: BadRows) -> Iterator[RowBlock]:
    skipped: list[int] = []

    def note(row: Any) -> str:
        skipped.append(row.number)
        if row.text.strip():
            bad.rows += 1
            unclosed = rows.unclosed.get(row.text)
            bad.reject(row.number, *((Reason.RAGGED, row.text) if unclosed is None else (Reason.QUOTE, unclosed)))
        return "skip"

    with _open_text(path) as text:
        header, delimiter = _csv_start(text, path)
        first = next(_lines(text), "")
        if not first:
            return
        names, rows = [str(at) for at in wanted], ClosedQuotes(text, first, delimiter)
        reader = pa_csv.open_csv(
            pa.PythonFile(_Utf8(rows.pieces(_BLOCK_BYTES // 4)), "r"),
            # with threads, rows would have no numbers
            read_options=pa_csv.ReadOptions(
                block_size=_BLOCK_BYTES, use_threads=False, column_names=[str(at) for at in range(len(header))]
            ),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note),
            convert_options=pa_csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        upcoming = 1
        for batch in _whole_rows(reader):
            # the reader is ahead: some of the skipped rows come after this batch
            numbers = np.arange(upcoming, upcoming + len(batch) + len(skipped), dtype=np.int64)
            numbers = np.setdiff1d(numbers, skipped, assume_unique=True)[: len(batch)]
            yield RowBlock(numbers, tuple(batch.columns))
            upcoming = int(numbers[-1]) + 1 if len(numbers) else upcoming
            skipped[:] = [number for number in skipped if number >= upcoming]


def _whole_rows(reader: Any) -> Iterator[pa.RecordBatch]:
    read = 0
    try:
        for batch in reader:
            yield batch
            read += len(batch)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        most = _BLOCK_BYTES // 4
        raise ValueError(
            f"what comes after row {read} or so has {most:,} characters, perhaps a quote is not closed"
        ) from error


# -- JSON Lines -------------------------------------------------------------------------------------------------------


def _json_header(path: Path) -> tuple[str, ...]:
    with _open_text(path) as text:
        records = (_record(line) for line in islice(_lines(text), _JSON_ROWS))
        keys = tuple(dict.fromkeys(key for record in records if record for key in record))
    if not keys:
        raise ValueError("it does not begin with JSON objects")
    return keys


def _json_blocks(path: Path, wanted: Sequence[int], bad: BadRows) -> Iterator[RowBlock]:
    header = _json_header(path)
    keys = [header[at] for at in wanted]
    with _open_text(path) as text:
        lines = enumerate(_lines(text), 1)
        while some := list(islice(lines, _JSON_ROWS)):
            numbers, records = [], []
            for number, line in some:
                if (record := _record(line)) is None:
                    bad.rows += 1
                    bad.reject(number, Reason.NOT_AN_OBJECT, line.strip())
                    continue
                numbers.append(number)
                records.append(record)
            columns = (pa.array([text_of(record.get(key)) for record in records], pa.string()) for key in keys)
            yield RowBlock(np.array(numbers, dtype=np.int64), tuple(columns))


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def text_of(value: Any) -> str | None:
    """Return a value of JSON as text: strings as they are, all else as JSON writes it."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.isascii() else readable(value)
    return repr(value) if type(value) in (int, float) else json.dumps(value)


# -- Parquet ----------------------------------------------------------------------------------------------------------


def _parquet_header(path: Path) -> tuple[str, ...]:
    return tuple(pq.read_schema(path).names)


def _parquet_blocks(path: Path, wanted: Sequence[int], bad: BadRows) -> Iterator[RowBlock]:
    with pq.ParquetFile(path) as file:
        names = [file.schema_arrow.names[at] for at in wanted]
        start = 1
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            columns = tuple(plain(batch.column(name)) for name in names)
            yield RowBlock(np.arange(start, start + len(batch), dtype=np.int64), columns)
            start += len(batch)


def plain(column: pa.Array) -> pa.Array:
    """Return a column of a Parquet file as numbers or as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string())
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        text = column.cast(pa.string())
        with suppress(pa.ArrowInvalid):
            text.validate(full=True)
            return text
        column = text.cast(pa.binary())  # text that is not UTF-8
    texts = [None if value is None else value.decode("utf-8", errors=_FALLBACK) for value in column.to_pylist()]
    return pa.array(texts, pa.string())


_Reader = Callable[[Path, Sequence[int], BadRows], Iterator[RowBlock]]
_FORMATS: dict[str, tuple[Callable[[Path], tuple[str, ...]], _Reader]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), (_csv_header, _csv_blocks)),
    **dict.fromkeys((".jsonl", ".ndjson"), (_json_header, _json_blocks)),
    **dict.fromkeys((".parquet", ".pq"), (_parquet_header, _parquet_blocks)),
}
TABLE_SUFFIXES = tuple(_FORMATS)
