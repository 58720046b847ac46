"""Answers as Parquet: a row a query, lists of structs for what there are several of."""

import json
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from geoclip.answers.answer import Answer
from geoclip.writers.formats import Writer, utf8
from geoclip.writers.record import SCHEMA, record

GROUP_ROWS = 1000
"""Answers in a row group: as many wait in memory."""

_TEXT, _NUMBER, _TRUTH = pa.string(), pa.float64(), pa.bool_()


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


_PLACE = _struct(city=_TEXT, region=_TEXT, country=_TEXT, code=_TEXT)
_PREDICTION = _struct(
    lat=_NUMBER, lng=_NUMBER, probability=_NUMBER, score=_NUMBER, cell=_TEXT, nearby=_NUMBER, place=_PLACE
)
_AREAS = pa.list_(_struct(name=_TEXT, within=_TEXT, code=_TEXT, probability=_NUMBER))
_SEARCHED = _struct(
    candidates=_TEXT,
    index=_TEXT,
    index_digest=_TEXT,
    constraint=_TEXT,
    resolution=pa.int32(),
    effort=_TEXT,
    prior_weight=_NUMBER,
    temperature=_NUMBER,
    point=_TEXT,
    calibrated=_TRUTH,
)
_COLUMNS = pa.schema(
    {
        "query": _TEXT,
        "error": _TEXT,
        "predictions": pa.list_(_PREDICTION),
        "radius_50_km": _NUMBER,
        "radius_90_km": _NUMBER,
        "countries": _AREAS,
        "regions": _AREAS,
        "cities": _AREAS,
        "cells": pa.list_(_struct(cell=_TEXT, probability=_NUMBER)),
        "entropy_bits": _NUMBER,
        "threshold_bits": _NUMBER,
        "localizable": _TRUTH,
        "estimated": _NUMBER,
        "gps": _struct(lat=_NUMBER, lng=_NUMBER, distance_km=_NUMBER),
        "calibrated": _TRUTH,
        "searched": _SEARCHED,
    },
    metadata={b"geoclip": json.dumps({"schema": SCHEMA}).encode()},
)


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
        row = record(answer)
        self._waiting.append(_as_utf8(row) | {"searched": _as_utf8(row["searched"])})
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


def _as_utf8(values: dict[str, Any]) -> dict[str, Any]:
    return {key: utf8(value) if isinstance(value, str) else value for key, value in values.items()}
