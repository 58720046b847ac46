"""Which rows can be used: places on Earth of photos that have names; why the others cannot."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

REJECTED_ROWS = 10_000
"""Bad rows that are written down; the others are only counted."""
_NUMBER = r"(?i)^\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)\s*$"
_TEXT_LIMIT = 200


class Reason(StrEnum):
    """Why a row cannot be used. Of several, the first in this order is given."""

    RAGGED = "the row has another number of columns"
    NO_PHOTO = "there is no photo"
    NO_LABEL = "the labels have no such photo"
    MISSING = "a coordinate is missing"
    NOT_A_NUMBER = "a coordinate is not a number"
    NOT_FINITE = "a coordinate is not finite"
    LATITUDE = "latitude is not within -90 to 90"
    LONGITUDE = "longitude is not within -180 to 360"
    NULL_ISLAND = "exactly 0, 0"
    """What devices write that do not know where they are."""


class BadRow(NamedTuple):
    """A row that cannot be used, as it is written down."""

    row: int
    photo: str
    lat: str
    lng: str
    reason: Reason


@dataclass
class RowCounts:
    """What was read so far."""

    rows: int = 0
    bad: Counter[Reason] = field(default_factory=Counter)
    rejected: list[BadRow] = field(default_factory=list)

    def reject(self, row: int, reason: Reason, photo: object = "", lat: object = "", lng: object = "") -> None:
        """Count a bad row."""
        self.bad[reason] += 1
        if len(self.rejected) < REJECTED_ROWS:
            self.rejected.append(BadRow(row, _text(photo), _text(lat), _text(lng), reason))


def usable(
    numbers: NDArray[np.int64], names: pa.Array, lat: pa.Array, lng: pa.Array, tally: RowCounts
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Judge rows, counting all of them and noting the bad ones.

    Args:
        numbers: (N,) row numbers.
        names: (N,) binary; null or empty names no photo.
        lat: (N,) numbers, or binary texts that may be numbers.
        lng: likewise.
        tally: added to.

    Returns:
        (N,) which rows are good, and (N, 2) float64 degrees, longitude in [-180, 180); of bad rows without meaning.
    """
    tally.rows += len(numbers)
    parsed = [_parsed(column) for column in (lat, lng)]
    lats, lngs = (p.values for p in parsed)
    with np.errstate(invalid="ignore"):
        wrong = {
            Reason.NO_PHOTO: ~pc.greater(pc.fill_null(pc.binary_length(names), 0), 0).to_numpy(zero_copy_only=False),
            Reason.MISSING: parsed[0].missing | parsed[1].missing,
            Reason.NOT_A_NUMBER: parsed[0].not_a_number | parsed[1].not_a_number,
            Reason.NOT_FINITE: ~(np.isfinite(lats) & np.isfinite(lngs)),
            Reason.LATITUDE: np.abs(lats) > 90,
            Reason.LONGITUDE: (lngs < -180) | (lngs > 360),
            Reason.NULL_ISLAND: (lats == 0) & (lngs == 0),
        }
    bad = np.logical_or.reduce(list(wrong.values()))
    for row in np.flatnonzero(bad).tolist():
        reason = next(reason for reason, found in wrong.items() if found[row])
        tally.reject(int(numbers[row]), reason, *(column[row].as_py() for column in (names, lat, lng)))
    wrapped = np.where(lngs >= 180, lngs - 360, lngs)
    return ~bad, np.stack((lats, wrapped), axis=1)


class _Parsed(NamedTuple):
    values: NDArray[np.float64]
    """NaN where missing or not a number."""
    missing: NDArray[np.bool_]
    not_a_number: NDArray[np.bool_]


def _parsed(column: pa.Array) -> _Parsed:
    if not pa.types.is_binary(column.type):
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return _Parsed(values, missing, np.zeros(len(column), dtype=bool))
    filled = pc.fill_null(column, b"")
    missing = pc.match_substring_regex(filled, r"^\s*$").to_numpy(zero_copy_only=False)
    number = pc.match_substring_regex(filled, _NUMBER)  # such a text is ASCII, so it can be cast
    texts = pc.utf8_trim_whitespace(pc.if_else(number, filled, b"nan").cast(pa.string()))
    values = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return _Parsed(values, missing, ~missing & ~number.to_numpy(zero_copy_only=False))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value[: 4 * _TEXT_LIMIT].decode("utf-8", errors="replace")[:_TEXT_LIMIT]
    return "" if value is None else str(value)[:_TEXT_LIMIT]
