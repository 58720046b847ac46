"""Working ahead: the same results in order, never far ahead, errors where they belong."""

import threading
from collections.abc import Iterator

import pytest

from index.ahead import ahead


def test_results_come_in_order_whoever_is_first() -> None:
    second_is_done = threading.Event()

    def make(number: int) -> int:
        if number == 0:
            assert second_is_done.wait(10)
        elif number == 1:
            second_is_done.set()
        return number * number

    assert list(ahead(make, range(5), threads=2)) == [0, 1, 4, 9, 16]
    assert list(ahead(make, [], threads=2)) == []


def test_no_more_is_begun_than_there_are_threads_for() -> None:
    taken = list[int]()

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    results = ahead(lambda number: number, items(), threads=2)
    assert next(results) == 0
    assert taken == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
    assert taken == [0, 1, 2]


def test_an_error_is_raised_where_its_result_would_be() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    results = ahead(make, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
