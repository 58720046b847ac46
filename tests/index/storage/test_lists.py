"""Inverted lists on disk against numpy over the decoded vectors."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.storage.lists import Bits, ListBatch, Lists, Scanned, Spread, write_lists
from tests.helpers.oracles import unit

DIM = 64
SIZES = np.array([3, 0, 0, 14, 1, 7, 0, 30, 0, 2, 0])
COUNT = int(SIZES.sum())
TWICE = np.array([4, 9], np.uint32)


class Data:
    """Vectors in lists, some of them empty, with ids that are not their positions."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.vectors = unit(rng.normal(size=(COUNT, DIM))).astype(np.float32)
        self.ids = rng.permutation(COUNT).astype(np.int64)
        self.lists = np.repeat(np.arange(len(SIZES)), SIZES).astype(np.int64)
        self.spread = Spread(self.vectors.mean(axis=0), self.vectors.std(axis=0))
        self.queries = unit(rng.normal(size=(5, DIM))).astype(np.float32)

    def batch(self, first: int, last: int) -> ListBatch:
        """The lists from first to last, the latter not included."""
        rows = slice(int(SIZES[:first].sum()), int(SIZES[:last].sum()))
        return ListBatch(self.vectors[rows], self.ids[rows], self.lists[rows])


def written(folder: Path, bits: Bits, cuts: tuple[int, ...] = ()) -> Path:
    data = Data()
    ends = (0, *cuts, len(SIZES))
    batches = [data.batch(a, b) for a, b in pairwise(ends)]
    path = folder / "level-4.lists"
    write_lists(path, batches, len(SIZES), data.spread, bits, twice=TWICE)
    return path


def open_lists(path: Path, count: int = len(SIZES)) -> Lists:
    return Lists(path, path.with_suffix(".safetensors").read_bytes(), count, COUNT - 2, DIM)


@pytest.fixture(params=list(Bits))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Lists:
    return open_lists(written(tmp_path, request.param))


def brute_force(
    opened: Lists,
    query: NDArray[np.float32],
    lists: NDArray[np.int64],
    bias: NDArray[np.float32] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> dict[int, float]:
    """The score of every id in the lists, in float64."""
    scores = {}
    for at, number in enumerate(lists.tolist()):
        if number < 0:
            continue
        vectors, ids = opened.vectors(np.array([number]))
        for vector, found in zip(vectors.astype(np.float64), ids.tolist(), strict=True):
            if allowed is None or allowed[found]:
                scores[found] = float(vector @ query) + (0.0 if bias is None else float(bias[at]))
    return scores


def of_query(scanned: Scanned, row: int) -> dict[int, float]:
    own = slice(scanned.bounds[row], scanned.bounds[row + 1])
    return dict(zip(scanned.ids[own].tolist(), scanned.scores[own].tolist(), strict=True))


@pytest.mark.parametrize(("bits", "error"), [(Bits.FOUR, 0.02), (Bits.TWO, 0.16)])
def test_vectors_come_back_as_well_as_their_bits_allow(tmp_path: Path, bits: Bits, error: float) -> None:
    """Mean square errors, as a share of the variance: .0115 and .1175 for a Gaussian (Max 1960)."""
    data, opened = Data(), open_lists(written(tmp_path, bits))
    vectors, ids = opened.vectors(np.arange(len(SIZES)))
    assert len(opened) == COUNT
    assert opened.dim == DIM
    assert opened.sizes.tolist() == SIZES.tolist()
    assert opened.rows[:12].tolist() == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9]
    assert ids.tolist() == data.ids.tolist()
    share = ((vectors - data.vectors) ** 2).sum() / ((data.vectors - data.spread.centre) ** 2).sum()
    assert error / 4 < share < error
    path = tmp_path / "level-4.lists"
    assert path.stat().st_size == COUNT * (DIM * bits // 8 + 8)


def test_what_will_be_read_is_told_while_writing(tmp_path: Path) -> None:
    data, told = Data(), list[NDArray[np.float32]]()
    path = tmp_path / "level-4.lists"
    write_lists(
        path,
        [data.batch(0, 4), data.batch(4, len(SIZES))],
        len(SIZES),
        data.spread,
        Bits.TWO,
        twice=TWICE,
        on_decoded=lambda batch, vectors: told.append(vectors) if len(batch.ids) == len(vectors) else None,
    )
    assert np.array_equal(np.concatenate(told), open_lists(path).vectors(np.arange(len(SIZES)))[0])


def test_scan_equals_brute_force(opened: Lists) -> None:
    data = Data()
    lists = np.array([[0, 3, 7, 9], [1, 2, 10, 6], [7, -1, -1, -1], [-1, -1, -1, -1], [-1, 5, -1, 4]])
    bias: NDArray[np.float32] = np.random.default_rng(1).normal(scale=0.3, size=lists.shape).astype(np.float32)
    bias[2, 1:] = -np.inf  # of no list
    allowed = np.random.default_rng(2).random(COUNT) < 0.5
    bitmap = np.packbits(allowed, bitorder="little")
    for use_bias in (None, bias):
        for use_allowed in (None, allowed):
            found = opened.scan(data.queries, lists, bias=use_bias, allowed=None if use_allowed is None else bitmap)
            assert [str(found.scores.dtype), str(found.ids.dtype)] == ["float32", "int64"]
            assert found.bounds[-1] == len(found.scores) == len(found.ids)
            for row in range(5):
                own = None if use_bias is None else use_bias[row]
                expected = brute_force(opened, data.queries[row], lists[row], own, use_allowed)
                assert of_query(found, row) == pytest.approx(expected, abs=2e-6)


def test_a_query_alone_equals_the_query_in_a_batch(opened: Lists) -> None:
    queries = Data().queries
    lists = np.tile(np.arange(len(SIZES)), (5, 1))
    whole = opened.scan(queries, lists)
    for row in range(5):
        assert of_query(opened.scan(queries[row : row + 1], lists[:1]), 0) == of_query(whole, row)


def test_no_queries_and_no_lists(opened: Lists) -> None:
    queries = Data().queries
    for count, probes in ((0, 3), (5, 0), (0, 0)):
        found = opened.scan(queries[:count], np.zeros((count, probes), np.int64))
        assert found.bounds.tolist() == [0] * (count + 1)
        assert len(found.scores) == len(found.ids) == 0
    vectors, ids = opened.vectors(np.zeros(0, np.int64))
    assert vectors.shape == (0, DIM)
    assert ids.shape == (0,)
    assert len(opened.vectors(np.array([1, 2]))[1]) == 0


def test_lists_without_a_single_vector(tmp_path: Path) -> None:
    path = tmp_path / "level-5.lists"
    data = Data()
    write_lists(path, [], 3, data.spread, Bits.TWO, twice=TWICE[:0])
    opened = open_lists(path, 3)
    assert len(opened) == 0
    assert len(opened.scan(data.queries, np.tile(np.arange(3), (5, 1))).ids) == 0


@pytest.mark.parametrize("bits", list(Bits))
@pytest.mark.parametrize("cuts", [(1,), (4, 5), (1, 4, 5, 6, 8), (8,)])
def test_a_stream_in_batches_gives_the_same_bytes(tmp_path: Path, bits: Bits, cuts: tuple[int, ...]) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one, many = written(tmp_path / "one", bits), written(tmp_path / "many", bits, cuts)
    for suffix in (".lists", ".safetensors"):
        assert one.with_suffix(suffix).read_bytes() == many.with_suffix(suffix).read_bytes()
    assert sorted(path.name for path in many.parent.iterdir()) == ["level-4.lists", "level-4.safetensors"]


@pytest.mark.parametrize("bits", list(Bits))
def test_values_far_beyond_the_spread_are_clipped(tmp_path: Path, bits: Bits) -> None:
    data = Data()
    path = tmp_path / "level-5.lists"
    small = Spread(np.zeros(DIM, np.float32), np.full(DIM, 1e-3, np.float32))
    write_lists(path, [data.batch(0, len(SIZES))], len(SIZES), small, bits, twice=TWICE)
    vectors, _ = open_lists(path).vectors(np.arange(len(SIZES)))
    assert np.abs(vectors).max() < 3e-3
    assert (np.sign(vectors) == np.sign(data.vectors)).mean() > 0.98


@pytest.mark.parametrize("change", [-1, 1, -8, 500])
def test_a_file_of_another_length_is_refused(tmp_path: Path, change: int) -> None:
    path = written(tmp_path, Bits.TWO)
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(ValueError, match=rf"level-4.lists has {len(content) + change} bytes; its lists take"):
        open_lists(path)
