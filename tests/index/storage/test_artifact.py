"""The directory of an index: sealed, opened, verified, and damaged in every way we could think of."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from index.files import sha256_of
from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.planet import Planet
from index.storage import artifact
from index.storage.artifact import seal, verify
from index.storage.directory import read_manifest
from index.storage.manifest import FORMAT, MANIFEST, SUMS, BadIndexError
from tests.helpers.sealing import resealed
from tests.helpers.synthetic import ALPS, encode, small_index

FLIPS = 1000
SMALL = Region.of_cells(cells_at([(46.6, 8.2)], 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index that may be damaged."""
    return Path(shutil.copytree(small_index(SMALL), tmp_path / "planet"))


def sentence(error: str) -> bool:
    return "\n" not in error and error.endswith(".") and error[0] in "/T"


def test_a_sound_index(folder: Path) -> None:
    assert verify(folder) == []
    manifest = read_manifest(folder)
    assert set(manifest.files) | {MANIFEST, SUMS} == {path.name for path in folder.iterdir()}
    assert all((folder / name).stat().st_size == size for name, size in manifest.files.items())
    for line in (folder / SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        assert digest == sha256_of(folder / name)
    assert manifest == read_manifest(small_index(SMALL))


@pytest.mark.slow
def test_every_flipped_bit_is_found(folder: Path) -> None:
    rng = random.Random(FLIPS)
    files = sorted(folder.iterdir())
    picks = [(rng.choice(files), rng.random(), rng.randrange(8)) for _ in range(FLIPS)]
    ends = [
        (folder / SUMS, at, bit)
        for at, byte in enumerate((folder / SUMS).read_bytes())
        if byte == 10
        for bit in range(8)
    ]
    for path, where, bit in [*picks, *ends]:
        content = path.read_bytes()
        damaged = bytearray(content)
        at = where if isinstance(where, int) else int(where * len(content))
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        problems = verify(folder)
        assert problems, f"bit {bit} of byte {at} of {path.name}"
        assert all(sentence(problem) for problem in problems)
        path.write_bytes(content)
    assert verify(folder) == []


@pytest.mark.parametrize("name", ["level-6.lists", "cells.npy", "gallery.parquet", "start.safetensors"])
@pytest.mark.parametrize("cut", [0, 1, -1])
def test_a_truncated_file(folder: Path, name: str, cut: int) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:cut])
    (problem,) = verify(folder)
    assert f"{name} has " in problem
    with pytest.raises(BadIndexError, match="copy the index again or build it again"):
        Planet.open(folder, encode)


@pytest.mark.parametrize("name", ["level-5.lists", "prior.npy", MANIFEST, SUMS])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (problem,) = verify(folder)
    assert name in problem
    assert sentence(problem)
    with pytest.raises(BadIndexError, match=r"is missing|is not an index: it has no"):
        Planet.open(folder, encode)


def test_an_extra_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (problem,) = verify(folder)
    assert problem.endswith("notes.txt does not belong to the index.")
    Planet.open(folder, encode)  # harmless


def test_another_format_and_another_kind(folder: Path) -> None:
    resealed(folder, lambda content: content.update(format=FORMAT + 1))
    with pytest.raises(BadIndexError, match=rf"has format {FORMAT + 1}, this version reads {FORMAT}; build it"):
        Planet.open(folder, encode)
    assert len(verify(folder)) == 1
    resealed(folder, lambda content: content.update(kind="cookbook"))
    with pytest.raises(BadIndexError, match="describes 'cookbook', not a geoclip-planet index"):
        Planet.open(folder, encode)


def test_a_file_the_sums_do_not_name(folder: Path) -> None:
    lines = (folder / SUMS).read_text().splitlines(keepends=True)
    (folder / SUMS).write_text("".join(line for line in lines if not line.endswith("prior.npy\n")))
    assert any("prior.npy is not listed" in problem for problem in verify(folder))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_a_damaged_manifest(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    (problem,) = verify(folder)
    assert f"{MANIFEST} is damaged" in problem
    assert sentence(problem)


@pytest.mark.parametrize("content", [b"", b"no sums\n", b"\xff\xfe", bytes(100)])
def test_damaged_sums(folder: Path, content: bytes) -> None:
    (folder / SUMS).write_bytes(content)
    (problem,) = verify(folder)
    assert "is damaged" in problem
    with pytest.raises(BadIndexError, match="is damaged"):
        Planet.open(folder, encode)


def test_what_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        (problem,) = verify(path)
        assert "is not an index: it has no" in problem
        with pytest.raises(BadIndexError, match="make one with `geoclip build"):
            Planet.open(path, encode)


def made(folder: Path) -> Path:
    """Return the folder of a new index beside an old one, not sealed yet."""
    new = Path(shutil.copytree(small_index(SMALL), folder.with_name("made")))
    (new / MANIFEST).unlink()
    return new


def test_a_name_that_is_taken_is_kept_or_exchanged(folder: Path, tmp_path: Path) -> None:
    manifest = replace(read_manifest(folder), tau=2.0, files={})
    new = made(folder)
    with pytest.raises(FileExistsError, match="exists; choose another name, or replace it with --overwrite"):
        seal(new, manifest, folder)
    assert verify(folder) == []
    assert read_manifest(folder).tau != 2.0
    seal(new, manifest, folder, replace=True)
    assert verify(folder) == []
    assert read_manifest(folder).tau == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["planet"]


@pytest.mark.parametrize("one_step", [True, False])
def test_what_has_the_name_is_whole_at_every_moment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, one_step: bool
) -> None:
    """A kill just before anything is removed: the new index has the name, the old one another."""
    manifest = replace(read_manifest(folder), tau=2.0, files={})

    def killed(path: Path, *, ignore_errors: bool = False) -> None:
        del path, ignore_errors
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    if not one_step:
        monkeypatch.setattr(artifact, "_exchanged", lambda *_: False)
    with pytest.raises(KeyboardInterrupt):
        seal(made(folder), manifest, folder, replace=True)
    assert read_manifest(folder).tau == 2.0
    assert verify(folder) == []
    old = folder.with_name("made" if one_step else "made.replaced")
    assert read_manifest(old).tau != 2.0
    assert verify(old) == []


def test_exchanges_here_take_one_step(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert artifact._exchanged(folder, other)
    assert list(folder.iterdir()) == []
    assert verify(other) == []


@pytest.mark.parametrize("content", [{"a.jpg": b"photo"}, {"manifest.json": b'{"kind": "cookbook"}'}, None])
def test_what_is_not_an_index_is_never_replaced(folder: Path, tmp_path: Path, content: dict[str, bytes] | None) -> None:
    target = tmp_path / "photos"
    if content is None:
        target.write_bytes(b"a document")
    else:
        target.mkdir()
        for name, data in content.items():
            (target / name).write_bytes(data)
    manifest = replace(read_manifest(folder), files={})
    with pytest.raises(FileExistsError, match=r"is not an index but a (file|folder with .*), which is not replaced"):
        seal(made(folder), manifest, target, replace=True)
    if content is None:
        assert target.read_bytes() == b"a document"
    else:
        assert {path.name: path.read_bytes() for path in target.iterdir()} == content


def test_an_index_that_holds_somebody_s_notes_is_not_replaced(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    manifest = replace(read_manifest(folder), files={})
    with pytest.raises(FileExistsError, match=r"also holds notes\.txt, which is not part of an index"):
        seal(made(folder), manifest, folder, replace=True)
    (folder / "notes.txt").unlink()
    (folder / "cells.npy").write_bytes(b"damaged")
    seal(folder.with_name("made"), manifest, folder, replace=True)
    assert verify(folder) == []


def test_an_empty_folder_may_be_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    seal(made(folder), replace(read_manifest(folder), files={}), tmp_path / "empty", replace=True)
    assert verify(tmp_path / "empty") == []


def test_sealing_is_repeatable(tmp_path: Path) -> None:
    folder = small_index(ALPS)
    again = Path(shutil.copytree(folder, tmp_path / "again"))
    seal(again, replace(read_manifest(folder), files={}), tmp_path / "sealed")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "sealed" / path.name).read_bytes()
