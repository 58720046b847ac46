"""Many photos: find them, and decode them in worker processes beside the encoder, in order and in bounded memory."""

import os
import signal
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple

from PIL import Image

from geoclip.decode import SUFFIXES, DecodeLimits, Photo, content_of, decode, name_of
from geoclip.errors import GeoclipError, InputError, PhotoError

WORKER_MEMORY_BYTES = 2 * 2**30
TIMEOUT_S = 9.0
AHEAD_PER_WORKER = 4
Decoder = Callable[[Photo, DecodeLimits], bytes]


class Decoded(NamedTuple):
    """One photo after decoding: its pixels, or the reason why there are none."""

    name: str
    pixels: bytes | None
    """224 x 224 x 3 RGB."""
    error: str | None


def find_photos(inputs: Sequence[str | Path]) -> Iterator[str]:
    """Yield the photo files of the inputs: a file as it is, a folder by its files with a photo's suffix.

    Folders are walked in name order, deeper levels included, hidden entries and linked folders left out. A deeper
    folder that cannot be listed is yielded itself, so that the run reports it and goes on.

    Raises:
        InputError: an input does not exist or is a folder that cannot be listed. Raised before anything is yielded.
    """
    for path in inputs:
        try:
            if Path(path).is_dir():
                os.scandir(path).close()
            else:
                os.lstat(path)
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; give photos or folders of photos.") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be opened: {getattr(error, 'strerror', error)}.") from error
    return (photo for path in inputs for photo in _walk(str(path)))


def _walk(top: str) -> Iterator[str]:
    waiting = [(top, Path(top).is_dir())]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            with os.scandir(path) as entries:
                children = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError:
            yield path
            continue
        for entry in reversed(children):
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, True))
            elif Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_dir():
                waiting.append((entry.path, False))


def decode_all(
    photos: Iterable[Photo],
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
    *,
    workers: int = 0,
    timeout_s: float = TIMEOUT_S,
    decoder: Decoder = decode,
) -> Iterator[Decoded]:
    """Decode photos in order.

    Args:
        photos: paths, bytes, open files or Pillow images; read only a few ahead of what was yielded. Open files are
            read, and Pillow images decoded, in this process as they come, so they may be closed after that.
        limits: what one photo may cost.
        workers: processes to decode in. 0 decodes in this process, where a hostile file has no time limit and
            a decoder's crash is the caller's.
        timeout_s: time for one photo in a worker.
        decoder: photo and limits to pixels, raising `PhotoError`; workers import it by its name.

    Raises:
        InputError: `workers` is negative, or `timeout_s` not positive.
        GeoclipError: a worker process cannot start.
    """
    if workers < 0 or not timeout_s > 0:
        raise InputError(f"workers is {workers} and timeout_s {timeout_s}; give 0 or more, and more than 0.")
    named = ((name_of(photo, position), photo) for position, photo in enumerate(photos))
    if workers == 0:
        return (_decoded(name, partial(decoder, photo, limits)) for name, photo in named)
    return _decode_in_workers(named, limits, [_Worker(decoder, limits, timeout_s) for _ in range(workers)])


def _decoded(name: str, task: Callable[[], bytes]) -> Decoded:
    try:
        return Decoded(name, task(), None)
    except PhotoError as error:
        return Decoded(name, None, str(error))


def _decode_in_workers(
    photos: Iterable[tuple[str, Photo]], limits: DecodeLimits, workers: "Sequence[_Worker]"
) -> Iterator[Decoded]:
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def submit(name: str, photo: Photo) -> Future[Decoded]:
        if isinstance(photo, Image.Image):
            return _done(_decoded(name, partial(decode, photo, limits)))
        if not isinstance(photo, str | Path | bytes):
            try:
                photo = content_of(photo, limits)
            except PhotoError as error:
                return _done(Decoded(name, None, str(error)))
        return threads.submit(run, name, photo)

    def run(name: str, photo: str | Path | bytes) -> Decoded:
        worker = idle.get()
        try:
            return _decoded(name, partial(worker.decode, photo))
        finally:
            idle.put(worker)

    waiting: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(len(workers)) as threads:  # a thread waits for each process
        try:
            for name, photo in photos:
                waiting.append(submit(name, photo))
                if len(waiting) == AHEAD_PER_WORKER * len(workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.close()


def _done(decoded: Decoded) -> Future[Decoded]:
    future: Future[Decoded] = Future()
    future.set_result(decoded)
    return future


class _Worker:
    """One worker process, started when first needed and again after it died.

    A plain child rather than one of `multiprocessing`: that would import the caller's main module, with its torch,
    into the memory meant for the photo. At most one photo is with the process, so its death has one cause.
    """

    def __init__(self, decoder: Decoder, limits: DecodeLimits, timeout_s: float) -> None:
        self._job = (decoder, limits, timeout_s)
        self._live: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._closed = False
        self._lock = Lock()  # over the two above: `close` comes from another thread

    def decode(self, photo: str | Path | bytes) -> bytes:
        """Return the pixels of a photo.

        Raises:
            PhotoError: the photo cannot be read, or the process died of it.
            GeoclipError: the process cannot start.
        """
        process, pipe = self._started()
        try:
            pipe.send(photo)
            answer: bytes | str = pipe.recv()
        except (EOFError, OSError):
            process.kill()
            if process.wait() == -signal.SIGALRM:
                answer = f"Reading the image takes longer than {self._job[2]:g} s."
            else:
                answer = "Reading the image crashed the decoder or took too much memory."
        if isinstance(answer, str):
            raise PhotoError(answer)
        return answer

    def close(self) -> None:
        """End the process, whatever it does; it is not started again."""
        with self._lock:
            self._closed = True
            if self._live is not None:
                self._live[0].kill()
                self._live[0].wait()

    def _started(self) -> tuple[subprocess.Popen[bytes], Connection]:
        if self._live is not None and self._live[0].poll() is None:
            return self._live
        pipe, theirs = Pipe()
        end = theirs.fileno()
        code = f"import sys; sys.path[:] = {sys.path!r}; from geoclip.photos import serve; serve({end})"
        with self._lock, theirs:
            if self._closed:
                raise PhotoError("The run was stopped.")
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[end],
                start_new_session=True,  # Ctrl-C is the parent's
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # else numpy reserves memory for every core
            )
            self._live = process, pipe
        try:
            pipe.send(self._job)
            pipe.recv()
        except (EOFError, OSError) as error:
            raise GeoclipError(
                f"A worker process cannot start (exit status {process.wait()}, its last words are above); "
                "workers=0 decodes in this process."
            ) from error
        return self._live


def serve(pipe_fd: int) -> None:
    """Decode photo after photo in a worker process, until the pipe closes.

    The kernel enforces the limits: it refuses memory, and its alarm ends the process when a photo takes too long,
    even if the parent is gone. Decoders' last words are not shown.
    """
    import resource

    from PIL import AvifImagePlugin

    pipe = Connection(pipe_fd)
    decoder, limits, timeout_s = pipe.recv()
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a worker per core
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere address space cannot be limited
        resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    pipe.send("ready")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    while True:
        try:
            photo = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            answer: bytes | str = decoder(photo, limits)
        except PhotoError as error:
            answer = str(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
        pipe.send(answer)
