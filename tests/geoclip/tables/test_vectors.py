"""Files of vectors: round trips, resuming, and refusals."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import geoclip.tables.vectors as module
from geoclip.errors import InputError
from geoclip.tables.vector_file import VectorFile
from geoclip.tables.vectors import ResumableVectors, VectorSource

SOURCE = VectorSource("photos", "digest", "fp32")
COLUMNS = {"photo": pa.string()}
VECTORS = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def key(row: int) -> tuple[bytes, bytes]:
    return f"{row}.jpg".encode(), VECTORS[row].tobytes()


def fill(
    path: Path, rows: Iterable[int], *, resume: bool = False, batch: int = 1, fail: int = -1, model: str = "digest"
) -> int:
    """Write rows as a command does; they are embedded `batch` at a time, and one of them may fail."""
    made = replace(SOURCE, model_digest=model)
    with ResumableVectors(path, COLUMNS, made, resume=resume) as out:
        for row in out.remaining(rows, key, batch):
            out.add_together([] if row == fail else [((f"{row}.jpg",), VECTORS[row])])
        return out.finish()


def stopping(rows: int) -> Iterator[int]:
    """Rows, then the end that a run has when it is interrupted."""
    yield from range(rows)
    raise KeyboardInterrupt


def read(path: Path) -> tuple[list[str], np.ndarray]:
    batches = list(VectorFile(path, dim=6, model_digest="digest"))
    return [name for b in batches for name in b.names], np.concatenate([b.vectors for b in batches])


def test_round_trip(tmp_path: Path) -> None:
    fill(tmp_path / "v.parquet", range(10))
    names, vectors = read(tmp_path / "v.parquet")
    assert names == [f"{i}.jpg" for i in range(10)]
    np.testing.assert_allclose(vectors, VECTORS, rtol=1e-6)
    assert np.array_equal(np.stack(pq.read_table(tmp_path / "v.parquet")["vector"].to_numpy()), VECTORS)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".v.parquet.journal", "v.parquet"]


def test_a_stream_leaves_nothing_to_go_on_with(tmp_path: Path) -> None:
    fill(tmp_path / "whole.parquet", range(10))
    os.mkfifo(pipe := tmp_path / "v.parquet")
    with ThreadPoolExecutor() as pool:
        came = pool.submit(pipe.read_bytes)
        fill(pipe, range(10))
    assert came.result() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".whole.parquet.journal", "v.parquet", "whole.parquet"]


@pytest.mark.parametrize("suffix", ["parquet", "npy"])
def test_content_at_hand_is_read_as_its_file(suffix: str, tmp_path: Path) -> None:
    fill(tmp_path / "v.parquet", range(10))
    np.save(tmp_path / "v.npy", VECTORS)
    path, content = tmp_path / f"v.{suffix}", (tmp_path / f"v.{suffix}").read_bytes()
    (own,) = VectorFile(path, dim=6, model_digest="digest")
    (given,) = VectorFile(Path(f"body.{suffix}"), dim=6, model_digest="digest", content=content)
    assert given.names == own.names
    assert np.array_equal(given.vectors, own.vectors)
    with pytest.raises(InputError, match=rf"body\.{suffix} cannot be read"):
        list(VectorFile(Path(f"body.{suffix}"), dim=6, model_digest="digest", content=content[:40]))


@pytest.mark.parametrize("stops", [0, 1, 4, 6, 9, 10])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_stopped_run_goes_on_and_equals_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: int, batch: int
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 3)
    path, whole = tmp_path / "v.parquet", tmp_path / "whole.parquet"
    with pytest.raises(KeyboardInterrupt):
        fill(path, stopping(stops), batch=batch)
    assert not path.exists()
    assert fill(path, range(10), resume=True, batch=batch) == 10
    assert fill(whole, range(10), batch=batch) == 10
    assert path.read_bytes() == whole.read_bytes()
    np.testing.assert_allclose(read(path)[1], VECTORS, rtol=1e-6)
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == {"v.parquet", "whole.parquet"}


def test_another_run_is_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    with pytest.raises(KeyboardInterrupt):
        fill(path, stopping(4))
    for rows, resume, model, words in (
        (range(10), False, "digest", "--resume"),
        (range(10), True, "other", "begun with model digest digest, now it is other"),
        (range(1, 10), True, "digest", "other inputs"),
        (range(3), True, "digest", "other inputs"),
    ):
        with pytest.raises(InputError, match=words):
            fill(path, rows, resume=resume, model=model)
    assert fill(path, range(4), resume=True) == 4


def test_a_complete_file_is_gone_on_with(tmp_path: Path) -> None:
    path, whole = tmp_path / "v.parquet", tmp_path / "whole.parquet"
    fill(path, range(5), fail=2)
    before = path.read_bytes()
    assert fill(path, range(5), resume=True, fail=2) == 4
    assert path.read_bytes() == before
    assert fill(path, range(9), resume=True) == 9
    assert read(path)[0] == [f"{row}.jpg" for row in (0, 1, 3, 4, 5, 6, 7, 8, 2)]
    with pytest.raises(InputError, match="other inputs"):
        fill(path, range(8), resume=True)
    fill(whole, [0, 1, 3, 4, 5, 6, 7, 8, 2])
    assert path.read_bytes() == whole.read_bytes()


def test_a_part_on_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(InputError, match="No space left"):
        fill(tmp_path / "v.parquet", range(10))
    assert not list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob("*.tmp"))


def test_npy_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS.astype(np.float64))
    names, vectors = read(tmp_path / "v.npy")
    assert names == [str(i) for i in range(10)]
    np.testing.assert_allclose(vectors, VECTORS, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_bad_rows_are_left_out_and_named_by_their_place_in_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    vectors = np.tile(VECTORS, (150, 1))
    vectors[1200, 3], vectors[40] = np.nan, 0.0
    path = tmp_path / f"v{suffix}"
    np.save(path, vectors) if suffix == ".npy" else pq.write_table(pa.table({"vector": [*vectors]}), path)
    names, found = read(path)
    assert names == [str(i) for i in range(1500) if i not in (40, 1200)]
    file = VectorFile(path, dim=6, model_digest="digest")
    assert np.concatenate([batch.rows for batch in file]).tolist() == [*map(int, names)]
    assert (file.rows, file.left_out) == (1500, 2)
    np.testing.assert_allclose(found, np.delete(vectors, (40, 1200), axis=0), rtol=1e-6)
    assert (
        "2 of 1,500 rows cannot be used: 1 the vector is not finite (row 1201), 1 the vector has length 0 (row 41)"
        in (caplog.text)
    )


def test_other_lengths_are_brought_to_1_except_those_of_means(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lengths = np.array([0.1, 0.5, 0.9, 1.0, 1.0004, 2.0, 7.0, 1e-20, 0.999, 1e20])[:, None].astype(np.float32)
    np.save(tmp_path / "other.npy", VECTORS * lengths)
    np.testing.assert_allclose(read(tmp_path / "other.npy")[1], VECTORS, rtol=1e-5)
    assert "other.npy holds vectors of other lengths than 1, such as 0.1; they are brought to length 1" in caplog.text
    caplog.clear()
    source = VectorSource("photos", "digest", "fp32", means=True)
    with ResumableVectors(tmp_path / "means.parquet", COLUMNS, source, resume=False) as out:
        for i in range(10):
            out.add((f"{i}.jpg",), VECTORS[i] * lengths[i])
        out.finish()
    kept = np.where(lengths > 0.999, 1, lengths)
    np.testing.assert_allclose(read(tmp_path / "means.parquet")[1], VECTORS * kept, rtol=1e-5)
    np.save(tmp_path / "unit.npy", VECTORS * np.float32(1.001))
    read(tmp_path / "unit.npy")
    assert not caplog.records


def test_rows_are_named_by_the_column_of_photos(tmp_path: Path) -> None:
    vectors = pa.array([[1.0] * 6] * 2)
    pq.write_table(
        pa.table({"Image": ["a", "b"], "lat": [1, 2], "lng": [1, 2], "vector": vectors}), tmp_path / "v.parquet"
    )
    assert read(tmp_path / "v.parquet")[0] == ["a", "b"]
    assert VectorFile(tmp_path / "v.parquet", dim=6, model_digest="digest").named
    np.save(tmp_path / "v.npy", VECTORS)
    assert not VectorFile(tmp_path / "v.npy", dim=6, model_digest="digest").named


def test_coordinates_name_themselves(tmp_path: Path) -> None:
    table = pa.table({"lat": [1.5], "lng": [-2.0], "vector": pa.array([[1.0] * 6], type=pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "v.parquet")
    assert read(tmp_path / "v.parquet")[0] == ["1.500000,-2.000000"]


def test_files_of_something_else_are_refused_in_words(tmp_path: Path) -> None:
    def refused(name: str, words: str) -> None:
        with pytest.raises(InputError, match=words):
            list(VectorFile(tmp_path / name, dim=6, model_digest="digest"))

    refused("absent.parquet", "does not exist")
    refused("absent.npy", "does not exist")
    refused("v.txt", "not a file of vectors")
    np.save(tmp_path / "header.npy", VECTORS)
    (tmp_path / "header.npy").write_bytes((tmp_path / "header.npy").read_bytes().replace(b"False", b"(((((", 1))
    refused("header.npy", "cannot be read")
    for name in ("noise.parquet", "noise.npy"):
        (tmp_path / name).write_bytes(b"noise" * 100)
        refused(name, "cannot be read")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "columns.parquet")
    refused("columns.parquet", "one called vector is needed")
    pq.write_table(pa.table({"vector": [[1.0, 2.0]]}), tmp_path / "short.parquet")
    refused("short.parquet", "6 numbers")
    np.save(tmp_path / "shape.npy", VECTORS[:, :5])
    refused("shape.npy", r"\(10, 5\)")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    refused("pickle.npy", "cannot be read")
    np.savez(tmp_path / "several.npz", a=VECTORS)
    refused("several.npz", r"several arrays \(.npz\); save the one of vectors with numpy.save")
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    refused("several.npy", r"several arrays \(.npz\); save the one of vectors with numpy.save")
    pq.write_table(pa.table([[[1.0] * 6]] * 2, names=["vector", "vector"]), tmp_path / "twice.parquet")
    refused("twice.parquet", "one called vector is needed")
    np.save(tmp_path / "nan.npy", np.full((2, 6), np.nan))
    refused("nan.npy", "2 of 2 rows cannot be used: 2 the vector is not finite")
    np.save(tmp_path / "none.npy", np.zeros((0, 6)))
    refused("none.npy", "has no rows")
    fill(tmp_path / "other.parquet", range(2), model="other")
    refused("other.parquet", "another model")
