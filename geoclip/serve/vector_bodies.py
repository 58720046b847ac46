"""Vectors in the body of a request: JSON, .npy or Parquet, read in a worker process within limits, as photos are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import DecodeLimits, Photo
from geoclip.photos.pool import DecodingPool
from geoclip.schema import Record, record_of
from geoclip.tables.vector_file import VectorFile

JSON, NPY, PARQUET = "application/json", "application/x-npy", "application/vnd.apache.parquet"
_SUFFIXES = {NPY: ".npy", PARQUET: ".parquet"}
_MAGIC = {b"\x93NUMPY": NPY, b"PAR1": PARQUET}
UNUSABLE = "The vector has length 0, or numbers that are not finite."


class JsonVectors(Record):
    """Vectors as JSON."""

    vectors: Annotated[list[list[float]], Field(min_length=1, description="Rows of numbers, as /v1/embed gives them.")]
    names: Annotated[list[str] | None, Field(description="What answers call them. Default: 0, 1, ...")] = None
    means: Annotated[
        bool,
        Field(description="Whether lengths below 1 mean something, as of means of several photos or crops."),
    ] = False
    model: Annotated[str, Field(description="Digest of the model that they come from, to be compared.")] = ""


class VectorRows(NamedTuple):
    """Vectors as they are searched."""

    names: list[str]
    vectors: NDArray[np.float32]
    """(N, dim)."""
    errors: dict[int, str]
    """Why a row cannot be used, by its number."""


class _Asked(BaseModel):
    """What the worker is told, a line before the body."""

    kind: str
    dim: int
    model: str
    most: int


class _Head(BaseModel):
    """What the worker says, a line before the vectors."""

    names: list[str]
    bad: list[int]


@dataclass(frozen=True)
class VectorBody:
    """A body that holds vectors, and its type."""

    content: bytes
    kind: str
    """`JSON`, `NPY` or `PARQUET`; anything else goes by how the content begins."""

    def read(self, pool: DecodingPool, *, dim: int, model_digest: str, most: int) -> VectorRows:
        """Return the vectors, read by a worker whose decoder is `read_vectors`.

        Raises:
            InputError: it holds no such vectors, or too many.
        """
        kind = self.kind
        if kind not in (JSON, NPY, PARQUET):
            kind = next((kind for magic, kind in _MAGIC.items() if self.content.startswith(magic)), "")
        if not kind:
            raise InputError("The body is neither JSON nor a file of vectors (.npy, .parquet).")
        head = _Asked(kind=kind, dim=dim, model=model_digest, most=most).model_dump_json().encode()
        message = head + b"\n" + self.content
        try:
            told, _, content = pool.start(lambda worker: worker.decode(message).pixels).result().partition(b"\n")
        except PhotoError as error:  # of a worker that died: it reads images otherwise
            raise InputError(str(error).replace("the image", "the vectors")) from error
        said = _Head.model_validate_json(told)
        vectors = np.frombuffer(content, dtype=np.float32).reshape(len(said.names), dim)
        return VectorRows(said.names, vectors, dict.fromkeys(said.bad, UNUSABLE))


def read_vectors(body: Photo, limits: DecodeLimits) -> bytes:
    """Read a body in a worker; see `VectorBody.read`. The decoder of a pool.

    Raises:
        PhotoError: it holds no such vectors; the message is a sentence.
    """
    told, _, content = cast(bytes, body).partition(b"\n")
    asked = _Asked.model_validate_json(told)
    try:
        names, vectors = _of_json(content, asked) if asked.kind == JSON else _of_file(content, asked)
    except InputError as error:
        raise PhotoError(str(error)) from error
    except Exception as error:  # whatever a reader raises on damaged content
        raise PhotoError(f"The vectors cannot be read ({type(error).__name__}).") from error
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    head = _Head(names=names, bad=bad.tolist()).model_dump_json().encode()
    return head + b"\n" + np.nan_to_num(vectors).tobytes()


def _of_json(content: bytes, asked: _Asked) -> tuple[list[str], NDArray[np.float32]]:
    try:
        given = record_of(content, JsonVectors)
    except ValueError as error:
        raise InputError(f"The body is not what is expected: {error}.") from error
    if given.model and given.model != asked.model:
        raise InputError("The vectors were made by another model than the one searched; embed their inputs again.")
    if len(given.vectors) > asked.most:
        raise InputError(f"There are {len(given.vectors)} vectors; a request may have {asked.most}.")
    names = [str(row) for row in range(len(given.vectors))] if given.names is None else given.names
    if len(names) != len(given.vectors):
        raise InputError(f"There are {len(names)} names and {len(given.vectors)} vectors; give a name for each.")
    if wrong := [len(row) for row in given.vectors if len(row) != asked.dim]:
        raise InputError(f"A vector has {wrong[0]} numbers; {asked.dim} are expected.")
    with np.errstate(over="ignore"):
        vectors = np.array(given.vectors).astype(np.float32).reshape(len(names), -1)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    lengths[~(np.isfinite(lengths) & (lengths > 0))] = np.nan
    scale = np.where((lengths > 0.999) | (not given.means) | np.isnan(lengths), lengths, 1.0)
    return names, (vectors / scale[:, None]).astype(np.float32)


def _of_file(content: bytes, asked: _Asked) -> tuple[list[str], NDArray[np.float32]]:
    path = Path("body").with_suffix(_SUFFIXES[asked.kind])
    file = VectorFile(path, dim=asked.dim, model_digest=asked.model, on_problem=lambda _: None, content=content)
    names: dict[int, str] = {}
    parts: list[NDArray[np.float32]] = []
    for batch in file:
        names |= zip(batch.rows.tolist(), batch.names, strict=True)
        parts.append(batch.vectors)
        if len(names) > asked.most:
            raise InputError(f"There are more than {asked.most} vectors, which is what a request may have.")
    if file.rows > asked.most:
        raise InputError(f"There are {file.rows} vectors; a request may have {asked.most}.")
    vectors = np.full((file.rows, asked.dim), np.nan, dtype=np.float32)
    vectors[list(names)] = np.concatenate(parts)
    return [names.get(row, str(row)) for row in range(file.rows)], vectors
