"""Training data: batches against the tables they come from, splits by hash, ranks, resuming, bad rows and files."""

import csv
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geoclip.encoders.preprocess import normalised
from geoclip.errors import InputError
from geoclip.photos.decode import decode
from geoclip.release.config import Preprocess
from geoclip.tables.bad_rows import Reason
from geoclip.tables.columns import Columns
from geoclip.train.data.loader import Loader
from geoclip.train.data.module import GeoData
from geoclip.train.data.sampling import EpochPlan, chosen, epoch_order, held_out, keys_of
from geoclip.train.data.sources import Batch
from tests.helpers.pictures import make_photo

PLACES = [(48.85, 2.29), (-33.85, 151.21), (35.36, 138.72), (0.5, -180.0), (89.9, 12.25), (-90.0, 0.125), (1e-7, 5.0)]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GEOCLIP_CACHE", str(path))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of seven photos and their table, with the released code's columns."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(len(PLACES)):
        make_photo(folder / name(i), seed=i, size=(40 + i, 50))
    table(folder / "train.csv", [(name(i), *place) for i, place in enumerate(PLACES)])
    return folder


def name(i: int) -> str:
    return f"deep er/é{i}.jpg"


def table(path: Path, rows: Sequence[tuple[object, ...]], header: Sequence[str] = ("IMG_FILE", "LAT", "LON")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def synthetic(path: Path, rows: int) -> Path:
    """A table of photos that do not exist."""
    return table(path, [(f"{i}.jpg", i % 90 + 0.5, i / rows) for i in range(rows)])


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Features of 50 photos, two views each: the first number is the row, the second the view."""
    from geoclip.tables.vectors import FEATURES, ResumableVectors, VectorSource

    path = tmp_path / "features.parquet"
    columns = {"photo": pa.string(), "view": pa.uint8(), "lat": pa.float64(), "lng": pa.float64()}
    with ResumableVectors(path, columns, VectorSource(FEATURES, "tower", "fp32"), resume=False) as out:
        for i in range(50):
            out.add_together([
                ((f"{i}.jpg", view, i / 2, i + 0.25), np.array([2 * i + view, view], dtype=np.float32))
                for view in (0, 1)
            ])  # fmt: skip
        out.finish()
    return path


def rank(data: GeoData, number: int, world: int, epoch: int = 0) -> GeoData:
    """Give a data module the trainer of one of several processes."""
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=number,
        world_size=world,
        current_epoch=epoch,
        testing=False,
        validating=False,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    return data


def validation(data: GeoData) -> Loader:
    loader = data.val_dataloader()
    assert isinstance(loader, Loader)
    return loader


def test_batches_equal_the_table(photos: Path) -> None:
    data = GeoData(val=str(photos / "train.csv"), batch_size=3, workers=2)
    loader = validation(data)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [batch.rows.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]], "the last batch is short"
    for batch in batches:
        assert (batch.inputs.dtype, batch.lat_lng.dtype, batch.rows.dtype) == (
            torch.float32,
            torch.float64,
            torch.int64,
        )
        for one, place, row in zip(batch.inputs, batch.lat_lng.tolist(), batch.rows.tolist(), strict=True):
            assert tuple(place) == PLACES[row]
            assert torch.equal(one, normalised([decode(photos / name(row))], Preprocess())[0])
    counts = data.counts["val"]
    assert (counts.rows, counts.used, counts.bad, counts.missing, counts.unreadable) == (7, 7, {}, 0, 0)
    assert [p.name for p in photos.glob("*.csv")] == ["train.csv"]
    data.teardown()


@pytest.mark.slow
def test_training_shuffles_and_augments_by_seed(photos: Path) -> None:
    def epochs(seed: int, augment: bool = True) -> list[Batch]:
        data = GeoData(str(photos / "train.csv"), batch_size=7, workers=1, seed=seed, augment=augment)
        loader = data.train_dataloader()
        batches = [batch for _ in range(2) for batch in loader]
        data.teardown()
        return batches

    first, second = epochs(0)
    assert sorted(first.rows.tolist()) == list(range(7))
    assert first.rows.tolist() != second.rows.tolist()
    again, other, plain = epochs(0)[1], epochs(1)[0], epochs(0, augment=False)[0]
    assert torch.equal(second.inputs, again.inputs)
    assert not torch.equal(first.inputs[first.rows.argsort()], other.inputs[other.rows.argsort()])
    assert not torch.equal(first.inputs[first.rows.argsort()], second.inputs[second.rows.argsort()])
    assert torch.equal(plain.inputs[0], normalised([decode(photos / name(int(plain.rows[0])))], Preprocess())[0])


def test_bad_rows_are_counted_and_written(photos: Path, tmp_path: Path) -> None:
    lines = [
        "lat,IMG_FILE,other,LON",
        f"1,{name(0)},x,2",
        "91,a.jpg,x,2",
        "1,b.jpg,x,361",
        "one,c.jpg,x,2",
        ",d.jpg,x,2",
        "1,e.jpg",
        "nan,f.jpg,x,2",
        "1,,x,2",
        "0,g.jpg,x,0",
        f"3,{name(1)},x,359",
        f"90.5,{name(2)},x,1",
    ]
    path = tmp_path / "t.csv"
    path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    data = GeoData(val=str(path), images=str(photos), batch_size=10, workers=1)
    (batch,) = validation(data)
    data.teardown()
    assert batch.rows.tolist() == [0, 9]
    assert batch.lat_lng.tolist() == [[1, 2], [3, -1]]
    counts = data.counts["val"]
    assert counts.rows == 11
    assert counts.bad == {
        Reason.LATITUDE: 2, Reason.LONGITUDE: 1, Reason.NOT_A_NUMBER: 1, Reason.MISSING: 1, Reason.RAGGED: 1,
        Reason.NOT_FINITE: 1, Reason.NO_PHOTO: 1, Reason.NULL_ISLAND: 1,
    }  # fmt: skip
    assert counts.rejected == str(tmp_path / "t.csv.rejected.csv")
    with Path(counts.rejected).open(newline="", encoding="utf-8") as file:
        written = {int(row["row"]): row for row in csv.DictReader(file)}
    assert sorted(written) == [2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert written[4] == {"row": "4", "photo": "c.jpg", "lat": "one", "lng": "2", "reason": Reason.NOT_A_NUMBER}
    elsewhere = GeoData(val=str(path), images=str(photos), rejected=str(tmp_path / "bad"))
    elsewhere.prepare_data()
    assert (tmp_path / "bad" / "t.csv.rejected.csv").is_file()
    assert elsewhere.counts["val"].bad == counts.bad


def test_the_cache_follows_the_table(tmp_path: Path, cache: Path) -> None:
    path = synthetic(tmp_path / "t.csv", 10)

    def used() -> int:
        data = GeoData(str(path))
        data.prepare_data()
        return data.counts["train"].used

    assert used() == 10
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*.arrow")}
    assert len(before) == 1
    assert used() == 10
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*.arrow")} == before, "read again though nothing changed"
    synthetic(path, 12)
    assert used() == 12


@pytest.mark.slow
def test_missing_and_unreadable_photos_shorten_their_batch(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.jpg").write_bytes((photos / name(0)).read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "huge.png").write_bytes(huge_png())
    make_photo(tmp_path / "good.jpg", seed=1)
    names = ["good.jpg", "gone.jpg", "broken.jpg", "text.jpg", "folder.jpg", "huge.png", "text.jpg/below.jpg"]
    path = table(tmp_path / "t.csv", [(n, 1, 2) for n in names])
    data = GeoData(str(path), batch_size=4, workers=2)
    loader = data.train_dataloader()
    with caplog.at_level(logging.WARNING):
        batches = [batch for _ in range(3) for batch in loader]
    data.teardown()
    assert len(batches) == 6
    assert sorted(len(batch.rows) for batch in batches) == [0, 0, 0, 1, 1, 1]
    assert all(batch.inputs.shape == (len(batch.rows), 3, 224, 224) for batch in batches)
    counts = data.counts["train"]
    assert (counts.missing, counts.unreadable) == (2, 4), "each is counted once"
    named = [record.getMessage() for record in caplog.records if "t.csv" not in record.getMessage()]
    assert any(message.startswith("gone.jpg: The file does not exist") for message in named)


def huge_png() -> bytes:
    """A picture of 20000 x 20000, which is above the limit."""
    out = io.BytesIO()
    Image.new("1", (20000, 20000)).save(out, "PNG")
    return out.getvalue()


def test_fractions_are_reproducible_and_nested() -> None:
    names = [f"{i:02}/photo.jpg" for i in range(40)]
    keys = keys_of(pa.array(names))
    assert int(keys[0]) == int.from_bytes(hashlib.blake2b(names[0].encode(), digest_size=8).digest(), "little")
    tenth, fifth = (np.flatnonzero(chosen(keys, f)).tolist() for f in (0.1, 0.2))
    assert tenth == [0, 5, 6, 33]
    assert fifth == [0, 5, 6, 12, 16, 24, 33]
    assert set(tenth) < set(fifth)
    assert np.flatnonzero(held_out(keys, 0.2)).tolist() == [7, 9, 12, 14, 18, 24, 26, 31, 32, 36, 37, 38, 39]
    assert chosen(keys, 1.0).all()
    assert not held_out(keys, 0.0).any()
    many = keys_of(pa.array([str(i) for i in range(20_000)]))
    assert abs(chosen(many, 0.2).mean() - 0.2) < 0.01
    assert abs((chosen(many, 0.5) & held_out(many, 0.5)).mean() - 0.25) < 0.01, "one hash must not decide both"


def test_fraction_and_held_out_rows_do_not_depend_on_order(tmp_path: Path) -> None:
    def names_of(data: GeoData, order: list[int], split: str) -> set[int]:
        source, positions = data._split(split)
        return {order[row] for row in source.entries.rows[positions].tolist()}

    forward, backward = list(range(300)), list(range(300))[::-1]
    results = []
    for order in (forward, backward):
        path = table(tmp_path / f"{order[0]}.csv", [(f"{i}.jpg", 1, 2) for i in order])
        fifth = GeoData(str(path), fraction=0.2, val_fraction=0.1)
        tenth = GeoData(str(path), fraction=0.1, val_fraction=0.1)
        results.append(
            [names_of(fifth, order, "train"), names_of(tenth, order, "train"), names_of(fifth, order, "val")]
        )
        assert names_of(tenth, order, "val") == results[-1][2]
    assert results[0] == results[1]
    fifth_, tenth_, val = results[0]
    assert tenth_ < fifth_
    assert not fifth_ & val
    assert 10 < len(val) < 60


@pytest.mark.slow
def test_shards_give_the_samples_of_files(photos: Path, tmp_path: Path) -> None:
    for shard in range(2):
        with webdataset.TarWriter(str(tmp_path / f"s-{shard:02}.tar")) as tar:
            for i in range(shard * 4, min(shard * 4 + 4, 7)):
                key, place = Path(name(i)).with_suffix(""), dict(zip(("LAT", "lon"), PLACES[i], strict=True))
                tar.write({"__key__": str(key), "jpg": (photos / name(i)).read_bytes(), "json": place})
    pattern = str(tmp_path / "s-{00..01}.tar")
    for arguments in ({"fraction": 0.5}, {"batch_size": 3}):
        ours, files = (
            GeoData(source, workers=1, seed=3, **arguments) for source in (pattern, str(photos / "train.csv"))
        )
        pairs = list(zip(ours.train_dataloader(), files.train_dataloader(), strict=True))
        for one, other in pairs:
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.lat_lng, other.lat_lng)
            assert torch.equal(one.rows, other.rows)
        ours.teardown()
        files.teardown()
    np.testing.assert_array_equal(ours.coordinates(), PLACES)


def in_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name_, content in members:
            info = tarfile.TarInfo(name_)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_bad_samples_in_shards(photos: Path, tmp_path: Path) -> None:
    photo = (photos / name(0)).read_bytes()
    members = [
        ("a.jpg", photo), ("a.json", b'{"lat": 1, "lng": 2}'),
        ("b.jpg", photo),
        ("c.json", b'{"lat": 1, "lng": 2}'),
        ("d.jpg", photo), ("d.json", b"{"),
        ("e.jpg", photo), ("e.json", b'{"latitude": "3.5", "longitude": true}'),
        ("f.jpg", b"broken"), ("f.json", b'{"lat": 1, "lng": 2}'),
        ("g.txt", b"words"), ("g.jpg", photo), ("g.json", b'{"latitude": "3.5", "longitude": "4"}'),
    ]  # fmt: skip
    in_tar(tmp_path / "x.tar", members)
    data = GeoData(test=str(tmp_path / "x.tar"), batch_size=8, workers=1)
    (batch,) = data.test_dataloader()
    data.teardown()
    assert batch.rows.tolist() == [0, 6]
    assert batch.lat_lng.tolist() == [[1, 2], [3.5, 4]]
    counts = data.counts["test"]
    assert counts.bad == {Reason.MISSING: 2, Reason.NO_PHOTO: 1, Reason.NOT_A_NUMBER: 1}
    assert (counts.rows, counts.used, counts.unreadable) == (7, 3, 1)


def test_photos_that_share_a_key_are_used_or_counted(photos: Path, tmp_path: Path) -> None:
    photo = (photos / name(0)).read_bytes()
    places = {f"IMG_2019.05.01_{part}": b'{"lat": 1, "lng": %d}' % at for at, part in enumerate("abcd")}
    members = [(f"{stem}{suffix}", photo if suffix == ".jpg" else place) for stem, place in places.items()
               for suffix in (".jpg", ".json")]  # fmt: skip
    members += [("k.left.jpg", photo), ("k.right.jpg", photo), ("k.json", b'{"lat": 5, "lng": 6}')]
    in_tar(tmp_path / "x.tar", members)
    data = GeoData(test=str(tmp_path / "x.tar"), batch_size=8, workers=1)
    (batch,) = data.test_dataloader()
    data.teardown()
    assert batch.rows.tolist() == [0, 1, 2, 3, 4]
    assert batch.lat_lng.tolist() == [[1, 0], [1, 1], [1, 2], [1, 3], [5, 6]]
    assert data.counts["test"].bad == {Reason.SAME_KEY: 1}


def test_names_are_found_under_other_spellings(photos: Path, tmp_path: Path) -> None:
    raw = os.fsdecode("é.jpg".encode("cp1252"))
    (tmp_path / raw).write_bytes((photos / name(0)).read_bytes())
    shutil.copytree(photos / "deep er", tmp_path / "deep er")
    path = tmp_path / "t.csv"
    spelled = (unicodedata.normalize("NFD", name(0)), name(1).replace("/", "\\"))
    path.write_bytes("\n".join(("photo;lat;lng", *(f"{each};1,5;2" for each in spelled))).encode())
    (tmp_path / "old.csv").write_bytes(f"photo;lat;lng\né.jpg;1,5;2\n{name(2)};1,5;2\n".encode("cp1252"))
    for table_ in (path, tmp_path / "old.csv"):
        data = GeoData(val=str(table_), workers=1)
        assert [batch.rows.tolist() for batch in validation(data)] == [[0, 1]]
        data.teardown()


def test_shards_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "noise.tar").write_bytes(b"noise" * 300)
    for pattern, words in (
        ("noise.tar", "cannot be read as a tar"),
        ("{0..1}.tar", "0.tar cannot be opened"),
        ("x.tar.gz", "uncompressed"),
    ):
        with pytest.raises(InputError, match=words):
            GeoData(str(tmp_path / pattern)).prepare_data()


def test_shards_are_shuffled_in_windows() -> None:
    positions, blocks = np.arange(1000), np.arange(0, 1000, 10)
    order = epoch_order(positions, blocks, np.random.default_rng(0))
    assert sorted(order.tolist()) == positions.tolist()
    shards = order // 10
    for start in range(0, 1000, 160):
        assert len(set(shards[start : start + 160].tolist())) <= 16
    assert len(set(shards[:20].tolist())) > 8, "mixed within a window"


def test_a_folder_and_parquet_and_other_columns(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make_photo(folder / "a.png", seed=0)
    pq.write_table(
        pa.table({"y": pa.array(["x", None, "z"]), "file_name": ["a.png", "b.png", "c.png"], "Lat": [1, 2, 3],
                  "Lng": [4.5, None, 5]}), folder / "metadata.parquet")  # fmt: skip
    data = GeoData(val=str(folder), columns=Columns(lat="Lat"), workers=1)
    (batch,) = validation(data)
    data.teardown()
    assert (batch.rows.tolist(), batch.lat_lng.tolist()) == ([0], [[1, 4.5]])
    assert data.counts["val"].bad == {Reason.MISSING: 1}
    (folder / "metadata.parquet").unlink()
    (folder / "odd.tsv").write_text("Bild\tBreite\tLänge\na.png\t1\t2\n", encoding="cp1252")
    with pytest.raises(InputError, match="has the columns Bild, Breite, Länge; for the lat one of lat"):
        GeoData(str(folder)).prepare_data()
    named = GeoData(str(folder), columns={"photo": "Bild", "lat": "Breite", "lng": "Länge"})
    np.testing.assert_array_equal(named.coordinates(), [[1, 2]])


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ("IMG,LAT,LON\na,1,1\n", {}, r"has the columns IMG, LAT, LON; for the photo one of .* with columns\.photo"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"columns": {"photo": "nope"}}, "has no column 'nope' for the photo"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"columns": {"lon": "LON"}}, r"the key 'lon'.*did you mean lng"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"fraction": 0.0}, "fraction is 0"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"fraction": 1e-9}, "none is taken"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"val_fraction": 1.0}, "val_fraction is 1"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"batch_size": 0}, "batch_size is 0"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"workers": 0}, "workers is 0"),
        ("IMG_FILE,LAT,LON\na,1,1\n", {"max_megapixels": 0}, "max_pixels is 0"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path: Path, content: str, arguments: dict[str, Any], words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        GeoData(str(path), **arguments).train_dataloader()
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    for source, words in (("gone.csv", "gone.csv cannot be opened"), ("x.doc", "not a table"), ("", "holds 0 tables")):
        (tmp_path / "x.doc").touch()
        with pytest.raises(InputError, match=words):
            GeoData(str(tmp_path / source)).prepare_data()
    with pytest.raises(InputError, match="There is no test data"):
        GeoData("t.csv").test_dataloader()
    assert GeoData("t.csv").val_dataloader() == []


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 5))
def test_ranks_partition_every_epoch(samples: int, batch_size: int, world: int) -> None:
    plans = [EpochPlan(samples, batch_size, rank, world) for rank in range(world)]
    order = np.random.default_rng(samples).permutation(samples)
    assert len({len(plan) for plan in plans}) == 1
    shares = [[plan.share(order, number) for number in range(len(plan))] for plan in plans]
    everything = [position for share in shares for batch in share for position in batch.tolist()]
    assert sorted(everything) == list(range(samples))
    for number in range(len(plans[0])):
        sizes = [len(share[number]) for share in shares]
        assert max(sizes) <= batch_size + 1
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 1 or samples < world
        joint = EpochPlan(samples, batch_size * world).share(order, number)
        if samples % (batch_size * world) >= world:  # else the last joint batch is longer than a single process's
            assert sorted(np.concatenate([share[number] for share in shares]).tolist()) == sorted(joint.tolist())


def test_two_processes_share_the_batches_of_one(vectors: Path) -> None:
    one = list(GeoData(str(vectors), batch_size=8).train_dataloader())
    two = [list(rank(GeoData(str(vectors), batch_size=4), r, 2).train_dataloader()) for r in range(2)]
    assert len(one) == len(two[0]) == len(two[1]) == 7
    for joint, first, second in zip(one, *two, strict=True):
        assert not set(first.rows.tolist()) & set(second.rows.tolist())
        assert joint.rows[0::2].tolist() == first.rows.tolist()
        assert joint.rows[1::2].tolist() == second.rows.tolist()


@pytest.mark.slow
def test_a_resumed_run_sees_the_same_batches(photos: Path, vectors: Path) -> None:
    for source, size in ((photos / "train.csv", 2), (vectors, 8)):

        def data(source: Path = source, size: int = size) -> GeoData:
            return GeoData(str(source), batch_size=size, workers=2, seed=5)

        whole = data()
        loader = whole.train_dataloader()
        expected = [batch for _ in range(3) for batch in loader]
        per_epoch = len(loader)
        for stop in (1, per_epoch, per_epoch + 2):
            first = data()
            seen: list[Batch] = []
            begun = first.train_dataloader()
            while len(seen) < stop:
                for batch in begun:
                    seen.append(batch)
                    if len(seen) == stop:
                        break
            state = json.loads(json.dumps(first.state_dict()))
            second = data()
            second.load_state_dict(state)
            rest = second.train_dataloader()
            assert len(rest) == per_epoch
            while len(seen) < len(expected):
                seen.extend(rest)
            for one, other in zip(seen, expected, strict=True):
                assert torch.equal(one.rows, other.rows)
                assert torch.equal(one.inputs, other.inputs)
            first.teardown()
            second.teardown()
        whole.teardown()


def test_resuming_with_other_data_is_refused(vectors: Path) -> None:
    data = GeoData(str(vectors), batch_size=8)
    next(iter(data.train_dataloader()))
    for changed in ({"batch_size": 4}, {"seed": 1}, {"fraction": 0.5}):
        other = GeoData(str(vectors), **({"batch_size": 8} | changed))
        other.load_state_dict(data.state_dict())
        with pytest.raises(InputError, match="resume with the same"):
            other.train_dataloader()


@pytest.mark.slow
def test_a_million_rows_open_in_bounded_memory(tmp_path: Path) -> None:
    """How much the peak of a process grows while it opens a table, and opens it again."""
    path = tmp_path / "big.csv"
    with path.open("w") as file:
        file.write("IMG_FILE,LAT,LON\n")
        file.writelines(f"folder/of/photos/{i:09}-{i:040}.jpg,{i % 90},{i % 180}.5\n" for i in range(1_000_000))
    code = (
        "import resource, sys; from pathlib import Path; from geoclip.tables.columns import Columns\n"
        "from geoclip.train.data.entries import table_entries\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak(); path = Path(sys.argv[1]); found = table_entries(path, Columns(), path.with_suffix('.bad'))\n"
        "assert found.lat_lng.shape == (1000000, 2) and found.name(999999).startswith('folder/of/photos/000999999')\n"
        "print(before, peak(), 'torch' in sys.modules)"
    )
    for limit in (220, 80):  # MB: read, then mapped from the cache; the names alone are 120 as Python strings
        done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
        before, after, torch_loaded = done.stdout.split()
        assert int(after) - int(before) < limit
        assert torch_loaded == "False"
