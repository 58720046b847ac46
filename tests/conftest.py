"""Where a session of tests reads and writes, what a test needs, and fixtures that every room uses.

Torch and other heavy packages are imported by those who use them, after `pytest_configure` set the environment.
"""

import gc
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geoclip.errors import WeightsError
from tests.helpers.shared import session_folder

if TYPE_CHECKING:
    from torch import nn

    from geoclip.encoders.location import LocationEncoder
    from geoclip.release.directory import Release
    from tests.helpers.small_release import SmallRelease

FAST_TIER, FAST_LIMIT_S = "not slow", 2.0
LONGEST = (
    "geoclip/cli/test_parts_on_ray.py",
    "geoclip/cli/test_kills.py",
    "geoclip/cli/test_answers.py",
    "geoclip/encoders/test_clip_checkpoint.py",
    "geoclip/serve/test_on_ray.py",
    "benchmarks/test_faults.py",
    "geoclip/photos/test_hostile.py",
    "index/grid/test_constraint.py",
    "geoclip/test_build_on_ray.py",
    "geoclip/answers/test_fitting.py",
    "index/building/test_build.py",
    "test_container.py",
    "geoclip/train/test_ranks.py",
    "geoclip/train/test_world.py",
)
"""Files that take longest, in the order they are begun in: a short one is the last, while other processes end too."""


def pytest_configure(config: pytest.Config) -> None:
    """Give all processes of this session one folder, with a cache that has what the user's has and stays apart."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # the file of most tests first; but those of few take longest
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell's background jobs, and theirs, ignore Ctrl-C
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist, which has it from the first process
        os.environ["OMP_NUM_THREADS"] = "1"  # the workers are the threads
        return
    stack = ExitStack()
    stack.enter_context(session_folder())
    config.add_cleanup(stack.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; the others stay in order."""
    order = {Path(__file__).parent / name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish() -> None:
    """Take what was imported out of the collector's rounds: they take a tenth of the time, so tests can afford one."""
    gc.collect()
    gc.freeze()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what reads the released weights."""
    if "release" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.weights)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA GPU here")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """In the fast tier, name what is too slow for it: a warning, since processors differ."""
    before = sum(os.times()[:4])  # of the processor, with ended processes: what else runs here does not count
    result = yield
    spent_s = sum(os.times()[:4]) - before
    if pyfuncitem.config.option.markexpr == FAST_TIER and spent_s > FAST_LIMIT_S:
        warnings.warn(
            pytest.PytestWarning(
                f"{pyfuncitem.nodeid} took {spent_s:.1f} s of a processor, more than {FAST_LIMIT_S}; "
                "make it quicker or mark it slow."
            ),
            stacklevel=1,
        )
    return result


@pytest.fixture(scope="session")
def release() -> "Release":
    """The authors' release, as fetched. Its gallery is embedded, which takes twenty seconds where it was not before."""
    from tests.helpers.small_release import embedded_release

    try:
        return embedded_release()
    except WeightsError as error:
        pytest.skip(f"the released weights are not in the cache: {error}")


@pytest.fixture(scope="session")
def encoder(release: "Release") -> "LocationEncoder":
    """The released location encoder in float32."""
    from geoclip.encoders.location import LocationEncoder

    return LocationEncoder.of(release, precision="fp32")


@pytest.fixture(scope="session")
def tiny_tower() -> "nn.Module":
    """CLIP's image tower, small."""
    from tests.helpers.towers import TinyTower

    return TinyTower()


@pytest.fixture(scope="module")
def small_towers(release: "Release") -> "Iterator[SmallRelease]":
    """In this module's tests CLIP is tiny and random: in the cache the release has small towers, and they are found."""
    from tests.helpers.small_release import small_towers_in_cache

    made = small_towers_in_cache()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GEOCLIP_CACHE", str(made.clip.parent))
        patched.setenv("GEOCLIP_CLIP_CHECKPOINT", str(made.clip))
        yield made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo with some content."""
    from tests.helpers.pictures import make_photo

    return make_photo(tmp_path / "photo.jpg", seed=1)
