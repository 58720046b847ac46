"""Answers as Parquet: a row a query, lists of structs for what there are several of."""

import json
from collections.abc import Iterable
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from geoclip.answers.answer import Answer
from geoclip.answers.record import SCHEMA, FieldKind, fields_of, record
from geoclip.writers.formats import Writer
from geoclip.writers.wording import utf8

GROUP_ROWS = 1000
"""Answers in a row group: as many wait in memory."""

_NAMES = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}


def _type(kind: FieldKind) -> pa.DataType:
    if kind.many:
        return pa.list_(_type(kind._replace(many=False)))
    if fields := fields_of(kind.base):
        return pa.struct([(each.written.name or name, _type(each)) for name, each in fields.items()])
    return next(_NAMES[base] for base in kind.base.__mro__ if base in _NAMES)


_COLUMNS = pa.schema(list(_type(FieldKind(Answer))), metadata={b"geoclip": json.dumps({"schema": SCHEMA}).encode()})


class ParquetWriter(Writer):
    """The fields of `answer.schema.json` as columns; what is not known is null.

    `schema` stands in the file's metadata, under the key `geoclip`. Bytes of names that are no UTF-8 are escaped.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[dict[str, Any]] = []

    def begin(self) -> None:
        """See `Writer.begin`."""
        self._file = pq.ParquetWriter(self._stream.buffer, _COLUMNS)

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        self._waiting.append(_row(answer))
        if len(self._waiting) == GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """See `Writer.close`."""
        if self._waiting:
            self._write_group()
        self._file.close()

    def __exit__(self, *error: Any) -> None:
        """After an error too, the file is closed."""
        super().__exit__(*error)
        self._file.close()

    def _write_group(self) -> None:
        self._file.write_table(pa.Table.from_pylist(self._waiting, schema=_COLUMNS))
        self._waiting = []


def answer_table(answers: Iterable[Answer]) -> pa.Table:
    """Return answers with the columns that files of them have."""
    return pa.Table.from_pylist([_row(answer) for answer in answers], schema=_COLUMNS)


def _row(answer: Answer) -> dict[str, Any]:
    row = record(answer)
    return _as_utf8(row) | {"searched": _as_utf8(row["searched"])}


def _as_utf8(values: dict[str, Any]) -> dict[str, Any]:
    return {key: utf8(value) if isinstance(value, str) else value for key, value in values.items()}
