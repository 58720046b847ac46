"""The formats of answers, and what every writer does."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from enum import StrEnum
from types import TracebackType
from typing import Self

from geoclip.answers.answer import Answer


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    GEOJSON = "geojson"
    KML = "kml"
    PARQUET = "parquet"


RESUMABLE = frozenset({Format.JSONL, Format.CSV})
"""Formats that a stopped run can go on with; the others are written whole or not at all."""

FILES_ONLY = frozenset({Format.KML, Format.PARQUET})
"""Formats that do not go to stdout."""


class Writer(ABC):
    """Writes answers one by one.

    Leaving it as a context manager closes it; after an error, a file that is written whole is not made.
    """

    def __init__(self) -> None:
        self._resources = ExitStack()

    @abstractmethod
    def write(self, answer: Answer) -> None:
        """Write one answer; of JSON Lines, CSV and tables, it is on its way out when this returns."""

    def close(self) -> None:
        """Write what belongs at the end, and give a file that is written whole its name; once.

        Raises:
            InputError: the disk is full or the place cannot be written.
        """
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._resources.__exit__(kind, error, trace)


def one_line(name: str) -> str:
    """Return a file name as a terminal can show it: bytes that are no UTF-8 and control characters escaped."""
    text = utf8(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def utf8(name: str) -> str:
    """Return a file name as text that every format can hold: bytes that are no UTF-8 escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
