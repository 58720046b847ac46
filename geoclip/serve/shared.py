"""What requests share: encoders, indexes, decoding workers; and the library's classes as one request uses them."""

import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.answers.answerer import Answerer
from geoclip.answers.source import Asked
from geoclip.embedder import PhotoEmbedder
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import Decoders, DecodingPool
from geoclip.photos.worker import Worker
from geoclip.serve.batching import Batcher
from geoclip.serve.metrics import Metrics
from geoclip.serve.stages import Stage, Stages

T = TypeVar("T")
Vector = NDArray[np.float32]

TOGETHER = 32
"""Vectors of one request that are searched before other requests have their turn; more on a GPU."""


class SharedModel:
    """The encoders of a release. On a GPU what waits is encoded together; a CPU gains nothing from that.

    Args:
        embedder: of the release.
        wait_s: how long a request waits for others on a GPU.
        metrics: counts batches.
    """

    def __init__(self, embedder: PhotoEmbedder, wait_s: float, metrics: Metrics) -> None:
        self.embedder = embedder
        on_gpu = embedder.device.type == "cuda"

        def encode(kind: Hashable, items: Sequence[bytes | str]) -> Sequence[Vector]:
            if kind == "words":
                return list(embedder.embed_words(cast(Sequence[str], items)))
            return list(embedder.embed_views(cast(Sequence[bytes], items)))

        self.encoding = Batcher[bytes | str, Vector](
            encode,
            most=embedder.batch if on_gpu else 1,
            wait_s=wait_s if on_gpu else 0.0,
            name="clip",
            on_batch=metrics.batches.labels("clip").observe,
        )


class SharedIndex:
    """An opened index or gallery, with what encodes for it. Lookups that wait are made together.

    Args:
        name: that callers choose it by.
        model: the encoders.
        answerer: finds places.
        wait_s: how long a request waits for others on a GPU.
        metrics: counts batches.
    """

    def __init__(self, name: str, model: SharedModel, answerer: Answerer, wait_s: float, metrics: Metrics) -> None:
        self.name, self.model, self.answerer = name, model, answerer
        on_gpu = model.embedder.device.type == "cuda"

        def found(asked: Hashable, rows: Sequence[tuple[str, Vector]]) -> Sequence[tuple[Answer, float]]:
            assert isinstance(asked, Asked)
            names, vectors = [name for name, _ in rows], np.stack([vector for _, vector in rows])
            places = answerer.found(vectors, asked)
            begun = time.perf_counter()
            answers = answerer.read(names, vectors, places, asked)
            each_s = (time.perf_counter() - begun) / len(rows)
            return [(answer, each_s) for answer in answers]

        self.together = 4 * TOGETHER if on_gpu else TOGETHER
        self.lookups = Batcher[tuple[str, Vector], tuple[Answer, float]](
            found,
            most=self.together,
            wait_s=wait_s if on_gpu else 0.0,
            name=f"search {name}",
            on_batch=metrics.batches.labels("search").observe,
        )


class RequestEmbedder(PhotoEmbedder):
    """A shared model's embedder, for one request: it reads photos by the request's limits.

    Args:
        model: the encoders.
        limits: how photos are read.
        stages: of the request.
    """

    def __init__(self, model: SharedModel, limits: DecodeLimits, stages: Stages) -> None:
        shared = model.embedder
        super().__init__(shared.release, device=shared.device, precision=shared.precision, limits=limits)
        self._model, self._stages = model, stages

    def embed_views(self, views: Sequence[bytes]) -> Vector:
        """See `PhotoEmbedder.embed_views`."""
        with self._stages.during(Stage.CLIP):
            return np.stack(self._model.encoding.results(views, "views"))

    def embed_words(self, texts: Sequence[str]) -> Vector:
        """See `PhotoEmbedder.embed_words`."""
        with self._stages.during(Stage.CLIP):
            return np.stack(self._model.encoding.results(texts, "words"))


class RequestAnswerer(Answerer):
    """A shared index's answerer, for one request: it keeps the vectors that it answered for.

    Args:
        index: what is searched.
        stages: of the request.
    """

    def __init__(self, index: SharedIndex, stages: Stages) -> None:
        shared = index.answerer
        super().__init__(shared.searcher, shared.encode, shared.source)
        self._index, self._stages = index, stages
        self.vectors: list[Vector] = []

    def answers(self, names: Sequence[str], vectors: Vector, asked: Asked) -> list[Answer]:
        """See `Answerer.answers`."""
        rows = list(zip(names, vectors, strict=True))
        self.vectors += list(vectors)
        answers: list[Answer] = []
        for at in range(0, len(rows), self._index.together):
            begun = time.perf_counter()
            found = self._index.lookups.results(rows[at : at + self._index.together], asked)
            names_s = sum(seconds for _, seconds in found)
            self._stages.add(Stage.SEARCH, time.perf_counter() - begun - names_s)
            self._stages.add(Stage.NAMES, names_s)
            answers += [answer for answer, _ in found]
        return answers


class RequestDecoders(Decoders):
    """The shared decoding workers, for one request: what they take is counted.

    Args:
        pool: the workers.
        stages: of the request.
    """

    def __init__(self, pool: DecodingPool, stages: Stages) -> None:
        self.workers, self._pool, self._stages = pool.workers, pool, stages

    def start(self, task: Callable[[Worker], T]) -> "Future[T]":
        """See `DecodingPool.start`."""
        begun = time.perf_counter()
        future = self._pool.start(task)
        future.add_done_callback(lambda _: self._stages.add(Stage.DECODE, time.perf_counter() - begun))
        return future
