"""Reads tables of true places and tables of answers, this program's own and those of other systems."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.evaluation.answer_table import AnswerTable
from geoclip.tables.coordinates import LAT_NAMES, LNG_NAMES, read_table
from geoclip.tables.labels import NAME_NAMES, Labels
from geoclip.writers.wording import utf8
from index.grid.sphere import Floats

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq")
NAMES = (*NAME_NAMES, "id")
"""Columns that can hold a photo's name, case ignored; the first that is there counts."""
_TRUE = (("true_lat", "gt_lat", *LAT_NAMES), ("true_lng", "true_lon", "gt_lng", "gt_lon", *LNG_NAMES))
_PREDICTED = (
    ("pred_lat", "predicted_lat", *LAT_NAMES),
    ("pred_lng", "pred_lon", "predicted_lng", "predicted_lon", *LNG_NAMES),
)
_OF_BEST = ("score", "nearby", "radius_50_km", "radius_90_km")


class Columns(NamedTuple):
    """Names of columns as asked for; None is found by its usual names."""

    name: str | None = None
    lat: str | None = None
    lng: str | None = None


USUAL = Columns()


def read_labels(path: Path, columns: Columns = USUAL) -> Labels:
    """Read true places from CSV, TSV, JSON Lines or Parquet.

    Raises:
        InputError: the file cannot be read, a column is missing, it has no rows, a coordinate is missing or out of
            range, or a name stands in two rows.
    """
    table = _table(path, columns)
    names, lat_lng = _names(table, columns.name, path), _lat_lng(table, columns, _TRUE, path)
    _check_true(lat_lng, path)
    if names is None:
        return Labels(None, lat_lng)
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if first.setdefault(name, row) != row:
            raise InputError(f"{path} has {name!r} in the rows {first[name] + 1} and {row + 1}; keep one of them.")
    return Labels(tuple(names), lat_lng)


def read_answers(path: Path, columns: Columns = USUAL) -> tuple[list[str] | None, AnswerTable]:
    """Read answers from CSV, TSV, JSON Lines or Parquet: those of `geoclip locate`, or any with a row a photo.

    Several rows of a photo are its places, best first, if a column `rank` orders them. Coordinates that are missing or
    out of range are no answer; longitudes up to 360 are wrapped. The columns score, nearby, radius_50_km and
    radius_90_km mean what they mean in this program's answers.

    Returns:
        The photos' names, None where the table has none; and the answers in that order.

    Raises:
        InputError: the file cannot be read, a column is missing, it has no rows, or a photo has several without rank.
    """
    table = _table(path, columns)
    names, lat_lng = _names(table, columns.name, path), _lat_lng(table, columns, _PREDICTED, path)
    if not len(lat_lng):
        raise InputError(f"{path} has no rows; give a photo and its predicted coordinates a line.")
    lat_lng[~(np.abs(lat_lng) <= (90, 360)).all(axis=1)] = np.nan
    lat_lng[:, 1] = np.where(np.abs(lat_lng[:, 1]) > 180, (lat_lng[:, 1] + 180) % 360 - 180, lat_lng[:, 1])
    rank = _numbers(table, "rank", path)
    if names is None:
        photo, distinct = np.arange(len(lat_lng)), None
    else:
        encoded = pa.array(names, pa.string()).dictionary_encode()
        photo, distinct = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    order, place = _ranked(photo, rank, distinct, path)
    answers = AnswerTable.blank(int(photo.max()) + 1, int(place.max()) + 1)
    answers.places[photo[order], place] = lat_lng[order]
    best = order[place == 0]
    values = {name: column[best] for name in _OF_BEST if (column := _numbers(table, name, path)) is not None}
    return distinct, replace(answers, seen=np.ones(len(answers.seen), dtype=bool), **values)


def read_places(path: Path) -> Floats:
    """Read the coordinates (N, 2) of a gallery, in degrees.

    Raises:
        InputError: the file cannot be read, a column is missing, it has no rows, or a coordinate is missing or out of
            range.
    """
    lat_lng = _lat_lng(_table(path, USUAL), USUAL, (LAT_NAMES, LNG_NAMES), path)
    _check_true(lat_lng, path)
    return lat_lng


def _check_true(lat_lng: Floats, path: Path) -> None:
    if not len(lat_lng):
        raise InputError(f"{path} has no rows; give a place's coordinates a line, after a line of column names.")
    bad = np.flatnonzero(~(np.abs(lat_lng) <= (90, 180)).all(axis=1))
    if len(bad):
        raise InputError(
            f"{path}: row {bad[0] + 1} has the coordinates {lat_lng[bad[0]].tolist()}; latitudes are -90 to 90, "
            "longitudes -180 to 180; correct the row or leave it out."
        )


def _ranked(
    photo: NDArray[np.int64], rank: Floats | None, names: list[str] | None, path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows by photo and rank, and for each of these its place among the photo's, from 0."""
    order = np.lexsort((np.zeros(len(photo)) if rank is None else rank, photo))
    by_photo = photo[order]
    place = np.arange(len(photo)) - np.searchsorted(by_photo, by_photo)
    if rank is None and names is not None and place.any():
        name = names[by_photo[int(np.argmax(place > 0))]]
        raise InputError(f"{path} has several rows for {name!r}; keep one, or order them by a column called rank.")
    return order, place


def _table(path: Path, columns: Columns) -> pa.Table:
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv", ".txt"):
            return _read_csv(path, "\t" if suffix == ".tsv" else ",", columns.name)
        if suffix in (".jsonl", ".ndjson"):
            return _flat(_json_lines(path))
        if suffix in TABLE_SUFFIXES:
            table = read_table(path)
            return _flat(table.to_pylist()) if "predictions" in table.column_names else table
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        said = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as a table: {said}; give a whole file of the format that its suffix names."
        ) from error
    raise InputError(f"{path} is not a table this program reads; give one of {', '.join(TABLE_SUFFIXES)}.")


def _read_csv(path: Path, delimiter: str, name: str | None) -> pa.Table:
    """Read a CSV file; names stay text, even those that look like numbers or dates."""
    parse = pa_csv.ParseOptions(delimiter=delimiter)
    with pa_csv.open_csv(path, parse_options=parse) as stream:
        header = stream.schema.names
    text = {column: pa.string() for column in header if column == name or column.strip().lower() in NAMES}
    return pa_csv.read_csv(path, parse_options=parse, convert_options=pa_csv.ConvertOptions(column_types=text))


def _json_lines(path: Path) -> list[dict[str, Any]]:
    records = []
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                records.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} is no JSON object ({error})") from error
    return records


def _flat(records: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return this program's answers with a row a prediction; a photo without any has one, and no place."""
    rows = []
    for record in records:
        whole = {key: value for key, value in record.items() if not isinstance(value, list | dict)}
        predictions = record.get("predictions") or [{}]
        if not (isinstance(predictions, list) and all(isinstance(each, dict) for each in predictions)):
            raise ValueError(f"predictions are {predictions!r:.60} and no list of objects with lat and lng")
        for rank, prediction in enumerate(predictions, 1):
            place = {key: value for key, value in prediction.items() if not isinstance(value, list | dict)}
            rows.append(whole | place | ({"rank": rank} if "predictions" in record else {}))
    columns = dict.fromkeys(key for row in rows for key in row)
    return pa.table({key: _array([row.get(key) for row in rows]) for key in columns})


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError):  # of several types, or names that are no UTF-8
        return pa.array([None if value is None else utf8(str(value)) for value in values])


def _names(table: pa.Table, asked: str | None, path: Path) -> list[str] | None:
    column = _found(table, asked, NAMES, path)
    if column is None:
        return None
    names = ["" if value is None else str(value) for value in table[column].to_pylist()]
    if "" in names:
        raise InputError(f"{path}: row {names.index('') + 1} has no name in the column {column}; name every photo.")
    return names


def _lat_lng(table: pa.Table, columns: Columns, usual: tuple[tuple[str, ...], tuple[str, ...]], path: Path) -> Floats:
    found = []
    for asked, names in zip((columns.lat, columns.lng), usual, strict=True):
        column = _found(table, asked, names, path)
        if column is None:
            raise InputError(
                f"{path} has the columns {', '.join(table.column_names)}; one of {', '.join(names)} is needed, or "
                "name the column with an option."
            )
        found.append(_as_numbers(table, column, path))
    return np.stack(found, axis=1)


def _found(table: pa.Table, asked: str | None, usual: tuple[str, ...], path: Path) -> str | None:
    """Return the column asked for, or the first of the usual ones that is there, case ignored."""
    if asked is not None:
        if asked not in table.column_names:
            raise InputError(f"{path} has no column {asked!r}; it has {', '.join(table.column_names)}.")
        return _only(table, asked, path)
    known = {column.strip().lower(): column for column in reversed(table.column_names)}
    return next((_only(table, known[name], path) for name in usual if name in known), None)


def _only(table: pa.Table, column: str, path: Path) -> str:
    if (count := table.column_names.count(column)) > 1:
        raise InputError(f"{path} has {count} columns called {column!r}; rename all but one of them.")
    return column


def _numbers(table: pa.Table, column: str, path: Path) -> Floats | None:
    """Return an optional column; None where it is absent or holds no numbers, and so means something else."""
    kind = table.schema.field(_only(table, column, path)).type if column in table.column_names else None
    numeric = kind is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))
    return _as_numbers(table, column, path) if numeric else None


def _as_numbers(table: pa.Table, column: str, path: Path) -> Floats:
    try:
        return np.array(table[column].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowException as error:
        said = str(error).splitlines()[0]
        raise InputError(
            f"{path}: column {column} holds something that is no number: {said}; correct it, or name another column."
        ) from error
