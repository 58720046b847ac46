"""Blocks made by another process for the one that builds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.building.block_job import BlockJob, block_maker
from index.building.blocks import OnBlock
from index.building.build import build, build_part
from index.parts import Part
from tests.helpers.builds import contents, no_report, uninterrupted, wanted
from tests.helpers.synthetic import SyntheticEncoder, begin, encode

__all__ = ["uninterrupted"]


def test_the_builder_asks_for_what_is_missing(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    asked: list[dict[int, int]] = []

    def make(job: BlockJob, points: Mapping[int, int], on_block: OnBlock) -> None:
        asked.append(dict(points))
        maker = block_maker(job, encode)
        for number in reversed(points):
            maker(number)
        on_block(1, 1)

    target = tmp_path / "planet"
    begin(wanted(), target)
    build_part(wanted(), encode, target, Part(2, 3), report=no_report)
    build(wanted(), encode, target, report=no_report, make=make)
    assert [sorted(numbers) for numbers in asked] == [[0, 2, 3, 5]]
    assert {points for number, points in asked[0].items() if number < 5} == {64 * 7}
    assert contents(target) == uninterrupted


def test_a_machine_of_another_arithmetic_makes_nothing(tmp_path: Path) -> None:
    def rounding(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.nextafter(encode(lat_lng), np.float32(2))

    def make(job: BlockJob, points: Mapping[int, int], on_block: OnBlock) -> None:
        block_maker(job, SyntheticEncoder(rounding))

    begin(wanted(), tmp_path / "planet")
    with pytest.raises(ValueError, match=r"^One of the machines computes with another arithmetic"):
        build(wanted(), encode, tmp_path / "planet", report=no_report, make=make)


def test_a_machine_that_does_not_see_the_folder(tmp_path: Path) -> None:
    job = BlockJob(tmp_path / "elsewhere.building", 64, False, "00")
    with pytest.raises(ValueError, match=r"elsewhere.building is not to be seen from every machine that builds; name"):
        block_maker(job, encode)
    assert list(tmp_path.iterdir()) == []
