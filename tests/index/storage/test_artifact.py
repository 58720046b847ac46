"""The directory of an index: sealed, opened, verified, and damaged in every way we could think of."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from index.files import sha256_of
from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.planet import Planet
from index.storage.artifact import FORMAT, MANIFEST, SUMS, BadIndexError, Manifest, seal, verify
from tests.helpers.synthetic import ALPS, small_index

FLIPS = 1000
SMALL = Region.of_cells(cells_at([(46.6, 8.2)], 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index that may be damaged."""
    return Path(shutil.copytree(small_index(SMALL), tmp_path / "planet"))


def resealed(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the manifest, and its digest with it."""
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))
    lines = [
        line for line in (folder / SUMS).read_text().splitlines(keepends=True) if not line.endswith(MANIFEST + "\n")
    ]
    (folder / SUMS).write_text(f"{sha256_of(folder / MANIFEST)}  {MANIFEST}\n" + "".join(lines))


def sentence(error: str) -> bool:
    return "\n" not in error and error.endswith(".") and error[0] in "/T"


def test_a_sound_index(folder: Path) -> None:
    assert verify(folder) == []
    manifest = Manifest.load(folder)
    assert set(manifest.files) | {MANIFEST, SUMS} == {path.name for path in folder.iterdir()}
    assert all((folder / name).stat().st_size == size for name, size in manifest.files.items())
    for line in (folder / SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        assert digest == sha256_of(folder / name)
    assert manifest == Manifest.load(small_index(SMALL))


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
        Planet.open(folder)


@pytest.mark.parametrize("name", ["level-5.lists", "prior.npy", MANIFEST, SUMS])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (problem,) = verify(folder)
    assert name in problem
    assert sentence(problem)
    with pytest.raises(BadIndexError, match=r"is missing|is not an index: it has no"):
        Planet.open(folder)


def test_an_extra_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (problem,) = verify(folder)
    assert problem.endswith("notes.txt does not belong to the index.")
    Planet.open(folder)  # harmless


def test_another_format_and_another_kind(folder: Path) -> None:
    resealed(folder, lambda content: content.update(format=FORMAT + 1))
    with pytest.raises(BadIndexError, match=rf"has format {FORMAT + 1}, this version reads {FORMAT}"):
        Planet.open(folder)
    assert len(verify(folder)) == 1
    resealed(folder, lambda content: content.update(kind="cookbook"))
    with pytest.raises(BadIndexError, match="describes 'cookbook', not a geoclip-planet index"):
        Planet.open(folder)


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
        Planet.open(folder)


def test_what_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        (problem,) = verify(path)
        assert "is not an index: it has no" in problem
        with pytest.raises(BadIndexError, match="make one with `geoclip build"):
            Planet.open(path)


def test_a_name_that_is_taken_is_kept(folder: Path, tmp_path: Path) -> None:
    manifest = replace(Manifest.load(folder), tau=2.0, files={})
    for number, over in enumerate((False, True)):
        made = tmp_path / f"made-{number}"
        made.mkdir()
        (made / "cells.npy").write_bytes(b"something else")
        if not over:
            with pytest.raises(FileExistsError):
                seal(made, manifest, folder, replace=over)
            assert verify(folder) == []
            assert Manifest.load(folder).tau != 2.0
    seal(made, manifest, folder, replace=True)
    assert verify(folder) == []
    assert Manifest.load(folder).tau == 2.0
    assert not made.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made-0", "planet"]


def test_what_has_the_name_is_whole_at_every_moment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that is replaced steps aside by a rename; it is not emptied where it stands."""
    made = Path(shutil.copytree(small_index(SMALL), tmp_path / "made"))
    manifest = replace(Manifest.load(made), files={})
    removed: list[Path] = []

    def watched(path: Path, *, ignore_errors: bool = False) -> None:
        assert ignore_errors
        removed.append(path)

    monkeypatch.setattr(shutil, "rmtree", watched)
    seal(made, manifest, folder, replace=True)
    assert folder not in removed
    assert verify(folder) == []


def test_sealing_is_repeatable(tmp_path: Path) -> None:
    folder = small_index(ALPS)
    again = Path(shutil.copytree(folder, tmp_path / "again"))
    seal(again, replace(Manifest.load(folder), files={}), tmp_path / "sealed")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "sealed" / path.name).read_bytes()
