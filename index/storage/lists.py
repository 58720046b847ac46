"""Inverted lists of scalar-quantised vectors on disk, searched by FAISS: one level of the stored H3 tree.

A level holds the representatives of the cells of one resolution; its lists are their parents. FAISS scans the lists
it is told to (`search_preassigned`), so nothing is trained but the range of each dimension. The lists are written in
FAISS's on-disk layout, as a stream, and are memory-mapped: neither writing nor opening needs memory for all of them.
"""

from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from index.files import written_whole

_ID_BYTES = 8


class Bits(IntEnum):
    """Bits of a stored number; a vector of 512 takes 512 or 384 bytes."""

    EIGHT = 8
    SIX = 6


class ListBatch(NamedTuple):
    """Consecutive whole lists to be written."""

    vectors: NDArray[np.float32]
    """(n, dim), the vectors of the lists one after the other."""
    ids: NDArray[np.int64]
    """(n,) what a search returns for each vector."""
    lists: NDArray[np.int64]
    """(n,) the list of each vector, ascending, over all batches too."""


class Ranges(NamedTuple):
    """The smallest and largest value of each dimension, (dim,) each: where quantisation takes its steps from."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]


def write_lists(path: Path, batches: Iterable[ListBatch], list_count: int, ranges: Ranges, bits: Bits) -> None:
    """Write the lists to `path`, and what is needed to open them to `path` with the suffix .safetensors.

    Args:
        path: ends in .lists.
        batches: whole lists in ascending order.
        list_count: how many lists there are; those that no batch names are empty.
        ranges: of the values that come; values beyond are clipped.
        bits: of a stored number.
    """
    quantizer = _trained(ranges, bits)
    sizes = np.zeros(list_count, dtype=np.uint32)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for batch in batches:
            counts = np.bincount(batch.lists - batch.lists[0]).astype(np.uint32)
            sizes[int(batch.lists[0]) :][: len(counts)] += counts
            codes = quantizer.compute_codes(np.ascontiguousarray(batch.vectors))
            file.write(_in_layout(codes, batch.ids, batch.lists))
    parts: dict[str, NDArray[Any]] = {"sizes": sizes, "low": ranges.low, "high": ranges.high}
    parts["bits"] = np.array([bits], dtype=np.uint8)
    with written_whole(path.with_suffix(".safetensors")) as temporary:
        temporary.write_bytes(save(parts))


class Lists:
    """One level, opened for search.

    Args:
        path: the .lists file.

    Raises:
        ValueError: the file is shorter or longer than its lists.
    """

    def __init__(self, path: Path) -> None:
        import faiss

        parts = load_file(path.with_suffix(".safetensors"))
        self.sizes = parts["sizes"].astype(np.uint64)
        self.dim = len(parts["low"])
        quantizer = _trained(Ranges(parts["low"], parts["high"]), Bits(int(parts["bits"][0])))
        expected = int(self.sizes.sum()) * (quantizer.code_size + _ID_BYTES)
        if path.stat().st_size != expected:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; its lists take {expected}.")
        stored: Any = faiss.OnDiskInvertedLists()
        stored.nlist, stored.code_size = len(self.sizes), quantizer.code_size
        stored.filename, stored.read_only, stored.totsize = str(path), True, expected
        stored.lists.resize(len(self.sizes))
        stored.set_all_lists_sizes(faiss.swig_ptr(self.sizes))
        if expected:
            stored.do_mmap()
        # The quantizer stays empty: lists are chosen by the level above, never by FAISS. "By residual" makes FAISS add
        # the bias of a list to its scores.
        self._coarse = faiss.IndexFlatIP(self.dim)
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._coarse, self.dim, len(self.sizes), quantizer.qtype, faiss.METRIC_INNER_PRODUCT, True
        )
        self._index.sq, self._index.is_trained = quantizer, True
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
        k: int,
        *,
        bias: NDArray[np.float32] | None = None,
        allowed: NDArray[np.uint8] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the k vectors of largest inner product in the lists named for each query, best first.

        Args:
            queries: (N, dim) float32.
            lists: (N, P) numbers of lists; -1 is none.
            k: how many.
            bias: (N, P) added to the score of every vector of a list.
            allowed: a bitmap over ids, least significant bit first; others are passed over.

        Returns:
            Scores (N, k) and ids (N, k); -inf and -1 where there are fewer.
        """
        import faiss

        library: Any = faiss  # its stubs do not know the keyword forms
        count, probes = lists.shape
        scores, ids = np.full((count, k), -np.inf, np.float32), np.full((count, k), -1, np.int64)
        if not count or not probes:
            return scores, ids
        options = {} if allowed is None else {"sel": library.IDSelectorBitmap(allowed)}
        queries, lists = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(lists, np.int64)
        bias = np.zeros(lists.shape, np.float32) if bias is None else np.ascontiguousarray(bias, np.float32)
        self._index.search_preassigned_c(
            count,
            faiss.swig_ptr(queries),
            k,
            faiss.swig_ptr(lists),
            faiss.swig_ptr(bias),
            faiss.swig_ptr(scores),
            faiss.swig_ptr(ids),
            False,
            library.SearchParametersIVF(nprobe=probes, **options),
        )
        scores[ids < 0] = -np.inf
        return scores, ids

    def vectors(self, lists: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the vectors (n, dim), as stored, and ids (n,) of some lists, for exact engines and tests."""
        import faiss

        stored, width = self._stored, self._quantizer.code_size
        codes, ids = [np.zeros((0, width), np.uint8)], [np.zeros(0, np.int64)]
        for number in lists.tolist():
            if size := stored.list_size(number):
                codes.append(faiss.rev_swig_ptr(stored.get_codes(number), size * width).reshape(size, width))
                ids.append(faiss.rev_swig_ptr(stored.get_ids(number), size))
        return self._quantizer.decode(np.concatenate(codes)), np.concatenate(ids)


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


def _trained(ranges: Ranges, bits: Bits) -> Any:
    """Return FAISS's quantizer for numbers in the ranges; what it learns is the ranges and nothing else."""
    import faiss

    kinds = {Bits.EIGHT: faiss.ScalarQuantizer.QT_8bit, Bits.SIX: faiss.ScalarQuantizer.QT_6bit}
    quantizer = faiss.ScalarQuantizer(len(ranges.low), kinds[bits])
    quantizer.train(np.ascontiguousarray(np.stack(ranges), dtype=np.float32))
    return quantizer
