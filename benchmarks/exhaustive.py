"""The exhaustive answer: every child of every coarse cell scored against simulated queries, nothing stored.

    python -m benchmarks.exhaustive WORK [--res 6] [--queries 500] [--below INDEX --region WHERE]
    python -m benchmarks.exhaustive WORK --save truth/FILE.npz    # the result, small enough to commit

It encodes what a build encodes, in the build's blocks, so it leaves those blocks behind and a build that is pointed at
WORK goes on from them. Per block it keeps each query's best places and its sum of exp(tau * score); a run that is
stopped goes on where it was. `asked_and_found()` reads the result, from WORK or from a saved file: that one holds the
best ten places and how the queries are made again. Where the machine has bf16 units the scan is in bf16, and its best
sixteen are then ranked in float32, in which the queries are made too.

With --below, the cells are those of an index in a region, divided down to --res: the answer to what the index searches
there, two or more levels below what it stores.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import parser
from benchmarks.simulated import Kind, places, queries
from geoclip.encoders.cores import on_all_cores
from index.building.blocks import encode_blocks
from index.building.plan import BuildPlan
from index.encoder import Encode
from index.files import written_whole
from index.grid.cells import Cells, cells_at, centres, children, spacing_km
from index.grid.land import land_cells
from index.grid.region import Region

TOP = 16
BLOCK_CELLS = 16_384
SCORED = 256
"""Points scored at once, on one core: their scores of some thousand queries stay in its cache."""
SEED = 20


class Truth(NamedTuple):
    """What exhaustive search found for Q queries."""

    cells: Cells
    """(Q, 16) children of coarse cells, best first."""
    scores: NDArray[np.float32]
    """(Q, 16) cosines."""
    log_sums: NDArray[np.float64]
    """(blocks, Q) log of the sum of exp(tau * score) over the block's children."""


class Answered(NamedTuple):
    """Queries and the exhaustive answer to them."""

    vectors: NDArray[np.float32]
    """(Q, 512)"""
    kinds: list[str]
    """Of the queries: one after the other, as many of each."""
    cells: Cells
    """(Q, 10 or more) best first."""


class Recorder:
    """An encoder that also scores what it encodes against queries."""

    def __init__(self, encode: Encode, vectors: NDArray[np.float32], tau: float, res: int) -> None:
        self._encode, self._tau, self._res = encode, tau, res
        self._queries = torch.from_numpy(np.ascontiguousarray(vectors.T))
        self.encode_s = self.record_s = 0.0
        self._turn = threading.Lock()
        count = self._queries.shape[1]
        self._best = self.scores = np.full((count, TOP), -np.inf, dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget what was recorded, but not how good it was: a new block begins, whose worse places are not kept."""
        count = self._queries.shape[1]
        self._best = -np.sort(-np.concatenate((self._best, self.scores), axis=1), axis=1)[:, :TOP]
        self.scores = np.full((count, TOP), -np.inf, dtype=np.float32)
        self.cells = np.zeros((count, TOP), dtype=np.uint64)
        self.sums = np.zeros(count)

    def __call__(self, lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        """Encode (N, 2) degrees, and record the scores; a build asks from two threads, which take turns here."""
        with self._turn:
            return self._recorded(lat_lng)

    def _recorded(self, lat_lng: NDArray[np.float64]) -> NDArray[np.float32]:
        start = time.perf_counter()
        vectors = self._encode(lat_lng)
        middle = time.perf_counter()
        unit, limit = (torch.from_numpy(part) for part in (vectors, np.maximum(self.scores, self._best)[:, -1]))
        starts = range(0, len(unit), SCORED)
        sums = torch.zeros(len(starts), len(self.scores), dtype=torch.float64)
        found: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

        def score(at: int) -> None:
            scores = unit[at : at + SCORED] @ self._queries
            point, query = (scores > limit).nonzero(as_tuple=True)
            if len(point) > len(scores) * len(self.scores) // 8:  # the first points of a block: nearly all are new
                point = scores.topk(min(TOP, len(scores)), dim=0).indices.flatten()
                query = torch.arange(len(self.scores)).repeat(len(point) // len(self.scores))
            found[at] = at + point, query, scores[point, query]
            sums[at // SCORED] = scores.sub_(1.0).mul_(self._tau).exp_().sum(dim=0)

        on_all_cores(score, starts)
        point, query, best = (torch.cat(parts).numpy() for parts in zip(*(found[at] for at in starts), strict=True))
        self._merge(best, query, cells_at(lat_lng[point], self._res))
        self.sums += sums.sum(dim=0).numpy()
        self.encode_s += middle - start
        self.record_s += time.perf_counter() - middle
        return vectors

    def _merge(self, scores: NDArray[np.float32], query: NDArray[np.int64], cells: Cells) -> None:
        count = len(self.scores)
        query = np.concatenate((np.repeat(np.arange(count), TOP), query))
        scores = np.concatenate((self.scores.ravel(), scores))
        cells = np.concatenate((self.cells.ravel(), cells))
        order = np.lexsort((cells, -scores, query))
        query, scores, cells = query[order], scores[order], cells[order]
        first = np.searchsorted(query, np.arange(count))
        rows = first[:, None] + np.arange(TOP)
        self.scores, self.cells = scores[rows], cells[rows]


def truth(folder: Path, tau: float) -> Truth:
    """Read what `main` recorded in WORK/truth."""
    blocks = [np.load(path) for path in sorted(folder.glob("*.npz"))]
    scores = np.concatenate([block["scores"] for block in blocks], axis=1)
    cells = np.concatenate([block["cells"] for block in blocks], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    sums = np.stack([block["sums"] for block in blocks])
    return Truth(np.take_along_axis(cells, order, 1), np.take_along_axis(scores, order, 1), np.log(sums) + tau)


def asked_and_found(work: Path, encode: Encode, gallery: NDArray[np.float64], tau: float) -> Answered:
    """Return the queries and answers in WORK, or in a saved file, whose queries are made again and compared.

    Args:
        work: the folder or the file.
        encode: the location encoder in float32.
        gallery: (N, 2) degrees, all places of the released one.
        tau: of the model.

    Raises:
        ValueError: the queries made again are not those that were answered.
    """
    if work.is_dir():
        saved = np.load(work / "queries.npz")
        cells, _ = ranked(truth(work / "truth", tau).cells, saved["vectors"], encode)
        return Answered(saved["vectors"], [str(kind) for kind in saved["kinds"]], cells)
    saved = np.load(work)
    kinds = [Kind(kind) for kind in saved["kinds"]]
    vectors, _ = simulated_queries(kinds, int(saved["queries"]), _inside(gallery, str(saved["region"])), encode)
    scores = np.einsum("qd,qd->q", vectors, encode(centres(saved["cells"][:, 0])))
    if np.abs(scores - saved["scores"][:, 0]).max() > 1e-3:
        raise ValueError(f"{work} holds the answers to other queries; make them again with `exhaustive`.")
    return Answered(vectors, [str(kind) for kind in kinds], saved["cells"])


def simulated_queries(
    kinds: Sequence[Kind], count: int, gallery: NDArray[np.float64], encode: Encode
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return vectors, kind after kind, and the places (count, 2) of each kind's."""
    lat_lng = places(gallery, count, SEED)
    return np.concatenate([queries(kind, lat_lng, encode, SEED) for kind in kinds]), lat_lng


def ranked(cells: Cells, vectors: NDArray[np.float32], encode: Encode) -> tuple[Cells, NDArray[np.float32]]:
    """Return the cells (Q, TOP) in the order that an encoder gives for the queries (Q, dim), and their scores."""
    distinct, rows = np.unique(cells, return_inverse=True)
    places = encode(centres(distinct))
    scores = np.einsum("qd,qkd->qk", vectors, places[rows.reshape(cells.shape)])
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(cells, order, 1), np.take_along_axis(scores, order, 1)


def save(work: Path, path: Path, tau: float, encode: Encode) -> None:
    """Write the ten best of WORK, and how its queries are made, into one file; `encode` in float32 ranks them."""
    about = np.load(work / "queries.npz")
    cells, scores = ranked(truth(work / "truth", tau).cells, about["vectors"], encode)
    region = about["region"] if "region" in about else np.array("")
    count = np.array(len(about["lat_lng"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, kinds=about["kinds"], queries=count, region=region, cells=cells[:, :10], scores=scores[:, :10]
    )


def main() -> None:
    """Encode the land, score it, and keep both."""
    from benchmarks.released_model import photo_vectors, released_model

    options = parser(__doc__, index=False, out=False)
    options.add_argument("work", type=Path)
    options.add_argument("--res", type=int, default=6, help="the coarse resolution; its children are scored")
    options.add_argument("--queries", type=int, default=500, help="of each kind")
    options.add_argument("--kinds", nargs="+", type=Kind, default=list(Kind), choices=list(Kind), metavar="KIND")
    options.add_argument("--below", type=Path, metavar="INDEX", help="score the cells of this index that ...")
    options.add_argument("--region", default="", help="... overlap this; queries are drawn from there")
    options.add_argument(
        "--vectors", type=Path, help="photos' vectors (`geoclip embed`), in place of simulated queries"
    )
    options.add_argument("--save", type=Path, metavar="FILE.npz", help="measure nothing; write what is in WORK")
    arguments = options.parse_args()
    model = released_model()
    if arguments.save:
        save(arguments.work, arguments.save, model.tau, model.exact)
        return
    gallery = _inside(model.gallery, arguments.region)
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.vectors is not None:
        vectors, kinds, lat_lng = photo_vectors(arguments.vectors), ["photos"], np.empty((0, 2))
    else:
        vectors, lat_lng = simulated_queries(arguments.kinds, arguments.queries, gallery, model.exact)
        kinds = [str(kind) for kind in arguments.kinds]
    cells = _cells(arguments.res, gallery, arguments.below, arguments.region)
    np.savez(arguments.work / "queries.npz", vectors=vectors, lat_lng=lat_lng, kinds=kinds, region=arguments.region)
    np.save(arguments.work / "cells.npy", cells)
    nearby = partial(model.encoder.nearby, spacing_km=spacing_km(arguments.res + 1))
    record(arguments.work, cells, Recorder(nearby, vectors, model.tau, arguments.res + 1))


def record(work: Path, cells: Cells, recorder: Recorder) -> None:
    """Encode the children of cells in the build's blocks, and keep what the recorder found in each."""
    folder = work / "truth"
    folder.mkdir(exist_ok=True)
    number, begun = 0, time.perf_counter()

    def on_block(done: int, total: int) -> None:
        nonlocal number
        if recorder.sums.any():
            with written_whole(folder / f"{number:06d}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, scores=recorder.scores, cells=recorder.cells, sums=recorder.sums)
            print(
                f"{done}/{total} points, {time.perf_counter() - begun:.0f} s of which encoding "
                f"{recorder.encode_s:.0f} s and scoring {recorder.record_s:.0f} s",
                flush=True,
            )
        number += 1
        recorder.reset()

    encode_blocks(BuildPlan(cells, BLOCK_CELLS), work / "blocks", recorder, on_block)


def _inside(gallery: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return the gallery's places in a region."""
    return gallery[Region.parse(where).contains(cells_at(gallery, 15))] if where else gallery


def _cells(res: int, gallery: NDArray[np.float64], below: Path | None, where: str) -> Cells:
    if below is None:
        return land_cells(res, also=np.unique(cells_at(gallery, res)))
    cells: Cells = np.load(below / "cells.npy")
    return children(cells[Region.parse(where).overlaps(cells)] if where else cells, res)


if __name__ == "__main__":
    main()
