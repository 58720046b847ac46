"""Commands from photos, words and coordinates to answers among the released gallery, and how they refuse wrong use."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from index.grid.sphere import haversine_km
from tests.helpers.commands import geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

PLACES = {"Paris": (48.85837, 2.29448), "Sydney": (-33.85678, 151.2153), "Fuji": (35.36063, 138.72736)}

pytestmark = pytest.mark.usefixtures("small_towers")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of three places."""
    folder = tmp_path_factory.mktemp("vectors")
    (folder / "places.csv").write_text("name,lat,lon\n" + "".join(f"{n},{a},{b}\n" for n, (a, b) in PLACES.items()))
    done = geoclip("embed", folder / "places.csv", "-o", folder / "v.parquet")
    assert done.exit_code == 0, done.stderr
    return folder / "v.parquet"


def test_every_command_has_help_with_examples() -> None:
    done = geoclip("--help")
    for name in ("fetch", "locate", "embed", "search", "labels", "calibrate", "build", "info", "verify"):
        assert name in done.stdout
        assert "Examples" in geoclip(name, "--help").stdout


@pytest.mark.slow
def test_search_finds_the_places(vectors: Path) -> None:
    done = geoclip("search", vectors, "-k", "3", "--format", "jsonl")
    assert done.exit_code == 0
    assert done.stderr == ""
    records = [json.loads(line) for line in done.stdout.splitlines()]
    best = [(r["predictions"][0]["lat"], r["predictions"][0]["lng"]) for r in records]
    assert (haversine_km(list(PLACES.values()), best) < 1).all()
    assert all(len(r["predictions"]) == 3 for r in records)
    assert {r["schema"] for r in records} == {"geoclip-answer/3"}
    assert [r["predictions"][0]["place"]["code"] for r in records] == ["FR", "AU", "JP"]
    for record in records:
        assert record["searched"]["candidates"] == "gallery"
        assert not record["calibrated"]
        assert 0 < record["radius_50_km"] <= record["radius_90_km"]
        # all of a prediction's cell is within 25 km of it
        assert all(p["probability"] <= p["nearby"] + 1e-3 for p in record["predictions"])


@pytest.mark.slow
def test_formats_agree(vectors: Path, tmp_path: Path) -> None:
    table = geoclip("search", vectors, "-k", "1").stdout
    rows = list(csv.DictReader(io.StringIO(geoclip("search", vectors, "-k", "1", "-f", "csv").stdout)))
    assert [row["rank"] for row in rows] == ["1", "1", "1"]
    assert [row["code"] for row in rows] == ["FR", "AU", "JP"]
    for row in rows:
        assert row["city"]
        assert row["city"] in table
        assert 0 < float(row["radius_50_km"]) <= float(row["radius_90_km"])
        assert (row["localizable"], row["calibrated"]) == ("true", "false")
    assert geoclip("search", vectors, "-k", "1", "-o", tmp_path / "a.csv").stdout == ""
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == rows
    again = geoclip("search", vectors, "-k", "1", "-o", tmp_path / "a.csv")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


@pytest.mark.slow
def test_photos_are_located_and_bad_ones_named(small_towers: SmallRelease, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    names = ["a.png", "deeper/b.jpg", "deeper/c d.JPG"]
    for i, name in enumerate(names):
        make_photo(folder / name.replace("JPG", "jpg"), seed=i)
    (folder / "deeper/c d.jpg").rename(folder / "deeper/c d.JPG")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.jpg").write_bytes(b"hidden")
    done = geoclip("locate", folder, "--format", "jsonl", "-k", "2")
    assert done.exit_code == 1
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["query"] for r in records] == [str(folder / name) for name in names]
    complaints = done.stderr.strip().splitlines()
    assert complaints[0].startswith(f"{folder / 'broken.jpg'}: ")
    assert complaints[-1] == "3 answered, 1 failed."
    assert len(complaints) == 2

    one = geoclip("locate", folder / "a.png", "-f", "jsonl", "-k", "2", "--clip-checkpoint", small_towers.clip)
    assert (one.exit_code, one.stderr) == (0, "")
    from_stdin = geoclip("locate", "-", "-f", "jsonl", "-k", "2", stdin=(folder / "a.png").read_bytes())
    alone, piped = json.loads(one.stdout), json.loads(from_stdin.stdout)
    assert piped["query"] == "-"
    assert [p["score"] for p in piped["predictions"]] == pytest.approx(
        [p["score"] for p in alone["predictions"]], abs=2e-6
    )


@pytest.mark.slow
def test_embedded_photos_are_found_like_located_ones(tmp_path: Path) -> None:
    photos = [make_photo(tmp_path / f"{i}.png", seed=i) for i in range(3)]
    (tmp_path / "list.txt").write_text("".join(f"{photo}\n" for photo in photos))
    done = geoclip("embed", "--from-list", tmp_path / "list.txt", "-o", tmp_path / "v.parquet")
    assert done.exit_code == 0, done.stderr
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["photo"].to_pylist() == list(map(str, photos))
    source = json.loads(table.schema.metadata[b"geoclip"])
    assert source["kind"] == "photos"
    assert source["precision"] in ("fp32", "bf16")
    lengths = np.linalg.norm(np.stack(table["vector"].to_numpy(zero_copy_only=False)), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    searched = geoclip("search", tmp_path / "v.parquet", "-f", "csv").stdout
    located = geoclip("locate", *photos, "-f", "csv").stdout
    pairs = zip(csv.DictReader(io.StringIO(searched)), csv.DictReader(io.StringIO(located)), strict=True)
    for one, other in pairs:
        assert (one["query"], one["rank"]) == (other["query"], other["rank"])
        assert float(one["score"]) == pytest.approx(float(other["score"]), abs=1e-5)


@pytest.mark.slow
def test_words_are_located() -> None:
    done = geoclip("locate", "--text", "a fjord", "--text", "a desert", "-f", "csv", "-k", "1")
    assert done.exit_code == 0, done.stderr
    assert [row["query"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["a fjord", "a desert"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["locate"], "No photos given"),
        (["locate", "absent.jpg"], "absent.jpg does not exist"),
        (["locate", "EMPTY"], "No photos were found"),
        (["locate", "--from-list", "absent.txt"], "absent.txt cannot be read"),
        (["locate", "-", "--from-list", "-"], "once only"),
        (["locate", "PHOTO", "--device", "cuda:99"], "is not here"),
        (["locate", "PHOTO", "--device", "tpu?"], "is not one that this program computes on"),
        (["locate", "PHOTO", "--clip-checkpoint", "absent.pt"], "absent.pt does not exist"),
        (["locate", "PHOTO", "-k", "0"], "0 is not allowed for k (--top); choose at least 1."),
        (["locate", "PHOTO", "--precision", "fp8"], "'fp8' is not allowed for --precision; choose auto, fp32, bf16."),
        (["locate", "PHOTO"], "--clip-checkpoint FILE"),
        (["search", "absent.parquet"], "does not exist"),
        (["search", "PHOTO"], "not a file of vectors"),
        (["embed", "PHOTO"], "--output"),
        (["embed", "TABLE", "-o", "v.parquet"], "latitude is not within -90 to 90"),
        (["embed", "TABLE", "PHOTO", "-o", "v.parquet"], "embed it alone"),
        (["embed", "BARE", "-o", "v.parquet"], "bare.csv has no rows"),
        (["fetch", "--from", "absent.whl"], "absent.whl is not a file"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    make_photo(tmp_path / "p.jpg", seed=0)
    (tmp_path / "t.csv").write_text("lat,lng\n95,2\n")
    (tmp_path / "bare.csv").write_text("lat,lng\n")
    environment = {"GEOCLIP_CLIP_CHECKPOINT": ""}
    if arguments[0] == "fetch":
        environment["GEOCLIP_CACHE"] = str(tmp_path / "cache")
    named = [{"PHOTO": "p.jpg", "TABLE": "t.csv", "BARE": "bare.csv"}.get(a, a) for a in arguments]
    done = geoclip(*named, environment=environment)
    assert done.exit_code == 2, done.stderr
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.glob("*.parquet*")) == []


def test_the_release_is_fetched_on_first_use(tmp_path: Path, vectors: Path) -> None:
    """Here without a network, so that what a first use tries is seen in its complaint."""
    no_network = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    no_network["GEOCLIP_CACHE"] = str(tmp_path / "fresh")
    done = geoclip("search", vectors, "-f", "csv", environment=no_network)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[0] == "Fetching the released weights (40 MB, once) ..."
    assert "pip could not download geoclip==1.3.0" in done.stderr
    assert "--from FILE" in done.stderr
