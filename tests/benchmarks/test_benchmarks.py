"""What the benchmarks compute, against values worked out by hand or by brute force; nothing here measures."""

import json
import sys
from argparse import ArgumentTypeError
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import guard, in_parts
from benchmarks.agreement import agreement
from benchmarks.figures import draw
from benchmarks.harness import evict, in_turns, percentiles, spread, timed
from benchmarks.peers.grids import K, grids
from benchmarks.processes import Worker, peak_mb
from benchmarks.report import counterpart, report
from benchmarks.results import ROOT, Line, Results, best_settings, command, of, read
from benchmarks.simulated import Kind, queries
from benchmarks.suites.search import quality
from index.grid.cells import cells_at, centres
from index.grid.sphere import haversine_km
from tests.helpers.oracles import unit
from tests.helpers.synthetic import encode


@pytest.fixture(scope="module")
def vectors() -> Any:
    return unit(np.random.default_rng(0).normal(size=(12_000, 64))).astype(np.float32)


@pytest.mark.slow
def test_explicit_grids_find_what_brute_force_finds(vectors: Any, tmp_path: Path) -> None:
    wanted = vectors[:40] + 0.02
    exact = np.argsort(-(wanted @ vectors.T), axis=1)[:, :K]
    names = []
    for grid in grids(*vectors.shape, graphs=False):
        if grid.name.startswith("LanceDB"):
            continue  # LanceDB takes a minute to index
        grid.build(vectors)
        folder = tmp_path / grid.name
        folder.mkdir()
        grid.save(folder)
        grid.open(folder)
        found = grid.search(wanted.astype(np.float32), **grid.settings[-1])
        assert found.shape == (40, K)
        recall = np.mean([np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)])
        assert recall > 0.9, grid.name
        assert evict(folder) > len(vectors) * 64
        names.append(grid.name)
    assert "FAISS IVF256,SQ8" in names


def test_graphs_find_what_brute_force_finds(vectors: Any) -> None:
    some = vectors[:2000]
    for grid in grids(*some.shape, graphs=True):
        if grid.name.startswith(("FAISS HNSW", "usearch")):
            if grid.name.startswith("usearch"):
                pytest.importorskip("usearch", reason="the `bench` extra is not installed")
            grid.build(some)
            found = grid.search(some[:30], **grid.settings[-1])
            assert (found[:, 0] == np.arange(30)).mean() > 0.95, grid.name


def test_quality_by_hand() -> None:
    places = np.array([[48.85, 2.35], [40.0, -3.7], [10.0, 10.0]])
    best = np.stack([cells_at(places + np.array([0, 0.1 * n]), 8) for n in range(10)], axis=1)
    found = best.copy()
    found[1] = best[1, ::-1]  # all ten, the last one first
    found[2] = 0  # nothing
    seen = quality(found, best)
    assert seen["recall_1"] == pytest.approx(1 / 3)
    assert seen["recall_10"] == pytest.approx(2 / 3)
    away = float(haversine_km(centres(best[1:2, 9]), centres(best[1:2, 0]))[0])
    assert seen["regret_mean_km"] == pytest.approx((away + 20015) / 3)


def test_a_place_query_is_the_place() -> None:
    places = np.array([[48.85, 2.35], [-33.9, 151.2]])
    assert np.array_equal(queries(Kind.PLACE, places, encode, 0), encode(places))


def test_turns_are_taken_in_turns() -> None:
    said: list[str] = []
    timers = {name: partial(timed, partial(said.append, name), 2) for name in "ab"}
    seconds = in_turns(timers, 2)
    assert said == list("aabb" * 3)
    assert {name: len(spent) for name, spent in seconds.items()} == {"a": 2, "b": 2}
    assert percentiles([0.001, 0.002, 0.003], "one_")["one_p50_ms"] == pytest.approx(2)
    assert spread([1.0, 5.0, 2.0]) == {"median_s": 2.0, "least_s": 1.0, "most_s": 5.0, "rounds": 3}


@pytest.mark.slow
def test_a_worker_does_what_it_is_asked_for() -> None:
    worker = Worker(sys.executable, "tests.benchmarks.sleeper", 0.05)
    assert worker.tasks == {"sleep": {"amount": 20, "unit": "naps"}}
    assert worker.about["greeting"] == "hello"
    assert 0.2 <= worker.seconds("sleep") < 2
    worker.close()
    with pytest.raises(RuntimeError, match=r"The worker .* ended with 1"):
        Worker(sys.executable, "tests.benchmarks.sleeper", "no number")


@pytest.mark.slow
def test_peak_memory_is_that_of_the_command_alone() -> None:
    held = np.ones(40_000_000)  # 320 MB of this process, which are not the command's
    small, large = (peak_mb([sys.executable, "-c", f"b'x' * {size}"]) for size in (1, 100_000_000))
    assert 90 < large - small < 110
    assert small < held.nbytes / 1e6 / 4


def test_results_say_what_was_measured_and_name_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/x.py", "full", "--index", "/home/me/planet", "--seed", "1"])
    assert command().endswith(" full --index planet --seed 1")
    assert "/home" not in command()
    made = Results(tmp_path / "new" / "r.jsonl", seed=3).add("latency", {"effort": "fast"}, {"p50_ms": 1.5})
    written = json.loads((tmp_path / "new" / "r.jsonl").read_text(encoding="utf-8"))
    assert written["parameters"] == {"effort": "fast"}
    assert written["values"] == {"p50_ms": 1.5}
    assert {"benchmark", "machine", "versions", "commit", "date", "command", "seed"} <= set(written)
    assert written["versions"]["torch"]
    (again,) = read(tmp_path / "new" / "r.jsonl")
    assert {name: again[name] for name in ("benchmark", "effort", "p50_ms")} == {
        name: made[name] for name in ("benchmark", "effort", "p50_ms")
    }


def lines(path: Path, factor: float) -> list[Line]:
    """Write results as a run would, the second system `factor` as fast."""
    results = Results(path)
    for system, rate, recall in (
        ("geoclip-planet", 10.0, 0.995),
        ("FAISS Flat", 100.0 * factor, 1.0),
        ("poor", 9e3, 0.4),
    ):
        about = {"system": system, "setting": "default", "timed_with": "photo-like", "simulated": True}
        about |= {"region": "country:LU", "cells": 784, "resolution": 7, "queries": 32}
        values = {f"photo-like_{name}": recall for name in ("recall_1", "recall_10")}
        values |= {"photo-like_regret_mean_km": 1.5, "bytes_a_cell": 100.0}
        values |= {f"{n}_{p}": 1.0 for n in ("one", "64", "all") for p in ("p50_ms", "p95_ms", "p99_ms")}
        values |= {f"{state}_{what}_s": 0.1 for state in ("cold", "warm") for what in ("open", "first")}
        results.add("search", about, values | {f"{n}_per_second": rate for n in ("one", "64", "all")})
    for batch in (1, 64):
        for side in ("project", "products"):
            parameters = {"side": side, "precision": "fp32", "batch": batch}
            results.add("encode", parameters, {"points_per_second": 50.0 * batch, "share_of_peak": 1.0})
    for side, seconds in (("released", 10.0), ("project", 0.5)):
        parameters = {"side": side, "task": "predict", "amount": 1, "unit": "photos"}
        results.add("side by side", parameters, {"per_second": 1 / seconds} | spread([seconds]))
    return read(path)


@pytest.mark.slow
def test_report_figures_and_agreement(tmp_path: Path) -> None:
    first, second = lines(tmp_path / "a.jsonl", 1.0), lines(tmp_path / "b.jsonl", 1.5)
    text = report(first)
    assert "No setting reached it: poor." in text
    assert "FAISS Flat | default | 1.000 / 1.000" in text
    assert "| project | predict | 2 photos | 0.5 | 0.5 to 0.5 | 20.0x |" in text
    drawn = draw(first, tmp_path / "figures")
    assert [path.stem for path in drawn] == ["pareto", "bytes", "latency", "roofline"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in drawn)
    rows = [row for row in agreement(first, second).splitlines() if row.startswith("| search")]
    assert "| 3 | 1.000 |" in rows[0]  # the same ranking
    assert "search, FAISS Flat default, one per second: over ours | 10 | 15 | 50 % |" in agreement(first, second)
    assert "| project predict: over released | 20 | 20 | 0 % |" in agreement(first, second)
    assert agreement(first, first).count("0.0 %, 0.0 % | 100 % |") == 2
    assert set(best_settings(first)) == {"geoclip-planet", "FAISS Flat"}


def test_tasks_are_compared_with_the_released_one_that_does_the_same() -> None:
    names = ("predict", "locate, index", "batch 8, gallery", "lookup 1", "encode gallery bf16", "tower")
    wanted = ("predict", "predict", "predict", "lookup", "encode gallery", "tower")
    assert tuple(map(counterpart, names)) == wanted
    assert not {counterpart("lookup 64"), counterpart("lookup, index"), counterpart("decode")} & set(wanted)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.jsonl")), ids=lambda path: path.name)
def test_committed_results_can_be_reported_on(path: Path) -> None:
    found = read(path)
    assert all(line["about"]["commit"] and line["about"]["date"] and line["about"]["command"] for line in found)
    text = report(found)
    assert text.count("\n| ") > len({line["benchmark"] for line in found})
    assert str(ROOT) not in text


def test_readme_s_tables_are_those_of_the_committed_results() -> None:
    results = ROOT / "benchmarks" / "results"
    full = read(results / "bench-full-2026-11-26.jsonl")
    written = (ROOT / "benchmarks" / "REPORT.md").read_text(encoding="utf-8")
    assert written.startswith(report(full))
    first = read(results / "bench-full-2026-11-26-first.jsonl")
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert agreement(first, full).split("\n\n")[0] in readme
    assert {line["benchmark"] for line in full} == {
        "encode", "build", "build growth", "search", "scale", "side by side"
    }  # fmt: skip
    assert len(of(full, "encode")) == 15


def test_guard_names_what_fell() -> None:
    known = {"encode": 0.9, "lookup": 0.5}
    assert guard.slower({"encode": 0.89, "lookup": 0.41}, known) == []
    assert guard.slower({"encode": 0.71, "lookup": 0.6}, known) == ["encode"]


def test_ways_of_jobs_in_parts_are_chosen() -> None:
    assert in_parts.some_ways("ray-killed,two") == ["two", "ray-killed"]
    with pytest.raises(ArgumentTypeError, match="no way 'three'; choose from one,two,killed,ray,ray-killed"):
        in_parts.some_ways("two,three")
