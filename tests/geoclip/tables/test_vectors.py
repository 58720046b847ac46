"""Files of vectors: round trips, resuming, and refusals."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import geoclip.tables.vectors as module
from geoclip.errors import InputError
from geoclip.tables.vectors import ResumableVectors, VectorSource, read_vectors

SOURCE = VectorSource("photos", "digest", "fp32")
COLUMNS = {"photo": pa.string()}
VECTORS = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)


def fill(path: Path, rows: range, *, resume: bool = False, finish: bool = True, source: VectorSource = SOURCE) -> None:
    with ResumableVectors(path, COLUMNS, source, resume=resume) as out:
        done = set(out.written("photo"))
        for i in rows:
            if f"{i}.jpg" not in done:
                out.add((f"{i}.jpg",), VECTORS[i])
        if finish:
            out.finish()


def read(path: Path) -> tuple[list[str], np.ndarray]:
    batches = list(read_vectors(path, dim=6, model_digest="digest"))
    return [name for b in batches for name in b.names], np.concatenate([b.vectors for b in batches])


def test_round_trip(tmp_path: Path) -> None:
    fill(tmp_path / "v.parquet", range(10))
    names, vectors = read(tmp_path / "v.parquet")
    assert names == [f"{i}.jpg" for i in range(10)]
    assert np.array_equal(vectors, VECTORS)
    assert [p.name for p in tmp_path.iterdir()] == ["v.parquet"]


def test_a_stopped_run_goes_on_and_equals_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 3)
    path = tmp_path / "v.parquet"
    with pytest.raises(KeyboardInterrupt), ResumableVectors(path, COLUMNS, SOURCE, resume=False) as out:
        for i in range(4):
            out.add((f"{i}.jpg",), VECTORS[i])
        raise KeyboardInterrupt
    assert not path.exists()
    with pytest.raises(InputError, match="--resume"):
        fill(path, range(10))
    with pytest.raises(InputError, match="another model"):
        fill(path, range(10), resume=True, source=VectorSource("photos", "other", "fp32"))
    fill(path, range(10), resume=True)
    assert np.array_equal(read(path)[1], VECTORS)
    fill(tmp_path / "unbroken.parquet", range(10))
    assert pq.read_table(path).equals(pq.read_table(tmp_path / "unbroken.parquet"))


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
    np.testing.assert_allclose(vectors, VECTORS)


def test_coordinates_name_themselves(tmp_path: Path) -> None:
    table = pa.table({"lat": [1.5], "lng": [-2.0], "vector": pa.array([[1.0] * 6], type=pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "v.parquet")
    assert read(tmp_path / "v.parquet")[0] == ["1.500000,-2.000000"]


def test_files_of_something_else_are_refused_in_words(tmp_path: Path) -> None:
    def refused(name: str, words: str) -> None:
        with pytest.raises(InputError, match=words):
            list(read_vectors(tmp_path / name, dim=6, model_digest="digest"))

    refused("absent.parquet", "does not exist")
    refused("absent.npy", "does not exist")
    refused("v.txt", "not a file of vectors")
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
    fill(tmp_path / "other.parquet", range(2), source=VectorSource("photos", "other", "fp32"))
    refused("other.parquet", "another model")
