"""Columns of answers hold what their records hold, value by value."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoclip.answers.answer import Answer, Outsider, Promise
from geoclip.answers.record import record, significant
from geoclip.writers.answer_columns import Records, significant_all
from geoclip.writers.parquet import answer_table
from geoclip.writers.wording import utf8
from tests.helpers.answers import NAMES, bare, full


def as_records(answers: list[Answer]) -> list[dict[str, Any]]:
    """What `record` says, less what is not a column; bytes that are no UTF-8 escaped."""
    rows = [record(answer) for answer in answers]
    return [{name: in_utf8(value) for name, value in row.items() if name != "schema"} for row in rows]


def in_utf8(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: in_utf8(each) for name, each in value.items()}
    if isinstance(value, list):
        return [in_utf8(each) for each in value]
    return utf8(value) if isinstance(value, str) else value


def odd() -> list[Answer]:
    """Answers of which every part that can be unknown is known in one and unknown in another."""
    first = full(NAMES[0])
    promise = Promise(41, 0.1234567891, 0.5, 0.81, 0.97)
    outsiders = (Outsider("a.jpg", 0.000123456789, first.best.name), Outsider("b.jpg", 1.0, None))
    return [
        *map(full, NAMES),
        *map(bare, NAMES),
        replace(first, promise=promise, outsiders=outsiders, radius_50_km=math.inf),
        replace(first, query="\udce9t\udce9.jpg", predictions=(), cells=(), entropy_bits=math.nan, localizable=None),
        Answer("broken.jpg", error="This is not a photo."),
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_columns_are_the_records(at_once: bool) -> None:
    answers = odd()
    if at_once:
        assert answer_table(answers).to_pylist() == as_records(answers)
        return
    records = Records(Answer)
    for start in range(0, len(answers), 2):  # what was taken does not come again
        for answer in answers[start : start + 2]:
            records.add([answer])
        assert records.taken().to_pylist() == as_records(answers[start : start + 2])


def test_no_answers() -> None:
    table = answer_table([])
    assert table.num_rows == 0
    assert table.schema.field("cells").type == pa.list_(
        pa.struct([("cell", pa.string()), ("probability", pa.float64())])
    )


@given(
    st.lists(
        st.floats()
        | st.floats(0, 1)
        | st.decimals("0.0000001", "99999999", places=7).map(float)  # halves, and what is nearly one
        | st.integers(-20, 25).map(lambda power: 10.0**power),
        max_size=40,
    ),
    st.integers(1, 9),
)
def test_significant_digits_are_those_of_one_by_one(values: list[float], digits: int) -> None:
    found = significant_all(np.array(values, dtype=np.float64), digits).tolist()
    for value, rounded in zip(values, found, strict=True):
        expected = significant(value, digits) if math.isfinite(value) else value
        assert rounded == expected or (math.isnan(value) and math.isnan(rounded))
