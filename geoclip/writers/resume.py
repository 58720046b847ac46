"""What a stopped run had answered: read back from its JSON Lines or CSV."""

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from geoclip.errors import InputError
from geoclip.writers.csv import CSV_COLUMNS, csv_line
from geoclip.writers.formats import RESUMABLE, Format
from geoclip.writers.record import SCHEMA


def answered(path: Path, kind: Format) -> tuple[set[str], int]:
    """Return the queries answered in the file of a stopped run, and how many bytes of it to keep.

    A half-written last line is left out; so is the last query of a CSV, whose rows may not be complete.

    Raises:
        InputError: the file holds something else, or answers of another version; or the format cannot be continued.
    """
    if kind not in RESUMABLE:
        raise InputError(
            f"A file of the format {kind} is written whole and cannot be continued with --resume; leave --resume out, "
            "or write .jsonl or .csv."
        )
    with path.open("rb") as file:
        return _of_json_lines(path, file) if kind is Format.JSONL else _of_csv(path, file)


def _of_json_lines(path: Path, file: BinaryIO) -> tuple[set[str], int]:
    done: set[str] = set()
    keep = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        try:
            answer = json.loads(line.decode("utf-8", "surrogateescape"))
            schema, query = answer["schema"], answer["query"]
        except (ValueError, KeyError, TypeError) as error:
            raise _something_else(path) from error
        if schema != SCHEMA:
            raise _something_else(path)
        done.add(query)
        keep += len(line)
    return done, keep


def _of_csv(path: Path, file: BinaryIO) -> tuple[set[str], int]:
    done: set[str] = set()
    keep = 0
    last: str | None = None
    for position, row in _csv_rows(file):
        if last is None and tuple(row) != CSV_COLUMNS:
            raise _something_else(path)
        if last is None:
            last = ""
        elif row[0] != last:
            if last:
                done.add(last)
            last, keep = row[0], position
        if not keep:
            keep = len(csv_line(CSV_COLUMNS))
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


def _something_else(path: Path) -> InputError:
    return InputError(f"{path} holds something else than answers of this version; choose another output.")
