"""A build in parts: processes that know nothing of each other encode every so manyth block into one folder.

Any scheduler can run them: each block is written whole or not at all, and one that is there is not made again. Blocks
say with which arithmetic they were made, so that those of unlike machines are not mixed.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from index.building.blocks import arithmetic_of, block_path
from index.building.plan import BuildPlan


class Part(NamedTuple):
    """One of several parts of a build, counted from 1: its blocks are `number - 1`, and every `of`-th from there."""

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

    def __str__(self) -> str:
        """Return it as it is given."""
        return f"{self.number}/{self.of}"


def missing(plan: BuildPlan, folder: Path) -> list[int]:
    """Return the numbers of the blocks that a folder lacks."""
    return [number for number in range(len(plan)) if not block_path(folder, number).exists()]


def check_arithmetic(plan: BuildPlan, folder: Path, own: str) -> None:
    """Compare the arithmetic that each block names with that of this machine.

    Raises:
        ValueError: a block names another one, or is damaged; that one is removed.
    """
    other = [number for number in range(len(plan)) if arithmetic_of(block_path(folder, number)) != own]
    if other:
        raise ValueError(
            f"{len(other)} of {len(plan)} blocks in {folder} ({ranges(other)}) were made with another arithmetic "
            "(processor, precision or versions) than this machine's; finish on a machine like theirs, or remove them "
            "and make them again."
        )


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers in words: `0-3, 7`."""
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in _runs(sorted(numbers)))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    cuts = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(numbers)) if b > a + 1), len(numbers)]
    for start, stop in pairwise(cuts):
        if stop > start:
            yield numbers[start], numbers[stop - 1]


def parts_of(numbers: Iterable[int], of: int) -> list[Part]:
    """Return the parts, of so many, that hold some blocks."""
    return [Part(int(each) + 1, of) for each in np.unique(np.array(list(numbers), np.int64) % of)]
