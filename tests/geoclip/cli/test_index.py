"""Building, inspecting and searching an index from the command line, with the released encoder on a small region."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from geoclip import Locator, build_index
from geoclip.answers.answerer import Answerer
from geoclip.distance import haversine_km
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from geoclip.files import cache_dir
from geoclip.release.directory import Release
from tests.helpers.builds import contents
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.sealing import resealed
from tests.helpers.small_release import small_release

REGION = "disk:47.37,8.54,15"
PLACES = np.array([[47.3769, 8.5417], [47.40, 8.50], [47.33, 8.58]])

pytestmark = pytest.mark.usefixtures("release")


@pytest.fixture(scope="session")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of Zurich and around."""
    target = tmp_path_factory.mktemp("index") / "zurich"
    stages: list[str] = []
    built = build_index(target, region=REGION, report=lambda stage, done, total: stages.append(stage))
    assert built.bytes == sum(path.stat().st_size for path in target.iterdir())
    assert (built.folder, built.seconds > 0, stages[0], stages[-1]) == (target, True, "Finding land", "Sealing")
    assert [path.name for path in target.parent.iterdir()] == ["zurich"]
    return target


@pytest.fixture(scope="session")
def vectors(encoder: LocationEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of places in the region."""
    path = tmp_path_factory.mktemp("vectors") / "places.npy"
    np.save(path, encoder.embed(PLACES))
    return path


@pytest.mark.slow
def test_a_dry_run_tells_the_cost_and_writes_nothing(tmp_path: Path) -> None:
    done = geoclip("build", tmp_path / "new", "--region", REGION, "--dry-run")
    assert done.exit_code == 0
    for word in ("cells", "encodings", "time", "memory", "disk"):
        assert word in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_parts_make_the_same_index(planet: Path, tmp_path: Path) -> None:
    target = tmp_path / "parts"
    for part, finished in (("2/2", 2), ("1/2", 0)):  # the one block is of the first part
        done = geoclip("build", target, "--region", REGION, "--part", part)
        assert done.exit_code == 0, done.stderr
        assert f"Part {part} is in {target}.building" in done.stderr
        done = geoclip("build", target, "--region", REGION, "--finish")
        assert done.exit_code == finished, done.stderr
        assert ("1 of 1 blocks are missing" in done.stderr) == (finished == 2)
    assert contents(target) == contents(planet)
    done = geoclip("build", target, "--region", REGION, "--part", "1/2")  # a scheduler repeats it
    assert (done.exit_code, "is there, made of all parts with these options" in done.stderr) == (0, True), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts"]
    done = geoclip("build", target, "--region", "disk:47.3,8.5,9", "--part", "2/2")  # of another index, to replace it
    assert (done.exit_code, f"Part 2/2 is in {target}.building" in done.stderr) == (0, True), done.stderr


def test_an_index_does_not_depend_on_where_its_model_lay(planet: Path, release: Release, tmp_path: Path) -> None:
    small = small_release(tmp_path / "small")
    for source, name in ((release.path, None), (small.weights, f"of the model {small.release.model_digest[:12]}")):
        made = []
        for folder in ("one", "other"):
            weights = Path(shutil.copytree(source, tmp_path / f"{name}" / folder))
            done = geoclip("build", tmp_path / f"{name} {folder}", "--weights", weights, "--region", REGION)
            assert done.exit_code == 0, done.stderr
            made.append(contents(tmp_path / f"{name} {folder}"))
        assert made[0] == made[1]
        if name is None:
            assert made[0] == contents(planet)
        else:
            assert json.loads(made[0]["manifest.json"])["gallery"]["source"] == name


def test_parts_that_share_no_folder_make_the_same_index(planet: Path, tmp_path: Path) -> None:
    blocks = f"file://{tmp_path}/blocks"
    done = geoclip("build", tmp_path / "one", "--region", REGION, "--part", "1/1", "--blocks", blocks)
    assert (done.exit_code, f"Part 1/1 is in {tmp_path}/blocks" in done.stderr) == (0, True), done.stderr
    done = geoclip("build", tmp_path / "two", "--region", REGION, "--finish", "--blocks", blocks)
    assert (done.exit_code, "are no longer needed" in done.stderr) == (0, True), done.stderr
    assert contents(tmp_path / "two") == contents(planet)


def test_info_and_verify(planet: Path) -> None:
    done = geoclip("info", planet)
    assert done.exit_code == 0
    assert REGION in done.stdout
    assert re.search(r"size +[1-9][\d.]* [kM]B in", done.stdout)
    assert geoclip("verify", planet).exit_code == 0


def test_names_with_markup_are_shown_as_they_are(planet: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(planet, tmp_path / "copy"))
    resealed(copy, lambda content: content["region"].update(name="[/red]\n[bold]x"))
    done = geoclip("info", copy)
    assert (done.exit_code, "[/red]\\n[bold]x" in done.stdout) == (0, True), done


@pytest.fixture
def cache(planet: Path, tmp_path: Path) -> dict[str, str]:
    """The environment with a cache that holds a small index too."""
    folder = tmp_path / "cache"
    shutil.copytree(cache_dir(), folder, symlinks=True)
    shutil.copytree(planet, folder / "lite")
    return {"GEOCLIP_CACHE": str(folder)}


@pytest.mark.slow
def test_the_built_index_is_the_default(cache: dict[str, str], vectors: Path) -> None:
    lite = f"{cache['GEOCLIP_CACHE']}/lite"
    for flags, index in (((), lite), (("-i", "lite"), lite), (("-i", "none"), ""), (("--candidates", "gallery"), "")):
        done = geoclip("search", vectors, "-f", "jsonl", "-k", "1", *flags, environment=cache)
        assert done.exit_code == 0, done.stderr
        searched = [json.loads(line)["searched"] for line in done.stdout.splitlines()]
        assert {each["index"] for each in searched} == {index}
        assert {each["candidates"] for each in searched} == {"planet" if index else "gallery"}
    table = geoclip("search", vectors, "--near", "47.4,8.5,9", environment=cache).stdout
    assert "only places within 9 km of 47.4, 8.5 were looked at." in " ".join(table.split())


@pytest.mark.slow
def test_clip_is_looked_for_before_an_index_is_opened(
    cache: dict[str, str], photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> Answerer:
        raise AssertionError("too early")

    monkeypatch.setattr(Answerer, "open", opened)
    for arguments in (("locate", photo), ("locate", "--text", "a fjord"), ("search", "lite", photo)):
        assert_refused(geoclip(*arguments, environment=cache), "--clip-checkpoint FILE")


@pytest.mark.slow
def test_a_damaged_index_is_found_and_refused(planet: Path, vectors: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(planet, tmp_path / "copy")
    lists = copy / "level-6.lists"
    content = bytearray(lists.read_bytes())
    content[len(content) // 2] ^= 1
    lists.write_bytes(content)
    done = geoclip("verify", copy)
    assert done.exit_code == 1
    assert "level-6.lists is damaged" in done.stderr
    lists.write_bytes(content[:-1])
    done = geoclip("search", copy, vectors)
    assert done.exit_code == 2
    assert "level-6.lists has" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_existing_index_is_not_overwritten(planet: Path) -> None:
    done = geoclip("build", planet, "--region", REGION)
    assert done.exit_code == 2
    assert "--overwrite" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("build", "new", "--region", "Absurdistan"), "Absurdistan"),
        (("build", "new", "--region", "bbox:10,20,0,30"), "10"),
        (("build", "new", "--coarse-res", "5", "--start-res", "5"), "start"),
        (("build", "new", "--region", REGION, "--part", "17/16"), "such as 1/16 to 16/16"),
        (("build", "new", "--region", REGION, "--part", "1/2", "--finish"), "cannot be given together"),
        (("build", "new", "--region", REGION, "--part", "1/2", "--overwrite"), "--overwrite is for --finish"),
        (("locate", str(Path(__file__)), "--effort", "fast"), "has a choice of effort, and this is one of a gallery"),
        (("locate", str(Path(__file__)), "--index", "lite"), "make it with `geoclip build --preset lite`"),
        (("locate", str(Path(__file__)), "--candidates", "planet"), "there is no index; name one, or make it"),
        (("info", "nowhere"), "make one with `geoclip build nowhere`"),
        (("info", "tests"), "tests is not an index: it has no manifest.json; name the folder of an index, or make"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(arguments: tuple[str, ...], complaint: str) -> None:
    done = geoclip(*arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_vectors_are_found_to_the_street(planet: Path, vectors: Path, tmp_path: Path) -> None:
    done = geoclip("search", planet, vectors, "-k", "3", "-o", tmp_path / "hits.jsonl", "--prior-weight", "0")
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "hits.jsonl").read_text().splitlines()]
    best = [(r["predictions"][0]["lat"], r["predictions"][0]["lng"]) for r in records]
    assert (haversine_km(PLACES, np.array(best)) < 0.25).all()
    assert all(len(p["cell"]) == 15 for r in records for p in r["predictions"])
    piped = geoclip("search", planet, "-", "-k", "3", "-f", "jsonl", "--prior-weight", "0", stdin=vectors.read_bytes())
    assert piped.stdout == (tmp_path / "hits.jsonl").read_text()


def test_the_locator_searches_the_index(planet: Path, encoder: LocationEncoder) -> None:
    locator = Locator.open(planet, device="cpu", precision="fp32")
    found = locator.search(encoder.embed(PLACES), 4, resolution=10, prior_weight=0.0)
    assert found.cells.shape == found.scores.shape == (3, 4)
    assert (haversine_km(PLACES, found.lat_lng[:, 0]) < 0.3).all()
    assert ((found.probabilities.sum(axis=1) + found.estimated) < 1 + 1e-9).all()
    elsewhere = locator.search(encoder.embed(PLACES), 1, region="disk:47.45,8.45,3")
    assert (haversine_km(elsewhere.lat_lng[:, 0], np.array([47.45, 8.45])) < 3.5).all()
    for bad in ({"resolution": 12}, {"effort": "heroic"}, {"region": "nowhere at all"}, {"prior_weight": -1.0}):
        with pytest.raises(InputError):
            locator.search(encoder.embed(PLACES), 1, **bad)
