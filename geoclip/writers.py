"""Answers as text: JSON Lines and CSV for programs, tables for people; and what a stopped run had answered."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from geoclip.answer import Answer
from geoclip.errors import InputError

CSV_COLUMNS = ("query", "rank", "lat", "lng", "probability", "score", "cell")


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


class Writer(Protocol):
    """Writes answers one by one."""

    def write(self, answer: Answer) -> None:
        """Write one answer; it is on its way out when this returns."""


class JsonLinesWriter:
    """One JSON object a line: `{"query", "predictions": [{"lat", "lng", "probability", "score", "cell"}, ...]}`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        record = {
            "query": answer.query,
            "predictions": [
                {
                    "lat": round(p.lat, 6),
                    "lng": round(p.lng, 6),
                    "probability": float(f"{p.probability:.6g}"),
                    "score": round(p.score, 6),
                    "cell": p.cell,
                }
                for p in answer.predictions
            ],
        }
        # names of bytes that are no UTF-8 must be escaped to be JSON
        self._stream.write(json.dumps(record, ensure_ascii=not _is_text(answer.query)) + "\n")
        self._stream.flush()


class CsvWriter:
    """One row a prediction, best first: query, rank, lat, lng, probability, score, cell."""

    def __init__(self, stream: TextIO, *, header: bool = True) -> None:
        self._stream = stream
        if header:
            stream.write(_csv_line(CSV_COLUMNS))

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        rows = (
            (answer.query, rank, f"{p.lat:.6f}", f"{p.lng:.6f}", f"{p.probability:.6g}", f"{p.score:.6f}", p.cell)
            for rank, p in enumerate(answer.predictions, 1)
        )
        self._stream.write("".join(_csv_line(row) for row in rows))
        self._stream.flush()


class TableWriter:
    """A small table a query, for a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, title_justify="left", header_style="dim")
        table.title = Text(one_line(answer.query), style="bold")
        for name in ("", "latitude", "longitude", "probability", "score"):
            table.add_column(name, justify="right", no_wrap=True)
        for rank, p in enumerate(answer.predictions, 1):
            link = f"https://www.openstreetmap.org/?mlat={p.lat:.5f}&mlon={p.lng:.5f}#map=12/{p.lat:.5f}/{p.lng:.5f}"
            cells = (f"{p.lat:.5f}", f"{p.lng:.5f}", f"{100 * p.probability:.2f} %", f"{p.score:.4f}")
            table.add_row(f"{rank}", *(Text(cell, style=f"link {link}") for cell in cells))
        self._console.print(table)


def open_writer(kind: Format, stream: TextIO, *, header: bool = True) -> Writer:
    """Return the writer of a format; `header` only matters for CSV, when a file is continued."""
    if kind is Format.JSONL:
        return JsonLinesWriter(stream)
    if kind is Format.CSV:
        return CsvWriter(stream, header=header)
    return TableWriter(stream)


def answered(path: Path, kind: Format) -> tuple[set[str], int]:
    """Return the queries answered in the file of a stopped run, and how many bytes of it to keep.

    A half-written last line is left out; so is the last query of a CSV, whose rows may not be complete.

    Raises:
        InputError: the file holds something else.
    """
    done: set[str] = set()
    keep = 0
    with path.open("rb") as file:
        if kind is Format.JSONL:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    done.add(json.loads(line.decode("utf-8", "surrogateescape"))["query"])
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(f"{path} holds something else than answers; choose another output.") from error
                keep += len(line)
            return done, keep
        last: str | None = None
        for position, row in _csv_rows(file):
            if last is None and tuple(row) != CSV_COLUMNS:
                raise InputError(f"{path} holds something else than answers; choose another output.")
            if last is None:
                last = ""
            elif row[0] != last:
                if last:
                    done.add(last)
                last, keep = row[0], position
            if not keep:
                keep = len(_csv_line(CSV_COLUMNS))
    return done, keep


def _csv_rows(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield each complete row and the byte at which it starts."""
    consumed = 0

    def lines() -> Iterator[str]:
        nonlocal consumed
        for line in file:
            if not line.endswith(b"\n"):
                return
            consumed += len(line)
            yield line.decode("utf-8", "surrogateescape")

    start = 0
    with suppress(csv.Error):  # the file ends inside a quoted name
        for row in csv.reader(lines(), strict=True):
            yield start, row
            start = consumed


def _csv_line(values: tuple[object, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def one_line(name: str) -> str:
    """Return a file name as a terminal can show it: bytes that are no UTF-8 and control characters escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
