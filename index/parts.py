"""Numbered things shared out to parts of a job, which know nothing of each other. Pure."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple, Self


class Part(NamedTuple):
    """One of several parts of a job, counted from 1: it does number `number - 1` and every `of`-th from there."""

    number: int
    of: int

    @classmethod
    def parse(cls, words: str) -> Self:
        """Read `3/16`.

        Raises:
            ValueError: it is not like that, or there is no such part.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", words.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"The part is {words!r}; give its number and how many there are, such as 1/16 to 16/16.")
        return cls(int(found[1]), int(found[2]))

    def numbers(self, count: int) -> range:
        """Return which of `count` things, from 0, are this part's."""
        return range(self.number - 1, count, self.of)


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers in words: `0-3, 7`."""
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in _runs(sorted(numbers)))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    cuts = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(numbers)) if b > a + 1), len(numbers)]
    for start, stop in pairwise(cuts):
        if stop > start:
            yield numbers[start], numbers[stop - 1]
