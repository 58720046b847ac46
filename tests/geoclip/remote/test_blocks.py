"""Builds of machines that share no folder: their blocks lie in a bucket, in memory or in a folder elsewhere.

`GEOCLIP_KILLS=50 pytest tests/geoclip/remote/test_blocks.py -k killed` kills more often than the usual run does.
"""

import multiprocessing
import os
import random
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import s3fs
from moto.s3.models import S3Backend, s3_backends
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.remote import blocks
from geoclip.remote.address import UnreachableError
from geoclip.remote.blocks import BucketOfBlocks, FolderOfBlocks, open_blocks
from index.building.block_store import BlockStore
from index.building.build import build, build_part, finish
from index.building.working_folder import OtherBuildError, working_folder
from index.parts import Part
from tests.helpers.builds import contents, no_report, uninterrupted, wanted
from tests.helpers.commands import geoclip
from tests.helpers.s3 import SECRET, s3_server
from tests.helpers.small_release import small_release
from tests.helpers.synthetic import SyntheticEncoder, begin, encode, request

__all__ = ["uninterrupted"]

KILLS = int(os.environ.get("GEOCLIP_KILLS", "4"))


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """The environment of a server with the bucket `builds`."""
    with s3_server() as environment, pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("builds")
        yield environment


@pytest.fixture
def address(s3: dict[str, str]) -> str:
    """A folder of the bucket that is not there yet."""
    return f"s3://builds/planets/{uuid.uuid4().hex}"


def machine(folder: Path) -> Path:
    """Return the target of a build on a machine of its own, which has found the land."""
    folder.mkdir()
    begin(wanted(), folder / "planet")
    return folder / "planet"


def run_part(target: Path, words: str, blocks: str, environment: dict[str, str]) -> None:
    """Encode a part in a process of its own, which may be killed."""
    os.environ.update(environment)
    build_part(wanted(), encode, target, Part.parse(words), report=no_report, store=open_blocks(blocks))


def all_parts(folder: Path, store: BlockStore) -> None:
    """Encode both parts, on a machine each."""
    for words in ("1/2", "2/2"):
        target = machine(folder / words[0])
        build_part(wanted(), encode, target, Part.parse(words), report=no_report, store=store)


def finished(folder: Path, store: BlockStore) -> dict[str, bytes]:
    """Make the index on a third machine, which has nothing; return its files."""
    folder.mkdir(exist_ok=True)
    finish(wanted(), encode, folder / "planet", report=no_report, store=store, replace=True)
    assert [path.name for path in folder.iterdir()] == ["planet"]
    return contents(folder / "planet")


@pytest.mark.slow
def test_parts_of_killed_processes_that_share_a_bucket(
    s3: dict[str, str], address: str, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.geoclip.remote.test_blocks", "faiss", "torch", "pytest"])
    rng, kills, rounds = random.Random(11), 0, 0
    while kills < KILLS or not rounds:
        rounds += 1
        blocks = f"{address}/{rounds}"
        waiting = {words: machine(tmp_path / f"{rounds}-{words[0]}") for words in ("1/2", "2/2")}
        while waiting:
            children = {
                words: processes.Process(target=run_part, args=(target, words, blocks, s3))
                for words, target in waiting.items()
            }
            for child in children.values():
                child.start()
            if kills < KILLS:
                time.sleep(rng.uniform(0, 1.5))
                for child in children.values():
                    if rng.random() < 0.6 and child.is_alive():
                        child.kill()
                        kills += 1
            for child in children.values():
                child.join()
            assert {child.exitcode for child in children.values()} <= {0, -9}
            waiting = {words: waiting[words] for words, child in children.items() if child.exitcode}
        assert finished(tmp_path / f"{rounds}-3", open_blocks(blocks)) == uninterrupted


@pytest.mark.parametrize("kind", ["memory", "file", "folder"])
def test_other_places(kind: str, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    place = {"memory": f"memory://{uuid.uuid4().hex}/blocks", "file": f"file://{tmp_path}/b", "folder": f"{tmp_path}/b"}
    store = open_blocks(place[kind])
    all_parts(tmp_path, store)
    names = store.names("blocks")
    assert sorted(names) == [f"{number:06d}.safetensors" for number in range(6)]
    assert contents(working_folder(tmp_path / "1" / "planet") / "blocks") == {}  # sent, and not kept twice
    assert finished(tmp_path / "3", store) == uninterrupted
    assert store.names("blocks") == names


def test_one_process_can_keep_its_blocks_elsewhere(
    address: str, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    store, target = open_blocks(address), machine(tmp_path / "1")
    build_part(wanted(), encode, target, Part(2, 2), report=no_report, store=store)
    build(wanted(), encode, target, report=no_report, store=store)
    assert contents(target) == uninterrupted
    assert len(store.names("blocks")) == 6


def test_a_part_that_is_repeated_encodes_nothing(address: str, tmp_path: Path) -> None:
    store = open_blocks(address)
    all_parts(tmp_path, store)
    asked: list[int] = []

    def counting(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        asked.append(len(lat_lng))
        return encode(lat_lng)

    (tmp_path / "new").mkdir()  # another machine, which fetches the grid
    build_part(
        wanted(), SyntheticEncoder(counting), tmp_path / "new" / "planet", Part(2, 2), report=no_report, store=store
    )
    assert len(asked) == 1  # the sample that names the arithmetic


def test_missing_blocks_are_named(address: str, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    store = open_blocks(address)
    all_parts(tmp_path, store)
    for number in (0, 1, 4):
        store.remove(f"blocks/{number:06d}.safetensors")
    with pytest.raises(ValueError, match=rf"^3 of 6 blocks are missing in {address}: 0-1, 4; run their parts again"):
        finished(tmp_path / "3", store)
    for words in ("1/2", "2/2"):
        build_part(wanted(), encode, tmp_path / words[0] / "planet", Part.parse(words), report=no_report, store=store)
    assert finished(tmp_path / "3", store) == uninterrupted


def changed(path: Path, store: BlockStore, number: int, scratch: Path) -> None:
    """Flip a bit of a block where it is kept."""
    name = f"blocks/{number:06d}.safetensors"
    store.fetch(name, scratch)
    content = bytearray(scratch.read_bytes())
    content[-3] ^= 1
    scratch.write_bytes(content)
    store.send(scratch, name)


def test_damaged_blocks_are_named_and_made_again(address: str, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    store = open_blocks(address)
    all_parts(tmp_path, store)
    for number in (2, 3):
        changed(tmp_path, store, number, tmp_path / "scratch")
    with pytest.raises(ValueError, match=rf"^2 of 6 blocks in {address} \(2-3\) were damaged and have been removed; "):
        finished(tmp_path / "3", store)
    with pytest.raises(ValueError, match=rf"^2 of 6 blocks are missing in {address}: 2-3;"):
        finished(tmp_path / "3", store)
    for words in ("1/2", "2/2"):
        build_part(wanted(), encode, tmp_path / words[0] / "planet", Part.parse(words), report=no_report, store=store)
    assert finished(tmp_path / "3", store) == uninterrupted


def test_a_block_of_other_cells_is_damaged(address: str, tmp_path: Path) -> None:
    store = open_blocks(address)
    all_parts(tmp_path, store)
    store.fetch("blocks/000004.safetensors", tmp_path / "scratch")
    store.send(tmp_path / "scratch", "blocks/000001.safetensors")
    with pytest.raises(ValueError, match=r"^1 of 6 blocks in \S+ \(1\) were damaged and have been removed"):
        finished(tmp_path / "3", store)


class Noisy(FolderOfBlocks):
    """Damages each block the first time it is copied."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.copied: list[str] = []

    def fetch(self, name: str, path: Path) -> None:
        super().fetch(name, path)
        if name.startswith("blocks") and name not in self.copied:
            path.write_bytes(path.read_bytes()[:-1])
        self.copied.append(name)


def test_what_was_damaged_on_the_way_is_copied_again(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    store = Noisy(tmp_path / "blocks")
    all_parts(tmp_path, store)
    assert finished(tmp_path / "3", store) == uninterrupted
    assert sum(name.startswith("blocks") for name in store.copied) == 12


def test_what_was_copied_is_not_copied_again(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    store = FolderOfBlocks(tmp_path / "blocks")
    all_parts(tmp_path, store)
    target = tmp_path / "3" / "planet"
    blocks = working_folder(target) / "blocks"
    blocks.mkdir(parents=True)
    shutil.copy(working_folder(tmp_path / "1" / "planet") / "request.json", blocks.parent)
    shutil.copy(tmp_path / "blocks" / "blocks" / "000003.safetensors", blocks)
    noisy = Noisy(tmp_path / "blocks")
    assert finished(tmp_path / "3", noisy) == uninterrupted
    assert "blocks/000003.safetensors" not in noisy.copied


def rounding(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
    """Encode as a machine does whose products round in another way."""
    return np.nextafter(encode(lat_lng), np.float32(2))


def test_parts_of_unlike_machines_are_not_mixed(address: str, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    store = open_blocks(address)
    for number, encoder in ((1, encode), (2, SyntheticEncoder(rounding))):
        target = machine(tmp_path / f"{number}")
        build_part(wanted(), encoder, target, Part(number, 2), report=no_report, store=store)
    with pytest.raises(ValueError, match=rf"^3 of 6 blocks in {address} \(1, 3, 5\) were made with another arithmetic"):
        finished(tmp_path / "3", store)
    for number in (1, 3, 5):  # as the sentence says
        store.remove(f"blocks/{number:06d}.safetensors")
    build_part(wanted(), encode, machine(tmp_path / "4"), Part(2, 2), report=no_report, store=store)
    assert finished(tmp_path / "3", store) == uninterrupted


def test_another_build_at_the_same_address(address: str, tmp_path: Path) -> None:
    store = open_blocks(address)
    all_parts(tmp_path, store)
    other = request(wanted().region, memory_bytes=1 << 20)  # type: ignore[arg-type]
    (tmp_path / "other").mkdir()
    with pytest.raises(
        OtherBuildError, match=rf"^{address} holds a build with another block_cells; go on with the opt"
    ):
        build_part(other, encode, tmp_path / "other" / "planet", Part(1, 2), report=no_report, store=store)
    (tmp_path / "broken").write_text("{")
    store.send(tmp_path / "broken", "request.json")
    with pytest.raises(OtherBuildError, match=rf"^{address}/request.json is damaged; give another address, or remove"):
        finished(tmp_path / "3", store)


def test_a_bucket_with_many_other_objects_is_listed_at_once(
    s3: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3_backends["123456789012"]["aws"].buckets["builds"]
    some = s3fs.S3FileSystem(skip_instance_cache=True)
    some.pipe_file(f"{address}/blocks/000000.safetensors", b"x")
    some.pipe_file(f"{address}/other", b"x")
    other = bucket.keys[f"{address.removeprefix('s3://builds/')}/other"]
    for number in range(100_000):
        bucket.keys[f"{address.removeprefix('s3://builds/')}/other-{number:06d}"] = other
    calls, listed = [], S3Backend.list_objects

    def counted(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        return listed(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(S3Backend, "list_objects", counted)
    store = open_blocks(address)
    begun = time.monotonic()
    assert store.names("blocks") == {"000000.safetensors"}
    assert store.size_of("grid.bin") is None
    assert store.size_of("blocks/000000.safetensors") == 1
    assert len(calls) <= 4
    assert time.monotonic() - begun < 10
    for number in range(100_000):
        del bucket.keys[f"{address.removeprefix('s3://builds/')}/other-{number:06d}"]


def test_credentials_are_nowhere(s3: dict[str, str], address: str, tmp_path: Path) -> None:
    store = open_blocks(address)
    all_parts(tmp_path, store)
    some = s3fs.S3FileSystem(skip_instance_cache=True)
    everything = b"".join(some.cat(some.find(address)).values())
    everything += b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"tau" in everything
    for secret in (SECRET, s3["AWS_ACCESS_KEY_ID"], s3["AWS_ENDPOINT_URL"]):
        assert secret.encode() not in everything


@pytest.mark.slow
def test_credentials_are_not_said(s3: dict[str, str], address: str, tmp_path: Path) -> None:
    model = small_release(tmp_path / "model")
    asked = ("build", tmp_path / "planet", "--weights", model.weights, "--region", "disk:46.6,8.2,30")
    said = ""
    for arguments, code in ((("--finish",), 2), (("--part", "1/1"), 0), (("--finish",), 0)):
        done = geoclip(*asked, *arguments, "--blocks", address)
        assert done.exit_code == code, done.stderr
        said += done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        done = geoclip(*asked, "--overwrite", "--blocks", address)
        assert (done.exit_code, f"{address} cannot be read" in done.stderr) == (2, True), done.stderr
        said += done.stdout + done.stderr
    assert f"1 of 1 blocks are missing in {address}: 0; run their parts again" in said
    for secret in (SECRET, s3["AWS_ACCESS_KEY_ID"]):
        assert secret not in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("https://host/blocks", "Nothing can be kept at https://host/blocks; give a folder, or an address like s3:/"),
        ("ftp://me:hunter2@host/blocks", "Nothing can be kept at ftp://host/blocks; give"),
        ("s3://AKIA:hunter2@bucket/blocks", "s3://bucket/blocks was given with a password or a query; credentials"),
        (
            "s3://bucket/blocks?signature=hunter2",
            "s3://bucket/blocks was given with a password or a query; credentials",
        ),
        ("s3://", "is not an address of a folder"),
        ("s3://me:hunter2@[half/blocks", "Nothing can be kept at s3://[half/blocks; give"),
        ("gs://bucket/blocks", "gs:// needs not_there, which this installation lacks"),
    ],
)
def test_places_that_are_refused(words: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blocks._PACKAGES, "gs", "not_there")
    with pytest.raises(InputError) as found:
        open_blocks(words)
    assert complaint in str(found.value)
    assert SECRET not in str(found.value)


def test_a_bucket_that_is_not_there_or_closed(
    s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BucketOfBlocks("s3://nowhere/blocks")
    with pytest.raises(UnreachableError, match=r"^s3://nowhere/blocks cannot be written \(FileNotFoundError: The sp"):
        build_part(wanted(), encode, machine(tmp_path / "1"), Part(1, 1), report=no_report, store=store)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(UnreachableError, match=r"^s3://builds/blocks cannot be read \(\w*Error: .*check the") as closed:
        BucketOfBlocks("s3://builds/blocks").size_of("request.json")
    assert SECRET not in str(closed.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_blocks(f"{tmp_path}/file/blocks")
    with pytest.raises(UnreachableError, match=r"file/blocks cannot be written \(Not a directory\); the same command"):
        store.send(tmp_path / "file", "request.json")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--part", "1/2", "--blocks", "https://host/x"), "Nothing can be kept at https://host/x"),
        (("--restart", "--blocks", "blocks"), "with --blocks give another address, or remove yourself what is there"),
        (("--on", "ray", "--part", "1/2"), "--on ray does all parts and finishes; leave out --part."),
        (("--engine", "ray", "--dry-run"), "--on ray does all parts and finishes; leave out --dry-run."),
    ],
)
def test_what_the_command_refuses(arguments: tuple[str, ...], complaint: str) -> None:
    done = geoclip("build", "new", *arguments)
    assert (done.exit_code, complaint in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
