"""Every benchmark starts, and does its work on an index of a small country where that takes seconds."""

import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.processes import Worker
from benchmarks.results import ROOT, Line, Results, read
from benchmarks.suites import encode, scale, side_by_side
from benchmarks.suites.search import run as run_search
from benchmarks.suites.size import FULL, QUICK
from geoclip.release.directory import Release
from tests.helpers.shared import made_once

PROGRAMS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "benchmarks").rglob("*.py")
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8") and "peers" not in path.parts
)
TINY = QUICK._replace(region="country:LU", resolution=7, queries=8, singles=2, rounds=1, budget_s=0.1, grown=())


def call(monkeypatch: pytest.MonkeyPatch, program: str, *arguments: str | Path) -> None:
    """Run a program of the benchmarks in this process."""
    main = importlib.import_module(program if program.count(".") else f"{program}.__main__")
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    main.main()


def checked(path: Path) -> list[Line]:
    """Return the results in a file, all of whose numbers are numbers."""
    found = read(path)
    values = [value for line in found for value in line["about"]["values"].values() if isinstance(value, float)]
    assert values
    assert all(map(math.isfinite, values))
    return found


@pytest.fixture(scope="module")
def index(release: Release) -> Path:
    """An index of Luxembourg: 112 cells of resolution 6."""

    def make(path: Path) -> None:
        with pytest.MonkeyPatch.context() as patched:
            out = path.with_suffix(".jsonl")
            call(patched, "benchmarks.suites.build", path, "--region", "country:LU", "--out", out)
            (line,) = checked(out)
            assert line["cells"] == 112
            assert line["encodings"] >= 7 * 112
            assert set(line["stages_s"]) == set(line["stages_peak_mb"]) >= {"Encoding", "Sealing"}

    return made_once("luxembourg", make)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_there(program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{program}.__main__" if program in ("benchmarks", "benchmarks.parity", "benchmarks.faults") else program
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main()
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_all_programs_are_known() -> None:
    assert len(PROGRAMS) == 24
    assert FULL.queries > QUICK.queries


@pytest.mark.slow
def test_exhaustive_answer_recall_and_posterior(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, out = tmp_path / "work", tmp_path / "r.jsonl"
    few = ("--queries", "3", "--kinds", "place", "photo-like")
    call(monkeypatch, "benchmarks.exhaustive", work, "--below", index, "--res", "6", "--region", "country:LU", *few)
    call(monkeypatch, "benchmarks.exhaustive", work, "--save", tmp_path / "truth.npz")
    call(monkeypatch, "benchmarks.recall", index, work, "--curve", "1", "--out", out)
    places = [line for line in checked(out) if line["kind"] == "place" and line["table"] == "effort"]
    assert [line["effort"] for line in places] == ["fast", "default", "thorough"]
    assert all(line["recall_1"] == 1 for line in places)
    assert {line["table"] for line in read(out)} == {"walk", "effort", "curve"}
    again = tmp_path / "again.jsonl"
    call(monkeypatch, "benchmarks.recall", index, tmp_path / "truth.npz", "--efforts-only", "--out", again)
    assert [line["recall_10"] for line in read(again)] == [
        line["recall_10"] for line in read(out) if line["table"] == "effort"
    ]
    with pytest.raises(ValueError, match="holds the answers to other queries"):
        saved = dict(np.load(tmp_path / "truth.npz")) | {"queries": np.array(2)}
        np.savez(tmp_path / "wrong.npz", **saved | {"cells": saved["cells"][2:], "scores": saved["scores"][2:]})
        call(monkeypatch, "benchmarks.recall", index, tmp_path / "wrong.npz")
    call(monkeypatch, "benchmarks.posterior", work, "--indexes", index, "--queries", "2", "--out", tmp_path / "p.jsonl")
    told = {line["kind"]: line for line in checked(tmp_path / "p.jsonl")}
    assert set(told) == {"place", "hard", "photo-like"}
    assert told["place"]["res5_apart_p95"] < 0.05  # nearly all is scored


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments", "count"),
    [
        ("latency", ("--singles", "2", "--batch", "4", "--efforts", "fast", "--cold"), 2),
        ("returns", ("--count", "10"), 2),
        ("stages", ("--singles", "2", "--batch", "4", "--efforts", "fast"), 2),
        ("reading", ("--queries", "4", "--alone", "2", "--rounds", "1"), 5),
        ("constrained", ("--queries", "2", "--constraints", "continent"), 1),
        ("answers", ("--queries", "20", "--weights", "0.5", "--tables", "point", "calibration", "localizable"), 20),
    ],
)
def test_an_index_is_measured(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, arguments: tuple[str, ...], count: int
) -> None:
    call(monkeypatch, f"benchmarks.{program}", index, *arguments, "--out", tmp_path / "r.jsonl")
    found = checked(tmp_path / "r.jsonl")
    assert [line["benchmark"] for line in found] == [program] * count


@pytest.mark.slow
def test_example_queries_are_those_committed(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(monkeypatch, "benchmarks.example_queries", "--out", tmp_path / "e.parquet")
    made, committed = (pq.read_table(path) for path in (tmp_path / "e.parquet", ROOT / "scripts" / "examples.parquet"))
    assert made["photo"].to_pylist() == committed["photo"].to_pylist()
    a, b = (np.array(table["vector"].to_pylist()) for table in (made, committed))
    assert (a * b).sum(axis=1) == pytest.approx(1.0, abs=5e-4)


@pytest.mark.slow
def test_suites_measure(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path / "r.jsonl")
    monkeypatch.setattr(encode, "BATCHES", (64,))
    encode.run(results, TINY)
    monkeypatch.setattr(scale, "RESOLUTIONS", (6,))
    scale.run(results, TINY, index=index)
    found = checked(tmp_path / "r.jsonl")
    assert {line["side"] for line in found if line["benchmark"] == "encode"} == {"project", "products"}
    measured, *computed = (line for line in found if line["benchmark"] == "scale")
    assert measured["index_bytes"] == sum(path.stat().st_size for path in index.iterdir())
    assert [line["cells"] for line in computed] == [10**n for n in range(5, 12)]


@pytest.mark.slow
def test_sides_are_asked_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "GROUPS", ((2, ("released sleep", "project sleep", "project absent")),))
    sides = {
        side: Worker(sys.executable, "tests.benchmarks.sleeper", s)
        for side, s in (("released", 0.2), ("project", 0.01))
    }
    side_by_side.take_turns(Results(tmp_path / "r.jsonl"), FULL, sides)
    released, project = checked(tmp_path / "r.jsonl")
    assert (released["rounds"], released["amount"], released["beside"]) == (2, 20, ["project sleep"])
    assert released["per_second"] == pytest.approx(20 / released["median_s"])
    assert 0.8 <= released["least_s"] <= released["median_s"]
    assert project["median_s"] < released["median_s"]


@pytest.mark.slow
def test_search_is_measured_beside_explicit_grids(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lancedb", reason="the `bench` extra is not installed")
    run_search(Results(tmp_path / "r.jsonl"), TINY)
    found = checked(tmp_path / "r.jsonl")
    assert {line["recall_1"] for line in found if line["system"] == "FAISS Flat"} == {1.0}
    assert json.dumps(found)
