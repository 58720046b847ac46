"""A build by two workers of Ray on this machine, one of which is killed: the bytes of a build by one process."""

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs

from geoclip.errors import InputError
from geoclip.index_builder import IndexBuilder
from geoclip.on_ray import Runner
from geoclip.options import BuildOptions, MachineOptions
from index.building.working_folder import working_folder
from tests.helpers.builds import contents
from tests.helpers.ray_cluster import ray_processes, two_cores
from tests.helpers.s3 import s3_server
from tests.helpers.small_release import SmallRelease, small_release

pytest.importorskip("ray", reason="the extra `ray` is not installed")

pytestmark = pytest.mark.slow
OPTIONS = BuildOptions(region="disk:46.6,8.2,100", coarse_res=7)
"""Some 6,000 cells, in blocks of 64."""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Ray on two cores beside an S3 server with a bucket `builds`; both stopped at the end."""
    with s3_server() as environment, pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)  # before Ray's processes start
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("builds")
        with two_cores():
            yield
    deadline = time.monotonic() + 20
    while ray_processes("_make") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not ray_processes("_make")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return small_release(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def alone(model: SmallRelease, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every byte of what one process makes."""
    target = tmp_path_factory.mktemp("alone") / "planet"
    builder(model).build(target)
    return contents(target)


def builder(model: SmallRelease) -> IndexBuilder:
    made = IndexBuilder(OPTIONS, model.release, MachineOptions(device="cpu"))
    made.request = replace(made.request, memory_bytes=1 << 10)
    return made


@pytest.mark.parametrize("kept", ["folder", "bucket"])
def test_a_worker_that_is_killed_changes_nothing(
    model: SmallRelease, alone: dict[str, bytes], tmp_path: Path, kept: str
) -> None:
    killed: list[tuple[int, int]] = []
    target, blocks = tmp_path / "planet", "s3://builds/planet" if kept == "bucket" else None

    def kill_one(stage: str, done: int, total: int) -> None:
        if stage == "Encoding" and 0 < done < total and not killed and (running := ray_processes("_make")):
            running[0].send_signal(signal.SIGKILL)
            killed.append((done, total))

    builder(model).build(target, blocks=blocks, runner=Runner.RAY, report=kill_one)
    assert len(killed) == 1
    assert contents(target) == alone
    assert not working_folder(target).exists()


def test_what_is_there_is_not_made_again(model: SmallRelease, alone: dict[str, bytes], tmp_path: Path) -> None:
    target, said = tmp_path / "planet", list[tuple[str, int, int]]()
    builder(model).build_part(target, "2/2")
    builder(model).build(target, runner=Runner.RAY, report=lambda *words: said.append(words))
    assert contents(target) == alone
    encoded = [total for stage, _, total in said if stage == "Encoding"]
    assert 0.4 * 7 * 6000 < max(encoded) < 0.6 * 7 * 6500


def test_storage_that_fails_for_a_moment(model: SmallRelease, alone: dict[str, bytes], tmp_path: Path) -> None:
    blocks, timers = tmp_path / "blocks" / "blocks", list[threading.Timer]()

    def spoil(stage: str, done: int, total: int) -> None:
        if stage == "Encoding" and not timers:
            blocks.write_text("in the way")
            timers.append(threading.Timer(6, blocks.unlink))
            timers[0].start()

    builder(model).build(tmp_path / "planet", blocks=f"{tmp_path}/blocks", runner=Runner.RAY, report=spoil)
    assert timers
    assert contents(tmp_path / "planet") == alone


def test_what_a_worker_says_is_heard(model: SmallRelease, tmp_path: Path) -> None:
    made = builder(model)
    target = tmp_path / "planet"

    def hide(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("Encoding", 0):  # as on a machine that does not see the folder
            (working_folder(target) / "grid.bin").unlink()

    with pytest.raises(InputError, match=r"planet.building is not to be seen from every machine that builds; name an"):
        made.build(target, runner=Runner.RAY, report=hide)
