"""A small build, and what it makes when nothing disturbs it."""

from pathlib import Path

import pytest

from index.building.request import Request
from index.grid.region import Region
from tests.helpers.synthetic import make, request

SMALL = Region.disk(46.6, 8.2, 60.0)
FEW_CELLS = 1 << 10
"""Bytes of memory that leave a block 64 cells, the least."""


def wanted() -> Request:
    return request(SMALL, memory_bytes=FEW_CELLS)


def no_report(stage: str, done: int, total: int) -> None:
    del stage, done, total


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every byte of the index of `wanted`."""
    return contents(make(wanted(), tmp_path_factory.mktemp("whole") / "planet"))
