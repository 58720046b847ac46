"""Builds in parts: any processes, killed at any moment, make the index of one undisturbed process.

`GEOCLIP_KILLS=50 pytest tests/index/building/test_parts.py -k killed` kills more often than the usual run does.
"""

import multiprocessing
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.building.blocks import arithmetic_of, block_path, read_block, write_block
from index.building.build import build, build_part, finish
from index.building.working_folder import BLOCKS, OtherBuildError, locked, shared, working_folder
from index.parts import Part, ranges
from tests.helpers.builds import contents, no_report, uninterrupted, wanted
from tests.helpers.synthetic import SyntheticEncoder, begin, encode

__all__ = ["uninterrupted"]

KILLS = int(os.environ.get("GEOCLIP_KILLS", "8"))
PROCESSES = 4


def run_part(target: Path, words: str) -> None:
    """Encode a part in a process of its own, which may be killed."""
    build_part(wanted(), encode, target, Part.parse(words), report=no_report)


def all_parts(target: Path, of: int = 3) -> Path:
    """Encode all parts; return the folder of blocks."""
    begin(wanted(), target)
    for number in range(1, of + 1):
        run_part(target, f"{number}/{of}")
    return working_folder(target) / BLOCKS


def test_parts_of_killed_processes_make_the_same_index(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    """Four processes at once, each killed at random moments and started again until its part is done."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.index.building.test_parts", "faiss", "torch", "pytest"])
    rng, target, kills, rounds = random.Random(17), tmp_path / "planet", 0, 0
    while kills < KILLS or not rounds:
        rounds += 1
        begin(wanted(), target)
        waiting = [f"{number}/{PROCESSES}" for number in range(1, PROCESSES + 1)]
        while waiting:
            children = [(words, processes.Process(target=run_part, args=(target, words))) for words in waiting]
            for _, child in children:
                child.start()
            if kills < KILLS:
                time.sleep(rng.uniform(0, 0.5))
                for _, child in children:
                    if rng.random() < 0.6 and child.is_alive():
                        child.kill()
                        kills += 1
            for _, child in children:
                child.join()
            assert {child.exitcode for _, child in children} <= {0, -9}
            waiting = [words for words, child in children if child.exitcode]
        finish(wanted(), encode, target, report=no_report, replace=True)
        assert contents(target) == uninterrupted
        assert not working_folder(target).exists()


@given(count=st.integers(0, 200), of=st.integers(1, 40))
def test_each_block_is_of_one_part(count: int, of: int) -> None:
    numbers = [list(Part(number, of).numbers(count)) for number in range(1, of + 1)]
    assert sorted(number for own in numbers for number in own) == list(range(count))
    assert max(map(len, numbers)) - min(map(len, numbers)) <= 1


@pytest.mark.parametrize("words", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/2/3", "", "1.0/4"])
def test_what_is_not_a_part(words: str) -> None:
    with pytest.raises(ValueError, match=r"give its number and how many there are, such as 1/16 to 16/16"):
        Part.parse(words)


def test_ranges_in_words() -> None:
    assert ranges([3, 0, 1, 2, 7, 9, 10]) == "0-3, 7, 9-10"
    assert ranges([]) == ""


def test_a_part_that_is_repeated_encodes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "planet"
    blocks = all_parts(target)
    before = contents(blocks)
    asked: list[int] = []

    def counting(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        asked.append(len(lat_lng))
        return encode(lat_lng)

    build_part(wanted(), SyntheticEncoder(counting), target, Part(2, 3), report=no_report)
    assert len(asked) == 1  # the sample that names the arithmetic
    assert contents(blocks) == before


def test_a_build_without_parts_goes_on_from_them(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    begin(wanted(), target)
    run_part(target, "2/3")
    build(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


def test_missing_blocks_are_named(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    blocks = all_parts(target)
    for number in (0, 1, 4):
        block_path(blocks, number).unlink()
    with pytest.raises(ValueError, match=r"3 of 6 blocks are missing in .*: 0-1, 4; run their parts again"):
        finish(wanted(), encode, target, report=no_report)
    for words in ("1/3", "2/3"):
        run_part(target, words)
    finish(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


@pytest.mark.parametrize("at", [20, -3], ids=["header", "numbers"])
def test_a_damaged_block_is_named_and_made_again(tmp_path: Path, uninterrupted: dict[str, bytes], at: int) -> None:
    target = tmp_path / "planet"
    path = block_path(all_parts(target), 3)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"000003.safetensors (is damaged and was removed|differs from)"):
        finish(wanted(), encode, target, report=no_report)
    path.unlink(missing_ok=True)
    run_part(target, "1/3")
    finish(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


def rounding(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
    """Encode as a machine does whose products round in another way."""
    return np.nextafter(encode(lat_lng), np.float32(2))


def test_parts_of_unlike_machines_are_not_mixed(tmp_path: Path) -> None:
    target = tmp_path / "planet"
    begin(wanted(), target)
    run_part(target, "1/2")
    build_part(wanted(), SyntheticEncoder(rounding), target, Part(2, 2), report=no_report)
    for job in (finish, build):
        with pytest.raises(ValueError, match=r"3 of 6 blocks in .* \(1, 3, 5\) were made with another arithmetic"):
            job(wanted(), encode, target, report=no_report)
    assert not target.exists()


def test_one_block_is_made_again_and_compared(tmp_path: Path) -> None:
    """A block that says the right arithmetic and is sound in itself, but is not of its cells."""
    target = tmp_path / "planet"
    blocks = all_parts(target)
    for number in range(6):
        path = block_path(blocks, number)
        name, block = arithmetic_of(path), read_block(path)
        path.unlink()
        write_block(path, block._replace(lengths=block.lengths * np.float16(0.5)), name)
    with pytest.raises(ValueError, match=r"differs from what its cells give on this machine"):
        finish(wanted(), encode, target, report=no_report)


def test_parts_and_others_keep_out_of_each_others_way(tmp_path: Path) -> None:
    target = tmp_path / "planet"
    described = wanted().described()
    with shared(target, described), shared(target, described):  # parts may run together
        for job in (finish, build):
            with pytest.raises(OtherBuildError, match="Another process is building"):
                job(wanted(), encode, target, report=no_report)
    with pytest.raises(OtherBuildError, match="holds a build with another tau"), shared(target, described | {"tau": 2}):
        pass
    with locked(target), pytest.raises(OtherBuildError, match="Another process is building"):
        run_part(target, "1/2")


def test_a_part_leaves_an_index_alone(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    all_parts(target)
    finish(wanted(), encode, target, report=no_report)
    all_parts(target)
    assert contents(target) == uninterrupted
    with pytest.raises(OtherBuildError, match="exists; choose another name, or replace it with --overwrite"):
        finish(wanted(), encode, target, report=no_report)
    finish(wanted(), encode, target, report=no_report, replace=True)
    assert contents(target) == uninterrupted
