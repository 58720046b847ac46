"""Reads tables of true places and tables of answers, this program's own and those of other systems."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.evaluation.answer_table import AnswerTable
from geoclip.tables.bad_rows import BadRows, OnProblem, Reason, logged
from geoclip.tables.columns import LABELS, PREDICTIONS, Columns
from geoclip.tables.coordinates import Numbers, as_text, judge, judged_blocks, numbers_in
from geoclip.tables.labels import Labels
from geoclip.tables.rows import Table, open_table, text_of
from index.grid.sphere import Floats

_VALUES = ("rank", "score", "nearby", "radius_50_km", "radius_90_km")
_NESTED = "predictions"


def read_labels(path: Path, columns: Columns = LABELS) -> Labels:
    """Read true places; see `Labels.read`.

    Raises:
        InputError: they cannot be read, a row is not a place, or a name stands in two rows.
    """
    labels = Labels.read(path, columns)
    first: dict[str, int] = {}
    for row, name in enumerate(labels.names or (), 1):
        if first.setdefault(name, row) != row:
            raise InputError(f"{path} has {name!r} in the rows {first[name]} and {row}; keep one of them.")
    return labels


def read_answers(
    path: Path, columns: Columns = PREDICTIONS, *, on_problem: OnProblem = logged
) -> tuple[list[str] | None, AnswerTable]:
    """Read answers: those of `geoclip locate`, or any table with a row a photo.

    Several rows of a photo are its places, best first, if a column `rank` orders them. A row that is not a place (see
    `Reason`) is no answer. The columns score, nearby, radius_50_km and radius_90_km mean what they mean in this
    program's answers.

    Returns:
        The photos' names, None where the table has none; and the answers in that order.

    Raises:
        InputError: the file cannot be read, a column is missing, it has no rows, or a photo has several without rank.
    """
    table, bad = open_table(path), BadRows()
    parts = list(_nested(table, columns, bad) if _NESTED in table.columns else _flat(table, columns, bad))
    bad.settle(path, then="They count as no answer.", on_problem=on_problem)
    lat_lng, values = np.concatenate([part.lat_lng for part in parts]), _joined(parts)
    names = None if parts[0].names is None else pa.chunked_array([part.names for part in parts])
    if names is None:
        photo, distinct = np.arange(len(lat_lng)), None
    else:
        encoded = names.combine_chunks().dictionary_encode()
        photo, distinct = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    order, place = _ranked(photo, values.pop("rank", None), distinct, path)
    answers = AnswerTable.blank(int(photo.max()) + 1, int(place.max()) + 1)
    answers.places[photo[order], place] = lat_lng[order]
    best = order[place == 0]
    seen = np.ones(len(answers.seen), dtype=bool)
    return distinct, replace(answers, seen=seen, **{name: column[best] for name, column in values.items()})


class _Part(NamedTuple):
    """Some predictions as they stand in a table."""

    names: pa.Array | None
    lat_lng: Floats
    """(N, 2) degrees; NaN where there is no place."""
    values: dict[str, Numbers]
    """Columns of `_VALUES` that the table has."""


def _flat(table: Table, columns: Columns, bad: BadRows) -> Iterator[_Part]:
    """Yield the predictions of a table with one a row."""
    names = [name for name in _VALUES if name in table.columns]
    for name in names:
        if (count := table.columns.count(name)) > 1:
            raise InputError(f"{table.path} has {count} columns called {name!r}; rename all but one of them.")
    more = [table.columns.index(name) for name in names]
    for judged, values in judged_blocks(table, columns.find(table.columns, table.path), bad, more):
        found = dict(zip(names, map(numbers_in, values), strict=True))
        if judged.names is None:
            yield _Part(None, judged.lat_lng, found)
            continue
        named = np.array(pc.not_equal(pc.fill_null(judged.names, ""), ""), dtype=bool)
        kept = {name: Numbers(*(each[named] for each in numbers)) for name, numbers in found.items()}
        yield _Part(judged.names.filter(pa.array(named)), judged.lat_lng[named], kept)


def _nested(table: Table, columns: Columns, bad: BadRows) -> Iterator[_Part]:
    """Yield the predictions of this program's answers, a row a photo; a photo without any has one, and no place."""
    photo = columns.find_photo(table.columns, table.path)
    if photo is None:
        raise columns.no_photo(table.columns, table.path)
    whole = [name for name in _VALUES if name in table.columns]
    wanted = [photo, table.columns.index(_NESTED), *(table.columns.index(name) for name in whole)]
    for rows, block in table.blocks(wanted, bad):
        flat, names = [], as_text(block[0])
        for photo_at, (name, text) in enumerate(zip(names.to_pylist(), block[1].to_pylist(), strict=True)):
            if not name:
                bad.reject(int(rows[photo_at]), Reason.NO_PHOTO)
                continue
            for rank, prediction in enumerate(_predictions(text, table.path, int(rows[photo_at])) or [{}], 1):
                flat.append({"at": photo_at, "rank": rank, **prediction})
        at = np.array([each["at"] for each in flat], dtype=np.int64)
        lat, lng = (pa.array([text_of(each.get(part)) for each in flat], pa.string()) for part in ("lat", "lng"))
        judged = judge(rows[at], None, lat, lng, BadRows())
        values = {name: numbers_in(column.take(pa.array(at))) for name, column in zip(whole, block[2:], strict=True)}
        values |= {
            name: numbers_in(pa.array([text_of(each.get(name)) for each in flat], pa.string()))
            for name in ("rank", "score", "nearby")
        }
        yield _Part(names.take(pa.array(at)), judged.lat_lng, values)


def _predictions(text: str | None, path: Path, row: int) -> list[dict[str, Any]]:
    found = None if text is None else json.loads(text)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(
            f"{path}: the predictions of row {row} are {text:.60}; expected a list of objects with lat and lng."
        )
    return found


def _joined(parts: Sequence[_Part]) -> dict[str, Floats]:
    """Return the columns of numbers (N,); those that hold anything else mean something else, and are left out."""
    columns = {name: [part.values[name] for part in parts] for name in parts[0].values}
    return {
        name: np.concatenate([numbers.values for numbers in column])
        for name, column in columns.items()
        if not any(numbers.not_a_number.any() for numbers in column)
    }


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
