"""One contract for all engines of coarse search, against brute force in float64 over the vectors as stored."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import index.search.engine.all_cells as whole_module
import index.search.resident.coarse as resident_module
from index.grid.cells import Cells, centres, parents
from index.grid.region import Region
from index.search.engine import CoarseEngine, CoarseHits, EngineName
from index.search.engine.all_cells import ExactCoarse, FaissGpuCoarse
from index.search.engine.choose import open_engine
from index.search.engine.tree import TreeEngine
from index.search.resident.coarse import ResidentCoarse
from index.storage.contents import IndexContents
from tests.helpers.synthetic import ALPS, DIM, FIJI, TAU, queries, small_index

ALL = (1 << 40,)
EUROPE = Region.bbox(42.0, -2.0, 52.0, 16.0)
"""A region that a walk is not through with at once: 30,000 cells of resolution 6."""


@cache
def tree(region: Region) -> TreeEngine:
    return TreeEngine(IndexContents.open(small_index(region)))


@cache
def stored(region: Region) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All vectors of the coarse level as stored, and the row of each one's cell."""
    vectors, rows = tree(region).decoded(np.arange(len(tree(region).coarse_lists.sizes)))
    return vectors.astype(np.float64), rows


ENGINES: dict[str, Callable[[TreeEngine], CoarseEngine]] = {
    "tree": lambda opened: opened,
    "exact-cpu": ExactCoarse,
    "resident-cpu": lambda opened: ResidentCoarse(opened, "cpu"),
    "resident-gpu": lambda opened: ResidentCoarse(opened, "cuda"),
    "faiss-gpu": lambda opened: FaissGpuCoarse(opened, "cuda"),
}


class Engine:
    """An engine under the contract, with its precision: on a GPU vectors are float16."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.make = cache(ENGINES[name])
        self.atol = 2e-3 if name.endswith("gpu") else 2e-6

    def search(self, region: Region, asked: NDArray[np.float32], k: int, **options: Any) -> CoarseHits:
        return self.make(tree(region)).search(asked, k, **{"widths": ALL} | options)


@pytest.fixture(scope="module", params=[pytest.param(n, marks=pytest.mark.gpu) if "gpu" in n else n for n in ENGINES])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(request.param)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks are needed for the smallest index."""
    monkeypatch.setattr(whole_module, "_LISTS", 32)
    monkeypatch.setattr(resident_module, "_LISTS", 32)
    monkeypatch.setattr(resident_module, "_SCORES", 5000)


def some_queries(region: Region, count: int, seed: int = 0) -> NDArray[np.float32]:
    places = centres(np.random.default_rng(seed).choice(region.cells(8), count))
    return queries(places, 0.7, seed)


def log_prior_of(cells: Cells) -> NDArray[np.float32]:
    """A prior that differs among siblings, divided by tau as a search does."""
    random = np.random.default_rng(7).gamma(0.3, size=len(cells)) + 1e-6
    result: NDArray[np.float32] = (np.log(random / random.sum()) / TAU).astype(np.float32)
    return result


def check(
    hits: CoarseHits,
    region: Region,
    asked: NDArray[np.float32],
    k: int,
    atol: float,
    log_prior: NDArray[np.float32] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> None:
    """The k best cells, each once with its better vector; ties closer than the precision may be in any order."""
    vectors, rows = stored(region)
    cells = tree(region).cells
    assert hits.cells.shape == hits.scores.shape == hits.rows.shape == (len(asked), k)
    assert [str(part.dtype) for part in hits[:3]] == ["float32", "uint64", "int64"]
    start = tree(region).start.vectors.astype(np.float64)
    np.testing.assert_allclose(hits.start_scores, asked.astype(np.float64) @ start.T, atol=2e-6)
    for query, found, scores, cell in zip(asked.astype(np.float64), hits.rows, hits.scores, hits.cells, strict=True):
        best = np.full(len(cells), -np.inf)
        np.maximum.at(best, rows, vectors @ query)
        ranks = best if log_prior is None else best + log_prior
        if allowed is not None:
            ranks = np.where(allowed, ranks, -np.inf)
        count = min(k, int(np.isfinite(ranks).sum()))
        assert (found[count:] == -1).all()
        assert (cell[count:] == 0).all()
        assert (scores[count:] == -np.inf).all()
        assert np.array_equal(cell[:count], cells[found[:count]])
        assert len(np.unique(cell[:count])) == count
        np.testing.assert_allclose(scores[:count], best[found[:count]], atol=atol)
        np.testing.assert_allclose(ranks[found[:count]], np.sort(ranks)[::-1][:count], atol=atol)


@pytest.mark.parametrize("region", [ALPS, FIJI], ids=["alps", "fiji"])
@pytest.mark.parametrize("k", [1, 10, 333])
def test_equals_brute_force(engine: Engine, region: Region, k: int) -> None:
    asked = some_queries(region, 9)
    check(engine.search(region, asked, k), region, asked, k, engine.atol)


@pytest.mark.parametrize("region", [ALPS, FIJI], ids=["alps", "fiji"])
def test_more_than_there_are(engine: Engine, region: Region) -> None:
    asked = some_queries(region, 3, seed=1)
    count = len(tree(region).cells)
    for k in (count, count + 100):
        check(engine.search(region, asked, k), region, asked, k, engine.atol)


@pytest.mark.parametrize("region", [ALPS, FIJI], ids=["alps", "fiji"])
def test_with_a_prior_and_a_filter(engine: Engine, region: Region) -> None:
    asked = some_queries(region, 9, seed=2)
    cells = tree(region).cells
    log_prior = log_prior_of(cells)
    for share in (0.5, 0.02, 0.0):
        allowed = np.random.default_rng(3).random(len(cells)) < share
        check(engine.search(region, asked, 20, allowed=allowed), region, asked, 20, engine.atol, allowed=allowed)
    for k in (400, len(cells)):  # a walk looks at four times as many as it is asked for
        hits = engine.search(region, asked, k, log_prior=log_prior)
        check(hits, region, asked, k, engine.atol, log_prior)
        allowed = np.random.default_rng(4).random(len(cells)) < 0.5
        hits = engine.search(region, asked, k, log_prior=log_prior, allowed=allowed)
        check(hits, region, asked, k, engine.atol, log_prior, allowed)


def test_a_query_alone_equals_the_query_in_a_batch(engine: Engine) -> None:
    asked = some_queries(FIJI, 20, seed=5)
    log_prior = log_prior_of(tree(FIJI).cells)
    for options in ({}, {"log_prior": log_prior}, {"widths": (8, 16)}):
        whole = engine.search(FIJI, asked, 7, **options)
        for row in range(len(asked)):
            alone = engine.search(FIJI, asked[row : row + 1], 7, **options)
            np.testing.assert_allclose(alone.scores[0], whole.scores[row], atol=engine.atol)
            np.testing.assert_allclose(alone.start_scores[0], whole.start_scores[row], atol=1e-6)
            for of_one, of_all in zip(alone.walked, whole.walked, strict=True):
                own = slice(of_all.bounds[row], of_all.bounds[row + 1])
                assert np.array_equal(of_one.ids, of_all.ids[own])
                assert np.array_equal(of_one.scores, of_all.scores[own])
            if engine.atol < 1e-4:
                assert np.array_equal(alone.cells[0], whole.cells[row])


def test_no_queries(engine: Engine) -> None:
    hits = engine.search(ALPS, np.zeros((0, DIM), np.float32), 4)
    assert hits.cells.shape == hits.scores.shape == hits.rows.shape == (0, 4)
    assert hits.start_scores.shape == (0, len(tree(ALPS).start.vectors))


def test_bad_input_is_refused(engine: Engine) -> None:
    asked = some_queries(ALPS, 2)
    with pytest.raises(ValueError, match="k is 0"):
        engine.search(ALPS, asked, 0)
    with pytest.raises(ValueError, match=r"shape \(2, 7\)"):
        engine.search(ALPS, asked[:, :7], 1)
    asked[1, 3] = np.nan
    with pytest.raises(ValueError, match="Query 1"):
        engine.search(ALPS, asked, 1)
    if engine.name == "tree":
        for widths in ((), (0,), (5, -1)):
            with pytest.raises(ValueError, match="widths are"):
                engine.search(ALPS, asked[:1], 1, widths=widths)


@pytest.mark.slow
def test_a_narrow_walk_finds_most_and_a_wide_one_all() -> None:
    asked = some_queries(EUROPE, 64, seed=6)
    truth = ExactCoarse(tree(EUROPE)).search(asked, 10)
    recall = {}
    for width in (8, 32, 128, 1 << 40):
        hits = tree(EUROPE).search(asked, 10, widths=(width, 2 * width))
        same = [len(np.intersect1d(a, b)) / 10 for a, b in zip(hits.cells, truth.cells, strict=True)]
        recall[width] = float(np.mean(same))
        assert (hits.scores[:, 0] <= truth.scores[:, 0] + 1e-6).all()
    assert list(recall.values()) == sorted(recall.values())
    assert recall[8] < 1
    assert recall[32] > 0.6
    assert recall[128] > 0.9
    assert recall[1 << 40] == 1


@pytest.mark.slow
def test_a_walk_with_a_prior_finds_most() -> None:
    asked = some_queries(EUROPE, 64, seed=8)
    log_prior = log_prior_of(tree(EUROPE).cells)
    truth = ExactCoarse(tree(EUROPE)).search(asked, 64, log_prior=log_prior)
    hits = tree(EUROPE).search(asked, 64, widths=(512, 1024), log_prior=log_prior)
    assert np.mean(hits.cells[:, 0] == truth.cells[:, 0]) > 0.9
    assert np.mean([len(np.intersect1d(a, b)) / 64 for a, b in zip(hits.cells, truth.cells, strict=True)]) > 0.8


def test_every_level_holds_the_parents_of_the_one_below() -> None:
    levels = tree(FIJI).levels
    for above, below, res in zip(levels[:-1], levels[1:], (3, 4, 5), strict=True):
        assert np.array_equal(above, np.unique(parents(below, res)))
    assert tree(FIJI).twice > 10
    assert tree(ALPS).twice == 0


def test_engines_by_name() -> None:
    contents = IndexContents.open(small_index(ALPS))
    assert isinstance(open_engine("auto", contents, "cpu"), TreeEngine)
    assert isinstance(open_engine("tree", contents, "cpu"), TreeEngine)
    exact = open_engine("exact", contents, "cpu")
    assert isinstance(exact, ExactCoarse)
    assert len(exact) == len(contents.cells)
    with pytest.raises(ValueError, match=rf"'annoy'; choose {', '.join(EngineName)}"):
        open_engine("annoy", contents, "cpu")
    with pytest.raises(ValueError, match="faiss-gpu needs a GPU"):
        open_engine("faiss-gpu", contents, "cpu")
