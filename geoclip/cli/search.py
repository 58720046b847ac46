"""`geoclip search`."""

import io
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.cli.map_file import MapFile
from geoclip.cli.session import Encoding, RunCounts, Search, open_locator, options_of, photo_inputs, photo_key
from geoclip.cli.terminal import progress
from geoclip.encoders.location import EMBEDDING_DIM
from geoclip.errors import InputError
from geoclip.tables.vectors import VECTOR_SUFFIXES, at_most_unit, read_vectors
from geoclip.writers import Output

if TYPE_CHECKING:
    from geoclip.locator import Locator
    from geoclip.photos.decode import Photo

_MANIFEST = "manifest.json"
_MAGIC = {b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}  # how files of vectors begin
_TOGETHER = 128  # vectors searched before the first answer is written


def run(
    inputs: list[str], *, top: int, output: Output, map_file: Path | None, encoding: Encoding, search: Search
) -> None:
    """Answer for vectors and photos as they come; exit 1 if some photos could not be read."""
    inputs, search = _index_first(inputs, search)
    vectors = [Path(name) for name in inputs if Path(name).suffix.lower() in VECTOR_SUFFIXES]
    photos = [name for name in inputs if Path(name).suffix.lower() not in VECTOR_SUFFIXES]
    if not inputs:
        raise InputError("Nothing to search for; name vectors (.parquet, .npy), photos, or - for stdin.")
    for path in vectors:
        if not path.exists():
            raise InputError(f"{path} does not exist; make it with `geoclip embed`.")
    if not search.index and photos and photos != ["-"]:
        raise InputError(f"{photos[0]} is not a file of vectors; use `geoclip locate`, or name an index first.")
    drawn = MapFile(map_file)
    locator = open_locator(encoding, search)
    tally = RunCounts()
    output.describe(options_of(locator, encoding, search, top=top))
    answers = _answers(vectors, photos, top, output, encoding, locator)
    with output, progress("Searching", beside_answers=output.to_stdout) as update:
        for answer in answers:
            output.write(answer)
            if tally.count(answer):
                drawn.add(answer)
            update(tally.answered + tally.failed, None)
    drawn.finish(encoding)
    if tally.failed:
        raise typer.Exit(tally.exit_code("answered"))


def _index_first(inputs: list[str], search: Search) -> tuple[list[str], Search]:
    """Take an index from the head of the inputs."""
    if search.index is None and inputs and (Path(inputs[0]) / _MANIFEST).is_file():
        return inputs[1:], replace(search, index=Path(inputs[0]))
    return inputs, search


def _answers(
    vectors: list[Path], photos: list[str], top: int, output: Output, encoding: Encoding, locator: "Locator"
) -> Iterator[Answer]:
    for path in vectors:
        yield from _of_vectors(path, top, output, locator)
    given: list[Iterable[Photo]] = []
    if "-" in photos:
        content = sys.stdin.buffer.read()
        photos = [name for name in photos if name != "-"]
        if suffix := next((s for magic, s in _MAGIC.items() if content.startswith(magic)), None):
            with tempfile.NamedTemporaryFile(prefix="stdin-", suffix=suffix) as file:
                file.write(content)
                file.flush()
                yield from _of_vectors(Path(file.name), top, output, locator)
        else:
            photo = io.BytesIO(content)
            photo.name = "-"
            given.append([photo])
    if photos:
        given.append(photo_inputs(photos, None))
    if given:
        inputs = output.remaining(chain(*given), photo_key, locator.batch)
        yield from locator.stream(inputs, top, workers=encoding.processes)


def _of_vectors(path: Path, top: int, output: Output, locator: "Locator") -> Iterator[Answer]:
    for batch in read_vectors(path, dim=EMBEDDING_DIM, model_digest=locator.release.model_digest):
        rows = list(zip(batch.names, at_most_unit(batch.vectors), strict=True))
        for at in range(0, len(rows), _TOGETHER):
            together = rows[at : at + _TOGETHER]
            if left := list(output.remaining(together, _vector_key, len(together))):
                names, vectors = zip(*left, strict=True)
                yield from locator.answers(names, np.stack(vectors), top)


def _vector_key(row: tuple[str, NDArray[np.float32]]) -> tuple[bytes, bytes]:
    return os.fsencode(row[0]), row[1].tobytes()
