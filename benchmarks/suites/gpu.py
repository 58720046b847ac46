"""The heart on a GPU, where there is one: encoding by batch and precision, lookups in an index, a region's build."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.released_model import released_model
from benchmarks.simulated import Kind, places, queries
from benchmarks.suites.encode import encoder_of, products
from benchmarks.suites.records import Records, Size, in_turns, percentiles, spread
from geoclip.encoders.location import GPU_CHUNK
from index.building.build import Request, build
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.question import Question
from index.storage.gallery import Gallery

SUITE = "gpu"
BATCHES = (1, 64, 1024, 16_384, 262_144)
REGION = "bbox:36,-10,60,16"


def run(records: Records, size: Size, *, index: Path | None = None) -> None:
    """Measure, or write down that there is no GPU."""
    if not torch.cuda.is_available():
        records.add(SUITE, task="none", why="no CUDA GPU here")
        return
    name = torch.cuda.get_device_name()
    _encode(records, size, name)
    _build(records, name)
    if index is not None:
        for engine in ("faiss-gpu", "exact"):
            _lookups(records, size, name, index, engine)


def _encode(records: Records, size: Size, device: str) -> None:
    for precision in ("fp32", "bf16"):
        encoder = encoder_of(precision, "cuda")
        for batch in BATCHES:
            points = np.random.default_rng(records.seed).uniform((-60, -180), (70, 180), (batch, 2))
            tasks: dict[str, Callable[[], object]] = {
                "project": partial(encoder.embed, points),
                "products": products(precision, batch, "cuda", GPU_CHUNK),
            }
            for side, spent in in_turns(tasks, size.rounds).items():
                rate = batch / spread(spent)["median_s"]
                records.add(
                    SUITE, task="encode", side=side, device=device, precision=precision, batch=batch,
                    points_a_second=rate, **spread(spent),
                )  # fmt: skip


def _build(records: Records, device: str) -> None:
    model = released_model("cuda")
    request = Request(6, Gallery.of(model.gallery), "released", region=Region.parse(REGION), tau=model.tau)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        build(request, model.encoder, Path(folder) / "index", report=lambda *_: None)
        records.add(SUITE, task="build", device=device, region=REGION, seconds=time.perf_counter() - begun)


def _lookups(records: Records, size: Size, device: str, index: Path, engine: str) -> None:
    model = released_model("cuda")
    planet = model.open(index, engine=engine, device="cuda")
    vectors = queries(
        Kind.PHOTO_LIKE, places(model.gallery, size.queries, records.seed), model.exact, records.seed
    ).vectors
    for effort in (EffortName.FAST, EffortName.DEFAULT):
        question = Question(k=10, resolution=9, effort=effort)
        planet.search(vectors, question)
        times = []
        for n in range(size.singles):
            begun = time.perf_counter()
            planet.search(vectors[n : n + 1], question)
            times.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        planet.search(vectors, question)
        rate = len(vectors) / (time.perf_counter() - begun)
        records.add(
            SUITE, task="lookup", device=device, engine=engine, effort=str(effort), per_second=rate,
            **percentiles(times), batch=len(vectors), simulated=True,
        )  # fmt: skip
