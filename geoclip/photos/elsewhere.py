"""Photos that are not files of this machine: at addresses, inside tar files; fetched when their turn comes.

Several are fetched at once and a few ahead of the decoder, in bounded memory: a large one waits until a worker is free.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from geoclip.errors import PhotoError

T = TypeVar("T")
AT_ONCE, AHEAD = 16, 32
SMALL_BYTES = 32 << 20
"""What is fetched ahead; larger photos are fetched when a worker is free for them."""


class TooLargeError(PhotoError):
    """A photo has more bytes than are allowed."""

    def __init__(self, size: int | None, most: int) -> None:
        has = f"has {size / 2**20:.4g} MB" if size is not None else "is larger"
        super().__init__(f"The file {has}; {most / 2**20:.4g} MB are allowed.")


class Elsewhere(ABC):
    """A photo whose content has to be fetched."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What answers call it; nothing in it is secret."""

    @property
    def key(self) -> bytes:
        """What is known of its content without fetching it."""
        return b""

    @abstractmethod
    def content(self, most: int) -> bytes:
        """Fetch the content.

        Args:
            most: bytes that are allowed.

        Raises:
            TooLargeError: it has more.
            PhotoError: it cannot be fetched; the message is one sentence without the name.
        """


@dataclass(frozen=True)
class Unusable(Elsewhere):
    """A place in a list where no photo can be had: a row with a reason."""

    called: str
    reason: str

    @property
    def name(self) -> str:
        """See `Elsewhere.name`."""
        return self.called

    def content(self, most: int) -> bytes:
        """Say the reason."""
        del most
        raise PhotoError(self.reason)


class _Coming(Elsewhere):
    """A photo that is being fetched."""

    def __init__(self, photo: Elsewhere, fetched: "Future[bytes | None]") -> None:
        self._photo, self._fetched = photo, fetched

    @property
    def name(self) -> str:
        return self._photo.name

    def content(self, most: int) -> bytes:
        content = self._fetched.result()
        return self._photo.content(most) if content is None else content


def ahead(photos: Iterable[T], most: int) -> Iterator[T | Elsewhere]:
    """Yield the same photos, in order; of those elsewhere the next few are being fetched.

    Nothing is taken from `photos` behind one that is not elsewhere before that one was yielded: it may be an open file.

    Args:
        photos: of any kind.
        most: bytes that are allowed.
    """
    waiting: deque[Elsewhere] = deque()
    threads: ThreadPoolExecutor | None = None

    def small(photo: Elsewhere) -> bytes | None:
        try:
            return photo.content(min(most, SMALL_BYTES))
        except TooLargeError:
            if most <= SMALL_BYTES:
                raise
            return None

    try:
        for photo in photos:
            if isinstance(photo, Elsewhere):
                threads = threads or ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetching")
                waiting.append(_Coming(photo, threads.submit(small, photo)))
                if len(waiting) == AHEAD:
                    yield waiting.popleft()
                continue
            while waiting:
                yield waiting.popleft()
            yield photo
        while waiting:
            yield waiting.popleft()
    except BaseException:  # nobody wants what comes
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        raise
    if threads is not None:
        threads.shutdown(wait=False)
