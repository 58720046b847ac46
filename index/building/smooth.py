"""Stores the encoder's smooth part at the nodes of a grid all over an index's land."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.files import written_whole
from index.grid.cells import Cells, centres, children, distinct, resolution
from index.storage.directory import NODE_KEYS, NODES
from index.storage.nodes import nodes_on_disk

KM2_A_NODE = 240.0
"""Land that a node stands for, about; the released model's, with nodes along the coast."""
_CELLS = 1 << 16
_NODES = 1 << 15
_COARSEST_POINTS = 7
"""Nodes are wanted around cells of this resolution, or of the one below the coarse cells where that is finer."""


def write_nodes(cells: Cells, encoder: Encoder, folder: Path) -> int:
    """Write the nodes around the children of sorted cells of one resolution into two files; return how many."""

    def around(start: int) -> NDArray[np.int64]:
        some = cells[start : start + _CELLS]
        return encoder.nodes_around(centres(children(some, max(resolution(some) + 1, _COARSEST_POINTS))))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        keys = distinct(np.concatenate([np.zeros(0, np.int64), *pool.map(around, range(0, len(cells), _CELLS))]))
    with written_whole(folder / NODE_KEYS) as temporary, temporary.open("wb") as file:
        np.save(file, keys)
    with written_whole(folder / NODES) as temporary, temporary.open("wb") as file:
        for start in range(0, len(keys), _NODES):
            file.write(nodes_on_disk(encoder.values_at(keys[start : start + _NODES])))
    return len(keys)
