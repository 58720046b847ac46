"""Jobs in parts: the same files, whoever makes them and however often they are stopped."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from geoclip.writers.parts import ANSWERS, PartFolder
from index.parts import Part
from tests.helpers.answers import bare, full
from tests.helpers.builds import contents
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.http_files import serving
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

pytestmark = pytest.mark.usefixtures("release")


@pytest.fixture(scope="module")
def vectors(encoder: LocationEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 23 vectors."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("vectors") / "places.npy"
    np.save(path, encoder.embed(np.stack((rng.uniform(-50, 60, 23), rng.uniform(-180, 180, 23)), axis=1)))
    return path


def search(vectors: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    done = geoclip("search", vectors, "-i", "none", "--parts", folder, "--part-rows", "4", *arguments)
    return done.exit_code, done.stderr


def test_parts_make_what_one_process_makes(vectors: Path, tmp_path: Path) -> None:
    code, said = search(vectors, tmp_path / "one")
    assert (code, "6 of 6 files made here; all are there" in said) == (0, True)
    assert search(vectors, tmp_path / "one", "--finish")[0] == 0
    for words, lacking in ("3/3", "4 are missing"), ("1/3", "2 are missing"), ("2/3", "all are"), ("1/3", "all are"):
        code, said = search(vectors, tmp_path / "three", "--part", words)
        assert (code, lacking in said) == (0, True), said
    assert "is whole: 6 files, 23 rows, 0 of them failed" in search(vectors, tmp_path / "three", "--finish")[1]
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    manifest = json.loads((tmp_path / "one" / "_manifest.json").read_text())
    assert [file["rows"] for file in manifest["files"]] == [4, 4, 4, 4, 4, 3]
    table = pq.read_table(tmp_path / "one")
    assert table["query"].to_pylist() == [f"{row}" for row in range(23)]
    geoclip("search", vectors, "-i", "none", "-o", tmp_path / "whole.parquet")
    whole = pq.read_table(tmp_path / "whole.parquet")
    for mine, theirs in zip(
        table.to_pylist(), whole.to_pylist(), strict=True
    ):  # a call of more vectors rounds otherwise
        assert [p["cell"] for p in mine["predictions"]] == [p["cell"] for p in theirs["predictions"]]
        assert mine["radius_90_km"] == pytest.approx(theirs["radius_90_km"], rel=1e-4)


def test_what_is_missing_damaged_or_of_another_job(vectors: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    assert search(vectors, folder, "--part", "1/2")[0] == 0
    code, said = search(vectors, folder, "--finish")
    assert (code, "3 of 6 files are missing" in said, ": 1, 3, 5;" in said) == (2, True, True)
    code, said = search(vectors, folder, "--part", "1/2", "-k", "3")
    assert (code, "holds a job that differs in k;" in said) == (2, True)
    other = tmp_path / "other.npy"
    np.save(other, np.load(vectors)[::-1])
    code, said = search(other, folder, "--part", "1/2")
    assert (code, "holds a job that differs in vectors;" in said) == (2, True)
    code, said = search(vectors, folder, "--part-rows", "5")
    assert (code, "holds a job that differs in part rows;" in said) == (2, True)
    assert search(vectors, folder)[0] == 0
    shutil.copy(folder / "part-00000.parquet", folder / "part-00006.parquet")
    code, said = search(vectors, folder, "--finish")
    assert (code, "holds part-00006.parquet, which is not of this job" in said) == (2, True)
    (folder / "part-00006.parquet").unlink()
    (folder / "part-00002.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    code, said = search(vectors, folder, "--finish")
    assert (code, "part-00002.parquet is damaged; remove it" in said) == (2, True)
    shutil.copy(folder / "part-00005.parquet", folder / "part-00002.parquet")
    code, said = search(vectors, folder, "--finish")
    assert (code, "part-00002.parquet has 3 rows and should have 4" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--part", "5/4"), "such as 1/16 to 16/16"),
        (("--part", "1/4", "--finish"), "cannot be given together"),
        (("-o", "x.jsonl"), "--parts writes files of its own"),
    ],
)
def test_what_contradicts_itself(vectors: Path, tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    code, said = search(vectors, tmp_path / "job", *arguments)
    assert (code, complaint in said, len(said.splitlines())) == (2, True, 1), said
    assert not (tmp_path / "job").exists()
    done = geoclip("search", vectors, "--part", "1/4")
    assert (done.exit_code, "need --parts DIR" in done.stderr) == (2, True)


def test_a_folder_of_something_else_is_left_alone(vectors: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    code, said = search(vectors, tmp_path)
    assert (code, "holds notes.txt and no _plan.json" in said) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_photos_that_fail_are_rows_with_a_reason(tmp_path: Path, small_towers: SmallRelease) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = random.Random(1)
    for number in range(5):
        Image.new("RGB", (40, 30), tuple(rng.randrange(256) for _ in range(3))).save(photos / f"{number}.jpg")
    (photos / "3.jpg").write_bytes(b"not a photo")
    asked = (
        "locate",
        photos,
        "-i",
        "none",
        "--clip-checkpoint",
        small_towers.clip,
        "--parts",
        tmp_path / "job",
        "--part-rows",
        "2",
    )
    done = geoclip(*asked, "--part", "2/2")
    assert done.exit_code == 1, done.stderr
    assert geoclip(*asked, "--part", "1/2").exit_code == 0
    done = geoclip(*asked, "--finish")
    assert (done.exit_code, "3 files, 5 rows, 1 of them failed" in done.stderr) == (1, True), done.stderr
    rows = pq.read_table(tmp_path / "job").to_pylist()
    assert [Path(row["query"]).name for row in rows] == [f"{number}.jpg" for number in range(5)]
    assert [row["error"] is not None for row in rows] == [False, False, False, True, False]
    assert [len(row["predictions"]) > 0 for row in rows] == [True, True, True, False, True]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path / "job", ANSWERS, ["a", "b", "c"], {}, 2)
    assert folder.missing(Part(2, 2)) == [1]
    for _ in folder.write(0, iter([bare("a"), full("b")])):
        break  # as when a process is stopped
    with pytest.raises(InputError, match="1 answers came for 2 inputs"):
        list(folder.write(0, iter([bare("a")])))
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["_plan.json"]
    assert len(list(folder.write(0, iter([bare("a"), full("b")])))) == 2
    assert folder.missing() == [1]


def test_vectors_in_parts_are_those_of_one_file(tmp_path: Path, small_towers: SmallRelease) -> None:
    photos = [make_photo(tmp_path / "photos" / f"{number}.png", seed=number) for number in range(5)]
    photos[2].write_bytes(b"not a photo")
    asked = ("embed", tmp_path / "photos", "--clip-checkpoint", small_towers.clip)
    in_parts = (*asked, "--parts", tmp_path / "job", "--part-rows", "2")
    codes = [geoclip(*in_parts, "--part", f"{number}/2").exit_code for number in (2, 1)]
    assert codes == [1, 0]
    done = geoclip(*in_parts, "--finish")
    assert (done.exit_code, "3 files, 5 rows, 1 of them failed" in done.stderr) == (1, True), done.stderr
    again = geoclip(*asked, "--parts", tmp_path / "one", "--part-rows", "2")
    assert again.exit_code == 1
    assert geoclip(*asked, "--parts", tmp_path / "one", "--part-rows", "2", "--finish").exit_code == 1
    assert contents(tmp_path / "one") == contents(tmp_path / "job")
    assert geoclip(*asked, "-o", tmp_path / "whole.parquet").exit_code == 1
    whole, mine = pq.read_table(tmp_path / "whole.parquet"), pq.read_table(tmp_path / "job")
    assert mine["photo"].to_pylist() == [str(photo) for photo in photos]
    failed = mine.filter(mine["error"].is_valid())
    assert (failed["photo"].to_pylist(), failed["vector"].to_pylist()) == ([str(photos[2])], [None])
    assert "known format" in failed["error"][0].as_py()
    sound = mine.filter(mine["vector"].is_valid())
    assert sound["photo"] == whole["photo"]
    assert np.allclose(sound["vector"].to_pylist(), whole["vector"].to_pylist(), atol=1e-6)
    assert pq.read_schema(tmp_path / "job" / "part-00000.parquet").metadata == whole.schema.metadata


def test_vectors_of_parts_are_searched_in_parts(vectors: Path, tmp_path: Path, small_towers: SmallRelease) -> None:
    for number in range(3):
        make_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    job = ("embed", tmp_path / "photos", "--clip-checkpoint", small_towers.clip, "--parts", tmp_path / "job")
    assert geoclip(*job, "--part-rows", "2").exit_code == 0
    done = geoclip("search", tmp_path / "job", "-i", "none", "--parts", tmp_path / "hits")
    assert_refused(done, "holds a job that is not finished; run it once more with --finish")
    assert geoclip(*job, "--part-rows", "2", "--finish").exit_code == 0
    files = sorted((tmp_path / "job").glob("*.parquet"))
    done = geoclip(
        "search", tmp_path / "job", "-i", "none", "--parts", tmp_path / "hits", "--part-rows", "2", "--part", "2/2"
    )
    assert done.exit_code == 0, done.stderr
    assert pq.read_table(tmp_path / "hits")["query"].to_pylist() == [str(tmp_path / "photos" / "2.png")]
    done = geoclip("search", *files, "-i", "none", "--parts", tmp_path / "job")
    assert (done.exit_code, "holds a job that differs in kind" in done.stderr) == (2, True)


def test_vectors_that_cannot_be_used_are_rows_with_a_reason(vectors: Path, tmp_path: Path) -> None:
    """Whole batches of them too, and a file of nothing else; a file's own reason is given on."""
    sound = np.load(vectors)
    broken = np.concatenate((np.full((1030, sound.shape[1]), np.nan, dtype=np.float32), sound[:2]))
    np.save(tmp_path / "broken.npy", broken)
    np.save(tmp_path / "zero.npy", 0 * sound[:1])
    lists = pa.array([None, sound[2].tolist()], pa.list_(pa.float32(), sound.shape[1]))
    pq.write_table(
        pa.table({"photo": ["a", "b"], "vector": lists, "error": ["It was lost.", None]}), tmp_path / "own.parquet"
    )
    files = [tmp_path / name for name in ("broken.npy", "zero.npy", "own.parquet")]
    asked: tuple[str | Path, ...] = ("search", *files, "-i", "none", "--parts", tmp_path / "job", "--part-rows", "1000")
    codes = [geoclip(*asked, "--part", part).exit_code for part in ("2/2", "1/2")]
    assert codes == [1, 1]
    done = geoclip(*asked, "--finish")
    assert (done.exit_code, "2 files, 1,035 rows, 1,032 of them failed" in done.stderr) == (1, True), done.stderr
    table = pq.read_table(tmp_path / "job")
    errors = table["error"].to_pylist()
    assert errors[:1030] == ["The vector is not finite."] * 1030
    assert errors[1030:] == [None, None, "The vector has length 0.", "It was lost.", None]
    assert table["query"].to_pylist()[1029:] == ["1029", "1030", "1031", "0", "a", "b"]


def test_a_plan_says_what_was_used_and_not_where_it_was(
    vectors: Path, small_towers: SmallRelease, tmp_path: Path
) -> None:
    """Nothing secret of an address is kept, and other machines may have the same files at other paths."""
    box = Path(shutil.copy(small_outline(tmp_path), tmp_path / "same.geojson"))
    with serving(small_towers.weights.parent) as server:
        address = f"{server.address}/{small_towers.weights.name}?sig=hunter2".replace("://", "://me:hunter2@")
        assert search(vectors, tmp_path / "job", "--weights", address, "--region", str(box))[0] == 0
        output = tmp_path / "x.jsonl"
        geoclip("search", vectors, "-i", "none", "--weights", address, "-o", output)
        photo = make_photo(tmp_path / "a.png", 1)
        tower = ("--weights", address, "--clip-checkpoint", small_towers.clip)
        assert geoclip("embed", photo, *tower, "--parts", tmp_path / "own").exit_code == 0
    kept = [*tmp_path.glob("*/_plan.json"), *tmp_path.glob(".*.journal")]
    assert len(kept) == 3
    assert not [path for path in kept if "hunter2" in path.read_text()]
    own = ("--weights", str(small_towers.weights), "--region", str(tmp_path / "box.geojson"))
    assert search(vectors, tmp_path / "job", *own)[0] == 0
    clip = Path(shutil.copy(small_towers.clip, tmp_path / "clip.safetensors"))
    copy = ("embed", photo, "--weights", small_towers.weights, "--clip-checkpoint", clip, "--parts", tmp_path / "own")
    assert geoclip(*copy).exit_code == 0
    clip.write_bytes(clip.read_bytes()[::-1])  # another of the same size
    done = geoclip(*copy)
    assert (done.exit_code, "differs in clip path;" in done.stderr) == (2, True), done.stderr
    (tmp_path / "box.geojson").write_text((tmp_path / "box.geojson").read_text().replace("40", "41"))
    code, said = search(vectors, tmp_path / "job", *own)
    assert (code, "differs in region;" in said) == (2, True), said


def small_outline(folder: Path) -> Path:
    """Write a box as GeoJSON."""
    path = folder / "box.geojson"
    ring = [[-40, -40], [40, -40], [40, 40], [-40, 40], [-40, -40]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return path


def test_finishing_needs_neither_inputs_nor_model(vectors: Path, tmp_path: Path) -> None:
    """Only what all parts agreed on when they wrote."""
    mine = Path(shutil.copy(vectors, tmp_path / "vectors.npy"))
    assert search(mine, tmp_path / "job")[0] == 0
    mine.unlink()
    empty = {"GEOCLIP_CACHE": str(tmp_path / "empty")}
    for command, kind in (("embed", "vectors"), ("search", "answers"), ("locate", "answers")):
        done = geoclip(command, "--parts", tmp_path / "job", "--finish", environment=empty)
        if kind == "vectors":
            assert_refused(done, "holds a job of answers, not of vectors")
        else:
            assert (done.exit_code, "is whole: 6 files, 23 rows" in done.stderr) == (0, True), done.stderr
    assert_refused(geoclip("search", "--parts", tmp_path / "none", "--finish"), "no job was begun there")
    assert not (tmp_path / "none").exists()
    for plan in ("{}", "[]", '{"inputs": "x, y", "part_rows": 4}', '{"inputs": "1, y", "part_rows": 0}'):
        (tmp_path / "job" / "_plan.json").write_text(plan)
        assert_refused(geoclip("search", "--parts", tmp_path / "job", "--finish"), "_plan.json is damaged")


@pytest.mark.parametrize("beside", [("-o", "x.parquet"), ("--resume",), ("--features",), ("places.csv",)])
def test_vectors_in_parts_have_no_other_output(tmp_path: Path, beside: tuple[str, ...]) -> None:
    assert_refused(geoclip("embed", *beside, "--parts", tmp_path / "job"), "--parts")
    assert not (tmp_path / "job").exists()
