"""The stored levels of the H3 tree, made from a build's blocks, from the coarse resolution up to where a walk starts.

Upwards each level's representatives are made from those below. Then, from the start level down, each level is written
as differences from what is stored of the level above. Everything is a stream of blocks in cell order; memory holds one
block and a few numbers per cell.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from index.ahead import ahead
from index.building.blocks import read_ahead, write_block
from index.building.representatives import Representatives, joined, of_representatives
from index.files import written_whole
from index.grid.cells import Cells, distinct_parents, parents, resolution
from index.grid.sides import Rows, parent_vectors, seconds
from index.storage.directory import LENGTHS, SLOPES, START, lists_name
from index.storage.lists import Bits, ListBatch, Spread, write_lists
from index.storage.slopes import slopes_on_disk

ReadLevel = Callable[[], Iterator[Representatives]]
"""Yields the representatives of one level in cell order; may be called again."""

BITS = Bits.TWO
"""Of a stored number of the coarse level: with the parent's vector, two are nearly as good as eight without."""
UPPER_BITS = Bits.FOUR
"""Above it, where there are few cells: a scan of four bits is three times as fast."""
SAMPLED = 1 << 16
"""About so many vectors of a level tell how far its numbers spread: to a third of a per cent."""


class _Level(NamedTuple):
    """Representatives of cells of one resolution, to be written."""

    read: ReadLevel
    cells: Cells
    """Sorted and distinct."""
    rows: Rows
    """Of each representative, the row of its cell."""
    sample: "_Sample"


class _Sample(NamedTuple):
    """Some representatives of a level, all of whole families: every so many of these."""

    numbers: NDArray[np.int64]
    """(S,) ascending, among all."""
    vectors: NDArray[np.float16]
    """(S, dim)."""


def write_levels(
    source: ReadLevel, cells: Cells, start_res: int, folder: Path, scratch: Path, upper: Bits = UPPER_BITS
) -> None:
    """Write the levels of an index.

    Args:
        source: the representatives of the coarse cells.
        cells: the coarse cells, sorted and distinct.
        start_res: the resolution that is stored plainly and searched exactly; coarser than the coarse one.
        folder: where the files of the index go.
        scratch: a folder for what lies between the levels; its old content is overwritten.
        upper: bits of a stored number above the coarse level.
    """
    levels: list[_Level] = []
    read = source
    while resolution(cells[:1]) > start_res:
        above, _ = distinct_parents(cells)
        slopes = None if levels else folder / SLOPES
        survey = _survey(read, cells, scratch / f"level-{resolution(above[:1])}", slopes)
        if not levels:
            with written_whole(folder / LENGTHS) as temporary, temporary.open("wb") as file:
                np.save(file, survey.lengths)
        levels.append(_Level(read, cells, survey.rows, survey.sample))
        read, cells = survey.above, above
    start = joined(read())
    rows: Rows = np.searchsorted(cells, start.cells).astype(np.int32)
    vectors: NDArray[np.float16] = start.vectors.astype(np.float16)
    parts: dict[str, NDArray[Any]] = {"vectors": vectors, "rows": rows.astype(np.int64), "lengths": start.lengths}
    with written_whole(folder / START) as temporary:
        temporary.write_bytes(save(parts))
    for level in reversed(levels):
        path = folder / lists_name(resolution(level.cells[:1]))
        below = None if level is levels[0] else scratch / f"{path.stem}.npy"
        vectors = _write_level(level, rows, vectors, path, below, upper if below else BITS)
        rows = level.rows


def _write_level(
    level: _Level, above: Rows, bases: NDArray[np.float16], path: Path, scratch: Path | None, bits: Bits
) -> NDArray[np.float16]:
    """Write the lists of a level, and return what will be read of each vector.

    Args:
        level: what is written.
        above: the cells' rows of the vectors of the level above.
        bases: (K, dim) what will be read of those.
        path: of the lists.
        scratch: a file for what is returned; None where no level is below, and nothing is returned.
        bits: of a stored number.
    """
    batches = _Differences(level, above, bases)
    stored = np.zeros((0, bases.shape[1]), np.float16)
    if scratch is not None:
        stored = np.lib.format.open_memmap(scratch, "w+", np.float16, (len(level.rows), bases.shape[1]))

    def keep(batch: ListBatch, decoded: NDArray[np.float32]) -> None:
        stored[batch.ids] = decoded + bases[batch.lists].astype(np.float32)

    twice = level.rows[seconds(level.rows)].astype(np.uint32)
    write_lists(
        path,
        batches.read(),
        len(above),
        batches.spread(),
        bits,
        twice=twice,
        on_decoded=None if scratch is None else keep,
    )
    return stored


class _Differences:
    """The representatives of a level less what is stored of their parents."""

    def __init__(self, level: _Level, above: Rows, bases: NDArray[np.float16]) -> None:
        self._level, self._bases = level, bases
        _, parent_rows = distinct_parents(level.cells)
        self._parents = parent_vectors(level.cells, level.rows, parent_rows, above)

    def read(self) -> Iterator[ListBatch]:
        """Yield whole lists: the vectors of a family, by their sides."""
        return ahead(self._batch, self._numbered())

    def _numbered(self) -> Iterator[tuple[int, Representatives]]:
        """Yield whole families with the number of their first vector."""
        start = 0
        for batch in complete_families(self._level.read()):
            yield start, batch
            start += len(batch.cells)

    def _batch(self, numbered: tuple[int, Representatives]) -> ListBatch:
        start, batch = numbered
        ids = np.arange(start, start + len(batch.cells))
        lists, vectors = self._parents[ids].astype(np.int64), batch.vectors
        if (lists[1:] < lists[:-1]).any():  # two sides of the antimeridian
            order = np.argsort(lists, kind="stable")
            lists, ids, vectors = lists[order], ids[order], vectors[order]
        return ListBatch(vectors - self._bases[lists].astype(np.float32), ids, lists)

    def spread(self) -> Spread:
        """Return mean and standard deviation of each dimension, from the level's sample."""
        numbers, vectors = self._level.sample
        differences = vectors.astype(np.float32) - self._bases[self._parents[numbers]].astype(np.float32)
        mean = differences.mean(axis=0, dtype=np.float64)
        spread = np.sqrt(np.maximum(differences.var(axis=0, dtype=np.float64), 1e-8))
        return Spread(mean.astype(np.float32), spread.astype(np.float32))


class _Survey(NamedTuple):
    lengths: NDArray[np.float16]
    rows: Rows
    above: ReadLevel
    sample: _Sample


def _survey(source: ReadLevel, cells: Cells, scratch: Path, slopes: Path | None) -> _Survey:
    """Go through a level once: the cells' lengths, each vector's row, the parents' representatives, a sample.

    The slopes are written on the way, if they are to be.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    lengths = np.zeros(len(cells), dtype=np.float16)
    paths, all_rows, sampled = list[Path](), [np.zeros(0, np.int32)], list[NDArray[np.float16]]()
    _, families = distinct_parents(cells)
    in_sample = families % max(1, len(cells) // SAMPLED) == 0
    batches = complete_families(source())
    for batch in batches if slopes is None else _slopes_written(batches, slopes):
        own = np.searchsorted(cells, batch.cells)
        lengths[own] = batch.lengths
        all_rows.append(own.astype(np.int32))
        sampled.append(batch.vectors[in_sample[own]].astype(np.float16))
        paths.append(scratch / f"{len(paths):06d}.safetensors")
        write_block(paths[-1], of_representatives(batch))
    rows = np.concatenate(all_rows)
    sample = _Sample(np.flatnonzero(in_sample[rows]), np.concatenate(sampled))
    return _Survey(lengths, rows, lambda: read_ahead(paths), sample)


def _slopes_written(batches: Iterable[Representatives], path: Path) -> Iterator[Representatives]:
    """Pass batches on, writing each cell's slopes once, those of a cell with two sides too, in the order of the cells.

    The file is there when all have been taken.
    """
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for batch in batches:
            first = np.diff(batch.cells.view(np.int64), prepend=-1) != 0
            file.write(slopes_on_disk(batch.slopes[first]))
            yield batch


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
