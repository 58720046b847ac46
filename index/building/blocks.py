"""The blocks of a build on disk: each is written whole or not at all, so a killed build goes on where it was."""

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from index.ahead import ahead
from index.building.plan import BuildPlan
from index.building.representatives import Representatives, joined, of_cells
from index.encoder import Encode
from index.files import written_whole

_CHUNK_CELLS = 2048  # encoded at once: 14,336 points, 29 MB of vectors

_ARITHMETIC = "arithmetic"  # the name of the part that names it

OnBlock = Callable[[int, int], object]
"""Called with the points encoded so far, counting earlier runs, and all points."""


def encode_blocks(
    plan: BuildPlan,
    folder: Path,
    encode: Encode,
    on_block: OnBlock | None = None,
    *,
    numbers: Iterable[int] | None = None,
    rests: bool = False,
    arithmetic: str = "",
    elsewhere: Container[str] = (),
    on_written: Callable[[Path], object] | None = None,
) -> None:
    """Encode and write the blocks that a folder lacks.

    Args:
        plan: of the build.
        folder: of the blocks.
        encode: for points that lie close together.
        on_block: is told how far it is.
        numbers: of the blocks that are wanted; all unless said otherwise.
        rests: with the rests of children's vectors.
        arithmetic: how the encoder's numbers come out, kept in each block; see `index/building/parts.py`.
        elsewhere: names of blocks that are not to be made here.
        on_written: is told of each block that is here, also of one that was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = range(len(plan)) if numbers is None else list(numbers)
    done, total = 0, sum(plan.encodings_of(number) for number in wanted)

    def lacking(number: int) -> bool:
        path = block_path(folder, number)
        return path.name not in elsewhere and not path.exists()

    with _Encoding(plan, encode, rests=rests) as encoding:
        for number, block in encoding.blocks(wanted, lacking):
            path = block_path(folder, number)
            if block is not None:
                write_block(path, block, arithmetic)
            if on_written is not None and path.name not in elsewhere:
                on_written(path)
            done += plan.encodings_of(number)
            if on_block is not None:
                on_block(done, total)


def read_blocks(plan: BuildPlan, folder: Path) -> Iterator[Representatives]:
    """Yield the representatives of the blocks in order; see `read_block`."""
    return read_ahead([block_path(folder, number) for number in range(len(plan))])


def read_ahead(paths: Iterable[Path]) -> Iterator[Representatives]:
    """Yield what `read_block` returns; while one block is worked on, the next is read."""
    return ahead(read_block, paths)


def read_block(path: Path) -> Representatives:
    """Read one block, vectors as float32.

    Raises:
        ValueError: it is missing or damaged; its file is removed, so that the next build makes it again.
    """
    try:
        parts = load_file(path)
        if parts.pop("sha256").tobytes() != _digest(parts):
            raise ValueError("its digest is another")
        vectors = torch.from_numpy(parts["vectors"]).float().numpy()
        return Representatives(parts["cells"], vectors, parts["lengths"], parts["slopes"])
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise _removed(path) from error


def arithmetic_of(path: Path) -> str:
    """Return the arithmetic that a block names. Errors as of `read_block`, but only its beginning is read."""
    try:
        with safe_open(path, "np") as file:
            names = file.keys()
            return str(file.get_tensor(_ARITHMETIC).tobytes().hex()) if _ARITHMETIC in names else ""
    except (OSError, ValueError, SafetensorError) as error:
        raise _removed(path) from error


def _removed(path: Path) -> ValueError:
    path.unlink(missing_ok=True)
    return ValueError(f"{path} is damaged and was removed; run the same build again to renew it.")


def write_block(path: Path, block: Representatives, arithmetic: str = "") -> None:
    """Write one block whole or not at all, vectors as float16, with a digest and the arithmetic's hexadecimal name."""
    vectors = torch.from_numpy(block.vectors).half().numpy()
    parts = {"cells": block.cells, "vectors": vectors, "lengths": block.lengths, "slopes": block.slopes}
    if arithmetic:
        parts[_ARITHMETIC] = np.frombuffer(bytes.fromhex(arithmetic), dtype=np.uint8)
    parts["sha256"] = np.frombuffer(_digest(parts), dtype=np.uint8)
    with written_whole(path) as temporary:
        temporary.write_bytes(save(parts))


def encode_block(plan: BuildPlan, number: int, encode: Encode, *, rests: bool) -> Representatives:
    """Encode one block."""
    with _Encoding(plan, encode, rests=rests) as encoding:
        ((_, block),) = encoding.blocks([number])
    assert block is not None  # it was wanted
    return block


class _Encoding:
    """Encodes blocks, three chunks at a time: while two are encoded, another is cut into points or averaged.

    A context: at its end no chunk is begun any more.
    """

    def __init__(self, plan: BuildPlan, encode: Encode, *, rests: bool) -> None:
        self._plan, self._pool = plan, ThreadPoolExecutor(3)
        self._make = partial(of_cells, encode=encode, rests=rests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def blocks(
        self, numbers: Iterable[int], wanted: Callable[[int], bool] = lambda _: True
    ) -> Iterator[tuple[int, Representatives | None]]:
        """Yield each number with its block, or None where it is not wanted; while one is used, the next is encoded."""
        before: tuple[int, list[Future[Representatives]]] | None = None
        for number in numbers:
            cells = self._plan.block(number) if wanted(number) else self._plan.cells[:0]
            chunks = [cells[at : at + _CHUNK_CELLS] for at in range(0, len(cells), _CHUNK_CELLS)]
            ready, before = before, (number, [self._pool.submit(self._make, chunk) for chunk in chunks])
            if ready is not None:
                yield _ended(*ready)
        if before is not None:
            yield _ended(*before)


def _ended(number: int, chunks: list[Future[Representatives]]) -> tuple[int, Representatives | None]:
    return number, joined(chunk.result() for chunk in chunks) if chunks else None


def _digest(parts: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Return a sha256 of names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name, array in sorted(parts.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def block_path(folder: Path, number: int) -> Path:
    """Return where a block is."""
    return folder / f"{number:06d}.safetensors"
