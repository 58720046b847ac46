"""`geoclip evaluate` end to end: predictions without weights; vectors and photos on a small index, in this process."""

import csv
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import geoclip as geoclip_planet
from geoclip.distance import haversine_km
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from geoclip.evaluation.located import smallest_sets
from geoclip.evaluation.measures import MASSES
from geoclip.evaluation.outputs import plain
from geoclip.release.directory import Release
from index.building.build import build
from index.grid.cells import areas_km2, cells_at, centres, children
from index.grid.region import Region
from index.search.posterior import Posterior
from index.storage.gallery import Gallery
from tests.helpers import synthetic
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.osv5m import game
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

SCHEMA = json.loads((Path(__file__).parents[3] / "geoclip/evaluation/report.schema.json").read_text(encoding="utf-8"))


def report_of(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return report


# -- predictions ------------------------------------------------------------------------------------------------------

LABELS = "IMG_FILE,LAT,LON\na.jpg,48,4\nb.jpg,48,4\nc.jpg,-25,134\nd.jpg,-25,134\ne.jpg,0,25\n"
OURS = "photo,lat,lng\nphotos/a.jpg,48,4\nphotos/b.jpg,49,4\nphotos/c.jpg,-25,134\nphotos/z.jpg,1,1\n"
THEIRS = "id\tlatitude\tlongitude\na\t48\t5\nb\t48\t4\nc\t-20\t134\nd\t95\t0\ne\t0\t25\n"


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"labels.csv": LABELS, "ours.csv": OURS, "theirs.tsv": THEIRS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_predictions_side_by_side(tables: Path) -> None:
    (tables / "gallery.csv").write_text("lat,lng\n48.000005,4\n-25.0005,134\n10,10\n")
    arguments = ["evaluate", "labels.csv", "ours.csv", "theirs.tsv", "--gallery", "gallery.csv", "--resamples", "500"]
    done = geoclip(*arguments, "-o", "r.json", "--errors", "e.csv", "--plots", "plots")
    assert done.exit_code == 0, done.stderr
    report = report_of(tables / "r.json")
    ours, theirs = report["runs"]
    assert ours["counts"] == {"labelled": 5, "answered": 3, "missing": 2, "unreadable": 0, "left_out": 1}
    assert theirs["counts"] == {"labelled": 5, "answered": 4, "missing": 0, "unreadable": 1, "left_out": 0}
    degree = 6371 * math.pi / 180
    assert [each["share"]["value"] for each in ours["accuracy"]] == [0.4, 0.4, 0.6, 0.6, 0.6]
    assert [each["photos"] for each in theirs["accuracy"]] == [2, 2, 3, 4, 4]  # the third is 556 km away
    assert ours["median_km"]["value"] == pytest.approx(degree)
    assert ours["mean_km"]["value"] == pytest.approx(degree / 3)
    assert ours["geoscore"]["value"] == pytest.approx((2 + math.exp(-degree / 1492.7)) * 1000)
    assert {group["code"]: group["photos"] for group in ours["countries"]} == {"FR": 2, "AU": 2, "CD": 1}
    medians = {group["code"]: group["median_km"] for group in ours["countries"]}
    assert medians == {"FR": pytest.approx(degree / 2), "AU": None, "CD": None}  # of Australia's two one is missing
    assert report["overlap"] == {"gallery": "gallery.csv", "places": 3, "within_1_m": 2, "within_100_m": 4}
    assert [each["measure"] for each in report["comparisons"]][-2:] == ["median_km", "geoscore"]
    at_1_km = report["comparisons"][0]
    assert (at_1_km["first_only"], at_1_km["second_only"], at_1_km["p"]) == (2, 2, 1.0)
    assert report["options"]["protocol"]["resamples"] == report["resamples"] == 500
    assert {"geoclip-planet", "numpy", "python"} <= set(report["versions"])
    for words in ("2 of 5 photos are missing", "left out: 1.", "within 2500 km", "McNemar", "theirs.tsv"):
        assert words in done.stdout, done.stdout
    with (tables / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["name"]) for row in rows[:2]] == [("ours.csv", "a.jpg"), ("ours.csv", "b.jpg")]
    assert float(rows[1]["km"]) == pytest.approx(degree)
    with Image.open(tables / "plots" / "accuracy.png") as image:
        image.verify()
    assert not (tables / "plots" / "calibration.png").exists()  # these answers claim nothing
    assert_refused(geoclip(*arguments, "-o", "r.json"), "r.json exists")
    assert_refused(geoclip(*arguments, "--errors", "e.csv"), "e.csv exists")
    assert_refused(geoclip(*arguments, "--plots", "plots"), "accuracy.png exists")
    before = (tables / "r.json").read_bytes()
    assert geoclip(*arguments, "-o", "r.json", "--overwrite").exit_code == 0
    again = report_of(tables / "r.json")
    assert again["runs"] == json.loads(before)["runs"]


@pytest.mark.slow
def test_predictions_load_neither_torch_nor_weights(tables: Path) -> None:
    code = (
        "import sys, typer\nfrom geoclip.cli.app import app\n"
        "try: app(['evaluate', 'labels.csv', 'ours.csv', 'theirs.tsv'])\n"
        "except SystemExit as done: print('code', done.code)\n"
        "print(sorted({'torch', 'open_clip', 'matplotlib', 'faiss', 'h3ronpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tables)
    assert done.stdout.splitlines()[-2:] == ["code 0", "[]"], done.stdout


def test_both_models_of_osv5m_in_one_table(tables: Path) -> None:
    rows = game()
    with (tables / "game.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = geoclip(
        *("evaluate", "game.csv", "game.csv", "game.csv", "-o", "r.json"),
        *("--lat-column", "pred_lat", "--lat-column", "pred_lat_base"),
        *("--lng-column", "pred_lon", "--lng-column", "pred_lon_base"),
    )
    assert done.exit_code == 0, done.stderr
    for run, model in zip(report_of(tables / "r.json")["runs"], ("", "_base"), strict=True):
        km = np.array([float(row[f"distance{model}"]) for row in rows])
        assert run["median_km"]["value"] == pytest.approx(np.median(km))
        assert run["mean_km"]["value"] == pytest.approx(km.mean())
        assert run["geoscore"]["value"] == pytest.approx(np.mean([float(row[f"score{model}"]) for row in rows]))
        assert [each["photos"] for each in run["accuracy"]] == [int((km <= d).sum()) for d in (1, 25, 200, 750, 2500)]


def test_columns_exchanged_are_said(tables: Path) -> None:
    (tables / "wrong.csv").write_text("photo,lng,lat\na.jpg,48,4\nb.jpg,48,4\ne.jpg,0,25\n")
    done = geoclip("evaluate", "labels.csv", "wrong.csv")
    assert (
        "wrong.csv: with latitude and longitude exchanged the median error would be 0 km in place of 6," in done.stderr
    )


def test_python_users_have_the_same_evaluation(tables: Path) -> None:
    options = geoclip_planet.EvaluationOptions(resamples=500)
    found = geoclip_planet.evaluate("labels.csv", ["ours.csv", Path("theirs.tsv")], options)
    assert (
        geoclip("evaluate", "labels.csv", "ours.csv", "theirs.tsv", "--resamples", "500", "-o", "r.json").exit_code == 0
    )
    written = report_of(tables / "r.json")
    assert plain(found.report) == {name: written[name] for name in plain(found.report)}
    assert [run.name for run in found.runs] == ["ours.csv", "theirs.tsv"]
    with pytest.raises(InputError, match="99 is not allowed for --resamples; choose 100 to 100,000"):
        geoclip_planet.EvaluationOptions(resamples=99)


@pytest.mark.slow
def test_files_are_written_whole_though_the_reader_of_the_tables_stops(tables: Path) -> None:
    arguments = ["evaluate", "labels.csv", "ours.csv", "-o", "r.json", "--errors", "e.csv", "--plots", "plots"]
    command = [sys.executable, "-m", "geoclip", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tables) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0
    assert report_of(tables / "r.json")["runs"][0]["counts"]["answered"] == 3
    assert (tables / "e.csv").is_file()
    assert (tables / "plots" / "accuracy.png").is_file()


def test_geodesic_distances_are_asked_for(tables: Path) -> None:
    assert geoclip("evaluate", "labels.csv", "ours.csv", "-o", "r.json", "--distance", "geodesic").exit_code == 0
    median = report_of(tables / "r.json")["runs"][0]["median_km"]["value"]
    assert median == pytest.approx(
        111.2, abs=0.05
    )  # a degree of latitude at 48.5 north on WGS 84; 111.195 on the sphere
    assert median != pytest.approx(6371 * math.pi / 180, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["labels.csv", "absent.csv"], "absent.csv does not exist"),
        (["absent.csv", "ours.csv"], "absent.csv does not exist"),
        (["labels.csv", "empty.csv"], "empty.csv has no rows"),
        (["empty.csv", "ours.csv"], "empty.csv has no rows"),
        (
            ["labels.csv", "others.csv"],
            "the first is 'q.jpg', the first label 'a.jpg'; name another column of the labels with --label-name-column",
        ),
        (
            ["labels.csv", "ours.csv", "--lat-column", "LAT"],
            "ours.csv has no column 'LAT' for the lat; it has photo, lat, lng",
        ),
        (["labels.csv", "ours.csv", "--label-lat-column", "Y"], "labels.csv has no column 'Y'"),
        (
            ["labels.csv", "ours.csv", "--lng-column", "a", "--lng-column", "b"],
            "2 columns are named (a, b) for 1 tables",
        ),
        (["labels.csv", "bare.csv"], "The inputs have no names to be found in the labels by"),
        (["labels.csv", "ours.csv", "--distance", "rhumb"], "The distance is 'rhumb'; choose from haversine, geodesic"),
        (["labels.csv", "ours.csv", "--crops", "10"], "--crops 10 needs photos"),
        (["labels.csv", "ours.csv", "--country", "FR"], "Options of the search need photos or vectors"),
        (["labels.csv", "ours.csv", "-o", "report.txt"], "name it .json"),
        (["labels.csv", "ours.csv", "--errors", "e.txt"], "name them .csv or .parquet"),
        (["labels.csv", "ours.csv", "--plots", "ours.csv"], "ours.csv is a file"),
        (["labels.csv", "ours.csv", "--gallery", "absent.csv"], "absent.csv does not exist"),
        (
            ["labels.csv", "ours.csv", "--gallery", "nan.csv"],
            "1 of 1 rows cannot be used: 1 a coordinate is not finite",
        ),
        (["labels.csv", "ours.csv", "--gallery", "empty.csv"], "empty.csv has no rows"),
        (["labels.csv", "ours.csv", "-o", "ours.csv/r.json"], "Cannot write ours.csv/r.json"),
        (["labels.csv", "ours.csv", "-o", "r.json", "--errors", "/proc/e.csv"], "Cannot write /proc/e.csv"),
        (["labels.csv", "ours.csv", "-o", "r.json", "--plots", "/proc/p"], "Cannot write /proc/p"),
        (["labels.csv", "-"], "stdin"),
        (["labels.csv", "absent.jpg", "--candidates", "planet"], "there is no index; name one, or make it"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_evaluated_is_refused_in_a_sentence(tables: Path, arguments: list[str], words: str) -> None:
    (tables / "empty.csv").write_text("photo,lat,lng\n")
    (tables / "others.csv").write_text("photo,lat,lng\nq.jpg,1,2\n")
    (tables / "bare.csv").write_text("lat,lng\n1,2\n")
    (tables / "nan.csv").write_text("lat,lng\nnan,0\n")
    before = sorted(tables.rglob("*"))
    assert_refused(geoclip("evaluate", *arguments), words)
    assert sorted(tables.rglob("*")) == before


def test_tables_without_names_are_in_one_order(tables: Path) -> None:
    (tables / "truth.csv").write_text("lat,lng\n1,1\n10,10\n")
    (tables / "two.csv").write_text("lat,lng\n1,1\n10,11\n")
    assert geoclip("evaluate", "truth.csv", "two.csv", "--by-order", "-o", "r.json").exit_code == 0
    assert report_of(tables / "r.json")["runs"][0]["accuracy"][0]["photos"] == 1
    (tables / "two.csv").write_text("lat,lng\n1,1\n")
    assert_refused(geoclip("evaluate", "truth.csv", "two.csv"), "The labels name no photos")
    assert_refused(geoclip("evaluate", "truth.csv", "two.csv", "--by-order"), "have 2 rows for 1 inputs")


# -- sets of cells ----------------------------------------------------------------------------------------------------


def test_the_smallest_set_of_cells_is_that_of_brute_force() -> None:
    coarse = cells_at(np.array([(47.0, 8.0)]), 4)
    fine = children(coarse, 6)[:20]
    rng = np.random.default_rng(0)
    cells = np.concatenate((cells_at(np.array([(40.0, 20.0), (10.0, 100.0)]), 4), fine))
    mass = rng.dirichlet(np.full(len(cells), 0.5))
    posterior = Posterior(cells, mass, 6)
    for truth in (*centres(fine[:5]), *centres(cells[:2]), np.array([0.0, 0.0])):
        inside, areas = smallest_sets(posterior, truth)
        density = mass / areas_km2(cells)
        order = np.argsort(-density)
        for at, wanted in enumerate(MASSES):
            held, chosen = 0.0, []
            for row in order:
                if held >= wanted:
                    break
                held += mass[row]
                chosen.append(row)
            assert areas[at] == pytest.approx(areas_km2(cells[chosen]).sum())
            at_truth = {int(cells_at(truth[None], res)[0]) for res in (4, 6)}
            assert inside[at] == any(int(cells[row]) in at_truth for row in chosen)


# -- vectors and photos -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def basel(
    tmp_path_factory: pytest.TempPathFactory, release: Release, encoder: LocationEncoder, small_towers: SmallRelease
) -> Path:
    """A folder with an index, `labels.csv` of 30 places, and vectors of places a hundred metres off."""
    folder = tmp_path_factory.mktemp("basel")
    small = synthetic.request(Region.disk(47.56, 7.6, 5.0))
    wanted = replace(small, dim=512, model=release.model_digest, tau=float(release.logit_scale().exp()))
    synthetic.begin(wanted, folder / "index")
    build(wanted, encoder, folder / "index", report=lambda *_: None)
    rng = np.random.default_rng(2)
    turn, far = rng.uniform(0, 2 * np.pi, 30), 0.03 * np.sqrt(rng.random(30))
    truth = np.stack((47.56 + far * np.sin(turn), 7.6 + 1.4 * far * np.cos(turn)), axis=1)
    names = [f"{row}.png" for row in range(30)]
    lines = [f"{name},{lat},{lng}\n" for name, (lat, lng) in zip(names, truth, strict=True)]
    (folder / "labels.csv").write_text("photo,lat,lng\n" + "".join(lines))
    vectors = encoder.embed(truth + rng.normal(0, 0.001, truth.shape))
    np.save(folder / "vectors.npy", vectors)
    order = rng.permutation(30)[:25]
    flat = pa.array(vectors[order].reshape(-1))
    columns = {"photo": [f"in/{names[row]}" for row in order], "vector": pa.FixedSizeListArray.from_arrays(flat, 512)}
    pq.write_table(pa.table(columns), folder / "vectors.parquet")
    return folder


@pytest.mark.slow
def test_vectors_on_an_index(basel: Path, tmp_path: Path) -> None:
    index = ("--index", basel / "index", "--prior-weight", "0")
    done = geoclip(
        *("evaluate", basel / "labels.csv", basel / "vectors.npy", basel / "vectors.parquet", "--by-order", *index),
        *("-o", tmp_path / "r.json", "--plots", tmp_path / "plots", "--errors", tmp_path / "e.csv", "-k", "3"),
        *("--apart", "0"),
    )
    assert done.exit_code == 0, done.stderr
    whole, part = report_of(tmp_path / "r.json")["runs"]
    assert [run["kind"] for run in (whole, part)] == ["vectors", "vectors"]
    assert whole["counts"]["answered"] == 30
    assert part["counts"] == {"labelled": 30, "answered": 25, "missing": 5, "unreadable": 0, "left_out": 0}
    assert whole["median_km"]["value"] < 0.4
    assert whole["searched"]["candidates"] == "planet"
    assert len(whole["searched"]["model"]) == 64
    assert [each["mass"] for each in whole["cell_sets"]] == list(MASSES)
    assert np.all(np.diff([each["inside"] for each in whole["cell_sets"]]) >= 0)
    assert np.all(np.diff([each["median_area_km2"] for each in whole["cell_sets"]]) >= 0)
    assert part["cell_sets"][-1]["inside"] <= 25 / 30
    assert whole["calibration"]["coverage_90"] >= whole["calibration"]["coverage_50"]
    assert sum(each["claims"] for each in whole["calibration"]["bins"]) == 30
    assert {each["k"] for each in whole["recall"]} == {1, 2, 3}
    assert json.loads((tmp_path / "r.json").read_text())["overlap"]["gallery"] == str(basel / "index/gallery.parquet")
    for name in ("accuracy.png", "calibration.png"):
        with Image.open(tmp_path / "plots" / name) as image:
            image.verify()
    # the same answers as `geoclip search` gives, which writes them to 0.1 m
    answers = tmp_path / "answers.csv"
    searched = geoclip("search", basel / "vectors.parquet", *index, "-k", "3", "--apart", "0", "-o", answers)
    assert searched.exit_code == 0, searched.stderr
    assert geoclip("evaluate", basel / "labels.csv", answers, "-o", tmp_path / "again.json").exit_code == 0
    again = report_of(tmp_path / "again.json")["runs"][0]
    assert again["counts"] == part["counts"]
    for key in ("median_km", "mean_km", "geoscore"):
        assert again[key]["value"] == pytest.approx(part[key]["value"], abs=1e-3)
    assert again["recall"] == part["recall"]


@pytest.mark.slow
def test_an_index_without_photos_is_evaluated_on(
    basel: Path, tmp_path: Path, release: Release, encoder: LocationEncoder
) -> None:
    index = tmp_path / "index"
    small = synthetic.request(Region.disk(47.56, 7.6, 5.0))
    tau = float(release.logit_scale().exp())
    wanted = replace(small, dim=512, model=release.model_digest, tau=tau, gallery=Gallery.empty())
    synthetic.begin(wanted, index)
    build(wanted, encoder, index, report=lambda *_: None)
    vectors = basel / "vectors.parquet"
    done = geoclip("evaluate", basel / "labels.csv", vectors, "--index", index, "-o", tmp_path / "r.json")
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["overlap"] is None


@pytest.mark.slow
def test_candidates_of_the_gallery_and_constraints(basel: Path, tmp_path: Path) -> None:
    common = ("evaluate", basel / "labels.csv", basel / "vectors.npy", "--by-order", "--index", basel / "index")
    done = geoclip(*common, "--candidates", "gallery", "-o", tmp_path / "g.json")
    assert done.exit_code == 0, done.stderr
    gallery = report_of(tmp_path / "g.json")["runs"][0]
    assert gallery["searched"]["candidates"] == "gallery"
    assert gallery["cell_sets"] is not None
    done = geoclip(*common, "--near", "47.54,7.6,1.5", "-o", tmp_path / "c.json", "--errors", tmp_path / "c.csv")
    assert done.exit_code == 0, done.stderr
    near = report_of(tmp_path / "c.json")
    assert "within 1.5 km of 47.54, 7.6" in near["runs"][0]["searched"]["constraint"]
    assert near["options"]["search"]["near"] == ["47.54,7.6,1.5"]
    with (tmp_path / "c.csv").open(newline="") as file:
        found = np.array([(float(row["pred_lat"]), float(row["pred_lng"])) for row in csv.DictReader(file)])
    assert (haversine_km(found, (47.54, 7.6)) < 1.5 + 0.6).all()  # cells that overlap the disk count
    assert gallery["median_km"]["value"] != near["runs"][0]["median_km"]["value"]


@pytest.mark.slow
def test_photos_missing_and_unreadable_ones_count(basel: Path, tmp_path: Path) -> None:
    for row in range(4):
        make_photo(tmp_path / "photos" / "deep" / f"{row}.png", seed=row)
    (tmp_path / "photos" / "4.png").write_bytes(b"no picture")
    make_photo(tmp_path / "photos" / "stranger.png", seed=9)
    common = ("evaluate", basel / "labels.csv", tmp_path / "photos", "--index", basel / "index", "--workers", "1")
    done = geoclip(*common, "-o", tmp_path / "r.json")
    assert done.exit_code == 1, done.stderr
    report = report_of(tmp_path / "r.json")
    run = report["runs"][0]
    assert run["kind"] == "photos"
    assert run["counts"] == {"labelled": 30, "answered": 4, "missing": 25, "unreadable": 1, "left_out": 1}
    assert run["searched"]["crops"] == 1
    assert run["accuracy"][-1]["share"]["value"] == pytest.approx(4 / 30)
    assert run["median_km"]["value"] is None
    assert "4.png" in done.stderr
    assert "25 of 30 photos are missing and 1 unreadable" in done.stdout
    assert "candidates planet, crops 1." in done.stdout
    ten = geoclip(*common, "--crops", "10", "-o", tmp_path / "ten.json")
    assert ten.exit_code == 1
    other = report_of(tmp_path / "ten.json")["runs"][0]
    assert other["searched"]["crops"] == 10
    assert other["mean_km"]["value"] != run["mean_km"]["value"]


@pytest.mark.slow
def test_wrong_vectors_are_refused(basel: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.load(basel / "vectors.npy")[:3])
    np.save(tmp_path / "none.npy", np.zeros((0, 512), np.float32))
    (tmp_path / "empty").mkdir()
    for given, words in (
        ("few.npy", "have 30 rows for 3 inputs"),
        ("none.npy", "none.npy has no rows"),
        ("absent.npy", "absent.npy does not exist"),
        ("empty", "No photos were found in "),
    ):
        done = geoclip("evaluate", basel / "labels.csv", tmp_path / given, "--by-order", "--index", basel / "index")
        assert_refused(done, words)


@pytest.mark.slow
def test_the_answers_are_where_the_vectors_are(basel: Path, tmp_path: Path) -> None:
    done = geoclip(
        *("evaluate", basel / "labels.csv", basel / "vectors.parquet", "--index", basel / "index"),
        *("--errors", tmp_path / "e.parquet", "--prior-weight", "0"),
    )
    assert done.exit_code == 0, done.stderr
    rows = pq.read_table(tmp_path / "e.parquet").to_pylist()
    known = [row for row in rows if row["km"] is not None]
    assert len(rows) == 30
    assert len(known) == 25
    for row in known:
        km = haversine_km((row["true_lat"], row["true_lng"]), (row["pred_lat"], row["pred_lng"]))
        assert row["km"] == pytest.approx(float(km))
    assert np.median([row["km"] for row in known]) < 0.4  # in another order they would be kilometres off
