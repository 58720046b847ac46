"""Blocks made by other processes for the one that builds: what they have to know, and how they make them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from index.building.accuracy import Arithmetic
from index.building.block_store import BlockStore, fetch_grid
from index.building.blocks import OnBlock
from index.building.parts import Blocks
from index.building.plan import BuildPlan
from index.building.working_folder import BLOCKS, read_grid
from index.encoder import Encoder


class BlockJob(NamedTuple):
    """What a process has to know of a build, beside its encoder and its store, to make any block of it."""

    work: Path
    """The working folder: that of the build where all see it, or one of the process's own beside a store."""
    block_cells: int
    rests: bool
    arithmetic: str
    """Of the process that builds."""


MakeBlocks = Callable[[BlockJob, Mapping[int, int], OnBlock], None]
"""Makes blocks, given their numbers and how many points each encodes; is to report points done, and all."""


def block_maker(job: BlockJob, encoder: Encoder, store: BlockStore | None = None) -> Callable[[int], None]:
    """Return what makes a block, given its number; one that is there is not made again.

    Raises:
        ValueError: the folder or store is not that of the build, or this machine has another arithmetic.
    """
    if store is not None:
        fetch_grid(store, job.work)
    cells = read_grid(job.work)
    if cells is None:
        raise ValueError(
            f"{job.work} is not to be seen from every machine that builds; name an index in a folder that is, or keep "
            "the blocks at an address with --blocks s3://bucket/folder."
        )
    plan = BuildPlan(cells, job.block_cells)
    arithmetic = Arithmetic.of(plan.cells, 1, encoder)
    if arithmetic.name != job.arithmetic:
        raise ValueError(
            "One of the machines computes with another arithmetic (processor, precision or versions) than the one that "
            "builds; use machines that are alike, or --precision fp32 on processors of one kind."
        )
    blocks = Blocks(plan, job.work / BLOCKS, store)
    encode = partial(encoder.nearby, spacing_km=arithmetic.spacing_km)

    def make(number: int) -> None:
        blocks.encode([number], encode, lambda done, total: None, rests=job.rests, arithmetic=arithmetic.name)

    return make
