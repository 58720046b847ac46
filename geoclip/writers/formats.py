"""The formats of answers, and what every writer does."""

import pkgutil
from abc import ABC, abstractmethod
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, Self, TextIO

from geoclip.answers.answer import Answer


class Format(StrEnum):
    """How answers are written. A new format is a module beside this one and a line here.

    The line: the format's name, its writer, the suffixes of its files, and whether a stopped run can go on with a file.
    """

    TABLE = "table", "table:TableWriter"
    JSONL = "jsonl", "jsonl:JsonLinesWriter", (".jsonl", ".ndjson"), True
    CSV = "csv", "csv:CsvWriter", (".csv",), True
    EXIFTOOL = "exiftool", "exiftool:ExiftoolWriter", (".exiftool.csv",), True
    GEOJSON = "geojson", "geojson:GeoJsonWriter", (".geojson",)
    KML = "kml", "kml:KmlWriter", (".kml",)
    PARQUET = "parquet", "parquet:ParquetWriter", (".parquet",)

    _writer: str
    suffixes: tuple[str, ...]
    resumable: bool
    """Whether a file can be gone on with; others are written whole or not at all."""

    def __new__(cls, name: str, writer: str = "", suffixes: tuple[str, ...] = (), resumable: bool = False) -> Self:
        """Make a format of its line."""
        self = str.__new__(cls, name)
        self._value_, self._writer, self.suffixes, self.resumable = name, writer, suffixes, resumable
        return self

    def writer(self, stream: TextIO) -> "Writer":
        """Return a new writer to an open stream, which stays open; its module is loaded now."""
        made: Writer = pkgutil.resolve_name(f"geoclip.writers.{self._writer}")(stream)
        return made


class Writer(ABC):
    """Writes answers one by one to a stream.

    Leaving it as a context manager closes it, but not the stream; after an error nothing more is written.

    Args:
        stream: UTF-8 with `surrogateescape`, line ends as they are; a format of bytes writes to its `buffer`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    head: ClassVar[str] = ""
    tail: ClassVar[str] = ""

    def begin(self) -> None:
        """Write what stands at the beginning of a file."""
        self._stream.write(self.head)

    @abstractmethod
    def write(self, answer: Answer) -> None:
        """Write one answer."""

    def close(self) -> None:
        """Write what belongs at the end."""
        self._stream.write(self.tail)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            self._stream.flush()
