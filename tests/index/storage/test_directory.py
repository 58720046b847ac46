"""Opening an index: flipped bits, pipes and links among its files, and exchanges at any moment.

`python -m benchmarks.faults flipped exchanged` tries more.
"""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.damaged import ALL, OTHER, SMALL, answers, exchanged, flipped_index, same
from index.search.planet import Planet
from index.storage import directory
from index.storage.artifact import verify
from index.storage.directory import IndexDirectory
from index.storage.manifest import MANIFEST, SUMS, BadIndexError
from tests.helpers.sealing import resealed
from tests.helpers.synthetic import encode, queries, small_index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index that may be damaged."""
    return Path(shutil.copytree(small_index(SMALL), tmp_path / "planet"))


@pytest.mark.slow
def test_a_flipped_bit_is_named_without_verify(tmp_path: Path) -> None:
    outcome = flipped_index(100, tmp_path / "planet")
    assert outcome.wrong == []
    assert outcome.counts["named"] >= 95  # all but what is in the digest of lists, which have checksums of their own


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
def test_readers_during_exchanges_see_one_index(tmp_path: Path) -> None:
    """Each answer is the one or the other's, of manifest, cells and vectors alike."""
    outcome = exchanged(60, tmp_path)
    assert outcome.wrong == []
    assert outcome.counts["readers"] == 60
    assert outcome.counts["exchanges"] > 3


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
