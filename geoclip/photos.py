"""Many photos: find them, and decode them in worker processes beside the encoder, in order and in bounded memory."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from geoclip.decode import SUFFIXES, DecodeLimits, Photo, decode, name_of
from geoclip.errors import InputError, PhotoError

WORKER_MEMORY_BYTES = 2 * 2**30
TIMEOUT_S = 9.0


class Decoded(NamedTuple):
    """One photo after decoding: its pixels, or the reason why there are none."""

    name: str
    pixels: bytes | None
    """224 x 224 x 3 RGB."""
    error: str | None


def find_photos(inputs: Sequence[str | Path]) -> Iterator[str]:
    """Yield the photo files of the inputs: a file as it is, a folder by its files with a photo's suffix.

    Folders are walked in name order, deeper levels included, hidden entries and linked folders left out. Paths
    are yielded one by one, so that a folder of a million needs no list.

    Raises:
        InputError: an input does not exist, or a folder cannot be listed. Raised before anything is yielded.
    """
    for path in inputs:
        if not os.path.lexists(path):
            raise InputError(f"{path} does not exist; give photos or folders of photos.")
    return (photo for path in inputs for photo in _walk(str(path)))


def _walk(path: str) -> Iterator[str]:
    if not Path(path).is_dir():
        yield path
        return
    with os.scandir(path) as entries:
        children = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    for entry in children:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
            yield entry.path


def decode_all(
    photos: Iterable[Photo],
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
    *,
    workers: int = 0,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Decoded]:
    """Decode photos in order.

    Args:
        photos: paths, bytes, open files or Pillow images; read only a few ahead of what was yielded.
        limits: what one photo may cost.
        workers: processes to decode in. 0 decodes in this process, where a hostile file has no time limit and
            a decoder's crash is the caller's. A script that uses workers needs the usual
            `if __name__ == "__main__":` guard.
        timeout_s: time for one photo in a worker.
    """
    if workers == 0:
        for position, photo in enumerate(photos):
            try:
                yield Decoded(name_of(photo, position), decode(photo, limits), None)
            except PhotoError as error:
                yield Decoded(name_of(photo, position), None, str(error))
        return
    yield from _decode_in_workers(photos, limits, workers, timeout_s)


def _decode_in_workers(
    photos: Iterable[Photo], limits: DecodeLimits, workers: int, timeout_s: float
) -> Iterator[Decoded]:
    import multiprocessing

    from pebble import ProcessPool

    context = multiprocessing.get_context("spawn")  # forking a process with threads of torch may hang
    pool = ProcessPool(max_workers=workers, initializer=_limit_memory, context=context)
    waiting: deque[tuple[str, Any]] = deque()
    try:
        for position, photo in enumerate(photos):
            future = pool.schedule(decode, args=[_portable(photo), limits], timeout=timeout_s)
            waiting.append((name_of(photo, position), future))
            if len(waiting) >= 4 * workers:
                yield _result(*waiting.popleft(), timeout_s)
        while waiting:
            yield _result(*waiting.popleft(), timeout_s)
        pool.close()
    finally:
        pool.stop()
        pool.join()


def _result(name: str, future: Any, timeout_s: float) -> Decoded:
    from pebble import ProcessExpired

    try:
        return Decoded(name, future.result(), None)
    except PhotoError as error:
        return Decoded(name, None, str(error))
    except FutureTimeoutError:
        return Decoded(name, None, f"Reading the image takes longer than {timeout_s:g} s.")
    except (ProcessExpired, MemoryError):
        return Decoded(name, None, "Reading the image crashed the decoder or took too much memory.")


def _portable(photo: Photo) -> str | bytes | Image.Image:
    """Return the photo in a form that another process can receive."""
    if isinstance(photo, Image.Image):
        photo.load()
        return photo
    return photo if isinstance(photo, bytes) else str(photo) if isinstance(photo, str | Path) else photo.read()


def _limit_memory() -> None:
    """In a worker: let no photo take more than 2 GB of address space, and leave Ctrl-C to the parent."""
    import resource
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
