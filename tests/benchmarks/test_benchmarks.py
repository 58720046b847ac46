"""What the benchmarks compute, against values worked out by hand or by brute force; nothing here measures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import guard
from benchmarks.machine import command
from benchmarks.peers.grids import K, grids
from benchmarks.simulated import Kind, queries
from benchmarks.suites.agreement import agreement
from benchmarks.suites.records import QUICK, Records, evict, in_turns, percentiles
from benchmarks.suites.report import best_settings, report
from benchmarks.suites.search import quality
from geoclip.distance import haversine_km
from index.grid.cells import cells_at, centres
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
    assert np.array_equal(queries(Kind.PLACE, places, encode, 0).vectors, encode(places))


def test_turns_are_taken_in_turns() -> None:
    said: list[str] = []
    tasks = {name: lambda name=name: said.append(name) for name in "ab"}
    seconds = in_turns(tasks, 2)  # type: ignore[arg-type]
    assert said == list("ababab")
    assert {name: len(spent) for name, spent in seconds.items()} == {"a": 2, "b": 2}
    assert percentiles([0.001, 0.002, 0.003])["p50_ms"] == pytest.approx(2)


def test_results_name_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/home/me/bench.py", "full", "--index", "/home/me/planet", "--seed", "1"])
    assert command() == ["bench.py", "full", "--index", "planet", "--seed", "1"]


def lines(path: Path, factor: float) -> Path:
    """Write results as a run would, the second system `factor` as fast."""
    records = Records(path, 0)
    for system, rate, recall in (
        ("geoclip-planet", 10.0, 0.995),
        ("FAISS Flat", 100.0 * factor, 1.0),
        ("poor", 9e3, 0.4),
    ):
        records.add(
            "search", system=system, setting="default", timed_with="photo-like", simulated=True, region="country:LU",
            cells=784, resolution=7, queries=32, bytes_a_cell=100.0,
            **{"photo-like_recall_1": recall, "photo-like_recall_10": recall, "photo-like_regret_mean_km": 1.5},
            **{f"{n}_{p}": 1.0 for n in ("one", "64", "all") for p in ("p50_ms", "p95_ms", "p99_ms")},
            **{"one_per_second": rate, "64_per_second": rate, "all_per_second": rate},
        )  # fmt: skip
    for batch in (1, 64):
        for side in ("project", "products"):
            records.add(
                "encode", side=side, precision="fp32", batch=batch, points_a_second=50.0 * batch, share_of_peak=1.0
            )
    return path


@pytest.mark.slow
def test_report_and_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = lines(tmp_path / "a.jsonl", 1.0), lines(tmp_path / "b.jsonl", 1.5)
    text = report([first], tmp_path / "figures")
    assert "No setting reached it: poor." in text
    assert "FAISS Flat | default | 1.000 / 1.000" in text
    for path in (tmp_path / "figures").iterdir():
        assert path.read_bytes()[:4] == b"\x89PNG"
    assert {path.stem for path in (tmp_path / "figures").iterdir()} >= {"pareto", "bytes", "latency", "roofline"}
    rows = [row for row in agreement(first, second).splitlines() if row.startswith("| search")]
    assert "| 3 | 1.000 |" in rows[0]  # the same ranking
    assert "search, FAISS Flat default, one per second: over ours | 10 | 15 | 50 % |" in agreement(first, second)
    assert agreement(first, first).count("0.0 %, 0.0 % | 100 % |") == 2
    best = best_settings([json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()])
    assert set(best) == {"geoclip-planet", "FAISS Flat"}
    capsys.readouterr()


def test_guard_names_what_fell() -> None:
    known = {"encode": 0.9, "lookup": 0.5}
    assert guard.slower({"encode": 0.89, "lookup": 0.41}, known) == []
    assert guard.slower({"encode": 0.71, "lookup": 0.6}, known) == ["encode"]


def test_a_quick_run_is_smaller_than_a_full_one() -> None:
    from benchmarks.suites.records import FULL

    assert QUICK.queries < FULL.queries
    assert QUICK.rounds < FULL.rounds
