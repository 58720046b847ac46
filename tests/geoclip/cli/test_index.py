"""Building, inspecting and searching an index from the command line, with the released encoder on a small region."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from geoclip import Locator
from geoclip.distance import haversine_km
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from tests.helpers.commands import geoclip

REGION = "disk:47.37,8.54,15"
PLACES = np.array([[47.3769, 8.5417], [47.40, 8.50], [47.33, 8.58]])

pytestmark = pytest.mark.usefixtures("release")


@pytest.fixture(scope="session")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of Zurich and around."""
    target = tmp_path_factory.mktemp("index") / "zurich"
    done = geoclip("build", target, "--region", REGION)
    assert done.exit_code == 0, done.stderr
    assert "built in" in done.stderr
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


def test_info_and_verify(planet: Path) -> None:
    done = geoclip("info", planet)
    assert done.exit_code == 0
    assert REGION in done.stdout
    assert geoclip("verify", planet).exit_code == 0


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
        (("info", "nowhere"), "not an index"),
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
