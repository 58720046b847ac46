"""Processes that decode photos for training, each held to a memory and a time for one photo."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from torch import Tensor

from geoclip.encoders.preprocess import normalised
from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import TIMEOUT_S
from geoclip.photos.worker import Worker
from geoclip.release.config import Preprocess
from geoclip.train.data.augment import decode_job


def default_workers() -> int:
    """Return one process a core, at most 8."""
    return min(os.cpu_count() or 1, 8)


class BatchDecoder:
    """Decodes photos into slots of a batch; started when first needed, closed by `close`.

    A photo that takes its process down, or too long, is one that cannot be read.

    Args:
        workers: processes, each with a thread here that waits for it and normalises what comes.
        limits: what one photo may cost.
        preprocess: what CLIP's tower wants.

    Raises:
        InputError: fewer than one worker.
    """

    def __init__(self, workers: int, limits: DecodeLimits, preprocess: Preprocess) -> None:
        if workers < 1:
            raise InputError(f"workers is {workers}; give at least 1 process to decode photos in.")
        self._preprocess = preprocess
        self._workers = [Worker(decode_job, limits, TIMEOUT_S) for _ in range(workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="photos")

    def start(self, message: Callable[[], bytes], slot: Tensor) -> "Future[str | None]":
        """Decode one photo in the background.

        Args:
            message: makes the job (see `augment.job`); may raise PhotoError.
            slot: (3, size, size) float32, filled unless the photo cannot be read.

        Returns:
            None, or why the photo cannot be read.
        """
        return self._threads.submit(self._decode, message, slot)

    def _decode(self, message: Callable[[], bytes], slot: Tensor) -> str | None:
        worker = self._idle.get()
        try:
            pixels = worker.decode(message()).pixels
        except PhotoError as error:
            return str(error)
        finally:
            self._idle.put(worker)
        slot.copy_(normalised([pixels], self._preprocess)[0])
        return None

    def close(self) -> None:
        """End the processes; what they were reading counts as unreadable."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.close()
