"""`geoclip search`."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.answers.source import index_folder
from geoclip.cli.map_file import MapFile
from geoclip.cli.output_options import OutputOptions, options_of
from geoclip.cli.part_work import SearchWork
from geoclip.cli.parts import PartJob, finish_parts, run_parts
from geoclip.cli.photo_inputs import photo_inputs, photo_on_stdin
from geoclip.cli.run_counts import RunCounts
from geoclip.cli.session import open_embedder, open_locator
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.files import saying, sha256_of
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions
from geoclip.photos.key import photo_key
from geoclip.tables.vector_file import VECTOR_SUFFIXES, VectorFile
from geoclip.writers import Output
from index.storage.manifest import MANIFEST

if TYPE_CHECKING:
    from geoclip.answers.answerer import Answerer
    from geoclip.answers.source import Asked
    from geoclip.locator import Locator
    from geoclip.photos.decode import Photo

_MAGIC = {b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}  # how files of vectors begin
_TOGETHER = 128  # vectors searched before the first answer is written
_MAX_STDIN_BYTES = 4 << 30


def run(
    inputs: list[str],
    output: OutputOptions,
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
    *,
    means: bool = False,
) -> None:
    """Answer for vectors and photos as they come; exit 1 if some could not be read."""
    if output.parts is not None and output.finish:
        raise typer.Exit(finish_parts(output.parts, "answers"))
    from geoclip.writers.parts import files_of

    target = output.checked()
    inputs = [name for given in inputs for name in files_of(given)]
    if index.index is None and inputs and (folder := index_folder(inputs[0])) and (folder / MANIFEST).is_file():
        inputs, index = inputs[1:], replace(index, index=inputs[0])
    vectors = [Path(name) for name in inputs if Path(name).suffix.lower() in VECTOR_SUFFIXES]
    photos = [name for name in inputs if Path(name).suffix.lower() not in VECTOR_SUFFIXES]
    if not inputs:
        raise InputError("Nothing to search for; name vectors (.parquet, .npy), photos, or - for stdin.")
    for path in vectors:
        if not path.exists():
            raise InputError(f"{path} does not exist; make it with `geoclip embed`.")
    if index.index is None and photos and photos != ["-"]:
        raise InputError(f"{photos[0]} is not a file of vectors; use `geoclip locate`, or name an index first.")
    if output.parts is not None:
        if photos or not vectors:
            raise InputError("--parts needs files of vectors; photos are for `geoclip locate`.")
        work = SearchWork(tuple(vectors), means, index, search, photo, model, machine)
        raise typer.Exit(_in_parts(output, work))
    answer_map = MapFile(output.map_file, photo, machine)
    locator = open_locator(
        open_embedder(photo, model, machine), index, search, machine, photos=photos not in ([], ["-"])
    )
    counts = RunCounts()
    asked = locator.answerer.asked(search)
    options = options_of(locator, index, search, photo, model) | ({"means": True} if means else {})
    target.describe(options)
    of_vectors = partial(_of_vectors, target=target, answerer=locator.answerer, asked=asked, means=means, counts=counts)
    answers = _answers(vectors, photos, of_vectors, target, locator, asked, machine.processes, photo.exclude)
    with target, progress("Searching", beside_answers=target.to_stdout) as update:
        for answer in answers:
            target.write(answer)
            if counts.count(answer):
                answer_map.add(answer)
            update(counts.answered + counts.failed, None)
    answer_map.finish()
    if counts.failed:
        raise typer.Exit(counts.exit_code("answered"))


def _in_parts(output: OutputOptions, work: SearchWork) -> int:
    from geoclip.writers.parts import ANSWERS

    locator = work.locator()
    options = options_of(locator, work.index, work.search, work.photo, work.model)
    options |= {"means": True} if work.means else {}
    options["vectors"] = ",".join(sha256_of(path) for path in work.vectors)
    make, names = partial(work.maker, locator.answerer), work.names(locator.answerer)
    return run_parts(output, PartJob(ANSWERS, names, options, work, make, "answered"))


def _answers(
    vectors: list[Path],
    photos: list[str],
    of_vectors: Callable[[Path], Iterator[Answer]],
    target: Output,
    locator: "Locator",
    asked: "Asked",
    workers: int,
    exclude: tuple[str, ...],
) -> Iterator[Answer]:
    for path in vectors:
        yield from of_vectors(path)
    given: list[Iterable[Photo]] = []
    if "-" in photos:
        begin = sys.stdin.buffer.read(max(map(len, _MAGIC)))
        if suffix := next((s for magic, s in _MAGIC.items() if begin.startswith(magic)), None):
            with tempfile.NamedTemporaryFile(prefix="stdin-", suffix=suffix) as file:
                with saying(Path(file.name)):
                    _copy_stdin(begin, file)
                yield from of_vectors(Path(file.name))
        else:
            given.append([photo_on_stdin(begin)])
    if photos := [name for name in photos if name != "-"]:
        given.append(photo_inputs(photos, None, exclude))
    if given:
        inputs = target.remaining(chain(*given), photo_key, locator.embedder.batch)
        yield from locator.stream(inputs, workers=workers, asked=asked)


def _copy_stdin(begin: bytes, file: IO[bytes]) -> None:
    copied = file.write(begin)
    while content := sys.stdin.buffer.read(1 << 20):
        copied += file.write(content)
        if copied > _MAX_STDIN_BYTES:
            raise InputError(
                f"Vectors on stdin may have {_MAX_STDIN_BYTES / 2**30:.0f} GiB; give larger ones as a file."
            )
    file.flush()


def _of_vectors(
    path: Path, *, target: Output, answerer: "Answerer", asked: "Asked", means: bool, counts: RunCounts
) -> Iterator[Answer]:
    file = VectorFile(path, dim=answerer.searcher.dim, model_digest=answerer.source.model, means=means, on_problem=say)
    for batch in file:
        rows = list(zip(batch.names, batch.vectors, strict=True))
        for at in range(0, len(rows), _TOGETHER):
            together = rows[at : at + _TOGETHER]
            if left := list(target.remaining(together, _vector_key, len(together))):
                names, vectors = zip(*left, strict=True)
                yield from answerer.answers(names, np.stack(vectors), asked)
    counts.failed += file.left_out


def _vector_key(row: tuple[str, NDArray[np.float32]]) -> tuple[bytes, bytes]:
    return os.fsencode(row[0]), row[1].tobytes()
