"""Reading true places and answers from tables, telling arguments apart, and what is written."""

import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from geoclip.answers.answer import Answer, PlaceName, Prediction
from geoclip.distance import Distance
from geoclip.errors import InputError
from geoclip.evaluation.answer_table import AnswerTable, own_rows
from geoclip.evaluation.by_country import whereabouts
from geoclip.evaluation.console import _km, print_report
from geoclip.evaluation.inputs import InputKind, evaluation_inputs
from geoclip.evaluation.measures import MASSES, THRESHOLDS_KM, CellSet, distances
from geoclip.evaluation.outputs import write_errors
from geoclip.evaluation.plots import ACCURACY, CALIBRATION, write_plots
from geoclip.evaluation.predictions import read_answers, read_labels
from geoclip.evaluation.report import PhotoCounts, Report, Run, evaluated
from geoclip.tables.columns import LABELS, LabelColumns, PredictionColumns
from geoclip.tables.labels import Labels
from geoclip.writers import Format, Output


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# -- true places ------------------------------------------------------------------------------------------------------


def test_a_photo_has_one_true_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'a' in the rows 1 and 3; keep one of them"):
        read_labels(written(tmp_path / "labels.csv", "photo,lat,lng\na,1,2\nb,3,4\na,5,6\n"))
    found = read_labels(written(tmp_path / "labels.csv", "key,photo,Y1,X1,lat,lng\na,x,1,2,3,4\n"), LABELS)
    assert (found.names, found.lat_lng.tolist()) == (("x",), [[3, 4]])
    found = read_labels(tmp_path / "labels.csv", LabelColumns("key", "Y1", "X1"))
    assert (found.names, found.lat_lng.tolist()) == (("a",), [[1, 2]])


# -- answers ----------------------------------------------------------------------------------------------------------


def made_answers() -> list[Answer]:
    first = Prediction(48.85, 2.35, 0.25, 0.5, "8a", nearby=0.75, name=PlaceName("Paris", "", "France", "FR"))
    return [
        Answer("b/2.jpg", (first, Prediction(45.75, 4.85, 0.125, 0.4)), radius_50_km=12.5, radius_90_km=250.0),
        Answer("a/1.jpg", (Prediction(-33.875, 151.25, 0.5, 0.25, nearby=0.5),), radius_50_km=1.0, radius_90_km=2.0),
    ]


@pytest.mark.parametrize("kind", [Format.JSONL, Format.CSV, Format.PARQUET])
def test_this_program_s_answers_are_read_back(tmp_path: Path, kind: Format) -> None:
    path = tmp_path / f"answers.{kind}"
    with Output(path) as output:
        for answer in made_answers():
            output.write(answer)
    names, found = read_answers(path)
    assert names == ["b/2.jpg", "a/1.jpg"]
    assert found.places.shape == (2, 2, 2)
    assert found.places[0].tolist() == [[48.85, 2.35], [45.75, 4.85]]
    assert found.places[1, 0].tolist() == [-33.875, 151.25]
    assert np.isnan(found.places[1, 1]).all()
    assert found.score.tolist() == [0.5, 0.25]
    assert found.nearby.tolist() == [0.75, 0.5]
    assert (found.radius_50_km.tolist(), found.radius_90_km.tolist()) == ([12.5, 1.0], [250.0, 2.0])
    assert found.seen.all()
    put = AnswerTable.blank(2, 2)
    for row, answer in enumerate(made_answers()):
        put.put(row, answer)
    for name in ("places", "score", "nearby", "radius_50_km", "radius_90_km", "seen"):
        np.testing.assert_array_equal(getattr(put, name), getattr(found, name))


def test_answers_without_a_place_and_odd_names_are_kept(tmp_path: Path) -> None:
    lines = [
        {"query": "no\udcff.jpg", "error": "damaged", "predictions": []},
        {"query": "x.jpg", "predictions": [{"lat": 1.0, "lng": 2.0}]},
        {"query": None, "predictions": [{"lat": 3.0, "lng": 4.0}]},
    ]
    path = written(tmp_path / "answers.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    names, found = read_answers(path)
    assert names == ["noÿ.jpg", "x.jpg"]
    assert found.answered.tolist() == [False, True]
    assert found.seen.tolist() == [True, True]


def test_answers_of_other_systems(tmp_path: Path) -> None:
    text = (
        "IMG_ID,pred_lat,pred_lon,lat,lon,score\n"
        "1,10,190,7,8,good\n2,nan,5,7,8,bad\n3,91,5,7,8,bad\n,1,2,7,8,x\n5,0,0,7,8,x\n6,-90,-180,7,8,x\n"
    )
    names, found = read_answers(written(tmp_path / "theirs.csv", text))
    assert names == ["1", "2", "3", "5", "6"]
    assert found.places[[0, 4], 0].tolist() == [[10.0, -170.0], [-90.0, -180.0]]
    assert found.answered.tolist() == [True, False, False, False, True]
    assert np.isnan(found.score).all()  # no numbers, so not a score
    _, swapped = read_answers(tmp_path / "theirs.csv", PredictionColumns(lat="lat", lng="lon"))
    assert swapped.places[:, 0].tolist() == [[7.0, 8.0]] * 5


def test_rows_of_a_photo_are_ordered_by_rank(tmp_path: Path) -> None:
    text = "image,rank,lat,lng,score\nb,2,2,2,.2\na,1,5,5,.9\nb,1,1,1,.3\nb,3,3,3,.1\n"
    names, found = read_answers(written(tmp_path / "ranked.csv", text))
    assert names == ["b", "a"]
    assert found.places[0, :, 0].tolist() == [1, 2, 3]
    assert found.places[1, 0].tolist() == [5, 5]
    assert found.score.tolist() == [0.3, 0.9]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "image,lat,lng\na,1,2\nb,1,2\na,3,4\n", "several rows for 'a'"),
        ("p.csv", "image,lat,lng\n", "has no rows"),
        ("p.jsonl", "", "does not begin with JSON objects"),
        (
            "p.jsonl",
            '{"query": "a", "predictions": 5}',
            "the predictions of row 1 are 5; expected a list of objects with lat and lng",
        ),
        ("p.jsonl", '{"query": "a", "predictions": [1, 2]}', r"row 1 are \[1, 2\]; expected"),
        ("p.csv", "image,lat,lng,rank,rank\na,1,2,1,2\n", "has 2 columns called 'rank'"),
        ("p.csv", "image,lat,lng\n,1,2\n", "1 of 1 rows cannot be used: 1 there is no photo"),
        ("p.csv", "image,lat,lng\na,93,2\n", "latitude is not within"),
    ],
)
def test_wrong_answers_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_answers(written(tmp_path / name, text))


# -- whose row is whose -----------------------------------------------------------------------------------------------


def test_each_input_has_a_row_of_its_own() -> None:
    rows = np.array([2, -1, 1, -1])
    assert own_rows(rows, list("abcd")) is rows
    with pytest.raises(InputError, match="one row for the inputs 'b' and 'd'; keep one of these"):
        own_rows(np.array([2, 0, -1, 0]), list("abcd"))


def test_answers_are_brought_into_the_order_of_the_labels() -> None:
    answers = AnswerTable.blank(3, 1)
    answers.places[:, 0, 0] = answers.places[:, 0, 1] = answers.score[:] = [1.0, 2.0, 3.0]
    answers.seen[:] = True
    found = answers.in_order(np.array([3, -1, 0]), 4)
    assert found.seen.tolist() == [True, False, False, True]
    assert found.places[[0, 3], 0, 0].tolist() == [3.0, 1.0]
    assert np.isnan(found.score[1:3]).all()


def test_arguments_are_told_apart(tmp_path: Path) -> None:
    table, npy = written(tmp_path / "p.csv", "lat,lng\n1,2\n"), tmp_path / "v.npy"
    np.save(npy, np.zeros((1, 512), np.float32))
    pq.write_table(pa.table({"photo": ["a"], "vector": [[0.0] * 512]}), tmp_path / "v.parquet")
    pq.write_table(pa.table({"photo": ["a"], "lat": [1.0], "lng": [1.0]}), tmp_path / "p.parquet")
    (tmp_path / "photos.csv").mkdir()
    inputs = ["x.jpg", table, npy, tmp_path / "v.parquet", tmp_path / "photos.csv", tmp_path / "p.parquet", table]
    texts = [str(path) for path in inputs]
    found = evaluation_inputs(texts, (["n"], ["y1", "y2", "y3"], []))
    assert [each.kind for each in found] == [
        InputKind.PHOTOS,
        InputKind.PREDICTIONS,
        InputKind.VECTORS,
        InputKind.VECTORS,
        InputKind.PREDICTIONS,
        InputKind.PREDICTIONS,
    ]
    assert found[0].paths == ("x.jpg", str(tmp_path / "photos.csv"))
    assert [each.name for each in found] == [
        "x.jpg and 1 more",
        f"{table} (1)",
        *texts[2:4],
        str(tmp_path / "p.parquet"),
        f"{table} (2)",
    ]
    assert [each.columns for each in found if each.kind is InputKind.PREDICTIONS] == [
        PredictionColumns("n", "y1", None),
        PredictionColumns("n", "y2", None),
        PredictionColumns("n", "y3", None),
    ]


@pytest.mark.parametrize(
    ("inputs", "asked", "words"),
    [
        (["-"], ((), (), ()), "stdin"),
        (["absent.csv"], ((), (), ()), "absent.csv does not exist"),
        (["p.csv"], ((), ["a", "b"], ()), "2 columns are named .* for 1 tables"),
        (["x.jpg"], (["a"], (), ()), "for 0 tables"),
    ],
)
def test_wrong_arguments_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], asked: tuple[list[str], ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "p.csv", "lat,lng\n1,2\n")
    with pytest.raises(InputError, match=words):
        evaluation_inputs(inputs, asked)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluation() -> tuple[Labels, list[Run], Report]:
    rng = np.random.default_rng(0)
    truth = np.stack((rng.uniform(43, 50, 60), rng.uniform(-1, 8, 60)), axis=1)
    labels = Labels(tuple(f"{row}.jpg" for row in range(60)), truth)
    runs = []
    for name, spread in (("good $1", 0.2), ("bad", 3.0)):
        answers = AnswerTable.blank(60, 1)
        answers.places[:50, 0] = truth[:50] + rng.normal(0, spread, (50, 2))
        answers.seen[:] = True
        answers.nearby[:50] = rng.random(50)
        runs.append(Run(name, InputKind.PREDICTIONS, answers, distances(answers, truth, Distance.HAVERSINE)))
    return labels, runs, evaluated(("l.csv", ""), runs, whereabouts(truth), None, resamples=200)


@pytest.mark.slow
def test_plots_are_pictures_that_differ_in_more_than_colour(
    evaluation: tuple[Labels, list[Run], Report], tmp_path: Path
) -> None:
    _, runs, report = evaluation
    files = write_plots(report, runs, tmp_path / "plots")
    assert files == [tmp_path / "plots" / ACCURACY, tmp_path / "plots" / CALIBRATION]
    for path in files:
        with Image.open(path) as image:
            image.verify()
            assert image.format == "PNG"
        with Image.open(path) as image:
            assert min(image.size) >= 600
            grey = np.asarray(image.convert("L"))
        assert grey.min() < 50
        assert grey.max() > 250
    silent = write_plots(report, runs[:1], tmp_path / "one")
    assert silent[0].read_bytes() != files[0].read_bytes()


@pytest.mark.slow
def test_nothing_is_written_over_a_plot(
    evaluation: tuple[Labels, list[Run], Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, two, _ = evaluation
    runs = [replace(two[at % 2], name=f"{at} " + "a long name " * 6) for at in range(6)]
    report = evaluated(("l.csv", ""), runs, whereabouts(labels.lat_lng), None, resamples=200)
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    write_plots(report, runs, tmp_path)
    for figure in figures:
        canvas = figure.bbox.padded(1)
        legend = figure.legends[0].get_window_extent()
        written = [text.get_window_extent() for axes in figure.axes for text in (*axes.texts, *axes.get_xticklabels())]
        for at, box in enumerate(written):
            assert not any(Bbox.intersection(box, other) for other in written[at + 1 :])
            assert not any(Bbox.intersection(box.padded(-1), axes.bbox) for axes in figure.axes)
        assert not any(Bbox.intersection(legend, axes.bbox) for axes in figure.axes)
        for box in (legend, *(text.get_window_extent() for text in figure.axes[0].texts)):
            assert all(canvas.containsx(x) and canvas.containsy(y) for x, y in box.corners())
        lines = [line for line in figure.axes[0].lines if line.get_marker() in list("os^DvPX")]
        looks = [(line.get_marker(), line._unscaled_dash_pattern) for line in lines]  # type: ignore[attr-defined]
        assert len({marker for marker, _ in looks}) == len(runs)
        assert all(first[1] != second[1] for first, second in pairwise(looks))
    claims = [np.asarray(line.get_ydata()).tolist() for line in figures[1].axes[1].lines]
    assert claims == [[b.claims for b in run.calibration.bins] for run in report.runs]


def test_each_photo_s_error_is_written(evaluation: tuple[Labels, list[Run], Report], tmp_path: Path) -> None:
    labels, runs, report = evaluation
    write_errors(runs, labels, tmp_path / "e.parquet")
    write_errors(runs, labels, tmp_path / "e.csv")
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.num_rows == 120
    assert pyarrow.csv.read_csv(tmp_path / "e.csv").to_pylist() == table.to_pylist()
    rows = table.slice(60).to_pylist()
    km = [np.inf if row["km"] is None else row["km"] for row in rows]
    assert km == runs[1].km[:, 0].tolist()
    assert sum(row["pred_lat"] is None for row in rows) == 10
    assert np.mean([row["geoscore"] for row in rows]) == pytest.approx(report.runs[1].geoscore.value)
    assert (rows[3]["run"], rows[3]["name"], rows[3]["true_lat"]) == ("bad", "3.jpg", labels.lat_lng[3, 0])


def test_the_report_counts_every_photo(evaluation: tuple[Labels, list[Run], Report]) -> None:
    _, _, report = evaluation
    for run in report.runs:
        assert run.counts == PhotoCounts(labelled=60, answered=50, missing=0, unreadable=10, left_out=0)
        assert [each.km for each in run.accuracy] == list(THRESHOLDS_KM)
        assert all(each.share.value == each.photos / 60 for each in run.accuracy)
        assert sum(group.photos for group in run.countries) == sum(group.photos for group in run.continents) == 60
    assert len(report.comparisons) == 7


@pytest.mark.parametrize(
    ("km", "words"),
    [(4.9, "4.90"), (32.0, "32.0"), (99.96, "100"), (1234.5, "1,234"), (0.0, "0.00"), (np.inf, "infinite")],
)
def test_kilometres_have_three_digits(km: float, words: str) -> None:
    assert _km(km) == words


@pytest.mark.parametrize("columns", [50, 80, 132])
def test_tables_fold_and_no_figure_is_cut(
    evaluation: tuple[Labels, list[Run], Report], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    labels, runs, _ = evaluation
    names = ["ours", "theirs_with_a_name_of_more_than_one_column.csv", "odd [red] :smile:.csv", "last"]
    runs = [replace(runs[at % 2], name=name) for at, name in enumerate(names)]
    runs[0] = replace(runs[0], km=np.repeat(runs[0].km, 100, axis=1), sets=tuple(CellSet(m, 0.5, 3e7) for m in MASSES))
    report = evaluated(("l.csv", ""), runs, whereabouts(labels.lat_lng), None, resamples=200)
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    print_report(report, stream)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert max(map(len, lines)) <= max(columns, 80)
    assert "…" not in stream.getvalue()
    assert "odd [red] :smile:.csv" in stream.getvalue()
    for reach, accuracy in zip(THRESHOLDS_KM, zip(*(run.accuracy for run in report.runs), strict=True), strict=True):
        found = " ".join(line for line in lines if line.startswith(f"within {reach:g} km  ") and "[" in line)
        for each in accuracy:  # every table of the folded ones begins with the rows' titles
            low, high = (f"{100 * bound:.1f}" for bound in (each.share.low, each.share.high))
            assert f"{100 * each.share.value:.1f} % [{low}, {high}]" in found
    assert sum(line.startswith("photos") for line in lines) == (1 if columns == 132 else 2)
    assert sum(line.startswith("in the cells with 99 %") for line in lines) == (1 if columns == 132 else 3)
