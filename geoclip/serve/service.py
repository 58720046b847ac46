"""`Service`: the library behind the interface. It holds what is loaded once and does the work of one request."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from geoclip import __version__
from geoclip.answers.answer import Answer
from geoclip.answers.answerer import Answerer
from geoclip.answers.source import Asked, SearchSource, index_folder
from geoclip.embedder import PhotoEmbedder, Words
from geoclip.errors import InputError
from geoclip.locator import Locator
from geoclip.options import (
    IndexOptions,
    MachineOptions,
    ModelOptions,
    PhotoOptions,
    SearchOptions,
    WordOptions,
)
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import DecodingPool
from geoclip.release.directory import Release
from geoclip.release.fetch import released
from geoclip.serve.info import Limits, ServiceInfo, index_info
from geoclip.serve.metrics import Metrics
from geoclip.serve.problems import ProblemError
from geoclip.serve.settings import ServedOptions, ServeOptions
from geoclip.serve.shared import RequestAnswerer, RequestDecoders, RequestEmbedder, SharedIndex, SharedModel
from geoclip.serve.stages import Stages
from geoclip.serve.vector_bodies import JSON, JsonVectors, VectorBody, read_vectors
from index.grid.region import is_region_file
from index.search.efforts import EffortName
from index.storage.directory import read_manifest

MOST_PLACES = 1000
"""Places that one query may ask for."""
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.ASCII)
_GALLERY = "gallery"


class NamedPhoto(NamedTuple):
    """A photo of a request."""

    name: str
    content: bytes

    @property
    def file(self) -> io.BytesIO:
        """As the library takes it."""
        file = io.BytesIO(self.content)
        if self.name:
            file.name = self.name
        return file


class Embedded(BaseModel):
    """Vectors of photos; of one that cannot be read there is the reason."""

    model: str = Field(description="Digest of the model that they come from.")
    names: list[str]
    vectors: list[list[float] | None]
    errors: list[str | None]


@dataclass
class Job:
    """The work of one request."""

    stages: Stages = field(default_factory=Stages)
    answerer: RequestAnswerer | None = None

    def vectors(self, answers: Sequence[Answer]) -> list[list[float] | None]:
        """Return the vector of each answer, None where there was an error."""
        own = iter(self.answerer.vectors if self.answerer else ())
        return [None if answer.error else numbers(next(own)) for answer in answers]


def numbers(vector: NDArray[np.float32]) -> list[float]:
    """Return a vector as short numbers that stand for the same float32."""
    return [float(f"{number:.9g}") for number in vector.tolist()]


class Service:
    """What is loaded once, and the work of requests. Its methods are called from several threads.

    Args:
        indexes: what is searched; the first is the default.
        pool: workers that decode photos; None serves vectors alone.
        settings: of the service.
        metrics: counts.
    """

    def __init__(
        self, indexes: Sequence[SharedIndex], pool: DecodingPool | None, settings: ServeOptions, metrics: Metrics
    ) -> None:
        self.indexes = {index.name: index for index in indexes}
        if len(self.indexes) < len(indexes):
            raise InputError("Two indexes have one name; name them apart: --index NAME=DIR.")
        self.default, self.settings, self.metrics = indexes[0].name, settings, metrics
        self.pool = pool
        self._reading = DecodingPool(1, DecodeLimits(), read_vectors)
        self._asked = lru_cache(maxsize=64)(self._make_asked)

    @classmethod
    def open(
        cls,
        served: ServedOptions,
        index: IndexOptions,
        photo: PhotoOptions,
        model: ModelOptions,
        machine: MachineOptions,
        settings: ServeOptions,
    ) -> Self:
        """Load everything that requests need.

        Args:
            served: indexes and models.
            index: how they are opened; its own `index` does not matter.
            photo: how photos are read; requests may change `crops` and `as_released`.
            model: CLIP's weights; its own `weights` do not matter.
            machine: where to compute.
            settings: of the service.

        Raises:
            InputError: an index cannot be served.
            WeightsError: weights cannot be had.
        """
        metrics, wait_s = Metrics(), settings.batch_ms / 1000
        releases = [Release.open(folder) for folder in served.weights] or [released()]
        models = {
            release.model_digest: SharedModel(_embedder(release, photo, model, machine), wait_s, metrics)
            for release in releases
        }
        for each in models.values() if not settings.vectors_only else ():
            _ = each.embedder.image_encoder  # loaded now, so that what lacks is said now
        indexes = []
        for text in served.index or (None,):
            name, folder = _named(text)
            own = _model_of(folder, models)
            source = SearchSource.find(
                own.embedder.release.model_digest,
                folder,
                index.candidates,
                index.calibration,
                crops=own.embedder.limits.crops,
            )
            answerer = Answerer.open(
                own.embedder.release,
                source,
                engine=index.engine,
                device=own.embedder.device,
                precision=machine.precision,
            )
            name = name or (source.index.resolve().name if source.index else _GALLERY)
            indexes.append(SharedIndex(name, own, answerer, wait_s, metrics))
        pool = None if settings.vectors_only else DecodingPool(machine.processes, photo.limits())
        service = cls(indexes, pool, settings, metrics)
        try:
            service._warm_up()
        except BaseException:
            service.close()
            raise
        return service

    def close(self) -> None:
        """End threads and workers, when all requests are answered."""
        for index in self.indexes.values():
            index.lookups.close()
            index.model.encoding.close()
        self._reading.close()
        if self.pool:
            self.pool.close()

    def _warm_up(self) -> None:
        """Answer from each index: what is loaded late is loaded now, by the threads and the worker that will use it."""
        for name, index in self.indexes.items():
            vector = np.eye(1, index.answerer.searcher.dim).tolist()
            body = VectorBody(JsonVectors(vectors=vector).model_dump_json().encode(), JSON)
            list(self.search(Job(), body, SearchOptions(), index=name))

    def info(self) -> ServiceInfo:
        """Return what is served."""
        limits = Limits(upload_mb=self.settings.upload_mb, photos=self.settings.photos, vectors=self.settings.vectors)
        return ServiceInfo(
            version=__version__,
            notice=self.settings.notice,
            default=self.default,
            photos=self.pool is not None,
            limits=limits,
            indexes=[index_info(index) for index in self.indexes.values()],
        )

    def index(self, name: str | None) -> SharedIndex:
        """Return the index of a name.

        Raises:
            ProblemError: there is none.
        """
        if (found := self.indexes.get(name or self.default)) is None:
            raise ProblemError(404, f"There is no index {name!r} here; choose {', '.join(self.indexes)}.")
        return found

    def locate(
        self,
        job: Job,
        photos: Sequence[NamedPhoto],
        search: SearchOptions,
        *,
        index: str | None = None,
        reading: PhotoOptions = PhotoOptions(),
        words: WordOptions = WordOptions(),
        together: bool = False,
    ) -> Iterator[Answer]:
        """Yield the answers that `geoclip locate` gives; one with `error` for each photo that cannot be read.

        Raises:
            InputError: an option is not allowed.
            ProblemError: photos are not served, or there is no such index.
        """
        shared = self.index(index)
        locator, decoders = self._locator(job, shared, reading)
        asked = self._asked(shared.name, search)
        if not photos:
            if not words.text or together:
                raise InputError("There is no photo in the body, and no text to locate; send one of them.")
            return iter(locator.locate_text(words.text, asked=asked))
        if len(words.text) > 1:
            raise InputError(f"{len(words.text)} texts are given beside photos; give one, about all of them.")
        said = Words(words.text[0], words.text_weight) if words.text else None
        files = [photo.file for photo in photos]
        if together:
            answer, failed = locator.locate_together(files, workers=decoders, words=said, asked=asked)
            return iter([answer, *failed])
        return locator.stream(files, workers=decoders, words=said, asked=asked)

    def embed(
        self,
        job: Job,
        photos: Sequence[NamedPhoto],
        *,
        index: str | None = None,
        reading: PhotoOptions = PhotoOptions(),
    ) -> Embedded:
        """Return the vectors of photos. Errors as of `locate`."""
        shared = self.index(index)
        locator, decoders = self._locator(job, shared, reading)
        found = list(locator.embedder.embed([photo.file for photo in photos], workers=decoders))
        return Embedded(
            model=locator.embedder.release.model_digest,
            names=[decoded.name for decoded, _ in found],
            vectors=[None if vector is None else numbers(vector) for _, vector in found],
            errors=[decoded.error for decoded, _ in found],
        )

    def search(
        self, job: Job, body: VectorBody, search: SearchOptions, *, index: str | None = None
    ) -> Iterator[Answer]:
        """Yield the answers that `geoclip search` gives; one with `error` for each vector that cannot be used.

        Raises:
            InputError: an option is not allowed, or the body holds no such vectors.
            ProblemError: there is no such index.
        """
        shared = self.index(index)
        asked = self._asked(shared.name, search)
        dim, model = shared.answerer.searcher.dim, shared.answerer.source.model
        rows = body.read(self._reading, dim=dim, model_digest=model, most=self.settings.vectors)
        job.answerer = RequestAnswerer(shared, job.stages)
        return self._found(job.answerer, rows.names, rows.vectors, rows.errors, asked, shared.together)

    def _found(
        self,
        answerer: RequestAnswerer,
        names: list[str],
        vectors: NDArray[np.float32],
        errors: dict[int, str],
        asked: Asked,
        together: int,
    ) -> Iterator[Answer]:
        for at in range(0, len(names), together):
            some = [row for row in range(at, min(at + together, len(names))) if row not in errors]
            found = iter(answerer.answers([names[row] for row in some], vectors[some], asked) if some else ())
            for row in range(at, min(at + together, len(names))):
                yield Answer(names[row], error=errors[row]) if row in errors else next(found)

    def _locator(self, job: Job, shared: SharedIndex, reading: PhotoOptions) -> tuple[Locator, RequestDecoders]:
        if self.pool is None:
            raise ProblemError(404, "This service answers for vectors alone; send them to /v1/search.")
        limits = replace(shared.model.embedder.limits, crops=reading.limits().crops, as_released=reading.as_released)
        job.answerer = RequestAnswerer(shared, job.stages)
        embedder = RequestEmbedder(shared.model, limits, job.stages)
        return Locator(embedder, job.answerer), RequestDecoders(self.pool, job.stages)

    def _make_asked(self, index: str, options: SearchOptions) -> Asked:
        for region in (*options.region, *options.not_region):
            if is_region_file(region):
                raise InputError(f"The region {region!r} is a file, which a service does not read; name a continent.")
        if options.k > MOST_PLACES:
            raise InputError(f"{options.k} is not allowed for k; choose 1 to {MOST_PLACES}.")
        if options.effort is EffortName.EXHAUSTIVE:
            raise InputError("The effort exhaustive may take hours, which a service does not; choose another.")
        return self.indexes[index].answerer.asked(options)


def _embedder(release: Release, photo: PhotoOptions, model: ModelOptions, machine: MachineOptions) -> PhotoEmbedder:
    return PhotoEmbedder(
        release,
        device=machine.device,
        precision=machine.precision,
        clip_path=model.clip_path,
        limits=photo.limits(),
    )


def _named(text: str | None) -> tuple[str, Path | str | None]:
    """Return the name of an index, empty where it has none, and what is to be opened."""
    if text is None:
        return "", None
    named = None if Path(text).exists() else _NAMED.fullmatch(text)
    return (named[1], named[2]) if named else ("", text)


def _model_of(folder: Path | str | None, models: dict[str, SharedModel]) -> SharedModel:
    """Return the model that an index was built with, else the first; opening says then what does not fit."""
    first = next(iter(models.values()))
    found = index_folder(folder)
    if len(models) == 1 or found is None:
        return first
    try:
        return models.get(read_manifest(found).model, first)
    except ValueError:
        return first
