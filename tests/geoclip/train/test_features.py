"""Cached features: what `geoclip embed --features` writes, against the tower itself; and training data made of it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from geoclip.encoders import image as image_module
from geoclip.encoders.preprocess import normalised
from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits, decode
from geoclip.release.config import Preprocess
from geoclip.tables import vectors as vectors_module
from geoclip.tables.bad_rows import Reason
from geoclip.tables.vector_file import VectorFile
from geoclip.tables.vectors import FEATURES, ResumableVectors, VectorSource
from geoclip.train.data.augment import augmented, decode_job, job
from geoclip.train.data.extract import tower_digest
from geoclip.train.data.features import FeatureFile
from geoclip.train.data.loader import Loader
from geoclip.train.data.module import GeoData
from geoclip.train.data.sampling import chosen, keys_of
from geoclip.train.data.sources import Batch
from tests.helpers.commands import Done, geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.towers import TinyTower

Embed = Callable[..., Done]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GEOCLIP_CACHE", str(path))
    return path


@pytest.fixture
def embed(monkeypatch: pytest.MonkeyPatch) -> Embed:
    """`geoclip embed ... --features` in this process, with a small tower in place of CLIP's."""
    monkeypatch.setattr(image_module, "image_tower", lambda *_, **__: TinyTower())

    def run(*arguments: object) -> Done:
        fixed = ["--features", "--precision", "fp32", "--device", "cpu", "--workers", "1"]
        return geoclip("embed", *map(str, arguments), *fixed)

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos in two folders."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(5):
        make_photo(folder / f"{'ab'[i % 2]}/{i}.jpg", seed=i, size=(60, 50 + i))
    return folder


def read(path: Path) -> tuple[list[tuple[str, int]], NDArray[np.float16]]:
    table = pq.read_table(path)
    rows = list(zip(table["photo"].to_pylist(), table["view"].to_pylist(), strict=True))
    return rows, np.stack(table["feature"].to_numpy(zero_copy_only=False))


def write(path: Path, features: NDArray[np.float32], views: int = 1, digest: str = "tower", **columns: Any) -> Path:
    """Write features as embed does, in parts of a hundred rows."""
    kinds = {"photo": pa.string(), "view": pa.uint8()} | dict.fromkeys(columns, pa.float64())
    with ResumableVectors(path, kinds, VectorSource(FEATURES, digest, "fp32"), resume=False) as out:
        for photo in range(len(features) // views):
            places = [column[photo] for column in columns.values()]
            out.add_together([
                ((f"in/{photo}.jpg", view, *places), features[photo * views + view]) for view in range(views)
            ])  # fmt: skip
        out.finish()
    return path


def some(rows: int, dim: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(rows).normal(size=(rows, dim)).astype(np.float32)


@pytest.mark.slow
def test_features_are_the_towers(embed: Embed, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    path = tmp_path / "f.parquet"
    done = embed(photos, tmp_path / "broken.jpg", "-o", path, "--views", 3, "--seed", 7)
    assert done.exit_code == 1, done.stderr
    assert "5 encoded, 1 failed" in done.stderr
    rows, features = read(path)
    names = sorted(str(p) for p in photos.rglob("*.jpg"))
    assert rows == [(name, view) for name in names for view in range(3)]
    assert features.dtype == np.float16
    tower = TinyTower()
    with torch.inference_mode():
        for row, name in enumerate(names):
            whole = tower(normalised([decode(name)], Preprocess()))[0].numpy()
            np.testing.assert_allclose(features[3 * row], whole, rtol=1e-3, atol=1e-4)  # half a unit of float16
    views = features.reshape(5, 3, -1).astype(np.float64)
    assert (np.abs(views[:, 0] - views[:, 1]).max(axis=1) > 0.1).all()
    assert (np.abs(views[:, 1] - views[:, 2]).max(axis=1) > 0.1).all()
    source = json.loads(pq.read_schema(path).metadata[b"geoclip"])
    assert source == {
        "kind": "features", "model_digest": tower_digest(tower), "precision": "fp32", "version": 1, "views": 3,
        "seed": 7,
    }  # fmt: skip
    assert embed(photos, "-o", tmp_path / "again.parquet", "--views", 3, "--seed", 7).exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "again.parquet")[1], features)
    assert embed(photos, "-o", tmp_path / "other.parquet", "--views", 2, "--seed", 8).exit_code == 0
    other = read(tmp_path / "other.parquet")[1].reshape(5, 2, -1)
    np.testing.assert_allclose(other[:, 0], views[:, 0], rtol=1e-3, atol=1e-4)
    assert np.abs(other[:, 1] - views[:, 1]).max() > 0.1


@pytest.mark.slow
def test_a_stopped_run_goes_on(embed: Embed, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.parquet"
    monkeypatch.setattr(vectors_module, "PART_ROWS", 3)
    with monkeypatch.context() as patched:
        patched.setattr(ResumableVectors, "finish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert embed(photos / "a", "-o", path, "--views", 2).exit_code == 130
    parts = sorted((tmp_path / "f.parquet.parts").iterdir())
    assert [pq.read_metadata(part).num_rows for part in parts] == [4], "photos that were encoded together stay together"
    refused = embed(photos, "-o", path, "--views", 3, "--resume")
    assert refused.exit_code == 2
    assert "begun with views 2, now it is 3" in refused.stderr
    done = embed(photos, "-o", path, "--views", 2, "--resume")
    assert done.exit_code == 0, done.stderr
    assert "3 encoded" in done.stderr
    whole = tmp_path / "whole.parquet"
    embed(photos, "-o", whole, "--views", 2)
    assert read(path)[0] == [(str(p), v) for f in "ab" for p in sorted((photos / f).iterdir()) for v in (0, 1)]
    np.testing.assert_array_equal(read(path)[1], read(whole)[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["TABLE"], "--features are of photos"),
        (["PHOTO", "--views", "0"], "choose 1 to 255"),
        (["FOLDER"], "No photo could be embedded"),
    ],
)
def test_wrong_use_is_one_sentence(embed: Embed, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "t.csv").write_text("lat,lng\n1,2\n")
    (tmp_path / "empty").mkdir()
    named = {"TABLE": tmp_path / "t.csv", "PHOTO": tmp_path / "p.jpg", "FOLDER": tmp_path / "empty"}
    done = embed(*(named.get(a, a) for a in arguments), "-o", tmp_path / "f.parquet")
    assert done.exit_code == 2
    assert words in done.stderr
    plain = geoclip("embed", "p.jpg", "-o", "f.parquet", "--views", "2")
    assert (plain.exit_code, "needs --features" in plain.stderr) == (2, True)


def test_a_digest_names_a_tower_in_any_precision() -> None:
    tower = TinyTower()
    digest = tower_digest(tower)
    assert tower_digest(TinyTower().bfloat16()) == digest
    with torch.no_grad():
        tower.weight[0, 0] += 1
    assert tower_digest(tower) != digest
    assert tower_digest(nn.Linear(3, 2)) != tower_digest(nn.Linear(3, 2))


def test_rows_are_read_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(vectors_module, "PART_ROWS", 100)
    features = some(737, 13)
    path = write(tmp_path / "f.parquet", features)
    assert pq.read_metadata(path).num_row_groups == 8
    file = FeatureFile(path)
    assert (file.rows, file.dim) == (737, 13)
    rows = np.random.default_rng(0).integers(0, 737, 500)
    gathered = file.gather(rows)
    assert gathered.dtype == torch.float32
    np.testing.assert_array_equal(gathered.numpy(), features.astype(np.float16).astype(np.float32)[rows])
    assert file.gather(np.zeros(0, dtype=np.int64)).shape == (0, 13)
    assert not (cache / "features").exists()


@pytest.mark.parametrize("options", [{"compression": "snappy"}, {"data_page_size": 4096}, {"use_dictionary": True}])
def test_files_written_anew_are_read_too(tmp_path: Path, options: dict[str, Any], cache: Path) -> None:
    features = some(300, 48)
    features[:] = features.astype(np.float16)
    path = write(tmp_path / "f.parquet", features)
    anew = tmp_path / "anew.parquet"
    pq.write_table(pq.read_table(path), anew, **({"compression": "none", "use_dictionary": False} | options))
    np.testing.assert_array_equal(FeatureFile(anew).gather(np.arange(300)).numpy(), features)
    assert len(list((cache / "features").iterdir())) == 1
    pandas = tmp_path / "nullable.parquet"
    table = pq.read_table(path)
    loose = table.set_column(2, "feature", table["feature"].cast(pa.list_(pa.float32(), 48)))
    pq.write_table(loose, pandas)
    np.testing.assert_array_equal(FeatureFile(pandas).gather(np.arange(300)).numpy(), features)


def test_training_takes_any_view_and_validation_the_first(tmp_path: Path) -> None:
    features = some(60)
    path = write(tmp_path / "f.parquet", features, views=3, lat=np.arange(20) / 2 + 1, LON=-np.arange(20) / 4)
    data = GeoData(str(path), str(path), batch_size=6)
    seen: dict[int, set[int]] = {}
    loader, validation = data.train_dataloader(), data.val_dataloader()
    assert isinstance(validation, Loader)
    for _ in range(40):
        photos = []
        for batch in loader:
            check(batch, features, views=3)
            for row in batch.rows.tolist():
                photos.append(row // 3)
                seen.setdefault(row // 3, set()).add(row % 3)
        assert sorted(photos) == list(range(20))
    assert all(views == {0, 1, 2} for views in seen.values())
    rows = [row for batch in validation for row in batch.rows.tolist()]
    assert rows == list(range(0, 60, 3))
    plain = GeoData(str(path), batch_size=60, augment=False)
    assert sorted(next(iter(plain.train_dataloader())).rows.tolist()) == rows


def check(batch: Batch, features: NDArray[np.float32], views: int) -> None:
    rows = batch.rows.numpy()
    np.testing.assert_array_equal(batch.inputs.numpy(), features[rows].astype(np.float16).astype(np.float32))
    expected = np.stack((rows // views / 2 + 1, -(rows // views) / 4), axis=1)
    np.testing.assert_array_equal(batch.lat_lng.numpy(), expected)


def test_features_are_joined_with_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", some(16), views=2)
    labels = tmp_path / "labels.csv"

    def label(*names: str) -> GeoData:
        with labels.open("w", newline="") as file:
            csv.writer(file).writerows([("name", "lat", "lng"), *((n, i + 1, 2 * i) for i, n in enumerate(names))])
        return GeoData(str(path), labels=str(labels), images="in/", augment=False, batch_size=99)

    data = label("in/3.jpg", "1.jpg", "elsewhere/5.jpg", "no/such.jpg", "7.jpg")
    (batch,) = data.train_dataloader()
    places = {row // 2: place for row, place in zip(batch.rows.tolist(), batch.lat_lng.tolist(), strict=True)}
    assert places == {3: [1, 0], 1: [2, 2], 5: [3, 4], 7: [5, 8]}
    assert data.counts["train"].bad == {Reason.NO_LABEL: 4}
    with pytest.raises(InputError, match=r"2 rows for '3\.jpg'"):
        label("x/3.jpg", "y/3.jpg").prepare_data()
    with pytest.raises(InputError, match=r"for the lat one of .* Or name a table of the photos' places with `labels`"):
        GeoData(str(path)).prepare_data()


def test_a_fraction_of_features_is_that_of_their_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", some(400))
    names = [f"{i}.jpg" for i in range(400)]
    pa_csv.write_csv(pa.table({"IMG_FILE": names, "LAT": [1.0] * 400, "LON": [2.0] * 400}), tmp_path / "labels.csv")
    data = GeoData(str(path), labels=str(tmp_path / "labels.csv"), images="in", fraction=0.2, batch_size=999)
    (batch,) = data.train_dataloader()
    assert sorted(batch.rows.tolist()) == np.flatnonzero(chosen(keys_of(pa.array(names)), 0.2)).tolist()


def test_one_label_for_two_photos_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    with ResumableVectors(path, {"photo": pa.string()}, VectorSource(FEATURES, "t", "fp32"), resume=False) as out:
        for name in ("a/1.jpg", "b/1.jpg"):
            out.add((name,), some(1)[0])
        out.finish()
    (tmp_path / "labels.csv").write_text("photo,lat,lng\n1.jpg,1,2\n")
    with pytest.raises(InputError, match=r"one row for 2 photos called '1\.jpg'"):
        GeoData(str(path), labels=str(tmp_path / "labels.csv")).prepare_data()


def test_features_without_names_are_known_by_their_places(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    kinds = {"lat": pa.float64(), "lng": pa.float64()}
    with ResumableVectors(path, kinds, VectorSource(FEATURES, "t", "fp32"), resume=False) as out:
        for i, vector in enumerate(some(200)):
            out.add((i / 4, i / 8), vector)
        out.finish()
    (batch,) = GeoData(str(path), fraction=0.3, batch_size=999).train_dataloader()
    keys = keys_of(pa.array([f"{i / 4:.6f},{i / 8:.6f}" for i in range(200)]))
    assert sorted(batch.rows.tolist()) == np.flatnonzero(chosen(keys, 0.3)[1:]).__add__(1).tolist()


def test_mixtures_are_refused(tmp_path: Path) -> None:
    places: dict[str, Any] = {"lat": np.ones(4), "lng": np.ones(4)}
    one = write(tmp_path / "one.parquet", some(4), **places)
    other = write(tmp_path / "other.parquet", some(4), digest="another", **places)
    assert GeoData(str(one)).tower_digest == "tower"
    with pytest.raises(InputError, match="different CLIP towers"):
        GeoData(str(one), str(other)).prepare_data()
    with pytest.raises(InputError, match="one called vector is needed"):
        list(VectorFile(one, dim=5, model_digest="tower"))
    pq.write_table(pa.table({"feature": [[1.0]], "lat": [1.0], "lng": [1.0]}), tmp_path / "foreign.parquet")
    with pytest.raises(InputError, match="geoclip embed PHOTOS --features"):
        GeoData(str(tmp_path / "foreign.parquet")).prepare_data()


def test_views_out_of_order_and_infinite_features_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", some(4), views=2, lat=np.ones(2), lng=np.ones(2))
    pq.write_table(pq.read_table(path).take([0, 2, 1, 3]), tmp_path / "sorted.parquet")
    with pytest.raises(InputError, match="keep embed's order"):
        GeoData(str(tmp_path / "sorted.parquet")).prepare_data()
    with pytest.raises(InputError, match="not finite in float16"):
        write(tmp_path / "large.parquet", some(4) * 1e6)


def test_a_job_survives_the_way_to_a_worker(photos: Path) -> None:
    photo = photos / "a/0.jpg"
    limits = DecodeLimits()
    assert decode_job(job(photo, None), limits) == decode_job(job(photo.read_bytes(), None), limits) == decode(photo)
    with Image.open(photo) as image:
        expected = augmented(image.convert("RGB"), Random(2**64 - 1)).tobytes()
    assert decode_job(job(photo, 2**64 - 1), limits) == expected
