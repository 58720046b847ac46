"""What the arguments of an evaluation are: tables of answers, files of vectors, or photos."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from geoclip.errors import InputError
from geoclip.tables.columns import PREDICTIONS, Columns, PredictionColumns
from geoclip.tables.rows import TABLE_SUFFIXES
from geoclip.tables.vector_file import VECTOR_SUFFIXES
from geoclip.tables.vectors import VECTOR


class InputKind(StrEnum):
    """What a system's answers are made from."""

    PHOTOS = "photos"
    VECTORS = "vectors"
    PREDICTIONS = "predictions"


class EvaluationInput(NamedTuple):
    """What one system's answers come from."""

    kind: InputKind
    paths: tuple[str, ...]
    """Photos and folders; one file otherwise."""
    name: str
    """The path as given; numbered where a path is given twice."""
    columns: Columns = PREDICTIONS
    """Of a table of answers."""


def evaluation_inputs(inputs: Sequence[str], asked: Sequence[Sequence[str]] = ((), (), ())) -> list[EvaluationInput]:
    """Sort the arguments of a command; all photos and folders together are one source, in the place of the first.

    Args:
        inputs: one or more paths.
        asked: names of the columns of tables of answers: for the photo, the latitude and the longitude each none, one
            for all tables, or one for each table in order.

    Raises:
        InputError: a file of vectors or answers is absent, or column names are neither one nor as many as the tables.
    """
    if "-" in inputs:
        raise InputError("Photos on stdin have no name to be found in the labels by; name files or folders.")
    kinds = [_kind(path) for path in inputs]
    tables = kinds.count(InputKind.PREDICTIONS)
    columns = iter([PredictionColumns(*(_nth(names, at, tables) for names in asked)) for at in range(tables)])
    _check(asked, tables)
    found: list[EvaluationInput] = []
    photos = tuple(path for path, kind in zip(inputs, kinds, strict=True) if kind is InputKind.PHOTOS)
    for path, kind in zip(inputs, kinds, strict=True):
        if kind is InputKind.PREDICTIONS:
            found.append(EvaluationInput(kind, (path,), path, next(columns)))
        elif kind is InputKind.VECTORS:
            found.append(EvaluationInput(kind, (path,), path))
        elif path == photos[0] and all(each.kind is not kind for each in found):
            found.append(
                EvaluationInput(kind, photos, path if len(photos) == 1 else f"{path} and {len(photos) - 1} more")
            )
    return _numbered(found)


def _kind(path: str) -> InputKind:
    suffix = Path(path).suffix.lower()
    if suffix not in (*TABLE_SUFFIXES, *VECTOR_SUFFIXES) or Path(path).is_dir():
        return InputKind.PHOTOS
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; check the path.")
    if suffix in TABLE_SUFFIXES and not (suffix in VECTOR_SUFFIXES and _holds_vectors(path)):
        return InputKind.PREDICTIONS
    return InputKind.VECTORS


def _holds_vectors(path: str) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return VECTOR in pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _check(asked: Sequence[Sequence[str]], tables: int) -> None:
    for names in asked:
        if names and (not tables or len(names) not in (1, tables)):
            raise InputError(
                f"{len(names)} columns are named ({', '.join(names)}) for {tables} tables of predictions; name one for "
                "all of them, or one for each."
            )


def _nth(names: Sequence[str], at: int, tables: int) -> str | None:
    if not names:
        return None
    return names[at] if len(names) == tables else names[0]


def _numbered(found: list[EvaluationInput]) -> list[EvaluationInput]:
    """Give sources of one name different ones."""
    given = Counter(source.name for source in found)
    seen: Counter[str] = Counter()
    numbered = []
    for source in found:
        seen[source.name] += 1
        several = given[source.name] > 1
        numbered.append(source._replace(name=f"{source.name} ({seen[source.name]})") if several else source)
    return numbered
