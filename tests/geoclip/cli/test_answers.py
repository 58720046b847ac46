"""Options of `locate`, `search` and `calibrate` on a small index around Basel, where three countries meet.

The commands run in this process; CLIP's towers are small random ones.
"""

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from geoclip.distance import haversine_km
from geoclip.encoders.embedded_gallery import embedded_gallery
from geoclip.encoders.location import LocationEncoder
from geoclip.release.directory import Release
from geoclip.tables.vectors import ResumableVectors, source_of
from tests.helpers.commands import Done, assert_refused, geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

Floats = NDArray[np.float64]

PLACES = {"FR": (47.60, 7.48), "DE": (47.65, 7.72), "CH": (47.48, 7.65)}
"""Each some kilometres from its borders."""
TRIANGLE = [[7.58, 47.45], [7.72, 47.46], [7.66, 47.52], [7.58, 47.45]]
"""Around the Swiss place; longitude first, as GeoJSON has it."""
SLACK_DEG = 0.006
"""A cell of resolution 9 that overlaps a region has its centre at most so far outside."""
NEAR_KM = 0.6
"""The most probable cell about an exact vector's place, the largest one, is at most so far away."""
LABELLED = 160
"""Places to calibrate with: enough that the likelihood of the held-out half does not rise or fall by chance."""

pytestmark = pytest.mark.usefixtures("small_towers")


@dataclass(frozen=True)
class Work:
    """What the commands are given."""

    folder: Path
    index: Path
    vectors: Path
    """Of `PLACES`, called 0 to 2."""
    vague: Path
    """Of nowhere in particular: random directions."""
    photos: list[Path]

    def search(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """Return the records of `geoclip search` for the index and the three places."""
        return records(geoclip("search", self.index, self.vectors, "--prior-weight", "0", *arguments))


def records(done: Done) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, encoder: LocationEncoder, small_towers: SmallRelease) -> Work:
    folder = tmp_path_factory.mktemp("work")
    done = geoclip("build", folder / "basel", "--region", "disk:47.56,7.6,16")
    assert (done.exit_code, "built in" in done.stderr) == (0, True), done.stderr
    np.save(folder / "places.npy", encoder.embed(np.array(list(PLACES.values()))))
    np.save(folder / "vague.npy", np.random.default_rng(0).normal(size=(2, 512)).astype(np.float32))
    polygon = {"type": "Polygon", "coordinates": [TRIANGLE]}
    (folder / "triangle.geojson").write_text(json.dumps(polygon))
    photos = [make_photo(folder / "photos" / f"{i}.png", seed=i) for i in range(3)]
    return Work(folder, folder / "basel", folder / "places.npy", folder / "vague.npy", photos)


def found_at(record: dict[str, Any]) -> Floats:
    return np.array([(p["lat"], p["lng"]) for p in record["predictions"]])


def away_km(found: list[dict[str, Any]]) -> Floats:
    """Distance of each best prediction from the place that was asked for."""
    return haversine_km(np.array(list(PLACES.values())), np.array([found_at(record)[0] for record in found]))


# -- where to look ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_constraint_each_place_is_found(work: Work) -> None:
    found = work.search("-f", "jsonl")
    assert (away_km(found) < 0.3).all()
    assert [record["predictions"][0]["place"]["code"] for record in found] == list(PLACES)
    assert [record["searched"]["constraint"] for record in found] == [""] * 3


@pytest.mark.slow
@pytest.mark.parametrize("code", PLACES)
def test_country_and_not_country(work: Work, code: str) -> None:
    own = np.array([name == code for name in PLACES])
    inside = work.search("-f", "jsonl", "--country", code, "--apart", "0")
    assert ((away_km(inside) < NEAR_KM) == own).all()
    assert (away_km(inside)[~own] > 2).all()
    for place in np.array(list(PLACES.values()))[~own]:
        assert all((haversine_km(place, found_at(record)) > 2).all() for record in inside)
    assert inside[list(PLACES).index(code)]["countries"][0]["code"] == code
    outside = work.search("-f", "jsonl", "--not-country", code, "--apart", "0")
    assert ((away_km(outside) < NEAR_KM) == ~own).all()
    assert away_km(outside)[own][0] > 2


@pytest.mark.slow
def test_several_countries_and_kinds_together(work: Work) -> None:
    found = work.search("-f", "jsonl", "--country", "France,DE", "--not-near", "47.65,7.72,3")
    assert ((away_km(found) < NEAR_KM) == [True, False, False]).all()
    assert away_km(found)[1] > 2.5
    words = found[0]["searched"]["constraint"]
    assert "France" in words
    assert "Germany" in words
    assert "not within 3 km of 47.65, 7.72" in words


@pytest.mark.slow
def test_bbox_near_and_region_hold_all_answers(work: Work) -> None:
    for flags, inside in (
        (("--bbox", "47.55,7.4,47.7,7.56"), shapely.box(7.4, 47.55, 7.56, 47.7)),
        (("--region", work.folder / "triangle.geojson"), shapely.Polygon(TRIANGLE)),
    ):
        wide = inside.buffer(SLACK_DEG)
        kept = work.search("-f", "jsonl", "-k", "9", "--apart", "0", *flags)
        left = work.search("-f", "jsonl", "-k", "9", "--apart", "0", f"--not-{flags[0][2:]}", flags[1])
        for record in kept:
            assert len(record["predictions"]) == 9
            assert all(wide.contains(shapely.Point(lng, lat)) for lat, lng in found_at(record))
        assert 0 < sum(away_km(kept) < NEAR_KM) < 3
        narrow = inside.buffer(-SLACK_DEG)
        for record in left:
            assert not any(narrow.contains(shapely.Point(lng, lat)) for lat, lng in found_at(record))
        assert ((away_km(left) < NEAR_KM) == (away_km(kept) > NEAR_KM)).all()
    near = work.search("-f", "jsonl", "-k", "9", "--apart", "0", "--near", "47.65,7.72,4")
    assert all((haversine_km(np.array(PLACES["DE"]), found_at(record)) < 4.3).all() for record in near)
    assert ((away_km(near) < NEAR_KM) == [False, True, False]).all()


@pytest.mark.slow
def test_a_constraint_holds_in_the_released_gallery_too(work: Work) -> None:
    """South of the equator and across the antimeridian: values that begin with a dash are values."""
    found = records(geoclip("search", work.vague, "-f", "jsonl", "-k", "20", "--bbox", "-50,165,-10,-170"))
    for record in found:
        lat, lng = found_at(record).T
        assert len(lat) == 20
        assert ((lat >= -50) & (lat <= -10) & ((lng >= 165) | (lng <= -170))).all()
        assert record["searched"]["candidates"] == "gallery"
        assert sum(area["probability"] for area in record["countries"]) == pytest.approx(1, abs=0.1)
    free = records(geoclip("search", work.vague, "-f", "jsonl", "-k", "20"))
    assert free[0]["predictions"] != found[0]["predictions"]


@pytest.mark.slow
def test_candidates_gallery_answers_with_places_of_the_index_s_gallery(work: Work) -> None:
    found = records(
        geoclip("search", work.vectors, "--index", work.index, "--candidates", "gallery", "-f", "jsonl", "-k", "20")
    )
    table = pq.read_table(work.index / "gallery.parquet")
    names = {name.lower(): name for name in table.column_names}
    gallery = np.stack([table[names["lat"]].to_numpy(), table[names.get("lng", names.get("lon", "lng"))].to_numpy()], 1)
    assert 20 <= len(gallery) < 1000
    for place, record in zip(PLACES.values(), found, strict=True):
        points = found_at(record)
        assert len(np.unique(points, axis=0)) == 20
        assert (haversine_km(points[:, None], gallery[None]).min(axis=1) < 0.01).all()
        assert haversine_km(np.array(place), points[0]) < np.median(haversine_km(np.array(place), gallery))
        assert record["searched"]["candidates"] == "gallery"
        assert sum(p["probability"] for p in record["predictions"]) <= 1 + 1e-6
    planet = work.search("-f", "jsonl")
    assert {record["searched"]["candidates"] for record in planet} == {"planet"}


# -- how to answer ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_point_750_is_the_point_with_the_most_probability_around_it(
    work: Work, encoder: LocationEncoder, release: Release
) -> None:
    gallery = embedded_gallery(encoder, release.gallery())
    vectors = np.load(work.vague).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    plain = records(geoclip("search", work.vague, "-f", "jsonl", "-k", "1"))
    wide = records(geoclip("search", work.vague, "-f", "jsonl", "-k", "1", "--point", "750"))
    gains = []
    for vector, one, other in zip(vectors, plain, wide, strict=True):
        logits = float(release.logit_scale().exp()) * (gallery.vectors.numpy() @ vector)
        mass = np.exp(logits - logits.max())
        mass /= mass.sum()
        plainly, widely = (
            mass[haversine_km(found_at(record)[0], gallery.lat_lng) <= 750].sum() for record in (one, other)
        )
        gains.append(widely - plainly)
        assert (one["searched"]["point"], other["searched"]["point"]) == ("cell", "750")
    assert min(gains) > -0.005
    assert max(gains) > 0.05


@pytest.mark.slow
def test_apart(work: Work) -> None:
    spread = work.search("-f", "jsonl", "-k", "5", "--apart", "200")
    assert {len(record["predictions"]) for record in spread} == {1}  # the index is no 200 km across
    close = work.search("-f", "jsonl", "-k", "5", "--apart", "0")
    for record in close:
        points = found_at(record)
        assert len(points) == 5
        assert (haversine_km(points[0], points[1:]) < 5).all()
    for flags, area_km in ((("--apart", "300"), 300), ((), None)):  # a gallery's places are listed one by one
        for record in records(geoclip("search", work.vague, "-f", "jsonl", "-k", "9", *flags)):
            assert record["area_km"] == area_km
            shares = [p["share"] for p in record["predictions"]]
            assert shares == sorted(shares, reverse=True)
            assert (len(shares) == 9) if area_km is None else (2 <= len(shares) <= 9)
    refused = geoclip("search", work.vague, "--apart", "0", "--point", "25")
    assert_refused(refused, "--apart 0 lists the best-ranked places one by one, and --point 25 chooses another")


@pytest.mark.slow
def test_vectors_that_cannot_be_used_are_named_and_skipped(work: Work, tmp_path: Path) -> None:
    vectors = np.tile(np.load(work.vectors)[:1], (200, 1))
    vectors[150, 5] = np.nan
    np.save(tmp_path / "v.npy", vectors)
    done = geoclip("search", work.index, tmp_path / "v.npy", "-f", "csv", "-k", "1", "--effort", "fast")
    assert done.exit_code == 1
    assert "1 of 200 rows cannot be used: 1 the vector is not finite (row 151). They are left out." in done.stderr
    assert done.stderr.rstrip().endswith("199 answered, 1 failed.")
    found = [row["query"] for row in csv.DictReader(done.stdout.splitlines())]
    assert found == [str(row) for row in range(200) if row != 150]


@pytest.mark.slow
def test_together_is_a_search_for_the_mean_vector(work: Work, tmp_path: Path) -> None:
    done = geoclip("embed", *work.photos, "-o", tmp_path / "v.parquet", "--workers", "1")
    assert done.exit_code == 0, done.stderr
    vectors = np.stack(pq.read_table(tmp_path / "v.parquet")["vector"].to_numpy(zero_copy_only=False))
    source = source_of(pq.read_schema(tmp_path / "v.parquet"))
    assert source is not None
    with ResumableVectors(
        tmp_path / "mean.parquet", {"photo": pa.string()}, replace(source, means=True), resume=False
    ) as means:
        means.add(("all",), vectors.mean(axis=0))
        means.finish()
    (expected,) = records(geoclip("search", work.index, tmp_path / "mean.parquet", "-f", "jsonl", "--apart", "0"))
    np.save(tmp_path / "mean.npy", vectors.mean(axis=0)[None])  # which cannot say that it is a mean
    said = geoclip("search", work.index, tmp_path / "mean.npy", "-f", "jsonl", "--apart", "0", "--means")
    assert records(said)[0]["predictions"] == expected["predictions"]
    assert said.stderr == ""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    flags = ("--index", work.index, "--together", "-f", "jsonl", "--apart", "0", "--workers", "1")
    (found,) = records(geoclip("locate", *work.photos, *flags))
    assert found["query"] == f"{work.photos[0]} and 2 more"
    assert [p["cell"] for p in found["predictions"]] == [p["cell"] for p in expected["predictions"]]
    assert [p["score"] for p in found["predictions"]] == pytest.approx(
        [p["score"] for p in expected["predictions"]], abs=2e-6
    )
    with_broken = geoclip("locate", broken, *work.photos, *flags)
    assert with_broken.exit_code == 1
    assert with_broken.stderr.startswith(f"{broken}: This is not a photo")
    assert json.loads(with_broken.stdout)["predictions"] == found["predictions"]
    hopeless = geoclip("locate", broken, *flags)
    assert_refused(hopeless, "None of the 1 photos could be read")


@pytest.mark.slow
def test_words_beside_photos(work: Work) -> None:
    def scores(*arguments: str | Path) -> list[list[tuple[str, float]]]:
        done = geoclip("locate", *arguments, "--index", work.index, "-f", "jsonl", "--apart", "0", "--workers", "1")
        return [[(p["cell"], p["score"]) for p in record["predictions"]] for record in records(done)]

    photos, words = work.photos[:2], ("--text", "a fjord")
    plain, alone = scores(*photos), scores(*words)
    assert scores(*photos, *words, "--text-weight", "0") == plain
    assert scores(*photos, *words, "--text-weight", "1") == alone * 2
    default = scores(*photos, *words)
    assert default not in (plain, alone * 2)


@pytest.mark.slow
def test_ten_crops_answer_otherwise(work: Work) -> None:
    def best(*flags: str) -> list[float]:
        done = geoclip(
            "locate", *work.photos, "--index", work.index, "-f", "jsonl", "-k", "1", "--workers", "1", *flags
        )
        return [record["predictions"][0]["score"] for record in records(done)]

    assert best("--crops", "10") != best()


# -- calibration ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(work: Work, encoder: LocationEncoder) -> tuple[Path, Path]:
    """A table of places with the vectors of other places, some kilometres off: a model that is surer than right."""
    rng = np.random.default_rng(2)
    turn, far = rng.uniform(0, 2 * np.pi, LABELLED), 0.09 * np.sqrt(rng.random(LABELLED))
    truth = np.stack((47.56 + far * np.sin(turn), 7.6 + 1.4 * far * np.cos(turn)), axis=1)
    np.save(work.folder / "labelled.npy", encoder.embed(truth + rng.normal(0, 0.02, truth.shape)))
    rows = "".join(f"{lat},{lng}\n" for lat, lng in truth)
    (work.folder / "labels.csv").write_text("LAT,LON\n" + rows)
    return work.folder / "labels.csv", work.folder / "labelled.npy"


@pytest.fixture(scope="module")
def calibration(work: Work, labelled: tuple[Path, Path]) -> Iterator[Path]:
    path = work.folder / "calibration.json"
    done = geoclip("calibrate", *labelled, "--by-order", "--index", work.index, "-o", path)
    assert done.exit_code == 0, done.stderr
    assert "temperature" in done.stdout
    assert f"{LABELLED} photos" in done.stderr
    yield path


@pytest.mark.slow
def test_a_calibration_is_used(work: Work, calibration: Path) -> None:
    fitted = json.loads(calibration.read_text())
    arguments = ("search", work.index, work.vectors, "-f", "jsonl")
    plain, honest = (records(geoclip(*arguments, *flags)) for flags in ((), ("--calibration", calibration)))
    assert [record["calibrated"] for record in plain + honest] == [False] * 3 + [True] * 3
    assert {record["searched"]["temperature"] for record in plain} == {1.0}
    assert {record["searched"]["temperature"] for record in honest} == {fitted["temperature"]}
    assert {record["searched"]["prior_weight"] for record in honest} == {fitted["prior_weight"]}
    assert fitted["temperature"] != 1
    after = fitted["report"]["after"]
    assert after["log_likelihood"] > fitted["report"]["before"]["log_likelihood"]
    for one, other in zip(plain, honest, strict=True):
        assert one["radius_90_km"] < other["radius_90_km"]  # the photos' places are 2 km off


@pytest.mark.slow
def test_a_calibration_by_photos_names_who_has_no_label(work: Work, tmp_path: Path) -> None:
    photos = [make_photo(tmp_path / "photos" / f"{i}.png", seed=i, size=(64, 48)) for i in range(22)]
    rows = "".join(f"other/{photo.name},{47.5 + i / 200},7.6\n" for i, photo in enumerate(photos[1:]))
    (tmp_path / "labels.csv").write_text("IMG_FILE,LAT,LON\n" + rows)
    places = ("--index", work.index, "--candidates", "gallery")
    arguments = ("calibrate", tmp_path / "labels.csv", tmp_path / "photos", *places, "--workers", "1")
    done = geoclip(*arguments, "-o", tmp_path / "c.json")
    assert done.exit_code == 0, done.stderr
    assert "1 of the inputs have no row" in done.stderr
    content = json.loads((tmp_path / "c.json").read_text())
    assert (content["candidates"], content["photos"]) == ("gallery", 21)
    assert_refused(geoclip(*arguments, "-o", tmp_path / "c.json"), "--overwrite")
    assert json.loads((tmp_path / "c.json").read_text()) == content
    found = records(geoclip("search", work.vague, *places, "-f", "jsonl", "--calibration", tmp_path / "c.json"))
    assert found[0]["calibrated"]
    refused = geoclip("search", work.index, work.vectors, "--calibration", tmp_path / "c.json")
    assert_refused(refused, "fitted with the candidates gallery, this search has planet")


@pytest.mark.slow
def test_vectors_of_any_length_calibrate_alike(work: Work, labelled: tuple[Path, Path], calibration: Path) -> None:
    long = work.folder / "long.npy"
    np.save(long, 7 * np.load(labelled[1]))
    done = geoclip(
        "calibrate", labelled[0], long, "--by-order", "--index", work.index, "-o", work.folder / "again.json"
    )
    assert done.exit_code == 0, done.stderr
    one, other = (json.loads(path.read_text()) for path in (calibration, work.folder / "again.json"))
    assert other["temperature"] == pytest.approx(one["temperature"], rel=1e-3)


# -- where answers go -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".geojson", ".kml"])
def test_every_format_of_a_file_holds_the_answers(work: Work, tmp_path: Path, suffix: str) -> None:
    expected = work.search("-f", "jsonl", "-k", "2", "--apart", "0")
    path = tmp_path / "new" / f"answers{suffix}"
    arguments = ("search", work.index, work.vectors, "--prior-weight", "0", "-k", "2", "--apart", "0", "-o", path)
    done = geoclip(*arguments)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert [each.name for each in path.parent.iterdir() if not each.name.endswith(".journal")] == [path.name]
    points = {"jsonl": _of_jsonl, "csv": _of_csv, "parquet": _of_parquet, "geojson": _of_geojson, "kml": _of_kml}
    found = points[suffix[1:]](path)
    for record in expected:
        for lat, lng in found_at(record):
            assert any(abs(lat - y) < 2e-6 and abs(lng - x) < 2e-6 for y, x in found)
    assert_refused(geoclip(*arguments), "--overwrite")
    before = path.read_bytes()
    if suffix in (".jsonl", ".csv"):
        assert geoclip(*arguments, "--resume").exit_code == 0
        assert_refused(geoclip(*arguments, "-k", "3", "--resume"), "begun with k 2, now it is 3")
        assert_refused(geoclip(*arguments, "--near", "47.65,7.72,4", "--resume"), "begun with near")
    else:
        assert_refused(geoclip(*arguments, "--resume"), "--resume needs .jsonl or .csv")
    assert path.read_bytes() == before
    assert geoclip(*arguments, "--overwrite", "--near", "47.65,7.72,4").exit_code == 0
    assert path.read_bytes() != before


def _of_jsonl(path: Path) -> list[tuple[float, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(p["lat"], p["lng"]) for line in lines for p in line["predictions"]]


def _of_csv(path: Path) -> list[tuple[float, float]]:
    with path.open(newline="") as file:
        return [(float(row["lat"]), float(row["lng"])) for row in csv.DictReader(file)]


def _of_parquet(path: Path) -> list[tuple[float, float]]:
    return [(p["lat"], p["lng"]) for row in pq.read_table(path)["predictions"].to_pylist() for p in row]


def _of_geojson(path: Path) -> list[tuple[float, float]]:
    content = json.loads(path.read_text())
    assert content["type"] == "FeatureCollection"
    shapes = [feature["geometry"] for feature in content["features"]]
    return [(s["coordinates"][1], s["coordinates"][0]) for s in shapes if s["type"] == "Point"]


def _of_kml(path: Path) -> list[tuple[float, float]]:
    texts = [e.text or "" for e in ET.parse(path).iter() if e.tag.endswith("}coordinates")]
    parts = [text.strip().split(",") for text in texts if " " not in text.strip()]
    return [(float(part[1]), float(part[0])) for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".html", ".png"])
def test_a_map_is_drawn_beside_the_answers(work: Work, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"map{suffix}"
    done = geoclip("locate", *work.photos[:2], "--index", work.index, "-f", "csv", "--map", path, "--workers", "1")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) > 2
    assert path.stat().st_size > 1000
    if suffix == ".png":
        with Image.open(path) as image:
            assert min(image.size) > 100
            assert len(set(image.convert("RGB").resize((50, 50)).tobytes())) > 2
    else:
        assert "<html" in path.read_text()
    found = geoclip("search", work.index, work.vectors, "-f", "csv", "--map", path)
    assert found.exit_code == 0, found.stderr


@pytest.mark.slow
def test_albums_and_words_are_resumed_or_refused(work: Work, tmp_path: Path) -> None:
    words = ("locate", "--text", "a fjord", "--text", "a desert", "-k", "1", "-o", tmp_path / "words.jsonl")
    assert geoclip(*words).exit_code == 0
    before = (tmp_path / "words.jsonl").read_bytes()
    assert geoclip(*words, "--resume").exit_code == 0
    assert (tmp_path / "words.jsonl").read_bytes() == before
    assert geoclip(*words, "--text", "a bus", "--resume").exit_code == 0
    lines = (tmp_path / "words.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["query"] for line in lines] == ["a fjord", "a desert", "a bus"]
    album: list[str | Path] = ["locate", *work.photos, "--together", "--workers", "1", "-o", tmp_path / "album.jsonl"]
    assert geoclip(*album).exit_code == 0
    before = (tmp_path / "album.jsonl").read_bytes()
    assert_refused(geoclip(*album, "--resume"), "--resume")
    assert (tmp_path / "album.jsonl").read_bytes() == before


# -- wrong use --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--country", "Absurdistan"], "Absurdistan"),
        (["--country", "FR,"], "--country"),
        (["--country", "JP"], "no land of this index"),
        (["--not-country", "Absurdistan"], "--not-country"),
        (["--bbox", "1,2,3"], "SOUTH,WEST,NORTH,EAST"),
        (["--bbox", "50,2,40,3"], "--bbox"),
        (["--bbox", "a,b,c,d"], "--bbox"),
        (["--near", "47,8"], "LAT,LNG,KM"),
        (["--near", "47,8,-1"], "--near"),
        (["--near", "nan,8,10"], "--near"),
        (["--near", "0,-150,10"], "no land of this index"),
        (["--region", "absent.geojson"], "absent.geojson"),
        (["--region", "bad.geojson"], "bad.geojson"),
        (["--country", "FR", "--near", "35,139,10"], "no place in common"),
        (["--country", "CH", "--not-country", "CH"], "leave no place"),
        (["--candidates", "atlas"], "'atlas' is not allowed for --candidates; choose planet, gallery."),
        (["--candidates", "gallery", "--effort", "fast"], "Only a search of the planet has a choice of effort"),
        (["--point", "far"], "The point is 'far'"),
        (["--point", "0"], "The point is '0'"),
        (["--point", "nan"], "The point is 'nan'"),
        (["--apart", "-1"], "-1.0 km apart"),
        (["--apart", "nan"], "nan km apart"),
        (["--effort", "heroic"], "'heroic' is not allowed for --effort; choose fast, default, thorough, exhaustive."),
        (["--resolution", "4"], "this index answers at"),
        (["--mass-resolution", "10"], "choose 0 to 9"),
        (["--coarse-engine", "steam"], "'steam' is not allowed for engine (--coarse-engine); choose auto, tree"),
        (["--engine", "steam"], "'steam' is not allowed for --on; choose here, ray."),
        (
            ["--engine", "tree"],
            "--engine says who does the work: here, ray. How coarse cells are found is --coarse-engine",
        ),
        (["--calibration", "absent.json"], "absent.json does not exist"),
        (["--calibration", "bad.geojson"], "bad.geojson cannot be read as a calibration"),
        (["--map", "map.jpg"], "name it .html or .png"),
        (["--map", "folder.html"], "is a folder"),
        (["-o", "out.xyz"], "has no format"),
        (["-o", "folder.html", "-f", "csv"], "is a folder"),
        (["-o", "out.geojson", "--resume"], "--resume needs .jsonl or .csv"),
        (["-o", "out.kml", "--country", "JP"], "no land of this index"),
        (["-o", "out.jsonl", "--country", "JP"], "no land of this index"),
        (["-o", "out.csv", "--map", "map.html", "--country", "JP"], "no land of this index"),
        (["--resume"], "--resume needs --output"),
    ],
    ids=" ".join,
)
def test_a_search_that_cannot_be_is_refused_in_a_sentence(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.geojson").write_text('{"type": "Nonsense"}')
    (tmp_path / "folder.html").mkdir()
    for command in (("search", work.index, work.vectors), ("locate", work.photos[0], "--index", work.index)):
        assert_refused(geoclip(*command, *flags, "--device", "cpu"), words)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.geojson", "folder.html"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["PHOTO", "--crops", "3"], "crops is 3"),
        (["PHOTO", "--text", "a", "--text", "b"], "2 --text are given beside photos"),
        (["PHOTO", "--text", " "], "empty"),
        (["--text", "a", "--together"], "--together needs photos"),
        (["--together"], "--together needs photos"),
        (["PHOTO", "--candidates", "planet"], "there is no index; name one, or make it"),
        (["PHOTO", "--effort", "fast"], "a choice of effort, and this is one of a gallery"),
        (["PHOTO", "--mass-resolution", "3"], "has a choice of mass resolution"),
        (["PHOTO", "--index", "absent"], "absent"),
        (["PHOTO", "--bbox", "0,-150,1,-149"], "no place of the gallery"),
    ],
    ids=" ".join,
)
def test_wrong_use_of_locate_is_refused_in_a_sentence(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [work.photos[0] if argument == "PHOTO" else argument for argument in arguments]
    for output in ("out.jsonl", "out.geojson"):
        assert_refused(geoclip("locate", *named, "-o", output, "--map", "map.html", "--workers", "1"), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("weight", ["2", "-0.1", "much"])
def test_a_weight_out_of_range_is_refused(work: Work, weight: str) -> None:
    done = geoclip("locate", work.photos[0], "--text", "a", "--text-weight", weight)
    assert done.exit_code == 2
    assert "--text-weight" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["few.csv", "few.npy"], "3 labelled photos are too few to calibrate; give at least 20"),
        (["few.csv", "VECTORS"], f"have 3 rows for {LABELLED} inputs"),
        (["bare.csv", "VECTORS"], "bare.csv has no rows"),
        (["bad.csv", "VECTORS"], "latitude is not within -90 to 90 (row 1: 91, 0)"),
        (["half.csv", "VECTORS"], "for the lng one of lng"),
        (["absent.csv", "VECTORS"], "absent.csv does not exist"),
        (["LABELS", "absent.npy"], "absent.npy does not exist"),
        (["LABELS", "absent.png"], "absent.png does not exist"),
        (["LABELS", "narrow.npy"], "expected floats of shape (N, 512)"),
        (["LABELS", "nothing.npy"], "nothing.npy has no rows"),
        (["LABELS", "zero.npy"], "the vector has length 0"),
        (["LABELS", "VECTORS", "--index", "absent"], "absent"),
        (["LABELS", "VECTORS", "--effort", "fast"], "has a choice of effort"),
        (["LABELS", "VECTORS", "-o", "folder"], "folder is a folder"),
        (["LABELS", "VECTORS", "-o", "folder", "--overwrite"], "folder is a folder"),
        (["LABELS", "VECTORS", "-o", "few.csv"], "few.csv exists"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_calibrated_is_refused_in_a_sentence(
    labelled: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "few.csv": "lat,lng\n1,2\n3,4\n5,6\n",
        "bare.csv": "lat,lng\n",
        "bad.csv": "lat,lng\n91,0\n",
        "half.csv": "lat\n1\n",
    }.items():
        (tmp_path / name).write_text(content)
    np.save("few.npy", np.load(labelled[1])[:3])
    np.save("narrow.npy", np.ones((LABELLED, 64), np.float32))
    np.save("nothing.npy", np.ones((0, 512), np.float32))
    np.save("zero.npy", np.zeros((LABELLED, 512), np.float32))
    Path("folder").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    named = [{"LABELS": str(labelled[0]), "VECTORS": str(labelled[1])}.get(a, a) for a in arguments]
    output = [] if "-o" in arguments else ["-o", "c.json"]
    assert_refused(geoclip("calibrate", *named, "--by-order", *output), words)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
