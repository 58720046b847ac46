"""The project as a worker. Arguments: a folder with the tower, a photo, a batch, and perhaps an index."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.processes import Task, serve
from geoclip import GeoCLIP, LocationEncoder, Locator
from geoclip.encoders.precision import has_bf16_units
from geoclip.photos.decode import decode
from index import ExactEngine, FlatEngine

QUERIES = (1, 8, 64, 512)


def main() -> None:
    """Serve."""
    work, photo, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_grad_enabled(False)
    model = GeoCLIP(clip_path=work / "tower", precision="fp32").eval()
    tensor, gallery = torch.zeros(1, 3, 224, 224), model.gps_gallery
    tasks = {
        "predict": Task(lambda: model.predict(photo, 5)),
        "decode": Task(lambda: decode(photo)),
        "tower": Task(lambda: model.image_encoder(tensor)),
    }
    for precision in ("fp32", "bf16") if has_bf16_units(torch.device("cpu")) else ("fp32",):
        encoder = LocationEncoder(precision=precision).eval()
        tasks[f"encode gallery {precision}"] = Task(partial(encoder, gallery), len(gallery), "points")
    tasks |= searches(model)
    for name, folder in (("gallery", "none"), *(("index", folder) for folder in sys.argv[4:])):
        locator = Locator.open(folder, clip_path=work / "tower", precision="fp32", device="cpu")
        tasks[f"locate, {name}"] = Task(partial(locator.locate, [photo]))
        tasks[f"batch {batch}, {name}"] = Task(partial(locator.locate, [photo] * batch), batch)
        if name == "index":
            vector = model.image_encoder(tensor).numpy()
            tasks["lookup, index"] = Task(partial(locator.search, vector, 5), 1, "queries")
    serve(tasks)


def searches(model: GeoCLIP) -> dict[str, Task]:
    """Return lookups of vectors in the gallery, and the engines' searches alone."""
    vectors, _ = model.gallery_features()
    exact = ExactEngine(vectors)
    systems: dict[str, Callable[..., object]] = {"lookup": Locator.open("none", device="cpu").search}
    systems |= {"exact": exact.search, "flat": FlatEngine(vectors).search}
    queries = {n: np.random.default_rng(n).normal(size=(n, exact.dim)).astype(np.float32) for n in QUERIES}
    return {
        f"{name} {n}": Task(partial(search, own, 5), n, "queries")
        for name, search in systems.items()
        for n, own in queries.items()
    }


if __name__ == "__main__":
    main()
