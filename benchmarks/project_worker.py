"""Tasks of this project, run by its own environment; see `worker.py` and `side_by_side.py`."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.worker import Task, serve
from geoclip import GeoCLIP, LocationEncoder, Locator
from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.location import CPU_CHUNK
from geoclip.encoders.precision import has_bf16_units
from geoclip.photos.decode import decode
from index import ExactEngine, FlatEngine

BATCHES = (1, 8, 64, 512)
SHAPES = ((512, 1024), (1024, 1024), (1024, 1024), (1024, 512))
"""(inputs, outputs) of the linear layers of one of the location encoder's three capsules."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Serve; arguments as for `released_worker.py`, whose tower is read."""
    work, photo, points, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_grad_enabled(False)
    torch.manual_seed(seed)
    model = GeoCLIP(clip_path=work / "tower", precision="fp32").eval()
    rows = np.random.default_rng(seed).choice(len(model.gps_gallery), points, replace=False)
    sample = model.gps_gallery[torch.from_numpy(rows)]
    tasks = _photo(model, photo) | _search(model, seed)
    for precision in ("fp32", "bf16") if has_bf16_units(torch.device("cpu")) else ("fp32",):
        encoder = LocationEncoder(precision=precision).eval()
        tasks[f"encode {precision}"] = Task(partial(encoder, sample), points, "points")
        tasks[f"encode gallery {precision}"] = Task(
            partial(encoder, model.gps_gallery), len(model.gps_gallery), "points"
        )
        tasks |= _products(precision, points)
    serve(tasks, {"tasks": list(tasks)})


def _photo(model: GeoCLIP, photo: str) -> dict[str, Task]:
    tensor = torch.zeros(1, 3, 224, 224)
    return {
        "predict": Task(lambda: model.predict(photo, 5), 1, "photos"),
        "tower": Task(lambda: model.image_encoder(tensor), 1, "photos"),
        "decode": Task(lambda: decode(photo), 1, "photos"),
    }


def _search(model: GeoCLIP, seed: int) -> dict[str, Task]:
    vectors, _ = model.gallery_features()
    locator, exact, flat = Locator.open("none", device="cpu"), ExactEngine(vectors), FlatEngine(vectors)
    random = np.random.default_rng(seed)
    tasks = {}
    for n in BATCHES:
        queries = random.normal(size=(n, exact.dim)).astype(np.float32)
        tasks[f"exact {n}"] = Task(partial(exact.search, queries, 5), n, "queries")
        tasks[f"flat {n}"] = Task(partial(flat.search, queries, 5), n, "queries")
        tasks[f"lookup {n}"] = Task(partial(locator.search, queries, 5), n, "queries")
    return tasks


def _products(precision: str, points: int) -> dict[str, Task]:
    """Plain products of the encoder's shapes at the encoder's chunk, and one of 1024 x 1024 over all points."""
    dtype = DTYPES[precision]
    weights = {(i, o): (torch.randn(o, i).to(dtype), torch.randn(o).to(dtype)) for i, o in SHAPES}
    chunk = {i: torch.randn(CPU_CHUNK, i).to(dtype) for i, _ in SHAPES}
    whole = torch.randn(points, 1024).to(dtype)
    chunks = -(-points // CPU_CHUNK)

    def layers(_: int) -> None:
        with torch.inference_mode():
            for _ in range(3):
                for inputs, outputs in SHAPES:
                    F.linear(chunk[inputs], *weights[inputs, outputs])

    point_flop = 2.0 * 3 * sum(i * o for i, o in SHAPES)
    square = partial(F.linear, whole, *weights[1024, 1024])
    return {
        f"gemm layers {precision}": Task(
            partial(on_all_cores, layers, range(chunks)), chunks * CPU_CHUNK * point_flop, "flop"
        ),
        f"gemm 1024 {precision}": Task(square, 2.0 * points * 1024 * 1024, "flop"),
    }


if __name__ == "__main__":
    main()
