"""Opening an index: flipped bits, pipes and links among its files, and exchanges at any moment."""

import gc
import os
import random
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.hits import FoundPlaces
from index.search.planet import Planet
from index.search.question import Question
from index.storage import directory
from index.storage.artifact import seal, verify
from index.storage.directory import IndexDirectory, read_manifest
from index.storage.manifest import MANIFEST, SUMS, BadIndexError
from tests.helpers.sealing import resealed
from tests.helpers.synthetic import encode, queries, small_index

FLIPS = int(os.environ.get("GEOCLIP_FLIPS", "100"))
READERS = int(os.environ.get("GEOCLIP_READERS", "60"))
SMALL = Region.of_cells(cells_at([(46.6, 8.2)], 3))
OTHER = Region.of_cells(cells_at([(44.0, 8.2)], 3))
ALL = Question(k=1000, resolution=7, effort=EffortName.EXHAUSTIVE, prior_weight=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index that may be damaged."""
    return Path(shutil.copytree(small_index(SMALL), tmp_path / "planet"))


def answers(folder: Path) -> FoundPlaces:
    """Ask for everything, so that every list is read, and all slopes."""
    return Planet.open(folder, encode).search(queries(np.array([(46.6, 8.2)])), ALL)


def same(one: FoundPlaces, other: FoundPlaces) -> bool:
    pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]] = zip(one[:4], other[:4], strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def test_a_flipped_bit_is_named_without_verify(folder: Path) -> None:
    rng = random.Random(FLIPS)
    expected = answers(small_index(SMALL))
    files = sorted(path for path in folder.iterdir() if path.stat().st_size)
    for number in range(FLIPS):
        path = files[number % len(files)]
        content = bytearray(path.read_bytes())
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        content[at] ^= 1 << bit
        path.write_bytes(content)
        try:
            found = answers(folder)
        except BadIndexError as error:
            assert str(folder) in str(error)
            assert path.name in str(error) or path.name == SUMS, f"byte {at} of {path.name}: {error}"
        else:  # the digest of lists, which have checksums of their own
            assert path.name == SUMS
            assert same(found, expected)
        content[at] ^= 1 << bit
        path.write_bytes(content)
    assert same(answers(folder), expected)


@pytest.mark.parametrize("name", ["cells.npy", "level-6.lists", MANIFEST, SUMS])
def test_a_pipe_among_the_files_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BadIndexError, match=rf"{name} is not an ordinary file"):
        Planet.open(folder, encode)
    assert any("is not an ordinary file" in problem for problem in verify(folder))


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "..", "a/b", ""])
def test_digests_of_files_elsewhere_are_not_looked_up(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_text("secret")
    with (folder / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    (problem,) = verify(folder)
    assert "SHA256SUMS is damaged: it is not a list of digests and names" in problem


def test_a_name_twice_and_a_directory_for_a_file(folder: Path) -> None:
    with (folder / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  cells.npy\n")
    assert "is damaged" in verify(folder)[0]
    resealed(folder)
    (folder / "prior.npy").unlink()
    (folder / "prior.npy").mkdir()
    with pytest.raises(BadIndexError, match=r"prior\.npy is not an ordinary file"):
        Planet.open(folder, encode)


def test_links_to_the_files_are_followed(folder: Path, tmp_path: Path) -> None:
    """As a hub's cache has them."""
    for path in list(folder.iterdir()):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    assert verify(folder) == []
    assert same(answers(folder), answers(small_index(SMALL)))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The name of an index that goes back and forth between two, and where the other one is."""
    here = Path(shutil.copytree(small_index(SMALL), tmp_path / "here"))
    there = Path(shutil.copytree(small_index(OTHER), tmp_path / "there"))
    yield here, there


@pytest.mark.slow
def test_readers_during_exchanges_see_one_index(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Each answer is the one or the other's, of manifest, cells and vectors alike."""
    name = tmp_path / "here"
    expected = {read_manifest(path).grid: answers(path) for path in two}
    regions = {True: SMALL, False: OTHER}
    done = threading.Event()
    exchanges = 0

    def exchange() -> None:
        nonlocal exchanges
        while not done.is_set():
            source = small_index(regions[exchanges % 2 == 1])
            made = Path(shutil.copytree(source, tmp_path / f"made-{exchanges}"))
            seal(made, replace(read_manifest(made), files={}), name, replace=True)
            exchanges += 1

    writer = threading.Thread(target=exchange)
    writer.start()
    try:
        for _ in range(READERS):
            planet = Planet.open(name, encode)
            hits = planet.search(queries(np.array([(46.6, 8.2)])), ALL)
            assert same(hits, expected[planet.manifest.grid])
    finally:
        done.set()
        writer.join()
    assert exchanges > 3


def test_an_exchange_between_two_files(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The name goes to another index after cells.npy was read, and the files of the first one are removed."""
    here, there = two
    expected = answers(there)
    read = IndexDirectory.read
    gone: list[str] = []

    def read_then_exchange(self: IndexDirectory, name: str) -> bytes:
        content = read(self, name)
        if not gone:
            gone.append(name)
            shutil.rmtree(here)
            there.rename(here)
        return content

    monkeypatch.setattr(directory.IndexDirectory, "read", read_then_exchange)
    assert same(answers(here), expected)


def test_files_that_are_copied_over_are_noticed(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As `cp -r other/. index/` does: one directory, other contents."""
    here, there = two
    expected = answers(there)
    read = IndexDirectory.read
    copied: list[str] = []

    def read_then_copy(self: IndexDirectory, name: str) -> bytes:
        content = read(self, name)
        if not copied and name == "prior.npy":
            copied.append(name)
            shutil.copytree(there, here, dirs_exist_ok=True)
        return content

    monkeypatch.setattr(directory.IndexDirectory, "read", read_then_copy)
    assert same(answers(here), expected)


def test_an_open_index_goes_on_when_its_files_are_gone(folder: Path) -> None:
    planet = Planet.open(folder, encode)
    digest = planet.digest
    shutil.rmtree(folder)
    asked = queries(np.array([(46.6, 8.2)]))
    assert same(planet.search(asked, ALL), answers(small_index(SMALL)))
    assert planet.digest == digest


@pytest.mark.slow
def test_no_handle_stays_open(folder: Path) -> None:
    def handles() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    Planet.open(folder, encode)
    before = handles()
    for _ in range(3):
        planet = Planet.open(folder, encode)
        del planet
    (folder / "prior.npy").unlink()
    for _ in range(3):
        with pytest.raises(BadIndexError):
            Planet.open(folder, encode)
    assert handles() <= before
