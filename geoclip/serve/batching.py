"""What several requests wait for is computed together, by one thread."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Waiting(NamedTuple, Generic[Item, Result]):
    key: Hashable
    items: Sequence[Item]
    done: "Future[list[Result]]"


class Batcher(Generic[Item, Result]):
    """Computes for whoever asks, in order; what waits with the same key is computed together.

    Args:
        compute: for a key and items, the result of each item.
        most: items that are computed together; what one caller asks for is never divided.
        wait_s: how long the first waits for others.
        name: of the thread.
        on_batch: told how many items were computed together.
    """

    def __init__(
        self,
        compute: Callable[[Hashable, Sequence[Item]], Sequence[Result]],
        *,
        most: int,
        wait_s: float,
        name: str,
        on_batch: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._compute, self._most, self._wait_s, self._on_batch = compute, most, wait_s, on_batch
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._changed, self._closed = Condition(), False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def results(self, items: Sequence[Item], key: Hashable = None) -> list[Result]:
        """Return what is computed for items.

        Raises:
            RuntimeError: it is closed.
            Exception: whatever the computation raises.
        """
        waiting = _Waiting[Item, Result](key, items, Future())
        with self._changed:
            if self._closed:
                raise RuntimeError("The batcher is closed.")
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.done.result()

    @property
    def waiting(self) -> int:
        """How many callers wait whose turn has not come."""
        return len(self._waiting)

    def close(self) -> None:
        """End the thread when all that waits is computed."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            self._on_batch(sum(len(each.items) for each in batch))
            self._finish(batch)

    def _finish(self, batch: "list[_Waiting[Item, Result]]") -> None:
        try:
            found = iter(self._compute(batch[0].key, [item for each in batch for item in each.items]))
            results = [[next(found) for _ in each.items] for each in batch]
        except Exception as error:
            if len(batch) == 1:
                batch[0].done.set_exception(error)
                return
            for each in batch:  # alone, so that the fault of one is not the others'
                self._finish([each])
            return
        for each, own in zip(batch, results, strict=True):
            each.done.set_result(own)

    def _next(self) -> "list[_Waiting[Item, Result]]":
        """Return what is to be computed together; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._wait_s and self._waiting and not self._closed:
                until = time.monotonic() + self._wait_s
                while self._count() < self._most and (left := until - time.monotonic()) > 0 and not self._closed:
                    self._changed.wait(left)
            if not self._waiting:
                return []
            batch, others = [self._waiting.popleft()], deque[_Waiting[Item, Result]]()
            count = len(batch[0].items)
            while self._waiting:
                each = self._waiting.popleft()
                if each.key == batch[0].key and count + len(each.items) <= self._most:
                    batch.append(each)
                    count += len(each.items)
                else:
                    others.append(each)
            self._waiting = others
            return batch

    def _count(self) -> int:
        return sum(len(each.items) for each in self._waiting if each.key == self._waiting[0].key)
