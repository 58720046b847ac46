"""How long the stages of one request took: the header `Server-Timing`, and what the metrics count."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock


class Stage(StrEnum):
    """A part of the work; waiting for its turn is included."""

    DECODE = "decode"
    CLIP = "clip"
    SEARCH = "search"
    NAMES = "names"


class Stages:
    """Seconds of each stage of one request. Stages of several photos overlap, so sums may exceed the whole."""

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = {}
        self._lock = Lock()  # photos are decoded in several threads

    @contextmanager
    def during(self, stage: Stage) -> Iterator[None]:
        """Count the time of the body."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - begun)

    def add(self, stage: Stage, seconds: float) -> None:
        """Count time."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @property
    def header(self) -> str:
        """The value of `Server-Timing`, in milliseconds."""
        return ", ".join(f"{stage};dur={1000 * self.seconds[stage]:.1f}" for stage in Stage if stage in self.seconds)
