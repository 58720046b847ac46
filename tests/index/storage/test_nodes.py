"""Nodes: what was written comes back within a step, and what was not is not there."""

from pathlib import Path

import numpy as np
import pytest

from index.storage.manifest import BadIndexError
from index.storage.nodes import Nodes, node_bytes, nodes_on_disk

DIM = 64
KEYS = np.array([-5, 2, 3, 900, 1 << 40], np.int64)
VALUES = np.random.default_rng(0).normal(scale=0.03, size=(len(KEYS), DIM)).astype(np.float32)


def opened(folder: Path, content: bytes | None = None) -> Nodes:
    path = folder / "nodes.bin"
    path.write_bytes(nodes_on_disk(VALUES) if content is None else content)
    return Nodes(path, KEYS, DIM)


def test_values_come_back(tmp_path: Path) -> None:
    nodes = opened(tmp_path)
    assert len(nodes) == 5
    assert nodes.rows(np.array([3, 4, -5, -6, 1 << 40, 1 << 50])).tolist() == [2, -1, 0, -1, 4, -1]
    values = nodes.values(np.array([4, 0, 4]))
    assert values.dtype == np.float32
    step = np.abs(VALUES).max(axis=1) / 127
    assert (np.abs(values - VALUES[[4, 0, 4]]) <= step[[4, 0, 4], None] * 0.51).all()
    assert (tmp_path / "nodes.bin").stat().st_size == 5 * (node_bytes(DIM) + 4)


def test_none(tmp_path: Path) -> None:
    (tmp_path / "nodes.bin").write_bytes(nodes_on_disk(VALUES[:0]))
    nodes = Nodes(tmp_path / "nodes.bin", KEYS[:0], DIM)
    assert nodes.rows(KEYS).tolist() == [-1] * 5


def test_a_damaged_node_is_found_when_it_is_read(tmp_path: Path) -> None:
    content = bytearray(nodes_on_disk(VALUES))
    content[3 * (node_bytes(DIM) + 4) + 17] ^= 1
    nodes = opened(tmp_path, bytes(content))
    nodes.values(np.array([0, 1, 2, 4]))
    with pytest.raises(BadIndexError, match=r"nodes\.bin is damaged: row 3 differs"):
        nodes.values(np.array([3]))


@pytest.mark.parametrize("scale", [np.nan, np.inf, -0.1, 4.0])
def test_scales_that_cannot_be_are_refused(tmp_path: Path, scale: float) -> None:
    """With a checksum that is right."""
    from index.storage.rows import with_sums

    rows = np.frombuffer(nodes_on_disk(VALUES), np.uint8).reshape(5, -1)[:, :-4].copy()
    rows[1, -4:] = np.array([scale], np.float32).view(np.uint8)
    nodes = opened(tmp_path, with_sums(rows).tobytes())
    with pytest.raises(BadIndexError, match=r"nodes\.bin holds scales that are not 0 to 1"):
        nodes.values(np.arange(3))


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has 7 bytes; 5 rows take 360"):
        opened(tmp_path, b"1234567")
