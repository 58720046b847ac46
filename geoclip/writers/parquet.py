"""Answers as Parquet: a row a query, lists of structs for what there are several of."""

import json
from collections.abc import Iterable
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from geoclip.answers.answer import Answer
from geoclip.answers.record import SCHEMA
from geoclip.writers.answer_columns import Records
from geoclip.writers.formats import Writer

GROUP_ROWS = 1000
"""Answers in a row group: as many wait in memory."""

_COLUMNS = pa.schema(list(Records(Answer).type), metadata={b"geoclip": json.dumps({"schema": SCHEMA}).encode()})


class ParquetWriter(Writer):
    """The fields of `answer.schema.json` as columns; what is not known is null.

    `schema` stands in the file's metadata, under the key `geoclip`. Bytes of names that are no UTF-8 are escaped.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting, self._count = Records(Answer), 0

    def begin(self) -> None:
        """See `Writer.begin`."""
        self._file = pq.ParquetWriter(self._stream.buffer, _COLUMNS)

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        self._waiting.add([answer])
        self._count += 1
        if self._count == GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """See `Writer.close`."""
        if self._count:
            self._write_group()
        self._file.close()

    def __exit__(self, *error: Any) -> None:
        """After an error too, the file is closed."""
        super().__exit__(*error)
        self._file.close()

    def _write_group(self) -> None:
        self._file.write_table(_table(self._waiting))
        self._count = 0


def answer_table(answers: Iterable[Answer]) -> pa.Table:
    """Return answers with the columns that files of them have."""
    records = Records(Answer)
    records.add(list(answers))
    return _table(records)


def _table(records: Records) -> pa.Table:
    return pa.Table.from_arrays([column.taken() for column in records.columns], schema=_COLUMNS)
