"""A build in parts: processes that know nothing of each other encode every so manyth block into one folder.

Any scheduler can run them: each block is written whole or not at all, and one that is there is not made again. Blocks
say with which arithmetic they were made, so that those of unlike machines are not mixed.
"""

from pathlib import Path

from index.building.blocks import arithmetic_of, block_path
from index.building.plan import BuildPlan
from index.parts import ranges


def missing(plan: BuildPlan, folder: Path) -> list[int]:
    """Return the numbers of the blocks that a folder lacks."""
    return [number for number in range(len(plan)) if not block_path(folder, number).exists()]


def check_arithmetic(plan: BuildPlan, folder: Path, own: str) -> None:
    """Compare the arithmetic that each block names with that of this machine.

    Raises:
        ValueError: a block names another one, or is damaged; that one is removed.
    """
    other = [number for number in range(len(plan)) if arithmetic_of(block_path(folder, number)) != own]
    if other:
        raise ValueError(
            f"{len(other)} of {len(plan)} blocks in {folder} ({ranges(other)}) were made with another arithmetic "
            "(processor, precision or versions) than this machine's; finish on a machine like theirs, or remove them "
            "and make them again."
        )
