"""What waits is computed together, in order, and the fault of one is not the others'."""

import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from geoclip.serve.batching import Batcher


class Recorder:
    """Doubles numbers, remembers the batches, and can be held."""

    def __init__(self) -> None:
        self.batches: list[tuple[Hashable, list[int]]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, key: Hashable, items: Sequence[int]) -> list[int]:
        self.batches.append((key, list(items)))
        assert self.free.wait(20)
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]


def asked_while_busy(
    batcher: Batcher[int, int], recorder: Recorder, asked: list[tuple[str, list[int]]]
) -> list[object]:
    """Return results, or errors, of what was asked one after the other while the first kept the thread busy."""
    recorder.free.clear()
    with ThreadPoolExecutor(len(asked) + 1) as threads:
        futures = [threads.submit(batcher.results, [0], "first")]
        while not recorder.batches:
            time.sleep(0.001)
        for position, (key, items) in enumerate(asked):
            futures.append(threads.submit(batcher.results, items, key))
            while batcher.waiting <= position:
                time.sleep(0.001)
        recorder.free.set()
        return [future.exception() or future.result() for future in futures[1:]]


def test_what_waits_with_one_key_goes_together_up_to_the_most() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, most=4, wait_s=0.0, name="test")
    found = asked_while_busy(batcher, recorder, [("a", [1, 2]), ("b", [3]), ("a", [4]), ("a", [5, 6]), ("a", [7])])
    assert found == [[2, 4], [6], [8], [10, 12], [14]]
    assert recorder.batches[1:] == [("a", [1, 2, 4, 7]), ("b", [3]), ("a", [5, 6])]
    batcher.close()


def test_the_fault_of_one_is_not_the_others() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, most=9, wait_s=0.0, name="test")
    first, bad, last = asked_while_busy(batcher, recorder, [("a", [1]), ("a", [13]), ("a", [3])])
    assert (first, last) == ([2], [6])
    assert isinstance(bad, ValueError)
    assert batcher.results([4]) == [8]
    batcher.close()


def test_a_wait_is_no_longer_than_asked_for_and_ends_when_the_batch_is_full() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, most=3, wait_s=0.3, name="test")
    begun = time.monotonic()
    assert batcher.results([1]) == [2]
    assert 0.29 < time.monotonic() - begun < 5
    with ThreadPoolExecutor(3) as threads:
        begun = time.monotonic()
        assert list(threads.map(batcher.results, [[1], [2], [3]])) == [[2], [4], [6]]
    assert [sorted(items) for _, items in recorder.batches[1:]] == [[1, 2, 3]]
    batcher.close()


def test_a_batcher_that_is_closed_finishes_and_takes_nothing_more() -> None:
    batcher = Batcher(Recorder(), most=3, wait_s=0.0, name="test")
    assert batcher.results([1]) == [2]
    batcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.results([1])
