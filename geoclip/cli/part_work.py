"""How the rows of jobs in parts are made: plain values that can be sent to other processes, which open them there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.cli.session import open_embedder, open_locator
from geoclip.cli.terminal import say
from geoclip.embedder import Words
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions, WordOptions
from geoclip.photos.decode import Photo

if TYPE_CHECKING:
    from geoclip.answers.answerer import Answerer
    from geoclip.embedder import PhotoEmbedder
    from geoclip.locator import Locator
    from geoclip.tables.vector_parts import EmbeddedPhoto

_TOGETHER = 128  # vectors searched in one call

Row = TypeVar("Row")
Made_co = TypeVar("Made_co", covariant=True)
Maker: TypeAlias = Callable[[slice, Sequence[Photo]], Iterator[Row]]
"""Makes rows for some of a job's inputs, in order: which they are among all, and they themselves."""


class Work(Protocol[Made_co]):
    """What makes rows. It can be pickled."""

    @property
    def machine(self) -> MachineOptions:
        """Where and how to compute."""

    def open(self) -> Callable[[slice, Sequence[Photo]], Iterator[Made_co]]:
        """Load what it needs; raises as commands do."""

    def on(self, cores: int) -> "Work[Made_co]":
        """Return the same work with so many processes that decode photos, unless they were said."""


@dataclass(frozen=True)
class LocateWork:
    """Answers for photos."""

    words: WordOptions
    index: IndexOptions
    search: SearchOptions
    photo: PhotoOptions
    model: ModelOptions
    machine: MachineOptions

    def locator(self) -> "Locator":
        """Open what answers; CLIP is not loaded."""
        return _locator(self)

    def open(self) -> Maker[Answer]:
        """See `Work`."""
        return self.maker(self.locator())

    def maker(self, locator: "Locator") -> Maker[Answer]:
        """Return what answers with an opened locator."""
        said = Words(self.words.text[0], self.words.text_weight) if self.words.text else None
        _ = locator.embedder.image_encoder, said and locator.embedder.text_encoder
        asked, workers = locator.answerer.asked(self.search), self.machine.processes
        return lambda rows, photos: locator.stream(photos, workers=workers, words=said, asked=asked)

    def on(self, cores: int) -> "LocateWork":
        """See `Work`."""
        return replace(self, machine=_with_workers(self.machine, cores))


@dataclass(frozen=True)
class EmbedWork:
    """Vectors of photos."""

    photo: PhotoOptions
    model: ModelOptions
    machine: MachineOptions

    def embedder(self) -> "PhotoEmbedder":
        """Open what embeds; CLIP is not loaded."""
        return open_embedder(self.photo, self.model, self.machine)

    def open(self) -> "Maker[EmbeddedPhoto]":
        """See `Work`."""
        return self.maker(self.embedder())

    def maker(self, embedder: "PhotoEmbedder") -> "Maker[EmbeddedPhoto]":
        """Return what embeds with an opened embedder."""
        from geoclip.embed_files import embedded_rows

        _ = embedder.image_encoder
        return lambda rows, photos: embedded_rows(photos, embedder, workers=self.machine.processes)

    def on(self, cores: int) -> "EmbedWork":
        """See `Work`."""
        return replace(self, machine=_with_workers(self.machine, cores))


@dataclass(frozen=True)
class SearchWork:
    """Answers for files of vectors."""

    vectors: tuple[Path, ...]
    means: bool
    index: IndexOptions
    search: SearchOptions
    photo: PhotoOptions
    model: ModelOptions
    machine: MachineOptions

    def locator(self) -> "Locator":
        """Open what answers."""
        return _locator(self)

    def open(self) -> Maker[Answer]:
        """See `Work`."""
        return self.maker(self.locator().answerer)

    def on(self, cores: int) -> "SearchWork":
        """See `Work`."""
        return self

    def names(self, answerer: "Answerer") -> list[str]:
        """Return the names of all rows.

        Raises:
            InputError: a file cannot be read.
        """
        return [row.name for batch in self._batches(answerer, on_problem=say) for row in batch]

    def maker(self, answerer: "Answerer") -> Maker[Answer]:
        """Return what answers with an opened answerer. Files are read onwards, or again where rows lie before."""
        asked = answerer.asked(self.search)
        reading = _Onwards(lambda: self._batches(answerer, on_problem=_silent))

        def answers(rows: slice, names: Sequence[Photo]) -> Iterator[Answer]:
            del names  # the files have them
            own = reading.rows(rows)
            while together := list(islice(own, _TOGETHER)):
                sound = [row for row in together if row.error is None]
                vectors = [row.vector for row in sound]
                found = iter(answerer.answers([row.name for row in sound], np.stack(vectors), asked) if sound else ())
                for row in together:
                    yield next(found) if row.error is None else Answer(row.name, error=row.error)

        return answers

    def _batches(self, answerer: "Answerer", on_problem: Callable[[str], object]) -> Iterator[list["_VectorRow"]]:
        from geoclip.tables.vector_file import VectorFile

        for path in self.vectors:
            dim, model = answerer.searcher.dim, answerer.source.model
            file = VectorFile(path, dim=dim, model_digest=model, means=self.means, on_problem=on_problem)
            for batch, errors in file.all_rows():
                yield [_VectorRow(*row) for row in zip(batch.names, batch.vectors, errors, strict=True)]


class _VectorRow(NamedTuple):
    name: str
    vector: NDArray[np.float32]
    """(dim,)"""
    error: str | None
    """Why the vector cannot be used."""


class _Onwards:
    """Gives some of the rows of batches; batches before them are passed over whole."""

    def __init__(self, batches: Callable[[], Iterator[list[_VectorRow]]]) -> None:
        self._open, self._batches, self._next = batches, batches(), 0
        self._batch: list[_VectorRow] = []

    def rows(self, wanted: slice) -> Iterator[_VectorRow]:
        """Yield the rows from `wanted.start` to before `wanted.stop`."""
        if wanted.start < self._next - len(self._batch):
            self._batches, self._next, self._batch = self._open(), 0, []
        at = wanted.start
        while at < wanted.stop:
            while self._next <= at:
                if not (batch := next(self._batches, [])):
                    return
                self._batch, self._next = batch, self._next + len(batch)
            first = self._next - len(self._batch)
            stop = min(wanted.stop, self._next)
            yield from self._batch[at - first : stop - first]
            at = stop


def _locator(work: LocateWork | SearchWork) -> "Locator":
    return open_locator(open_embedder(work.photo, work.model, work.machine), work.index, work.search, work.machine)


def _silent(sentence: str) -> None:
    del sentence


def _with_workers(machine: MachineOptions, cores: int) -> MachineOptions:
    return machine if machine.workers is not None else replace(machine, workers=max(1, min(cores, 8)))
