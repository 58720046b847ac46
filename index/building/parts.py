"""A build in parts: processes that know nothing of each other encode every so manyth block into one place.

Any scheduler can run them: each block is written whole or not at all, and one that is there is not made again. Blocks
say with which arithmetic they were made, so that those of unlike machines are not mixed. The place is a folder that all
processes see, or a store elsewhere (`index/building/block_store.py`), to and from which blocks are copied.
"""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from index.building.block_store import BlockStore
from index.building.blocks import OnBlock, arithmetic_of, block_path, encode_blocks, read_block
from index.building.plan import BuildPlan
from index.building.working_folder import BLOCKS
from index.encoder import Encode
from index.files import written_whole
from index.parts import ranges

_COPIES_AT_ONCE = 4
_TRIES = 2
"""For a block whose copy is damaged: on the way, or where it came from."""


def in_store(path: Path) -> str:
    """Return the name that a block has in a store."""
    return f"{BLOCKS}/{path.name}"


class Blocks(NamedTuple):
    """The blocks of a build, where they are."""

    plan: BuildPlan
    folder: Path
    """Of this process, or of all."""
    store: BlockStore | None = None
    """Where they are for all processes, if the folder is not; it has copies of some then, and what is to be sent."""

    @property
    def where(self) -> str:
        """What people call the place."""
        return str(self.folder if self.store is None else self.store)

    def name(self, number: int) -> str:
        """Return what people call a block."""
        path = block_path(self.folder, number)
        return str(path) if self.store is None else f"{self.store}/{in_store(path)}"

    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are not there."""
        there = [] if self.store is None else self.store.names(BLOCKS)
        paths = [block_path(self.folder, number) for number in range(len(self.plan))]
        return [number for number, path in enumerate(paths) if path.name not in there and not path.exists()]

    def encode(
        self,
        numbers: Iterable[int],
        encode: Encode,
        on_block: OnBlock,
        *,
        rests: bool,
        arithmetic: str,
        keep_copies: bool = False,
    ) -> None:
        """Make the blocks of some numbers that are not there; see `encode_blocks`.

        Args:
            numbers: of blocks.
            encode: for points that lie close together.
            on_block: is told how far it is.
            rests: with the rests of children's vectors.
            arithmetic: how the encoder's numbers come out.
            keep_copies: in the folder, of what is sent to the store.
        """
        store, numbers = self.store, list(numbers)
        there: Collection[str] = ()
        if store is not None and len(numbers) > 1:
            there = store.names(BLOCKS)
        elif store is not None:  # one of a whole planet's: its place is asked alone
            paths = [block_path(self.folder, number) for number in numbers]
            there = [path.name for path in paths if store.size_of(in_store(path)) is not None]

        def send(path: Path) -> None:
            if store is not None:
                store.send(path, in_store(path))
                if not keep_copies:
                    path.unlink()

        encode_blocks(
            self.plan,
            self.folder,
            encode,
            on_block,
            numbers=numbers,
            rests=rests,
            arithmetic=arithmetic,
            elsewhere=there,
            on_written=send,
        )

    def fetch(self, on_copy: Callable[[int, int], object]) -> None:
        """Copy blocks from the store that the folder lacks, each compared with its sha256 and with its cells.

        Args:
            on_copy: is told how many of the blocks are here, and how many there are.

        Raises:
            ValueError: some are damaged; they are removed from the store, so that their parts renew them.
        """
        if self.store is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        there = self.store.names(BLOCKS)
        wanted = [n for n in range(len(self.plan)) if block_path(self.folder, n).name in there]
        damaged = []
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as threads:
            for done, number in enumerate(threads.map(partial(_copied, self, self.store), wanted), 1):
                if number is not None:
                    damaged.append(number)
                on_copy(done, len(self.plan))
        if damaged:
            for number in damaged:
                self.store.remove(in_store(block_path(self.folder, number)))
            raise ValueError(
                f"{len(damaged)} of {len(self.plan)} blocks in {self.where} ({ranges(damaged)}) were damaged and have "
                "been removed; run their parts again to renew them."
            )

    def check_arithmetic(self, own: str) -> None:
        """Compare the arithmetic that each block of the folder names with that of this machine.

        Raises:
            ValueError: a block names another one, or is damaged; that one is removed.
        """
        other = [n for n in range(len(self.plan)) if arithmetic_of(block_path(self.folder, n)) != own]
        if other:
            self.drop_copies(other)
            raise ValueError(
                f"{len(other)} of {len(self.plan)} blocks in {self.where} ({ranges(other)}) were made with another "
                "arithmetic (processor, precision or versions) than this machine's; finish on a machine like theirs, "
                "or remove them and make them again."
            )

    def drop_copies(self, numbers: Iterable[int]) -> None:
        """Remove copies of blocks that the store has and that are wrong, so that others can take their place."""
        for number in numbers if self.store is not None else ():
            block_path(self.folder, number).unlink(missing_ok=True)


def _copied(blocks: Blocks, store: BlockStore, number: int) -> int | None:
    """Copy a block that the folder lacks; return its number if it is damaged."""
    path = block_path(blocks.folder, number)
    for _ in range(0 if path.exists() else _TRIES):
        with suppress(_DamagedError), written_whole(path) as temporary:
            store.fetch(in_store(path), temporary)
            if not _is_of(temporary, blocks.plan, number):
                raise _DamagedError
    return None if path.exists() else number


class _DamagedError(Exception):
    """A copy is not what it should be."""


def _is_of(path: Path, plan: BuildPlan, number: int) -> bool:
    """Return whether a file is a sound block of these cells; a cell may stand twice in it, once for each side."""
    try:
        cells = read_block(path).cells
    except ValueError:
        return False
    return np.array_equal(np.unique(cells), plan.block(number))
