"""What the service takes on: requests being received, requests accepted, and their bytes, all of them bounded."""

import math
import time
from collections import Counter

from geoclip.serve.metrics import Metrics
from geoclip.serve.problems import ProblemError
from geoclip.serve.settings import ServeOptions

RECEIVING_A_PLACE = 4
"""Requests whose bodies are being received, for each place of the queue: most wait for their network."""
UPLOADS_IN_MEMORY = 8
"""Bodies of the largest size that memory may hold."""


class Admission:
    """Bounds what is taken on. Used by the event loop's thread alone.

    Args:
        settings: of the service.
        metrics: are told.
    """

    def __init__(self, settings: ServeOptions, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._accepted = self._receiving = self._bytes = 0
        self._of_client: Counter[str] = Counter()
        self._seconds = 0.1  # that a request takes, lately

    def arrive(self, client: str) -> "Place":
        """Take note of a request whose body is about to be read.

        Raises:
            ProblemError: the queue is full.
        """
        self.check(client)
        if self._receiving >= RECEIVING_A_PLACE * self._settings.queue:
            raise self._busy(f"{self._receiving} requests are being received")
        self._receiving += 1
        return Place(self, client)

    def check(self, client: str) -> None:
        """Refuse a request that could not be accepted now.

        Raises:
            ProblemError: there is no room.
        """
        if self._accepted >= self._settings.queue:
            raise self._busy(f"{self._accepted} requests are waiting")
        most = self._settings.per_client
        if most is not None and self._of_client[client] >= most:
            raise ProblemError(
                429, f"{most} requests of yours are waiting, which is what one caller may have.", self._later()
            )

    def accept(self, client: str) -> None:
        """Count a request as accepted: it will be answered. Errors as of `check`."""
        self.check(client)
        self._accepted += 1
        self._of_client[client] += 1
        self._metrics.queue.set(self._accepted)

    def finish(self, client: str, seconds: float) -> None:
        """Take an accepted request out, which took so long."""
        self._accepted -= 1
        self._of_client[client] -= 1
        self._of_client += Counter()  # without those that have none
        self._seconds += (seconds - self._seconds) / 16
        self._metrics.queue.set(self._accepted)

    def received(self) -> None:
        """Take a request out of those being received."""
        self._receiving -= 1

    def take(self, count: int) -> None:
        """Count bytes of a body.

        Raises:
            ProblemError: memory holds as many as it may.
        """
        if self._bytes + count > UPLOADS_IN_MEMORY * self._settings.upload_bytes:
            raise self._busy(f"{self._bytes >> 20} MB of other requests are in memory")
        self._bytes += count
        self._metrics.uploads.set(self._bytes)

    def give(self, count: int) -> None:
        """Take bytes out."""
        self._bytes -= count
        self._metrics.uploads.set(self._bytes)

    def _busy(self, why: str) -> ProblemError:
        return ProblemError(503, f"There is no room: {why}; try again later.", self._later())

    def _later(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self._seconds)))}


class Place:
    """One request's place; `release` gives back whatever it holds, once.

    Args:
        admission: whose place it is.
        client: the address of the caller.
    """

    def __init__(self, admission: Admission, client: str) -> None:
        self._admission, self._client = admission, client
        self._bytes, self._receiving = 0, True
        self._accepted_at: float | None = None

    def take(self, count: int) -> None:
        """Count bytes that were received; see `Admission.take`."""
        self._admission.take(count)
        self._bytes += count

    def accept(self) -> None:
        """Take a place in the queue: the body is there. See `Admission.accept`."""
        self._end_receiving()
        self._admission.accept(self._client)
        self._accepted_at = time.monotonic()

    def release(self) -> None:
        """Give everything back."""
        self._end_receiving()
        self._admission.give(self._bytes)
        self._bytes = 0
        if self._accepted_at is not None:
            self._admission.finish(self._client, time.monotonic() - self._accepted_at)
            self._accepted_at = None

    def _end_receiving(self) -> None:
        if self._receiving:
            self._receiving = False
            self._admission.received()
