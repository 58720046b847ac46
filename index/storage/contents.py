"""What an index holds, opened: every array checked for type, shape and values before anything is computed with it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells, distinct_parents, resolution, valid
from index.storage.arrays import npy_array, tensors
from index.storage.directory import (
    CELLS,
    GALLERY,
    LENGTHS,
    NODE_KEYS,
    NODES,
    PRIOR,
    SLOPES,
    START,
    IndexDirectory,
    level_name,
    lists_name,
    open_directory,
)
from index.storage.gallery import Gallery
from index.storage.lists import Lists
from index.storage.manifest import BadIndexError, Manifest
from index.storage.nodes import Nodes
from index.storage.prior import Prior
from index.storage.slopes import Slopes

T = TypeVar("T")


class StartLevel(NamedTuple):
    """The level where a walk starts, searched exactly."""

    vectors: NDArray[np.float32]
    """(M, dim)."""
    rows: NDArray[np.int64]
    """(M,) for each vector the row of its cell among the level's cells; astride the antimeridian a cell has two."""
    lengths: NDArray[np.float32]
    """(M,) see `Representatives.lengths`."""

    @classmethod
    def parse(cls, content: bytes, cells: int, dim: int) -> Self:
        """Read the file of an index.

        Args:
            content: of the file.
            cells: of the level.
            dim: of the vectors.

        Raises:
            ValueError: it is not the start level of such an index.
        """
        parts = tensors(content, {"vectors": (np.float16, 2), "rows": (np.int64, 1), "lengths": (np.float32, 1)})
        vectors, rows, lengths = parts["vectors"].astype(np.float32), parts["rows"], parts["lengths"]
        if vectors.shape != (len(rows), dim) or lengths.shape != rows.shape:
            raise ValueError(f"it holds vectors {vectors.shape}, expected {len(rows)} of {dim} numbers")
        if not np.array_equal(np.unique(rows), np.arange(cells)) or (rows[1:] < rows[:-1]).any():
            raise ValueError(f"its rows are not those of {cells} cells")
        _check_lengths(lengths)
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=0.01):
            raise ValueError("its vectors are not of unit length")
        return cls(vectors, rows, lengths)


@dataclass(frozen=True)
class IndexContents:
    """An index without the engine that searches it. Lists stay on disk, mapped into memory; all else is read."""

    folder: Path
    manifest: Manifest
    digest: str
    """The sha256 of the manifest."""
    levels: tuple[Cells, ...]
    """The cells of each level, from the start level to the coarse one."""
    parent_rows: tuple[NDArray[np.int32], ...]
    """For the cells of each level but the first the rows of their parents, one level up."""
    lists: tuple[Lists, ...]
    """Of each level but the first: the vectors, by their parents'."""
    start: StartLevel
    lengths: NDArray[np.float32]
    """(cells,) of the means that the coarse representatives are."""
    slopes: Slopes
    """Of the coarse cells."""
    nodes: Nodes
    gallery: Gallery
    prior: Prior

    @property
    def cells(self) -> Cells:
        """The coarse cells, sorted."""
        return self.levels[-1]

    @classmethod
    def open(cls, folder: Path, *, model: str | None = None) -> Self:
        """Open an index.

        Args:
            folder: of the index.
            model: the digest of the model that vectors come from; None does not compare.

        Raises:
            BadIndexError: there is no index, a damaged one, or one of another model.
        """
        return open_directory(folder, partial(cls._opened, model=model))

    @classmethod
    def _opened(cls, files: IndexDirectory, model: str | None) -> Self:
        manifest = files.manifest
        if model is not None and model != manifest.model:
            raise BadIndexError(
                f"{files.folder} was built with the model {manifest.model[:12]}, the vectors come from {model[:12]}; "
                "name the index's model with --weights, or build an index with this one."
            )
        cells = files.checked(CELLS, lambda content: _cells(content, manifest))
        levels, rows = [cells], list[NDArray[np.int32]]()
        while resolution(levels[0][:1]) > manifest.start_res:
            above, own = distinct_parents(levels[0])
            levels.insert(0, above)
            rows.insert(0, own)
        start = files.checked(START, lambda content: StartLevel.parse(content, len(levels[0]), manifest.dim))
        lists = list[Lists]()
        for level in levels[1:]:
            lists.append(_lists(files, len(lists[-1].rows if lists else start.rows), level))
        return cls(
            files.folder,
            manifest,
            files.digest,
            tuple(levels),
            tuple(rows),
            tuple(lists),
            start,
            files.checked(LENGTHS, lambda content: _lengths(content, manifest)),
            _slopes(files),
            _nodes(files),
            gallery := files.checked(GALLERY, lambda content: _gallery(content, manifest)),
            files.checked(PRIOR, lambda content: _prior(content, cells, gallery, manifest)),
        )


def open_gallery(folder: Path) -> Gallery:
    """Return the gallery of an index.

    Raises:
        BadIndexError: there is no index, or its gallery is damaged.
    """
    return open_directory(
        folder, lambda files: files.checked(GALLERY, lambda content: _gallery(content, files.manifest))
    )


def _cells(content: bytes, manifest: Manifest) -> Cells:
    cells: Cells = npy_array(content, np.uint64, manifest.cells)
    if not valid(cells).all() or resolution(cells) != manifest.coarse_res or not (cells[1:] > cells[:-1]).all():
        raise ValueError(f"it does not hold sorted, distinct H3 cells of resolution {manifest.coarse_res}")
    return cells


def _lists(files: IndexDirectory, above: int, level: Cells) -> Lists:
    name = lists_name(resolution(level[:1]))
    path = files.path(name)
    return files.checked(
        level_name(resolution(level[:1])),
        lambda content: Lists(files.folder / name, content, above, len(level), files.manifest.dim, mapped=path),
    )


def _slopes(files: IndexDirectory) -> Slopes:
    about, path = files.manifest, files.folder / SLOPES
    return _mapped(path, lambda: Slopes(path, about.cells, about.dim, rests=about.rests, mapped=files.path(SLOPES)))


def _nodes(files: IndexDirectory) -> Nodes:
    about, path = files.manifest, files.folder / NODES
    keys = files.checked(NODE_KEYS, lambda content: _node_keys(content, about.nodes))
    return _mapped(path, lambda: Nodes(path, keys, about.dim, mapped=files.path(NODES)))


def _mapped(path: Path, opened: Callable[[], T]) -> T:
    try:
        return opened()
    except (OSError, ValueError) as error:
        raise BadIndexError(f"{path} cannot be opened ({error}); build the index again.") from error


def _node_keys(content: bytes, count: int) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = npy_array(content, np.int64, count)
    if (keys[1:] <= keys[:-1]).any():
        raise ValueError("its keys do not ascend")
    return keys


def _lengths(content: bytes, manifest: Manifest) -> NDArray[np.float32]:
    lengths = npy_array(content, np.float16, manifest.cells).astype(np.float32)
    _check_lengths(lengths)
    return lengths


def _check_lengths(lengths: NDArray[np.float32]) -> None:
    if not ((lengths > 0) & (lengths < 1.01)).all():
        raise ValueError("a length is not above 0 and at most 1")


def _gallery(content: bytes, manifest: Manifest) -> Gallery:
    gallery = Gallery.parse(content)
    about = manifest.gallery
    if (len(gallery), gallery.total) != (about["places"], about["photos"]):
        raise ValueError(
            f"it holds {len(gallery)} places of {gallery.total} photos, not {about['places']} of {about['photos']}"
        )
    return gallery


def _prior(content: bytes, cells: Cells, gallery: Gallery, manifest: Manifest) -> Prior:
    log_mass = npy_array(content, np.float32, manifest.cells).astype(np.float64)
    if not np.isfinite(log_mass).all() or abs(np.exp(log_mass).sum() - 1) > 0.01:
        raise ValueError("its probabilities are not finite, or do not add up to 1")
    parameters = {name: value for name, value in manifest.prior.items() if name != "digest"}
    return Prior.restore(cells, log_mass, gallery, parameters)
