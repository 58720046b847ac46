"""Compiled functions: the same as plain ones, kept on disk where that can be done, and working where it cannot."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.compiled import Compiled, compiled

Floats = NDArray[np.float64]
ROOT = Path(__file__).parents[2]
MODULE = """
import numpy as np
from index.compiled import compiled

@compiled
def doubled(value: float) -> float:
    return 2 * value

@compiled
def sum_of_doubles(values: object) -> float:
    total = 0.0
    for value in values:
        total += doubled(value)
    return total
"""
RUN = """
import {before}
from loops import doubled, sum_of_doubles
import numpy as np
assert "numba" not in sys.modules
print(sum_of_doubles(np.arange(5.0)), doubled(4))
hits = sum_of_doubles.dispatcher.stats.cache_hits
print(sum(hits.values()))
"""


@compiled
def halved(value: float) -> float:
    """Return half of a number."""
    return value / 2


@compiled
def sum_of_halves(values: Floats) -> float:
    """Return half of the sum of some numbers (N,), one after the other."""
    total = 0.0
    for value in values:
        total += halved(value)
    return total


def test_a_compiled_function_does_what_the_plain_one_does() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    expected = 0.0
    for value in values.tolist():
        expected += value / 2
    assert sum_of_halves(values) == expected  # to the last bit: in this order
    assert sum_of_halves(values=values) == expected
    assert sum_of_halves.function(values) == expected
    assert sum_of_halves(np.zeros(0)) == 0
    assert halved(1.0) / 0.25 == 2


def test_it_is_called_and_documented_like_a_function() -> None:
    assert isinstance(halved, Compiled)
    assert halved.__doc__ == "Return half of a number."
    with pytest.raises(TypeError):
        halved(1.0, 2.0)  # type: ignore[call-arg]


def test_division_by_nothing_is_what_numpy_makes_of_it() -> None:
    @compiled
    def divided(a: float, b: float) -> float:
        return a / b

    assert divided(1.0, 0.0) == np.inf
    assert np.isnan(divided(0.0, 0.0))


def test_threads_that_call_it_first_at_once_get_the_same() -> None:
    @compiled
    def total(values: Floats) -> float:
        return sum_of_halves(values) * 2

    found, start = list[float](), threading.Barrier(4)

    def call() -> None:
        start.wait()
        found.append(total(np.arange(10.0)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [45.0] * 4


def run(folder: Path, cache: Path, before: str = "sys") -> list[str]:
    """Run two compiled functions in a new process; return what it prints."""
    (folder / "loops.py").write_text(MODULE, encoding="utf-8")
    paths = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": paths}
    command = [sys.executable, "-c", RUN.format(before=before)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
def test_what_was_compiled_is_kept_for_the_next_process(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run(tmp_path, cache) == ["20.0 8", "0"]
    assert list(cache.rglob("*.nbc"))
    assert run(tmp_path, cache) == ["20.0 8", "1"]


@pytest.mark.slow
def test_where_no_folder_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    """Of three folders numba may use, each lies below a file: even root cannot write there."""
    (tmp_path / "file").touch()
    (tmp_path / "__pycache__").touch()
    before = f"sys, os; os.environ['HOME'] = os.environ['XDG_CACHE_HOME'] = {str(tmp_path / 'file')!r}"
    assert run(tmp_path, tmp_path / "file", before) == ["20.0 8", "0"]
    assert not list(tmp_path.rglob("*.nb[ci]"))


@pytest.mark.slow
def test_a_full_disk_does_not_stop_it(tmp_path: Path) -> None:
    """A limit on the size of files stands for it."""
    before = "sys, resource; sys.dont_write_bytecode = True; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    assert run(tmp_path, tmp_path / "cache", before) == ["20.0 8", "0"]
    assert not list(tmp_path.rglob("*.nb[ci]"))
