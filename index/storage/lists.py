"""Inverted lists of scalar-quantised residuals on disk, searched by FAISS: one level of the stored H3 tree.

A level holds the representatives of the cells of one resolution; its lists are their parents'. Stored of a vector is
its difference from what is stored of the parent, which needs few bits; a search adds the parent's score to those of its
list. FAISS scans the lists it is told to (`search_preassigned`), so nothing is trained but the spread of each number.
The lists are written in FAISS's on-disk layout, as a stream, and are memory-mapped: neither writing nor opening needs
memory for all of them.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors.numpy import save

from index.ahead import ahead
from index.files import written_whole
from index.grid.sides import cell_rows
from index.storage.arrays import tensors
from index.storage.manifest import BadIndexError

_ID_BYTES = 8
_CODING = 2
"""Threads that code lists: numpy and FAISS let others run meanwhile."""
_LEAST_SCORE = -1e30
"""Below what any vector scores: all are wanted."""
_EVEN_SPREADS = 2.7
"""Half the range of a number of four bits in standard deviations: for numbers like a Gaussian's, 16 steps over it err
least."""
_PARTS: dict[str, tuple[DTypeLike, int]] = {
    "sizes": (np.uint32, 1),
    "checksums": (np.uint32, 1),
    "centre": (np.float32, 1),
    "spread": (np.float32, 1),
    "bits": (np.uint8, 1),
    "twice": (np.uint32, 1),
}


class Bits(IntEnum):
    """Bits of a stored number; a vector of 512 takes 256 or 128 bytes.

    Two bits are the levels that err least for numbers like a Gaussian's (Max 1960), four are 16 even steps.
    """

    FOUR = 4
    TWO = 2


class ListBatch(NamedTuple):
    """Consecutive whole lists to be written."""

    vectors: NDArray[np.float32]
    """(n, dim), the vectors of the lists one after the other."""
    ids: NDArray[np.int64]
    """(n,) what a search returns for each vector."""
    lists: NDArray[np.int64]
    """(n,) the list of each vector, ascending, over all batches too."""


class _Coded(NamedTuple):
    """A batch as the file has it."""

    codes: NDArray[np.uint8]
    content: bytes
    numbers: NDArray[np.int64]
    """(L,) of its lists."""
    sizes: NDArray[np.int64]
    checksums: list[int]


class Spread(NamedTuple):
    """Mean and standard deviation of each dimension, (dim,) each: where quantisation takes its steps from."""

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]


def write_lists(
    path: Path,
    batches: Iterable[ListBatch],
    list_count: int,
    spread: Spread,
    bits: Bits,
    *,
    twice: NDArray[np.uint32],
    on_decoded: Callable[[ListBatch, NDArray[np.float32]], object] | None = None,
) -> None:
    """Write the lists to `path`, and what is needed to open them to `path` with the suffix .safetensors.

    Args:
        path: ends in .lists.
        batches: whole lists in ascending order.
        list_count: how many lists there are; those that no batch names are empty.
        spread: of the numbers that come; numbers far beyond are clipped.
        bits: of a stored number.
        twice: ascending rows of the cells of the level that have two vectors; see `index/grid/sides.py`.
        on_decoded: is given each batch and what will be read of it, (n, dim).
    """
    quantizer = _Quantizer(spread, bits)
    sizes, checksums = np.zeros((2, list_count), dtype=np.uint32)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for batch, coded in ahead(lambda batch: (batch, quantizer.lists(batch)), batches, _CODING):
            sizes[coded.numbers], checksums[coded.numbers] = coded.sizes, coded.checksums
            file.write(coded.content)
            if on_decoded is not None:
                on_decoded(batch, quantizer.decoded(coded.codes))
    parts: dict[str, NDArray[Any]] = {"sizes": sizes, "checksums": checksums, "twice": twice}
    parts |= {**spread._asdict(), "bits": np.array([bits], dtype=np.uint8)}
    with written_whole(path.with_suffix(".safetensors")) as temporary:
        temporary.write_bytes(save(parts))


class Scanned(NamedTuple):
    """Scores of all vectors that were scanned for N queries, one query after the other."""

    bounds: NDArray[np.int64]
    """(N + 1,) where those of each query begin and end."""
    scores: NDArray[np.float32]
    ids: NDArray[np.int64]
    """The numbers of the vectors."""


class Lists:
    """One level, opened for search. A list is checked against its checksum when it is first read.

    Args:
        path: of the .lists file, for messages.
        about: the content of the .safetensors file beside it.
        count: how many lists there are: one for each vector of the level above.
        cells: how many cells the level has.
        dim: of the vectors.
        mapped: what is opened, where that is another name of the file.

    Raises:
        ValueError: the files do not fit each other or the numbers given.
    """

    def __init__(
        self, path: Path, about: bytes, count: int, cells: int, dim: int, *, mapped: Path | None = None
    ) -> None:
        import faiss

        parts = tensors(about, _PARTS)
        self.sizes, self.dim = parts["sizes"].astype(np.uint64), dim
        if parts["sizes"].shape != (count,) or parts["checksums"].shape != (count,):
            raise ValueError(f"it describes {len(self.sizes)} lists, expected {count}")
        spread = Spread(parts["centre"], parts["spread"])
        if not all(part.shape == (dim,) for part in spread):
            raise ValueError(f"its spread is not that of {dim} numbers")
        if not ((np.abs(spread.centre) <= 2) & (spread.spread > 0) & (spread.spread <= 2)).all():
            raise ValueError("its spread is not that of unit vectors")
        if parts["bits"].tolist() not in [[bits] for bits in Bits]:
            raise ValueError(f"its numbers have {parts['bits'].tolist()} bits")
        twice = parts["twice"].astype(np.int64)
        if (twice >= cells).any() or (twice[1:] <= twice[:-1]).any():
            raise ValueError(f"it names cells with two vectors that are not among {cells}, each once")
        self.rows = cell_rows(cells, twice)
        """Of each vector of the level, the row of its cell."""
        quantizer = _Quantizer(spread, Bits(int(parts["bits"][0])))
        expected = int(self.sizes.sum()) * (quantizer.code_size + _ID_BYTES)
        mapped = path if mapped is None else mapped
        if mapped.stat().st_size != expected:
            raise ValueError(f"{path.name} has {mapped.stat().st_size} bytes; its lists take {expected}")
        self._path, self._vectors = path, len(self.rows)
        self._content = np.zeros(0, np.uint8)
        self._ends = np.append(np.uint64(0), np.cumsum(self.sizes)) * np.uint64(quantizer.code_size + _ID_BYTES)
        self._checksums, self._unchecked = parts["checksums"], np.ones(count, dtype=bool)
        stored: Any = faiss.OnDiskInvertedLists()
        stored.nlist, stored.code_size = len(self.sizes), quantizer.code_size
        stored.filename, stored.read_only, stored.totsize = str(mapped), True, expected
        stored.lists.resize(len(self.sizes))
        stored.set_all_lists_sizes(faiss.swig_ptr(self.sizes))
        if expected:
            try:
                stored.do_mmap()
            except RuntimeError as error:
                raise ValueError(f"{path.name} cannot be mapped into memory ({error})") from error
            self._content = faiss.rev_swig_ptr(stored.ptr, expected)  # one mapping for both: pages are touched once
        # The quantizer stays empty: lists are chosen by the level above, never by FAISS. "By residual" makes FAISS add
        # the bias of a list to its scores.
        self._coarse = faiss.IndexFlatIP(self.dim)
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._coarse, self.dim, len(self.sizes), quantizer.faiss.qtype, faiss.METRIC_INNER_PRODUCT, True
        )
        self._index.sq, self._index.is_trained = quantizer.faiss, True
        self._index.replace_invlists(stored, False)
        self._index.ntotal = int(self.sizes.sum())
        self._stored, self._quantizer = stored, quantizer

    def __len__(self) -> int:
        """Return the number of vectors."""
        return int(self._index.ntotal)

    def scan(
        self,
        queries: NDArray[np.float32],
        lists: NDArray[np.int64],
        *,
        bias: NDArray[np.float32] | None = None,
        allowed: NDArray[np.uint8] | None = None,
    ) -> "Scanned":
        """Return the inner products with all vectors in the lists named for each query.

        Args:
            queries: (N, dim) float32.
            lists: (N, P) numbers of lists; -1 is none.
            bias: (N, P) added to the score of every vector of a list: the parent's score.
            allowed: a bitmap over vectors, least significant bit first; others are passed over.

        Raises:
            BadIndexError: a list is damaged.
        """
        import faiss

        library: Any = faiss  # its stubs do not know the keyword forms
        count, probes = lists.shape
        if not count or not probes:
            return Scanned(np.zeros(count + 1, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))
        options = {} if allowed is None else {"sel": library.IDSelectorBitmap(allowed)}
        lists = np.ascontiguousarray(lists, np.int64)
        self._check(lists)
        queries, offsets = self._quantizer.queries(np.ascontiguousarray(queries, np.float32))
        bias = np.repeat(offsets[:, None], probes, axis=1) + (0 if bias is None else bias.astype(np.float32))
        bias = np.where(lists < 0, np.float32(0), bias)
        result = library.RangeSearchResult(count)
        self._index.range_search_preassigned_c(
            count,
            faiss.swig_ptr(queries),
            _LEAST_SCORE,
            faiss.swig_ptr(lists),
            faiss.swig_ptr(bias),
            result,
            False,
            library.SearchParametersIVF(nprobe=probes, **options),
        )
        bounds = faiss.rev_swig_ptr(result.lims, count + 1).astype(np.int64)
        total = int(bounds[-1])
        if not total:
            return Scanned(bounds, np.zeros(0, np.float32), np.zeros(0, np.int64))
        scores, ids = faiss.rev_swig_ptr(result.distances, total), faiss.rev_swig_ptr(result.labels, total)
        self._check_ids(ids, least=0)
        return Scanned(bounds, scores.copy(), ids.copy())

    def vectors(self, lists: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return what is stored, (n, dim), and the ids (n,) of some lists, for exact engines and tests.

        Raises:
            BadIndexError: a list is damaged.
        """
        import faiss

        self._check(lists)
        stored, width = self._stored, self._quantizer.code_size
        codes, ids = [np.zeros((0, width), np.uint8)], [np.zeros(0, np.int64)]
        for number in lists.tolist():
            if size := stored.list_size(number):
                codes.append(faiss.rev_swig_ptr(stored.get_codes(number), size * width).reshape(size, width))
                ids.append(faiss.rev_swig_ptr(stored.get_ids(number), size))
        self._check_ids(joined := np.concatenate(ids), least=0)
        return self._quantizer.decoded(np.concatenate(codes)), joined

    def _check(self, lists: NDArray[np.int64]) -> None:
        """Compare lists that have not been read yet with their checksums."""
        fresh = lists[(lists >= 0) & self._unchecked[lists]]
        if not len(fresh):
            return
        fresh = np.unique(fresh)
        content = self._content.data
        bounds, sums = self._ends[fresh[:, None] + [0, 1]].tolist(), self._checksums[fresh].tolist()
        for number, (start, stop), checksum in zip(fresh.tolist(), bounds, sums, strict=True):
            if crc32(content[start:stop]) != checksum:
                raise BadIndexError(
                    f"{self._path} is damaged: list {number} differs from its checksum; copy the index again or build "
                    "it again."
                )
        self._unchecked[fresh] = False

    def _check_ids(self, ids: NDArray[np.int64], least: int) -> None:
        if ((ids < least) | (ids >= self._vectors)).any():
            raise BadIndexError(f"{self._path} names cells that the index does not have; build the index again.")


def _in_layout(codes: NDArray[np.uint8], ids: NDArray[np.int64], lists: NDArray[np.int64]) -> bytes:
    """Return whole lists in FAISS's layout: a list's codes, then its ids, then the next list."""
    words = codes.shape[1] // _ID_BYTES
    row = np.arange(len(ids))
    first = np.flatnonzero(np.diff(lists, prepend=-1))
    sizes = np.diff(first, append=len(ids))
    start, size = np.repeat(first, sizes), np.repeat(sizes, sizes)
    buffer = np.empty(len(ids) * (words + 1), dtype=np.int64)
    code_at = start * (words + 1) + (row - start) * words
    buffer[code_at[:, None] + np.arange(words)] = codes.view(np.int64)
    buffer[start * (words + 1) + size * words + (row - start)] = ids
    return buffer.tobytes()


class _Quantizer:
    """FAISS's quantizer of numbers of a known spread; what it learns is the spread and nothing else."""

    def __init__(self, spread: Spread, bits: Bits) -> None:
        import faiss

        library: Any = faiss
        kinds = library.ScalarQuantizer
        kind = {Bits.FOUR: kinds.QT_4bit, Bits.TWO: kinds.QT_2bit_tqmse}[bits]
        dim = len(spread.centre)
        self._centre, self._unit = spread.centre, spread.spread * np.float32(np.sqrt(dim))
        self.faiss: Any = library.ScalarQuantizer(dim, kind)
        width = np.float32(_EVEN_SPREADS / np.sqrt(dim))
        self.faiss.train(np.stack((np.full(dim, -width), np.full(dim, width))).astype(np.float32))
        self.code_size = int(self.faiss.code_size)

    def lists(self, batch: ListBatch) -> _Coded:
        """Return whole lists as they are written."""
        steps = batch.vectors - self._centre
        steps /= self._unit
        codes: NDArray[np.uint8] = self.faiss.compute_codes(np.ascontiguousarray(steps))
        content = _in_layout(codes, batch.ids, batch.lists)
        numbers, sizes = np.unique(batch.lists, return_counts=True)
        ends = np.cumsum(sizes) * (self.code_size + _ID_BYTES)
        view = memoryview(content)
        checksums = [crc32(view[a:b]) for a, b in pairwise([0, *ends.tolist()])]
        return _Coded(codes, content, numbers, sizes, checksums)

    def decoded(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self.faiss.decode(codes) * self._unit + self._centre
        return vectors

    def queries(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return queries whose product with a code is a score, but for what is returned beside them, (N,)."""
        return np.ascontiguousarray(queries * self._unit), np.einsum("nd,d->n", queries, self._centre)
