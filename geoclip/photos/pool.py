"""Many photos decoded in worker processes beside the encoder, in order and in bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Protocol, TypeVar

from PIL import Image

from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import DecodeLimits, Photo, Picture, content_of, name_of, read_photo
from geoclip.photos.elsewhere import Elsewhere, ahead
from geoclip.photos.exif import LatLng
from geoclip.photos.worker import Decoder, Worker

TIMEOUT_S = 9.0
AHEAD_PER_WORKER = 4
T = TypeVar("T")


class Decoded(NamedTuple):
    """One photo after decoding: its pixels, or the reason why there are none."""

    name: str
    pixels: bytes | None
    """size x size x 3 RGB; with `DecodeLimits(crops=10)`, ten of these one after another."""
    error: str | None
    gps: LatLng | None = None
    """Where the photo's metadata say it was taken, (lat, lng) in degrees. Nobody vouches for it."""
    datum: str = ""
    """Of that position, where it is said and is not WGS 84: metres to hundreds of metres away from it."""


class Decoders(Protocol):
    """Workers that are there already, and may serve others too."""

    workers: int

    def start(self, task: Callable[[Worker], T]) -> "Future[T]":
        """Begin a task as soon as a worker is idle, in that worker's thread."""


def default_workers() -> int:
    """Return one process a core, at most 8."""
    return min(os.cpu_count() or 1, 8)


class DecodingPool:
    """Processes that decode photos, with a thread for each that waits for it; closed by `close`.

    Args:
        workers: how many; each process starts when it is first needed.
        limits: what one photo may cost, and how it is read.
        decoder: reads one photo; workers import it by its name.
        timeout_s: time for one photo.

    Raises:
        InputError: there is no worker, or no time.
    """

    def __init__(
        self, workers: int, limits: DecodeLimits, decoder: Decoder = read_photo, timeout_s: float = TIMEOUT_S
    ) -> None:
        if workers < 1:
            raise InputError(f"workers is {workers}; give at least 1 process to decode photos in.")
        if not 0 < timeout_s < 1e9:
            raise InputError(f"timeout_s is {timeout_s}; give seconds above 0.")
        self.workers = workers
        self._processes = [Worker(decoder, limits, timeout_s) for _ in range(workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._processes:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="photos")

    def start(self, task: Callable[[Worker], T]) -> "Future[T]":
        """Begin a task as soon as a worker is idle, in that worker's thread."""

        def run() -> T:
            worker = self._idle.get()
            try:
                return task(worker)
            finally:
                self._idle.put(worker)

        return self._threads.submit(run)

    def close(self) -> None:
        """End the processes at once; what they were reading counts as unreadable."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._processes:
            worker.close()


def decode_all(
    photos: Iterable[Photo],
    limits: DecodeLimits = DecodeLimits(),
    *,
    workers: int | Decoders = 0,
    timeout_s: float = TIMEOUT_S,
    decoder: Decoder = read_photo,
) -> Iterator[Decoded]:
    """Decode photos in order.

    Args:
        photos: paths, bytes, open files, Pillow images, or photos elsewhere; read only a few ahead of what was
            yielded. Open files are read, and Pillow images decoded, in this process as they come, so they may be
            closed after that. Photos elsewhere are fetched by this process, a few at once.
        limits: what one photo may cost, and how it is read.
        workers: processes to decode in, each held to 2 GB of memory. 0 decodes in this process, where a hostile file
            has no limit of time or memory and a decoder's crash is the caller's. Or a pool, which stays open; time, and
            memory, are the pool's, and so is the decoder.
        timeout_s: time for one photo in a worker.
        decoder: reads one photo; workers import it by its name.

    Raises:
        InputError: `workers` is negative, or `timeout_s` not positive.
        GeoclipError: a worker process cannot start.
    """
    if isinstance(workers, int) and workers < 0:
        raise InputError(f"workers is {workers}; give a number of processes, or 0 to decode in this one.")
    named = ((name_of(photo, position), photo) for position, photo in enumerate(ahead(photos, limits.max_bytes)))
    if workers == 0:
        return (_decoded(name, partial(decoder, photo, limits)) for name, photo in named)
    if isinstance(workers, int):
        return _in_own_pool(named, limits, decoder, DecodingPool(workers, limits, decoder, timeout_s))
    return _decode_in_workers(named, limits, decoder, workers)


def _decoded(name: str, task: Callable[[], bytes | Picture]) -> Decoded:
    try:
        answer = task()
    except PhotoError as error:
        return Decoded(name, None, str(error))
    picture = answer if isinstance(answer, Picture) else Picture(answer, None)
    return Decoded(name, picture.pixels, None, picture.gps, picture.datum)


def _in_own_pool(
    photos: Iterable[tuple[str, Photo]], limits: DecodeLimits, decoder: Decoder, pool: DecodingPool
) -> Iterator[Decoded]:
    try:
        yield from _decode_in_workers(photos, limits, decoder, pool)
    finally:
        pool.close()


def _decode_in_workers(
    photos: Iterable[tuple[str, Photo]], limits: DecodeLimits, decoder: Decoder, pool: Decoders
) -> Iterator[Decoded]:
    def started(name: str, photo: Photo) -> Future[Decoded]:
        if isinstance(photo, Image.Image):
            return _done(_decoded(name, partial(decoder, photo, limits)))
        if isinstance(photo, Elsewhere):
            there = photo
            return pool.start(lambda worker: _decoded(name, partial(_fetched, worker, there, limits)))
        if not isinstance(photo, str | Path | bytes):
            try:
                photo = content_of(photo, limits)
            except PhotoError as error:
                return _done(Decoded(name, None, str(error)))
        return pool.start(lambda worker: _decoded(name, partial(worker.decode, photo, limits)))

    waiting: deque[Future[Decoded]] = deque()
    try:
        for name, photo in photos:
            waiting.append(started(name, photo))
            if len(waiting) == AHEAD_PER_WORKER * pool.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _fetched(worker: Worker, photo: Elsewhere, limits: DecodeLimits) -> Picture:
    return worker.decode(photo.content(limits.max_bytes), limits)


def _done(decoded: Decoded) -> Future[Decoded]:
    future: Future[Decoded] = Future()
    future.set_result(decoded)
    return future
