"""One contract for every engine, against brute force in float64."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import index.search.engine.exact as exact_module
from index import Engine, ExactEngine, FlatEngine
from tests.helpers.oracles import unit

DIM = 24


ENGINES: dict[str, Callable[[torch.Tensor], Engine]] = {
    "exact-cpu": ExactEngine,
    "faiss-cpu": FlatEngine,
    "exact-gpu": partial(ExactEngine, device="cuda"),
    "faiss-gpu": partial(FlatEngine, device="cuda"),
}


@pytest.fixture(params=[pytest.param(n, marks=pytest.mark.gpu) if n.endswith("gpu") else n for n in ENGINES])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[torch.Tensor], Engine]:
    """An engine's constructor, with blocks small enough that several are needed."""
    monkeypatch.setattr(exact_module, "QUERY_BLOCK", 5)
    monkeypatch.setattr(exact_module, "VECTOR_BLOCK", 64)
    return ENGINES[request.param]


def data(vectors: int, queries: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    made = unit(rng.normal(size=(vectors + queries, DIM))).astype(np.float32)
    return made[:vectors], made[vectors:]


@pytest.mark.parametrize("k", [1, 7, 300])
@pytest.mark.parametrize("queries", [1, 23])
def test_equals_brute_force(make: Callable[[torch.Tensor], Engine], k: int, queries: int) -> None:
    vectors, asked = data(300, queries)
    hits = make(torch.from_numpy(vectors)).search(asked, k)
    scores = asked.astype(np.float64) @ vectors.astype(np.float64).T
    order = np.argsort(-scores, axis=1)[:, :k]
    assert hits.rows.dtype == np.int64
    assert np.array_equal(hits.rows, order)
    np.testing.assert_allclose(hits.scores, np.take_along_axis(scores, order, 1), atol=1e-6)


def test_fewer_vectors_than_asked_for(make: Callable[[torch.Tensor], Engine]) -> None:
    vectors, asked = data(3, 4)
    hits = make(torch.from_numpy(vectors)).search(asked, 5)
    assert (hits.rows[:, 3:] == -1).all()
    assert (hits.scores[:, 3:] == -np.inf).all()
    assert (np.sort(hits.rows[:, :3], axis=1) == [0, 1, 2]).all()


def test_no_queries_and_no_vectors(make: Callable[[torch.Tensor], Engine]) -> None:
    vectors, asked = data(10, 2)
    assert make(torch.from_numpy(vectors)).search(asked[:0], 3).rows.shape == (0, 3)
    empty = make(torch.empty(0, DIM))
    assert len(empty) == 0
    assert (empty.search(asked, 3).rows == -1).all()


def test_a_query_alone_equals_the_query_in_a_batch(make: Callable[[torch.Tensor], Engine]) -> None:
    vectors, asked = data(500, 40, seed=1)
    engine = make(torch.from_numpy(vectors))
    whole = engine.search(asked, 10)
    for i in range(len(asked)):
        alone = engine.search(asked[i : i + 1], 10)
        assert np.array_equal(alone.rows[0], whole.rows[i])
        np.testing.assert_allclose(alone.scores[0], whole.scores[i], atol=1e-6)


def test_bad_input_is_refused(make: Callable[[torch.Tensor], Engine]) -> None:
    vectors, asked = data(10, 2)
    engine = make(torch.from_numpy(vectors))
    with pytest.raises(ValueError, match="k is 0"):
        engine.search(asked, 0)
    with pytest.raises(ValueError, match=r"shape \(2, 7\)"):
        engine.search(asked[:, :7], 1)
    asked[1, 3] = np.nan
    with pytest.raises(ValueError, match="Query 1"):
        engine.search(asked, 1)
    with pytest.raises(ValueError, match="float32"):
        make(torch.zeros(3, DIM, dtype=torch.float64))


def test_log_partition_equals_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_module, "VECTOR_BLOCK", 64)
    vectors, asked = data(300, 9, seed=2)
    scored = ExactEngine(torch.from_numpy(vectors)).search_scored(asked, 4, tau=39.687)
    logits = 39.687 * (asked.astype(np.float64) @ vectors.astype(np.float64).T)
    np.testing.assert_allclose(scored.log_partition, np.logaddexp.reduce(logits, axis=1), atol=1e-5)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("share", ["none", "one", "few", "block", "most", "all"])
@pytest.mark.parametrize("k", [1, 7, 300])
def test_a_mask_equals_brute_force_over_what_it_allows(
    device: str, share: str, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_module, "QUERY_BLOCK", 5)
    monkeypatch.setattr(exact_module, "VECTOR_BLOCK", 64)
    monkeypatch.setattr(exact_module, "GROUP", 4)  # so that k = 1 and 7 take both ways of selecting
    vectors, asked = data(300, 12, seed=3)
    drawn = np.random.default_rng(4).uniform(size=300)
    allowed = {
        "none": np.zeros(300, bool),
        "one": np.arange(300) == 130,
        "few": drawn < 0.02,
        "block": np.arange(300) // 64 == 2,
        "most": drawn < 0.9,
        "all": np.ones(300, bool),
    }[share]
    engine = ExactEngine(torch.from_numpy(vectors), device=device)
    (hits, log_partition) = engine.search_scored(asked, k, tau=39.687, allowed=allowed)
    plain = engine.search(asked, k, allowed=allowed)
    scores = np.where(allowed, asked.astype(np.float64) @ vectors.astype(np.float64).T, -np.inf)
    order = np.argsort(-scores, axis=1)[:, :k]
    best = np.take_along_axis(scores, order, 1)
    assert hits.rows.dtype == np.int64
    assert hits.rows.shape == (12, k)
    assert np.array_equal(hits.rows, np.where(np.isneginf(best), -1, order))
    np.testing.assert_allclose(hits.scores, best, atol=1e-6)
    np.testing.assert_allclose(log_partition, np.logaddexp.reduce(39.687 * scores, axis=1), atol=1e-5)
    assert np.array_equal(plain.rows, hits.rows)
    assert np.array_equal(plain.scores, hits.scores)


@pytest.mark.parametrize("mask", [np.ones(9, bool), np.ones((10, 1), bool), np.ones(10, np.int64)])
def test_a_mask_of_another_shape_or_kind_is_refused(mask: NDArray[np.bool_]) -> None:
    vectors, asked = data(10, 2)
    with pytest.raises(ValueError, match=r"The mask is \(.*; expected \(10,\) bool"):
        ExactEngine(torch.from_numpy(vectors)).search(asked, 1, allowed=mask)


def test_faiss_without_a_gpu_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    with pytest.raises(ValueError, match="FAISS finds 0 GPUs"):
        FlatEngine(torch.zeros(3, DIM), device="cuda")
