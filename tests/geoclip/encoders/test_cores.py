"""Chunks on all cores: every chunk once, each computed alone, errors raised, torch's threads as they were."""

import multiprocessing
import os
from collections.abc import Iterator

import pytest
import torch

from geoclip.encoders.cores import on_all_cores


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_chunk_once_and_each_alone(threads: int, count: int) -> None:
    seen: list[tuple[int, int]] = []
    on_all_cores(lambda chunk: seen.append((chunk, torch.get_num_threads())), range(count))
    assert sorted(chunk for chunk, _ in seen) == list(range(count))
    if count > 1:
        assert {alone for _, alone in seen} == {1}
    assert torch.get_num_threads() == threads


def test_the_error_of_a_chunk_is_raised(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        on_all_cores(lambda chunk: 1 // (chunk - 3), range(8))
    seen: list[int] = []
    on_all_cores(seen.append, range(8))
    assert sorted(seen) == list(range(8))


def test_a_fork_has_threads_of_its_own() -> None:
    on_all_cores(lambda chunk: None, range(4))
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    child = multiprocessing.get_context("fork").Process(target=on_all_cores, args=(abs, range(4)))
    child.start()
    child.join(20)
    alive = child.is_alive()
    child.kill()
    assert not alive
    assert child.exitcode == 0
