"""The stored levels of the H3 tree, made from a build's blocks: from the coarse resolution up to where a walk starts.

Everything is a stream of blocks in cell order, read twice per level: once for the ranges of the values and the
representatives of the parents, once to write the lists. Memory holds one block and one number per cell.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from index.building.blocks import read_block, write_block
from index.building.representatives import Representatives, joined, of_representatives
from index.files import written_whole
from index.grid.cells import Cells, distinct_parents, parents, resolution
from index.storage.directory import LENGTHS, SLOPES, START, lists_name
from index.storage.lists import Bits, ListBatch, Ranges, write_lists

ReadLevel = Callable[[], Iterator[Representatives]]
"""Yields the representatives of one level in cell order; may be called again."""


def write_levels(source: ReadLevel, cells: Cells, start_res: int, folder: Path, scratch: Path) -> None:
    """Write the levels of an index.

    Args:
        source: the representatives of the coarse cells.
        cells: the coarse cells, sorted and distinct.
        start_res: the resolution that is stored plainly and searched exactly; coarser than the coarse one.
        folder: where the files of the index go.
        scratch: a folder for what lies between the levels; its old content is overwritten.
    """
    coarse = True
    while resolution(cells[:1]) > start_res:
        above, _ = distinct_parents(cells)
        survey = _survey(source, cells, scratch / f"level-{resolution(above[:1])}")
        path = folder / lists_name(resolution(cells[:1]))
        write_lists(path, _batches(source(), cells, above), len(above), survey.ranges, Bits.FOUR)
        if coarse:
            _write_slopes(folder / SLOPES, source())
            with written_whole(folder / LENGTHS) as temporary, temporary.open("wb") as file:
                np.save(file, survey.lengths)
        source, cells, coarse = survey.above, above, False
    start = joined(source())
    parts: dict[str, NDArray[Any]] = {
        "vectors": start.vectors.astype(np.float16),
        "rows": np.searchsorted(cells, start.cells),
        "lengths": start.lengths,
    }
    with written_whole(folder / START) as temporary:
        temporary.write_bytes(save(parts))


_SPREADS = 2.7
"""Half the range of a number in standard deviations: for numbers like a Gaussian's, 16 steps over it err least."""


class _Survey(NamedTuple):
    ranges: Ranges
    lengths: NDArray[np.float16]
    above: ReadLevel


def _survey(source: ReadLevel, cells: Cells, scratch: Path) -> _Survey:
    """Go through a level once: the range of each dimension, the cells' lengths, and their parents' representatives."""
    scratch.mkdir(parents=True, exist_ok=True)
    lengths = np.zeros(len(cells), dtype=np.float16)
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    paths: list[Path] = []
    for batch in complete_families(source()):
        lengths[np.searchsorted(cells, batch.cells)] = batch.lengths
        count += len(batch.vectors)
        total = total + batch.vectors.sum(axis=0, dtype=np.float64)
        squares = squares + (batch.vectors**2).sum(axis=0, dtype=np.float64)
        paths.append(scratch / f"{len(paths):06d}.safetensors")
        write_block(paths[-1], of_representatives(batch))
    mean = total / count
    spread = _SPREADS * np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
    ranges = Ranges((mean - spread).astype(np.float32), (mean + spread).astype(np.float32))
    return _Survey(ranges, lengths, lambda: (read_block(path) for path in paths))


def _write_slopes(path: Path, source: Iterable[Representatives]) -> None:
    """Write each cell's slopes once, those of a cell with two sides too, in the order of the cells."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for batch in complete_families(source):
            first = np.diff(batch.cells.view(np.int64), prepend=-1) != 0
            file.write(batch.slopes[first].data)


def _batches(source: Iterable[Representatives], cells: Cells, above: Cells) -> Iterator[ListBatch]:
    for batch in complete_families(source):
        ids = np.searchsorted(cells, batch.cells)
        lists = np.searchsorted(above, parents(batch.cells, resolution(above[:1])))
        yield ListBatch(batch.vectors, ids, lists)


def complete_families(source: Iterable[Representatives]) -> Iterator[Representatives]:
    """Regroup a stream so that the children of one parent are never apart."""
    rest: list[Representatives] = []
    for batch in source:
        family = parents(batch.cells, resolution(batch.cells[:1]) - 1)
        cut = int(np.searchsorted(family, family[-1]))  # where the last, perhaps unfinished, family begins
        if rest and parents(rest[0].cells[:1], resolution(batch.cells[:1]) - 1)[0] == family[-1]:
            rest.append(batch)
            continue
        if rest or cut:
            yield joined([*rest, batch.part(slice(0, cut))])
        rest = [batch.part(slice(cut, None))]
    if rest:
        yield joined(rest)
