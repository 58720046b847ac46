"""`geoclip search`."""

import io
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.answers.answer import Answer
from geoclip.cli.map_file import MapFile
from geoclip.cli.session import Encoding, RunCounts, Search, Target, open_locator, photo_inputs
from geoclip.cli.terminal import progress
from geoclip.encoders.location import EMBEDDING_DIM
from geoclip.errors import InputError
from geoclip.tables.vectors import VECTOR_SUFFIXES, at_most_unit, read_vectors

if TYPE_CHECKING:
    from geoclip.locator import Locator

_MANIFEST = "manifest.json"
_MAGIC = {b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}  # how files of vectors begin
_TOGETHER = 128  # vectors searched before the first answer is written


def run(
    inputs: list[str], *, top: int, target: Target, map_file: Path | None, encoding: Encoding, search: Search
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
    answers = _answers(vectors, photos, top, target, encoding, locator)
    first = list(islice(answers, 1))  # the output is touched only once a search has succeeded
    with target.open() as writer, progress("Searching", beside_answers=target.path is None) as update:
        for answer in chain(first, answers):
            if answer.query not in target.done and tally.count(answer):
                writer.write(answer)
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
    vectors: list[Path], photos: list[str], top: int, target: Target, encoding: Encoding, locator: "Locator"
) -> Iterator[Answer]:
    for path in vectors:
        yield from _of_vectors(path, top, locator)
    if "-" in photos:
        content = sys.stdin.buffer.read()
        photos = [name for name in photos if name != "-"]
        if suffix := next((s for magic, s in _MAGIC.items() if content.startswith(magic)), None):
            with tempfile.NamedTemporaryFile(prefix="stdin-", suffix=suffix) as file:
                file.write(content)
                file.flush()
                yield from _of_vectors(Path(file.name), top, locator)
        else:
            photo = io.BytesIO(content)
            photo.name = "-"
            yield from locator.stream([photo], top, workers=encoding.processes)
    if photos:
        yield from locator.stream(photo_inputs(photos, None, target.done), top, workers=encoding.processes)


def _of_vectors(path: Path, top: int, locator: "Locator") -> Iterator[Answer]:
    for batch in read_vectors(path, dim=EMBEDDING_DIM, model_digest=locator.release.model_digest):
        vectors = at_most_unit(batch.vectors)
        for at in range(0, len(batch.names), _TOGETHER):
            yield from locator.answers(batch.names[at : at + _TOGETHER], vectors[at : at + _TOGETHER], top)
