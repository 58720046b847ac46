"""Indexes from strangers, with digests that are right: refused in a sentence, and `verify` says the same."""

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from index.building.levels import BITS
from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from index.storage.artifact import verify
from index.storage.contents import open_gallery
from index.storage.manifest import BadIndexError
from tests.helpers.sealing import resealed, write_sums
from tests.helpers.synthetic import DIM, encode, queries, small_index

SMALL = Region.of_cells(cells_at([(46.6, 8.2)], 3))
HERE = np.array([(46.6, 8.2)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index that may be changed."""
    return Path(shutil.copytree(small_index(SMALL), tmp_path / "planet"))


def refused(folder: Path, why: str) -> None:
    """Opening raises one sentence, and it is what `verify` finds."""
    with pytest.raises(BadIndexError, match=why) as error:
        Planet.open(folder, encode)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    assert str(folder) in str(error.value)
    assert any(re.search(why, problem) for problem in verify(folder))


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_sealing_again_changes_nothing(folder: Path) -> None:
    resealed(folder)
    assert verify(folder) == []
    Planet.open(folder, encode)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tau": float("nan")}, r"tau: Input should be a finite number"),
        ({"tau": float("inf")}, r"tau: Input should be"),
        ({"tau": 1e308}, r"tau: Input should be less than or equal to 10000"),
        ({"tau": -1.0}, r"tau: Input should be greater than 0"),
        ({"tau": "39"}, r"tau: Input should be a valid number \(it is '39'\)"),
        ({"tau": None}, r"tau: Input should be a valid number"),
        ({"dim": 64.5}, r"dim: Input should be a valid integer"),
        ({"dim": 96}, r"expected \d+ of 96 numbers|that of 96 numbers"),
        ({"dim": 1 << 40}, r"dim: Input should be less than"),
        ({"cells": 3}, r"expected 3 of <u8"),
        ({"cells": 1 << 62}, r"cells: Input should be less than"),
        ({"start_res": 6}, r"its start level 6 is not coarser than 6"),
        ({"coarse_res": 7}, r"H3 cells of resolution 7"),
        ({"gallery": []}, r"gallery: Input should be a valid dictionary"),
        ({"gallery": {"source": "x"}}, r"gallery\.digest: Field required"),
        ({"versions": {"numpy": 2}}, r"versions\.numpy: Input should be a valid string"),
        ({"files": {"../cells.npy": 1}}, r"files\.\.\./cells\.npy"),
        ({"files": {"/etc/passwd": 1}}, r"files\./etc/passwd"),
        ({"colour": "red"}, r"colour: "),
    ],
)
def test_nonsense_in_the_manifest(folder: Path, change: dict[str, Any], why: str) -> None:
    resealed(folder, lambda content: content.update(change))
    refused(folder, why)


def test_nonsense_in_the_prior_s_parameters(folder: Path) -> None:
    for value in (float("inf"), float("nan"), -1.0, 0.0, "many"):

        def change(content: dict[str, Any], value: object = value) -> None:
            content["prior"]["kappas"][3] = value

        resealed(folder, change)
        refused(folder, r"prior\.kappas\.3: Input should be")


def test_a_manifest_nested_too_deep(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"kind":' * 100_000)
    write_sums(folder)
    refused(folder, r"manifest\.json is not a manifest: Invalid JSON: recursion limit")


Arrays = dict[str, NDArray[Any]]


def level(change: Callable[[Arrays], object]) -> Callable[[Path], None]:
    """Change what stands beside the lists of the coarse level."""

    def changed(folder: Path) -> None:
        parts = load_file(folder / "level-6.safetensors")
        change(parts)
        resealed(folder, files={"level-6.safetensors": save(parts)})

    return changed


def start(change: Callable[[Arrays], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        parts = load_file(folder / "start.safetensors")
        change(parts)
        resealed(folder, files={"start.safetensors": save(parts)})

    return changed


def cells(change: Callable[[NDArray[np.uint64]], NDArray[Any]]) -> Callable[[Path], None]:
    return lambda folder: resealed(folder, files={"cells.npy": npy(change(np.load(folder / "cells.npy")))})


def node_keys(change: Callable[[NDArray[np.int64]], NDArray[Any]]) -> Callable[[Path], None]:
    return lambda folder: resealed(folder, files={"nodes.npy": npy(change(np.load(folder / "nodes.npy")))})


def lengths(change: Callable[[NDArray[np.float16]], NDArray[Any]]) -> Callable[[Path], None]:
    return lambda folder: resealed(folder, files={"lengths.npy": npy(change(np.load(folder / "lengths.npy")))})


def prior(change: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Callable[[Path], None]:
    return lambda folder: resealed(folder, files={"prior.npy": npy(change(np.load(folder / "prior.npy")))})


def gallery(column: str, values: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        table = pq.read_table(folder / "gallery.parquet")
        at = table.schema.get_field_index(column)
        stream = io.BytesIO()
        array = pa.array(values(table[column].to_numpy().copy()))
        pq.write_table(table.set_column(at, table.schema.field(at), array), stream)
        resealed(folder, files={"gallery.parquet": stream.getvalue()})

    return changed


def but_first(array: NDArray[Any], value: Any) -> NDArray[Any]:
    array[0] = value
    return array


def wider(parts: Arrays) -> None:
    """Sizes as signed 64-bit numbers, one negative, with the same sum: this crashed the process once."""
    parts["sizes"] = parts["sizes"].astype(np.int64)
    parts["sizes"][:2] += (-100, 100)


def around(parts: Arrays) -> None:
    """Sizes whose sum is right only because it runs over."""
    parts["sizes"] = parts["sizes"].astype(np.uint64)
    parts["sizes"][:2] += np.uint64(1 << 63)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (level(wider), r"level-6\.safetensors .*: sizes is int64 \(\d+,\), expected uint32"),
        (level(around), r"sizes is uint64"),
        (level(lambda p: p.update(sizes=np.roll(p["sizes"], 1) + 1)), r"level-6\.lists has \d+ bytes; its lists take"),
        (level(lambda p: p.update(sizes=p["sizes"][:-1])), r"it describes \d+ lists, expected"),
        (level(lambda p: p.update(checksums=p["checksums"][:-1])), r"it describes \d+ lists"),
        (level(lambda p: p.pop("checksums")), r"checksums is nothing, expected uint32"),
        (level(lambda p: p.update(more=p["centre"])), r"it holds .*more"),
        (level(lambda p: but_first(p["centre"], np.nan)), r"centre holds values that are not finite"),
        (level(lambda p: but_first(p["spread"], 1e38)), r"its spread is not that of unit vectors"),
        (level(lambda p: but_first(p["spread"], 0)), r"its spread is not that of unit vectors"),
        (level(lambda p: p.update(spread=p["spread"][:-1])), r"its spread is not that of 64 numbers"),
        (level(lambda p: p.update(twice=np.array([1 << 31], np.uint32))), r"it names cells with two vectors"),
        (level(lambda p: p.update(twice=np.array([5, 5], np.uint32))), r"it names cells with two vectors"),
        (node_keys(lambda k: k[::-1]), r"nodes\.npy .*its keys do not ascend"),
        (node_keys(lambda k: k[1:]), r"it holds \d+ numbers"),
        (level(lambda p: but_first(p["bits"], 7)), r"its numbers have \[7\] bits"),
        (level(lambda p: p.update(bits=np.zeros(0, np.uint8))), r"its numbers have \[\] bits"),
        (start(lambda p: but_first(p["vectors"], np.nan)), r"start\.safetensors .*: vectors holds values"),
        (start(lambda p: but_first(p["vectors"], 0)), r"not of unit length"),
        (start(lambda p: p.update(vectors=p["vectors"][:, :32])), rf"expected \d+ of {DIM} numbers"),
        (start(lambda p: but_first(p["rows"], -1)), r"its rows are not those of"),
        (start(lambda p: but_first(p["rows"], 1 << 40)), r"its rows are not those of"),
        (start(lambda p: but_first(p["lengths"], np.nan)), r"lengths holds values"),
        (lambda f: resealed(f, files={"start.safetensors": b"\xff" * 100}), r"it is not a file of arrays"),
        (cells(lambda c: c[::-1]), r"sorted, distinct H3 cells"),
        (cells(lambda c: but_first(c, c[1])), r"sorted, distinct"),
        (cells(lambda c: but_first(c, 7)), r"sorted, distinct H3 cells"),
        (
            cells(lambda c: c.astype(np.int64)),
            r"it holds \d+ numbers of the type <i8, expected \d+ of <u8",
        ),
        (cells(lambda c: c.astype(object)), r"cells\.npy .*"),
        (lambda f: resealed(f, files={"cells.npy": b"no array"}), r"cells\.npy does not belong to a sound index"),
        (lengths(lambda v: but_first(v, np.nan)), r"a length is not above 0"),
        (lengths(lambda v: but_first(v, -1)), r"a length is not above 0"),
        (lengths(lambda v: v.reshape(-1, 1)), r"an array of one dimension"),
        (prior(lambda v: but_first(v, np.inf)), r"not finite, or do not add up to 1"),
        (prior(lambda v: but_first(v, np.nan)), r"not finite"),
        (prior(lambda v: v + np.float32(1)), r"do not add up to 1"),
        (gallery("lng", lambda v: but_first(v, 720)), r"a coordinate is not within"),
        (gallery("lat", lambda v: but_first(v, np.nan)), r"a coordinate is not within"),
        (gallery("count", lambda v: but_first(v, 0)), r"a place has 0 or"),
        (gallery("count", lambda v: but_first(v, 1 << 62)), r"a place has"),
        (gallery("count", lambda v: but_first(v, v[0] + 1)), r"it holds \d+ places of \d+ photos, not"),
        (gallery("cell", lambda v: but_first(v, 5)), r"its cells are not sorted cells of resolution 15"),
        (lambda f: resealed(f, files={"gallery.parquet": b"PAR1" * 40}), r"cannot be opened as a gallery"),
    ],
)
def test_hostile_arrays(folder: Path, change: Callable[[Path], object], why: str) -> None:
    change(folder)
    refused(folder, why)


def test_the_gallery_alone_is_checked_too(folder: Path) -> None:
    assert len(open_gallery(folder)) == len(Planet.open(folder, encode).gallery) > 0
    gallery("lng", lambda v: but_first(v, 720))(folder)
    with pytest.raises(BadIndexError, match="a coordinate is not within"):
        open_gallery(folder)


@pytest.mark.parametrize("number", [-5, 1 << 60, -(1 << 63), 100_000])
def test_lists_that_name_cells_of_nowhere(folder: Path, number: int) -> None:
    """With a checksum that is right; found when the list is read, which is the earliest that costs nothing."""
    path = folder / "level-6.lists"
    parts = load_file(folder / "level-6.safetensors")
    content = np.fromfile(path, np.int64)
    size, words = int(parts["sizes"][0]), DIM * BITS // 64
    content[size * words : size * (words + 1)] = number
    parts["checksums"][0] = crc32(content[: size * (words + 1)].tobytes())
    resealed(folder, files={"level-6.lists": content.tobytes(), "level-6.safetensors": save(parts)})
    planet = Planet.open(folder, encode)
    asked = queries(HERE)
    with pytest.raises(BadIndexError, match=r"level-6\.lists names cells that the index does not have"):
        planet.search(asked, Question(k=10_000, resolution=6, effort=EffortName.EXHAUSTIVE))
