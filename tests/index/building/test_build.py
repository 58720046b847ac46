"""Builds: killed at any moment and gone on with, refused, damaged, out of disk; always the same bytes in the end.

`GEOCLIP_KILLS=200 pytest tests/index/building/test_build.py -k killed` kills more often than the usual run does.
"""

import errno
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from index.building.accuracy import sampled
from index.building.blocks import read_block
from index.building.build import OnStage, build
from index.building.representatives import Representatives
from index.building.request import cost, grid
from index.building.working_folder import OtherBuildError, discard, read_grid, save_grid, working_folder
from index.grid.cells import cells_at, centres, children, children_counts, resolution
from index.grid.land import land_cells
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from index.storage import artifact
from index.storage.artifact import verify
from index.storage.directory import read_manifest
from index.storage.gallery import Gallery
from tests.helpers.builds import FEW_CELLS, SMALL, contents, no_report, uninterrupted, wanted
from tests.helpers.synthetic import FIJI, SyntheticEncoder, begin, encode, gallery, make, request

__all__ = ["uninterrupted"]

KILLS = int(os.environ.get("GEOCLIP_KILLS", "12"))


def run_build(target: Path) -> None:
    """Build in a process of its own, which may be killed."""
    build(wanted(), encode, target, report=no_report)


def wait_for(path: Path, child: BaseProcess) -> None:
    """Return when a path is there, or the process has ended."""
    while child.is_alive() and not path.exists():
        time.sleep(0.001)


def test_killed_builds_end_in_the_same_bytes(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    """SIGKILL at random moments; each build goes on from what the one before left."""
    # A server that has imported everything forks the builds, so that a kill costs no second of imports.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.index.building.test_build", "faiss", "torch", "pytest"])
    warm = processes.Process(target=no_report, args=("", 0, 0))
    warm.start()
    warm.join()
    rng = random.Random(200)
    kills = finished = 0
    seen: set[str] = set()
    usual = 0.0
    while kills < KILLS or not finished:
        target = tmp_path / f"planet-{finished}"
        work = working_folder(target)
        if not work.exists():
            begin(wanted(), target)
        child = processes.Process(target=run_build, args=(target,))
        child.start()
        started = time.monotonic()
        if usual and kills < KILLS:
            if kills % 2:  # as often while blocks are written as at any moment, however fast the machine is
                wait_for(work / "blocks", child)
                child.join(rng.uniform(0, usual / 4))
            else:
                child.join(rng.uniform(0, usual))
            if child.is_alive():
                child.kill()
                child.join()
                kills += 1
                seen |= {path.relative_to(work).parts[0] for path in work.rglob("*")} if work.exists() else set()
        child.join()
        usual = usual or time.monotonic() - started
        if target.exists():
            assert contents(target) == uninterrupted
            finished += 1
        else:
            assert child.exitcode == -9
    assert kills >= KILLS
    assert {"blocks", "grid.bin", "request.json"} <= seen


@pytest.mark.slow
def test_reports_and_leaves_nothing_behind(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    said: list[tuple[str, int, int]] = []
    build(wanted(), encode, tmp_path / "planet", report=lambda *words: said.append(words))
    stages = list(dict.fromkeys(stage for stage, _, _ in said))
    assert stages == ["Finding land", "Encoding", "Fitting the prior", "Writing the index", "Sealing"]
    encoding = [(done, total) for stage, done, total in said if stage == "Encoding"]
    assert len(encoding) > 3
    assert [done for done, _ in encoding] == sorted(done for done, _ in encoding)
    assert encoding[-1][0] == encoding[-1][1]
    assert [path.name for path in tmp_path.iterdir()] == ["planet"]
    assert set(contents(tmp_path / "planet")) == set(uninterrupted)
    assert verify(tmp_path / "planet") == []


@pytest.mark.slow
def test_the_grid_is_land_the_gallery_and_nothing_outside_the_region(tmp_path: Path) -> None:
    asked = wanted()
    cells = grid(asked)
    assert np.array_equal(cells, land_cells(6, also=asked.gallery.cells_at(6), within=SMALL.cells(6)))
    announced = cost(asked, cells)
    target = tmp_path / "planet"
    build(asked, encode, target, report=no_report)
    manifest = read_manifest(target)
    assert np.array_equal(np.load(target / "cells.npy"), cells)
    assert (announced.cells, announced.encodings) == (manifest.cells, manifest.encodings)
    assert announced.encodings == children_counts(cells, 7).sum()
    assert announced.blocks == -(-len(cells) // 64)
    assert sum(map(len, contents(target).values())) < announced.index_bytes


@pytest.mark.parametrize("region", [SMALL, FIJI], ids=["alps", "fiji"])
def test_blocks_of_any_size_give_the_same_vectors(tmp_path: Path, region: Region) -> None:
    small = contents(make(request(region, memory_bytes=FEW_CELLS), tmp_path / "small"))
    large = contents(make(request(region, memory_bytes=1 << 30), tmp_path / "large"))
    assert set(small) == set(large)
    same = [name for name in small if small[name] == large[name]]
    assert set(small) - set(same) <= {"manifest.json", "SHA256SUMS"}


@pytest.mark.parametrize("start_res", [0, 1, 4, 5])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 60])
def test_indexes_of_few_cells(tmp_path: Path, count: int, start_res: int) -> None:
    """Even one cell is an index: a family of one, all the way up."""
    place = cells_at([(46.6, 8.2)], 6)
    region = Region.of_cells(SMALL.cells(6)[:count] if count > 1 else place)
    asked = request(region, start_res=start_res, memory_bytes=FEW_CELLS)
    opened = Planet.open(make(asked, tmp_path / "planet"), encode)
    assert len(opened.cells) == len(region.cells(6))
    hits = opened.search(encode(np.array([[46.6, 8.2]])), Question(k=3))
    assert (hits.cells[0] > 0).all()


def test_a_gallery_of_nothing(tmp_path: Path) -> None:
    opened = Planet.open(make(replace(wanted(), gallery=Gallery.empty()), tmp_path / "planet"), encode)
    assert len(opened.gallery) == 0
    assert opened.search(encode(np.array([[46.6, 8.2]])), Question(k=3)).cells[0, 0] > 0


class StoppedError(Exception):
    """Raised by an encoder that is stopped."""


def stopping(after: int) -> OnStage:
    """Return what stops a build after so many blocks."""
    blocks = count(1)

    def report(stage: str, *_: int) -> None:
        if stage == "Encoding" and next(blocks) == after:
            raise StoppedError

    return report


def stopped(target: Path, after: int) -> None:
    """Leave a build that was stopped after some blocks."""
    begin(wanted(), target)
    with pytest.raises(StoppedError):
        build(wanted(), encode, target, report=stopping(after))


@pytest.mark.parametrize("call", [1, 2, 5])
def test_an_encoder_that_fails_stops_the_build(tmp_path: Path, uninterrupted: dict[str, bytes], call: int) -> None:
    calls = count(1)

    def encode_or_fail(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        if next(calls) == call:
            raise StoppedError
        return encode(lat_lng)

    with pytest.raises(StoppedError):
        build(wanted(), SyntheticEncoder(encode_or_fail), tmp_path / "planet", report=no_report)
    build(wanted(), encode, tmp_path / "planet", report=no_report)
    assert contents(tmp_path / "planet") == uninterrupted


def test_what_was_encoded_is_not_encoded_again(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    stopped(target, 2)
    cells = read_grid(working_folder(target))
    assert cells is not None
    total, sample = len(cells), sampled(cells, 1)
    encoded = -len(sample)

    def counting(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        nonlocal encoded
        encoded += len(lat_lng)
        return encode(lat_lng)

    build(wanted(), SyntheticEncoder(counting), target, report=no_report)
    assert encoded == 7 * (total - 2 * 64)
    assert contents(target) == uninterrupted


def flip_payload(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def change_a_number(path: Path) -> None:
    parts = load_file(path)
    parts["vectors"][3, 3] += 0.25
    save_file(parts, path)


def swap_for_another_version(path: Path) -> None:
    parts = load_file(path)
    del parts["sha256"]
    save_file(parts, path)


DAMAGES: list[Callable[[Path], object]] = [
    flip_payload,
    change_a_number,
    swap_for_another_version,
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes()[:5]),
    lambda path: path.write_bytes(b""),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_is_found_and_renewed(
    tmp_path: Path, uninterrupted: dict[str, bytes], damage: Callable[[Path], object]
) -> None:
    target = tmp_path / "planet"
    stopped(target, 3)
    block = working_folder(target) / "blocks" / "000001.safetensors"
    damage(block)
    with pytest.raises(ValueError, match=r"000001.safetensors is damaged and was removed; run the same build again"):
        build(wanted(), encode, target, report=no_report)
    assert not block.exists()
    build(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


def same(a: Representatives, b: Representatives) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in Representatives._fields)


def test_any_flipped_bit_of_a_block_is_found_or_harmless(tmp_path: Path) -> None:
    target = tmp_path / "planet"
    stopped(target, 1)
    block = working_folder(target) / "blocks" / "000000.safetensors"
    sound, content = read_block(block), block.read_bytes()
    rng = random.Random(1)
    header = [(at, bit) for at in range(400) for bit in (0, rng.randrange(1, 8))]
    anywhere = [(rng.randrange(len(content)), rng.randrange(8)) for _ in range(300)]
    found = 0
    for at, bit in header + anywhere:
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        block.write_bytes(damaged)
        try:
            read = read_block(block)
        except ValueError as error:
            assert "is damaged and was removed" in str(error)
            found += 1
        else:
            assert same(read, sound)
    assert found > 0.9 * (len(header) + len(anywhere))


@pytest.mark.parametrize("change", [{"coarse_res": 5}, {"tau": 2.0}, {"model": "another"}, {"memory_bytes": 1 << 20}])
def test_another_request_in_the_same_folder_is_refused(
    tmp_path: Path, uninterrupted: dict[str, bytes], change: dict[str, Any]
) -> None:
    target = tmp_path / "planet"
    stopped(target, 2)
    name = {"memory_bytes": "block_cells"}.get(next(iter(change)), next(iter(change)))
    with pytest.raises(OtherBuildError, match=rf"a build with another {name}; go on .* or discard it"):
        build(replace(wanted(), **change), encode, target, report=no_report)
    build(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


@pytest.mark.slow
def test_remains_without_a_request_are_nobody_s(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    """A folder whose removal was stopped half-way may hold another build's grid and blocks."""
    target = tmp_path / "planet"
    other = replace(wanted(), gallery=gallery(SMALL, 50, seed=9))
    begin(other, target)
    work = working_folder(target)
    save_grid(work, SMALL.cells(6)[:70])
    with pytest.raises(StoppedError):
        build(other, encode, target, report=stopping(1))
    (work / "request.json").unlink()
    build(wanted(), encode, target, report=no_report)
    grid_made = np.load(target / "cells.npy")
    assert np.array_equal(grid_made, grid(wanted()))
    assert set(contents(target)) == set(uninterrupted)


def test_two_builds_at_once_are_refused(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    begin(wanted(), target)
    refused = 0

    def meanwhile(lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        nonlocal refused
        with pytest.raises(OtherBuildError, match="Another process is building"):
            build(wanted(), encode, target, report=no_report)
        with pytest.raises(OtherBuildError, match="Another process is building"):
            discard(target)
        refused += 1
        return encode(lat_lng)

    build(wanted(), SyntheticEncoder(meanwhile), target, report=no_report)
    assert refused > 3
    assert contents(target) == uninterrupted


def test_discard(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    discard(target)  # nothing there, nothing to do
    stopped(target, 2)
    discard(target)
    assert list(tmp_path.iterdir()) == []
    assert contents(make(wanted(), target)) == uninterrupted


@pytest.mark.parametrize("moment", [0, 1, 5, 9, 16, 18, 24, 30, 36])
def test_a_full_disk_keeps_what_was_done(
    tmp_path: Path, uninterrupted: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    target = tmp_path / "planet"
    begin(wanted(), target)
    left = iter(range(moment))
    sync = os.fsync

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            build(wanted(), encode, target, report=no_report)
    assert not target.exists()
    assert not list(working_folder(target).rglob("*.tmp"))
    build(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


def limited_build(target: Path, file_bytes: int, said: "multiprocessing.SimpleQueue[str]") -> None:
    """Build where no file may grow beyond some bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    try:
        build(wanted(), encode, target, report=no_report)
        said.put("nothing")
    except OSError as error:
        said.put(f"{errno.errorcode[error.errno or 0]}")


@pytest.mark.parametrize("file_bytes", [4_000, 12_000])
def test_a_file_that_cannot_grow(tmp_path: Path, uninterrupted: dict[str, bytes], file_bytes: int) -> None:
    """A write that fails half-way, by the system's own doing: at a block, and at the lists."""
    processes = multiprocessing.get_context("forkserver")
    target = tmp_path / "planet"
    begin(wanted(), target)
    said = processes.SimpleQueue()
    child = processes.Process(target=limited_build, args=(target, file_bytes, said))
    child.start()
    assert said.get() == "EFBIG"
    child.join()
    assert not target.exists()
    build(wanted(), encode, target, report=no_report)
    assert contents(target) == uninterrupted


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    target = make(wanted(), tmp_path / "planet")
    before = contents(target)
    with pytest.raises(OtherBuildError, match="planet exists; choose another name, or replace it"):
        build(wanted(), encode, target, report=no_report)
    assert contents(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["planet"]

    other = request(Region.disk(46.6, 8.2, 30.0))
    begin(other, target)
    build(other, encode, target, report=no_report, replace=True)
    assert verify(target) == []
    assert contents(target) != before
    assert [path.name for path in tmp_path.iterdir()] == ["planet"]


def stopped_exchange(target: Path, monkeypatch: pytest.MonkeyPatch, *, one_step: bool) -> None:
    """Stop a build that replaces an index while names change: after the exchange, or between two renames."""
    rename, exchange = Path.rename, artifact._exchanged

    def stop_at_the_new(path: Path, to: Path) -> Path:
        if path.name == "index":
            raise StoppedError
        return rename(path, to)

    def exchange_and_stop(one: Path, other: Path) -> bool:
        assert exchange(one, other)
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop_at_the_new)
        patch.setattr(artifact, "_exchanged", exchange_and_stop if one_step else lambda *_: False)
        with pytest.raises(StoppedError):
            build(wanted(), encode, target, report=no_report, replace=True)
    assert target.exists() == one_step


@pytest.mark.parametrize("one_step", [True, False])
def test_killed_while_names_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_step: bool) -> None:
    """The same build, run again, ends it; one that starts anew has the old index until it ends."""
    target = make(wanted(), tmp_path / "planet")
    expected = contents(target)
    other = make(replace(wanted(), tau=2.0), tmp_path / "other")
    for again in (True, False):
        shutil.rmtree(target)
        shutil.copytree(other, target)
        begin(wanted(), target)
        stopped_exchange(target, monkeypatch, one_step=one_step)
        if again:
            build(wanted(), encode, target, report=no_report, replace=True)
            assert contents(target) == expected
        else:
            discard(target)
            assert contents(target) == (expected if one_step else contents(other))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "planet"]


def test_only_an_index_is_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"a photo")
    with pytest.raises(OtherBuildError, match=r"photos is not an index but a folder with a\.jpg"):
        build(wanted(), encode, photos, report=no_report, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert (photos / "a.jpg").read_bytes() == b"a photo"


@pytest.mark.parametrize("restart", [True, False])
def test_a_folder_of_somebody_else_s_is_not_taken_for_one_of_a_build(tmp_path: Path, restart: bool) -> None:
    """A build works in `planet.building`, and removes that folder in the end: not if it is an architect's."""
    work = working_folder(tmp_path / "planet")
    work.mkdir()
    (work / "plan.pdf").write_bytes(b"a house")
    with pytest.raises(OtherBuildError, match=r"planet\.building holds plan\.pdf, which is not of a build"):
        if restart:
            discard(tmp_path / "planet")
        build(wanted(), encode, tmp_path / "planet", report=no_report)
    assert [path.name for path in work.iterdir()] == ["plan.pdf"]
    shutil.rmtree(work)
    work.write_text("a file")
    with pytest.raises(OtherBuildError, match=r"planet\.building is not a folder"):
        build(wanted(), encode, tmp_path / "planet", report=no_report)
    assert work.read_text() == "a file"


def test_damaged_beginnings_are_named(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    target = tmp_path / "planet"
    begin(wanted(), target)
    path = working_folder(target) / "grid.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"grid\.bin is damaged and was removed; run the same build again"):
        build(wanted(), encode, target, report=no_report)
    for damaged in (b"{", b"[]", b"\xff"):
        (working_folder(target) / "request.json").write_bytes(damaged)
        with pytest.raises(OtherBuildError, match=r"request\.json is damaged; discard it with --restart"):
            build(wanted(), encode, target, report=no_report)
    discard(target)
    make(wanted(), target)
    assert contents(target) == uninterrupted


def test_the_name_may_be_a_link(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    """The index goes where the link points, and its beginnings beside that."""
    disk, link = tmp_path / "disk", tmp_path / "planet"
    disk.mkdir()
    link.symlink_to(disk / "planet")
    make(wanted(), link)
    assert contents(disk / "planet") == uninterrupted
    begin(wanted(), link)
    build(wanted(), encode, link, report=no_report, replace=True)
    assert link.is_symlink()
    assert contents(link) == uninterrupted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "planet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coarse_res": 2}, "coarse resolution is 2; choose 3 to 8"),
        ({"coarse_res": 9}, "coarse resolution is 9"),
        ({"start_res": 6}, "start level is 6; choose 0 to 5"),
        ({"dim": 48}, "48 dimensions"),
        ({"dim": 0}, "0 dimensions"),
    ],
)
def test_requests_that_are_none_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(wanted(), **change)


def test_the_manifest_says_what_the_index_is_made_of(uninterrupted: dict[str, bytes]) -> None:
    manifest = json.loads(uninterrupted["manifest.json"])
    assert manifest["model"] == "synthetic"
    assert manifest["region"] == {"name": "test", "digest": SMALL.digest()}
    assert manifest["gallery"]["places"] <= len(wanted().gallery)
    assert manifest["parameters"] == {"block_cells": 64}
    assert {"geoclip-planet", "numpy", "torch", "h3ronpy", "global-land-mask"} <= set(manifest["versions"])


@pytest.mark.slow
def test_the_coarsest_index_finds_what_it_holds(tmp_path: Path) -> None:
    coarsest = replace(wanted(), coarse_res=3, start_res=2)
    build(coarsest, encode, tmp_path / "planet", report=no_report)
    planet = Planet.open(tmp_path / "planet", encode)
    assert resolution(planet.cells[:1]) == 3
    places = centres(children(planet.cells[:20], 6)[::50])
    hits = planet.search(encode(places), Question(k=1, resolution=6, effort=EffortName.EXHAUSTIVE, gallery=False))
    assert np.array_equal(hits.cells[:, 0], cells_at(places, 6))
