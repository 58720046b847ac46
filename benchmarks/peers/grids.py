"""Explicit grids: indexes that store a vector for every cell of the finest resolution.

Each is built with settings swept over what its makers document, and answers at several settings of its search; the
sweep is all in this file. Vectors are unit, so inner product, cosine and L2 rank alike; each index takes the one it is
fastest in. FAISS and usearch use all cores, LanceDB its own thread pool.
"""

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

faiss: Any = importlib.import_module("faiss")  # untyped here: FAISS's stubs lack its search parameters
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
K = 10
TRAINING = 131_072
"""Vectors that k-means and quantizers are trained on, at most."""


class Grid(Protocol):
    """An index over all vectors."""

    name: str
    settings: tuple[dict[str, int], ...]
    """Of the search: what is swept."""

    def build(self, vectors: Vectors) -> None:
        """Index vectors (N, dim)."""

    def search(self, queries: Vectors, **setting: int) -> Rows:
        """Return the rows (Q, 10) of the best, best first, -1 where there is none."""

    def save(self, folder: Path) -> None:
        """Write the index to an empty folder."""

    def open(self, folder: Path) -> None:
        """Take the place of what was built with what was saved, as a server does that starts."""


def grids(count: int, dim: int, *, graphs: bool) -> Iterator[Grid]:
    """Yield every explicit grid for so many vectors, one at a time: each may be as large as they are."""
    yield FaissGrid("FAISS Flat", lambda: faiss.IndexFlatIP(dim), ({},))
    yield FaissGrid("FAISS Flat, fp16", lambda: faiss.IndexScalarQuantizer(dim, *_FP16), ({},))
    yield TorchFlat()
    for lists in (n for n in (256, 1024) if n * 39 <= count):  # FAISS asks for 39 vectors a list
        probes = tuple({"nprobe": n} for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= lists // 2)
        yield FaissGrid(f"FAISS IVF{lists},SQ8", lambda n=lists: _inverted(dim, f"IVF{n},SQ8"), probes)
        refined = tuple({"nprobe": p["nprobe"], "k_factor": f} for p in probes[2:] for f in (32, 128, 512))
        factory = f"IVF{lists},PQ64x4fs,Refine(Flat)"
        yield FaissGrid(f"FAISS {factory}", lambda f=factory: _inverted(dim, f), refined)
    yield LanceGrid()
    if graphs:
        widths = tuple({"efSearch": n} for n in (64, 128, 256, 512, 1024, 2048, 4096))
        yield FaissGrid("FAISS HNSW32", lambda: _graph(dim, 32), widths)
        for scalar in ("f16", "i8"):
            yield UsearchGrid(dim, scalar)


_FP16 = (faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _inverted(dim: int, factory: str) -> Any:
    return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)


def _graph(dim: int, links: int) -> Any:
    index = faiss.IndexHNSWFlat(dim, links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 256
    return index


class FaissGrid:
    """A FAISS index."""

    def __init__(self, name: str, make: Any, settings: tuple[dict[str, int], ...]) -> None:
        self.name, self.settings, self._make = name, settings, make

    def build(self, vectors: Vectors) -> None:
        """Train on a sample and add."""
        self._index = self._make()
        if not self._index.is_trained:
            rows = np.random.default_rng(0).permutation(len(vectors))[:TRAINING]
            self._index.train(vectors[np.sort(rows)])
        self._index.add(vectors)

    def search(self, queries: Vectors, **setting: int) -> Rows:
        """Search with nprobe, k_factor or efSearch."""
        parameters = None
        if "k_factor" in setting:
            inner = faiss.SearchParametersIVF(nprobe=setting["nprobe"])
            parameters = faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=inner)
        elif "nprobe" in setting:
            parameters = faiss.SearchParametersIVF(nprobe=setting["nprobe"])
        elif "efSearch" in setting:
            parameters = faiss.SearchParametersHNSW(efSearch=setting["efSearch"])
        rows: Rows = self._index.search(queries, K, params=parameters)[1]
        return rows

    def save(self, folder: Path) -> None:
        """Write FAISS's file."""
        faiss.write_index(self._index, str(folder / "index.faiss"))

    def open(self, folder: Path) -> None:
        """Read it whole."""
        self._index = None
        self._index = faiss.read_index(str(folder / "index.faiss"))


class TorchFlat:
    """Exact search by this project's own engine (a matrix product in torch)."""

    name = "exact, torch"
    settings: tuple[dict[str, int], ...] = ({},)

    def build(self, vectors: Vectors) -> None:
        """Keep the vectors."""
        import torch

        from index import ExactEngine

        self._vectors, self._engine = vectors, ExactEngine(torch.from_numpy(vectors))

    def search(self, queries: Vectors, **setting: int) -> Rows:
        """Score everything."""
        return np.asarray(self._engine.search(queries, K).rows)

    def save(self, folder: Path) -> None:
        """Write the vectors."""
        np.save(folder / "vectors.npy", self._vectors)

    def open(self, folder: Path) -> None:
        """Read them whole."""
        self.build(np.load(folder / "vectors.npy"))


class UsearchGrid:
    """usearch: HNSW over fp16 or 8-bit vectors."""

    settings = tuple({"expansion": n} for n in (64, 256, 1024, 2048, 4096))

    def __init__(self, dim: int, scalar: str) -> None:
        self.name, self._dim, self._scalar = f"usearch, {scalar}", dim, scalar

    def build(self, vectors: Vectors) -> None:
        """Add on all cores."""
        from usearch.index import Index

        self._index: Any = Index(ndim=self._dim, metric="cos", dtype=self._scalar, connectivity=32, expansion_add=256)
        self._largest = float(np.abs(vectors).max())
        self._index.add(np.arange(len(vectors), dtype=np.uint64), self._cast(vectors))

    def search(self, queries: Vectors, **setting: int) -> Rows:
        """Search with an expansion factor."""
        self._index.expansion_search = setting["expansion"]
        keys = np.asarray(self._index.search(self._cast(queries), K).keys, dtype=np.int64)
        return keys.reshape(len(queries), -1)

    def _cast(self, vectors: Vectors) -> NDArray[Any]:
        """Use all 256 levels of 8 bits: left to itself usearch takes 1.0 for 127, and unit vectors have a tenth."""
        if self._scalar != "i8":
            return vectors
        return np.clip(np.round(vectors * (127 / self._largest)), -127, 127).astype(np.int8)

    def save(self, folder: Path) -> None:
        """Write usearch's file."""
        self._index.save(str(folder / "index.usearch"))

    def open(self, folder: Path) -> None:
        """Map it: usearch calls this a view."""
        from usearch.index import Index

        self._index = Index.restore(str(folder / "index.usearch"), view=True)


class LanceGrid:
    """LanceDB, embedded: IVF-PQ with re-ranking by the stored vectors."""

    name = "LanceDB IVF-PQ"
    settings = tuple({"nprobes": p, "refine": r} for p in (16, 64) for r in (10, 50))

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lance-"))

    def build(self, vectors: Vectors) -> None:
        """Write the table and index it."""
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb
        import pyarrow as pa

        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        rows = pa.array(np.arange(len(vectors)))
        database = lancedb.connect(self._folder)
        self._table: Any = database.create_table("cells", pa.table({"row": rows, "vector": values}), mode="overwrite")
        lists = max(16, int(np.sqrt(len(vectors))))
        self._table.create_index(
            metric="cosine", num_partitions=lists, num_sub_vectors=64, vector_column_name="vector", index_type="IVF_PQ"
        )

    def search(self, queries: Vectors, **setting: int) -> Rows:
        """One call a query: several in a call come back mixed, and no faster."""
        found = np.full((len(queries), K), -1, np.int64)
        for n, query in enumerate(queries):
            asked = self._table.search(query).distance_type("cosine").nprobes(setting["nprobes"])
            rows = asked.refine_factor(setting["refine"]).limit(K).select(["row"]).to_arrow()["row"].to_numpy()
            found[n, : len(rows)] = rows
        return found

    def save(self, folder: Path) -> None:
        """Move the table, which holds the vectors too: re-ranking reads them."""
        self._table = None
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)
        shutil.rmtree(self._folder)

    def open(self, folder: Path) -> None:
        """Open the table."""
        import lancedb

        self._table = lancedb.connect(folder).open_table("cells")
