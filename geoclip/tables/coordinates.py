"""Places in tables: read from every format, judged by one rule; and written as Parquet."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.bad_rows import BadRow, BadRows, OnBadRows, OnProblem, Reason, logged
from geoclip.tables.columns import USUAL, Columns, Found
from geoclip.tables.rows import Table, open_table

_NUMBER = r"(?i)^[+-]?((\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?|inf(inity)?|nan)$"
_REASONS = tuple(Reason)


class PhotoNames(StrEnum):
    """What a reader of places does with the names of photos."""

    IGNORE = "ignore"
    """Rows are places, whatever they are of."""
    TAKE = "take"
    """They are read if a column holds them; a row without one then cannot be used."""
    NEED = "need"
    """A table without such a column is refused."""


class Places(NamedTuple):
    """Some rows of a table that are places."""

    rows: NDArray[np.int64]
    """(N,) numbers in the file, from 1."""
    lat_lng: NDArray[np.float64]
    """(N, 2) degrees, longitude in [-180, 180)."""
    names: pa.Array | None
    """(N,) text, of photos; None where no column names them, or nobody asked."""


def read_places(
    path: Path,
    columns: Columns = USUAL,
    bad: BadRows | None = None,
    *,
    photos: PhotoNames = PhotoNames.IGNORE,
    policy: OnBadRows = OnBadRows.SKIP,
    on_problem: OnProblem = logged,
) -> Iterator[Places]:
    """Yield the places in a table, block by block.

    Args:
        path: .csv, .tsv, .txt, .jsonl, .ndjson, .parquet or .pq; see `geoclip.tables.rows`.
        columns: where they stand.
        bad: rows that are not places are noted here, see `Reason`, and settled by the caller. None settles them when
            the last block has been taken.
        photos: what is done with their names.
        policy: what is done about bad rows if they are settled here.
        on_problem: told of bad rows that are skipped.

    Raises:
        InputError: the file cannot be read, a column is missing or ambiguous, columns y and x hold no degrees; and what
            `BadRows.settle` raises.
    """
    table, noted = open_table(path), BadRows() if bad is None else bad
    found = columns.find(table.columns, path, photo=photos is not PhotoNames.IGNORE)
    if photos is PhotoNames.NEED and found.photo is None:
        raise columns.no_photo(table.columns, path)
    for judged, _ in judged_blocks(table, found, noted):
        yield judged.places()
    if bad is None:
        noted.settle(path, policy, on_problem=on_problem)


def read_lat_lng(
    path: Path,
    columns: Columns = USUAL,
    *,
    policy: OnBadRows = OnBadRows.REFUSE,
    on_problem: OnProblem = logged,
) -> NDArray[np.float64]:
    """Return the coordinates (N, 2) of a table, in degrees, N at least 1; see `read_places`."""
    blocks = read_places(path, columns, policy=policy, on_problem=on_problem)
    return np.concatenate([places.lat_lng for places in blocks])


def write_lat_lng(path: Path, lat_lng: NDArray[np.float32]) -> None:
    """Write coordinates as Parquet with the released column names LAT and LON."""
    pq.write_table(pa.table({"LAT": lat_lng[:, 0], "LON": lat_lng[:, 1]}), path)


class Judged(NamedTuple):
    """Some rows of a table, places or not."""

    rows: NDArray[np.int64]
    """(N,) numbers in the file, from 1."""
    lat_lng: NDArray[np.float64]
    """(N, 2) degrees, longitude in [-180, 180); NaN where the row is not a place."""
    names: pa.Array | None
    """(N,) text."""
    good: NDArray[np.bool_]
    """(N,) whether the row is a place."""

    def places(self) -> Places:
        """Return those that are places."""
        if self.good.all():
            return Places(self.rows, self.lat_lng, self.names)
        names = None if self.names is None else self.names.filter(pa.array(self.good))
        return Places(self.rows[self.good], self.lat_lng[self.good], names)


def judged_blocks(
    table: Table, found: Found, bad: BadRows, more: Sequence[int] = ()
) -> Iterator[tuple[Judged, tuple[pa.Array, ...]]]:
    """Yield the rows of a table with further columns, places or not; see `read_places`."""
    wanted = list(dict.fromkeys((found.lat, found.lng, *(() if found.photo is None else (found.photo,)), *more)))
    for numbers, columns in table.blocks(wanted, bad):
        by_position = dict(zip(wanted, columns, strict=True))
        names = None if found.photo is None else as_text(by_position[found.photo])
        judged = judge(numbers, names, by_position[found.lat], by_position[found.lng], bad)
        if found.plane:
            refuse_plane(table.path, bad)
        yield judged, tuple(by_position[at] for at in more)


def judge(rows: NDArray[np.int64], names: pa.Array | None, lat: pa.Array, lng: pa.Array, bad: BadRows) -> Judged:
    """Judge rows, and note those that are not places.

    Args:
        rows: (N,) numbers in the file, from 1; counted by the caller.
        names: (N,) text; null or empty names no photo. None asks for no names.
        lat: (N,) numbers, or text that may be numbers.
        lng: likewise.
        bad: added to.
    """
    lats, lngs = numbers_in(lat), numbers_in(lng)
    no_photo = np.zeros(len(rows), dtype=bool) if names is None else _array(pc.equal(pc.fill_null(names, ""), ""))
    with np.errstate(invalid="ignore"):
        wrong = {
            Reason.NO_PHOTO: no_photo,
            Reason.MISSING: lats.missing | lngs.missing,
            Reason.NOT_A_NUMBER: lats.not_a_number | lngs.not_a_number,
            Reason.NOT_FINITE: ~(np.isfinite(lats.values) & np.isfinite(lngs.values)),
            Reason.LATITUDE: np.abs(lats.values) > 90,
            Reason.LONGITUDE: (lngs.values < -180) | (lngs.values > 360),
            Reason.NULL_ISLAND: (lats.values == 0) & (lngs.values == 0),
        }
        exchanged = wrong[Reason.LATITUDE] & (np.abs(lats.values) <= 360) & (np.abs(lngs.values) <= 90)
    bad.exchanged += int(exchanged.sum())
    first = np.full(len(rows), -1, dtype=np.int8)
    for reason in reversed(wrong):
        first[wrong[reason]] = _REASONS.index(reason)
    none = first >= 0
    for code, count in zip(*np.unique(first[none], return_counts=True), strict=True):
        bad.counts[_REASONS[code]] += int(count)
    for row in np.flatnonzero(none)[: bad.room].tolist():
        name = "" if names is None else names[row].as_py()
        bad.listed.append(BadRow(int(rows[row]), name, lat[row].as_py(), lng[row].as_py(), _REASONS[first[row]]))
    wrapped = np.where(lngs.values >= 180, lngs.values - 360, lngs.values)
    lat_lng = np.stack((lats.values, wrapped), axis=1)
    lat_lng[none] = np.nan
    return Judged(rows, lat_lng, names, ~none)


def as_text(column: pa.Array) -> pa.Array:
    """Return names as text; whole numbers as their digits."""
    if pa.types.is_floating(column.type):
        with suppress(pa.ArrowInvalid):  # not all are whole
            column = column.cast(pa.int64())
    return column.cast(pa.string())


class Numbers(NamedTuple):
    """A column read as numbers."""

    values: NDArray[np.float64]
    """(N,); NaN where missing or not a number."""
    missing: NDArray[np.bool_]
    not_a_number: NDArray[np.bool_]


def numbers_in(column: pa.Array) -> Numbers:
    """Read a column of numbers, or of text that may be numbers: 48.85, 48,85, +4.885e1, nan."""
    none = np.zeros(len(column), dtype=bool)
    if not pa.types.is_string(column.type):
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return Numbers(np.array(values), _array(pc.is_null(column)), none)
    try:
        return Numbers(
            np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False)), _array(pc.is_null(column)), none
        )
    except pa.ArrowInvalid:  # a text among them that has to be looked at
        texts = pc.utf8_trim_whitespace(pc.fill_null(column, ""))
    missing, number = _array(pc.equal(texts, "")), pc.match_substring_regex(texts, _NUMBER)
    values = pc.replace_substring(pc.if_else(number, texts, "nan"), ",", ".")
    values = pc.replace_substring_regex(values, r"^\+", "").cast(pa.float64())
    return Numbers(np.array(values.to_numpy(zero_copy_only=False)), missing, ~missing & ~_array(number))


def _array(flags: pa.Array) -> NDArray[np.bool_]:
    return np.array(flags.to_numpy(zero_copy_only=False), dtype=bool)


def refuse_plane(path: Path, bad: BadRows) -> None:
    """Raise InputError where columns y and x, which nobody asked for, hold what cannot be degrees."""
    if not bad.counts[Reason.LATITUDE] + bad.counts[Reason.LONGITUDE]:
        return
    row = next((each for each in bad.listed if each.reason in (Reason.LATITUDE, Reason.LONGITUDE)), None)
    where = f" {row.lat}, {row.lng} in row {row.row}" if row else " other numbers"
    raise InputError(
        f"{path} has no columns lat and lng, and its columns y and x hold{where}: "
        "pixels or projected coordinates, not degrees; add columns lat and lng in degrees."
    )
