"""Answers as text for programs and for people."""

import copy
import csv
import io
import json
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from geoclip.answers.answer import Answer
from geoclip.answers.figures import coordinates, distance, percent
from geoclip.writers import Format, Output
from geoclip.writers.answer_schema import answer_schema
from geoclip.writers.csv import CSV_COLUMNS
from tests.helpers.answers import CELL, LYON, NAMES, bare, full


def write(path: Path, answers: list[Answer]) -> None:
    with Output(path) as output:
        for answer in answers:
            output.write(answer)


def written(kind: Format, answers: list[Answer], columns: int = 80) -> str:
    """What a writer makes of answers, those without places too."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", f"{columns}")
        with kind.writer(stream) as writer:
            for answer in answers:
                writer.write(answer)
    return stream.getvalue()


def lines(answers: list[Answer]) -> list[Any]:
    return [json.loads(line) for line in written(Format.JSONL, answers).splitlines()]


def table(answer: Answer, columns: int = 80) -> str:
    return written(Format.TABLE, [answer], columns)


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads((files("geoclip.writers") / "answer.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_json_lines_are_json(tmp_path: Path) -> None:
    records = lines([bare(name) for name in NAMES])
    assert [r["query"] for r in records] == NAMES
    assert records[0]["predictions"][1] == {
        "lat": 11.5,
        "lng": -171.25,
        "probability": 0.25,
        "score": 0.2,
        "cell": CELL,
        "nearby": None,
        "place": None,
        "share": None,
        "radius_km": None,
    }
    assert records[0]["radius_50_km"] is records[0]["localizable"] is records[0]["gps"] is None


def test_json_lines_hold_the_whole_answer_rounded(tmp_path: Path) -> None:
    record = lines([full("a.jpg")])[0]
    expected = {
        "schema": "geoclip-answer/3",
        "query": "a.jpg",
        "error": None,
        "area_km": 25.0,
        "verdict": "France (81 %), Auvergne-Rhône-Alpes (60 %).",
        "radius_50_km": 12.3,
        "radius_90_km": 1340.0,
        "continents": [{"name": "Europe", "within": "", "code": "", "probability": 0.88}],
        "countries": [
            {"name": "France", "within": "", "code": "FR", "probability": 0.81},
            {"name": "Italy", "within": "", "code": "IT", "probability": 0.07},
        ],
        "regions": [{"name": "Auvergne-Rhône-Alpes", "within": "France", "code": "FR", "probability": 0.6}],
        "cities": [
            {"name": '"Lyon"\n', "within": "Auvergne-Rhône-Alpes, France", "code": "FR", "probability": 0.512346}
        ],
        "cells": [
            {"cell": "801ffffffffffff", "probability": 0.95},
            {"cell": "811fbffffffffff", "probability": 0.9},
        ],
        "entropy_bits": 9.1235,
        "threshold_bits": 7.0,
        "localizable": False,
        "estimated": 0.0123457,
        "promise": None,
        "outsiders": [],
        "gps": {"lat": 45.7, "lng": 4.8, "distance_km": 7.65, "datum": ""},
        "calibrated": True,
        "searched": {
            "candidates": "planet",
            "index": "planet-\udcff/",
            "index_digest": "abc",
            "constraint": "FR",
            "resolution": 9,
            "effort": "default",
            "prior_weight": 0.5,
            "temperature": 1.25,
            "point": "mode",
            "calibrated": True,
            "calibration_photos": 0,
        },
    }
    predictions = record.pop("predictions")
    assert record == expected
    assert predictions[0] == {
        "lat": 45.764043,
        "lng": 4.835657,
        "probability": 0.312346,
        "score": 0.274123,
        "cell": CELL,
        "nearby": 0.52,
        "place": {"city": "Lyon", "region": "Auvergne-Rhône-Alpes", "country": "France", "code": "FR"},
        "share": 0.52,
        "radius_km": 12.3,
    }
    assert predictions[1]["probability"] == 1.23457e-7


def test_the_schema_is_the_one_that_follows_from_the_types(validator: Any) -> None:
    assert validator.schema == answer_schema(), "write it anew: python -m geoclip.writers.answer_schema"


def test_lines_follow_the_schema(validator: Any) -> None:
    failed = Answer("x.jpg", error="It cannot be read.")
    records = lines([*map(full, NAMES), *map(bare, NAMES), bare("none.jpg", 0), failed])
    assert [list(validator.iter_errors(r)) for r in records] == [[]] * len(records)
    assert records[-1]["error"] == "It cannot be read."


def test_the_schema_refuses_what_is_broken(validator: Any) -> None:
    good = lines([full("a.jpg")])[0]
    changes: list[tuple[list[Any], Any]] = [
        (["schema"], "geoclip-answer/1"),
        (["query"], None),
        (["predictions", 0, "lat"], 91),
        (["predictions", 0, "lng"], "4.8"),
        (["predictions", 0, "probability"], 1.5),
        (["predictions", 0, "place", "city"], None),
        (["radius_50_km"], -1),
        (["cells", 0, "cell"], 123),
        (["countries", 0, "code"], "france"),
        (["localizable"], "yes"),
        (["searched", "resolution"], 9.5),
        (["surprise"], 1),
        (["gps", "surprise"], 1),
    ]
    for path, value in changes:
        broken = copy.deepcopy(good)
        at = broken
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        assert not validator.is_valid(broken), path
    for key in good:
        assert not validator.is_valid({k: v for k, v in good.items() if k != key}), key


def test_csv_is_csv(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [bare(name) for name in NAMES])
    with (tmp_path / "a.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert CSV_COLUMNS[:7] == ("query", "rank", "lat", "lng", "probability", "score", "cell")
    assert [row[0] for row in rows[1::2]] == NAMES
    unknown = [""] * 12
    assert rows[2][1:] == ["2", "11.500000", "-171.250000", "0.25", "0.200000", CELL, *unknown, "false"]


def test_csv_repeats_what_belongs_to_the_query(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [full("a.jpg"), Answer("x.jpg", error="It cannot be read.")])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    for row in rows:
        assert [float(row[name]) for name in ("radius_50_km", "radius_90_km", "entropy_bits")] == [12.3, 1340, 9.1235]
        assert (row["localizable"], row["calibrated"]) == ("false", "true")
        assert row["verdict"] == "France (81 %), Auvergne-Rhône-Alpes (60 %)."
    assert [rows[0][name] for name in ("city", "region", "country", "code")] == list(LYON)
    assert [float(row["nearby"]) for row in rows] == [0.52, 0.0312, 0.0001]
    assert [(float(row["share"]), float(row["radius_km"])) for row in rows] == [(0.52, 12.3), (0.03, 9), (0.0001, 300)]
    assert rows[2]["city"] == rows[2]["code"] == ""


def test_exiftool_takes_places_as_estimates(tmp_path: Path) -> None:
    south = replace(bare("b-\udcff.jpg"), predictions=full("b").predictions[2:])
    whole = replace(full("a, b.jpg"), gps=None)
    write(tmp_path / "a.exiftool.csv", [whole, south, full("has a position.jpg"), Answer("x.jpg", error="No.")])
    text = (tmp_path / "a.exiftool.csv").read_text(encoding="utf-8", errors="surrogateescape")
    assert text.splitlines() == [
        "SourceFile,GPSLatitude,GPSLatitudeRef,GPSLongitude,GPSLongitudeRef,GPSMapDatum,GPSHPositioningError,"
        "GPSProcessingMethod",
        '"a, b.jpg",45.764043,N,4.835657,E,WGS-84,12346,ESTIMATED geoclip-planet',
        "b-\udcff.jpg,17.500000,S,179.900000,W,WGS-84,,ESTIMATED geoclip-planet",
    ]
    write(tmp_path / "exiftool.csv", [whole])
    assert (tmp_path / "exiftool.csv").read_text(encoding="utf-8").startswith("query,rank")


def test_table_shows_every_place() -> None:
    text = table(bare("bytes-\udcff\n\x1b[bold].jpg"))
    assert "bytes-\\xff\\n\\x1b[bold].jpg" in text
    assert "11.50000" in text
    assert "25 %" in text
    assert "10.50000, -170.25000.\n" in text  # the headline; nothing else is known
    assert "nan" not in text
    assert "uncalibrated" in text


def test_table_says_what_a_person_wants_in_80_columns() -> None:
    answer = full("a.jpg")
    text = table(answer)
    assert max(map(len, text.splitlines())) <= 80
    for words in ("45.76, 4.84", "52 %", "12 km", "Marseille, France", "43.30, 5.37", "< 0.1 %", "-17.5, -179.9"):
        assert words in text, words
    flowing = " ".join(text.split())
    assert flowing.startswith(
        "a.jpg France (81 %), Auvergne-Rhône-Alpes (60 %). place share radius latitude, longitude"
    )
    assert "A share is the probability within 25 km of a place, without what rows above it hold;" in flowing
    assert "EXIF says 45.70000, 4.80000, 7.7 km from the best place." in flowing
    assert "uncalibrated" not in flowing
    assert "EXIF" not in table(replace(answer, gps=None))


@pytest.mark.parametrize("columns", [30, 45, 60])
def test_a_narrow_terminal_cuts_nothing_off(columns: int) -> None:
    text = table(full("a.jpg"), columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    letters = "".join(text.split())
    assert all(name[:4] in letters for name in ("Lyon", "Marseille"))


def test_coordinates_are_as_exact_as_they_are_known() -> None:
    exact = (45.76404321, -4.83565678)
    shown = [coordinates(*exact, radius_km) for radius_km in (5000.0, 100.0, 12.0, 1.0, 0.1, 0.0, math.nan)]
    assert shown == [
        "45.8, -4.8",
        "45.8, -4.8",
        "45.76, -4.84",
        "45.764, -4.836",
        "45.7640, -4.8357",
        "45.76404, -4.83566",
        "45.76404, -4.83566",
    ]


def test_table_of_an_answer_without_places_says_why() -> None:
    assert table(Answer("x.jpg", error="It cannot be read.")) == "x.jpg\nIt cannot be read.\n\n"


def test_numbers_in_words() -> None:
    shares = (1.0, 0.814, 0.07, 0.00996, 0.0094, 0.0004)
    assert ", ".join(map(percent, shares)) == "100 %, 81 %, 7 %, 1 %, 0.9 %, < 0.1 %"
    lengths = (0.0, 0.2345, 0.9996, 4.23, 12.34, 343.9, 12345)
    assert "; ".join(map(distance, lengths)) == "0 m; 230 m; 1.0 km; 4.2 km; 12 km; 344 km; 12,300 km"
