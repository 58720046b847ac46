"""The released package as a worker; its environment runs this, see `benchmarks.processes`.

Arguments: a folder where the tower is written and a photo; or `encoder` and batches of points.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import calls_a_timing, some_points
from benchmarks.parity.released_answers import released_package, write_tower
from benchmarks.processes import Task, serve
from benchmarks.results import versions

SEED = 0


def main() -> None:
    """Serve."""
    torch.set_grad_enabled(False)
    torch.manual_seed(SEED)
    package = released_package()
    if sys.argv[1] == "encoder":
        encoder, batches = package.LocationEncoder().eval(), map(int, sys.argv[2:])
        points = {batch: torch.from_numpy(some_points(batch).astype(np.float32)) for batch in batches}
        serve({f"encode {b}": Task(partial(encoder, p), b, "points", calls_a_timing(b)) for b, p in points.items()})
        return
    work, photo = Path(sys.argv[1]), sys.argv[2]
    model = package.GeoCLIP(clip_pretrained=False).eval()
    write_tower(model, work / "tower", SEED)
    without_tower = package.GeoCLIP.__new__(package.GeoCLIP)
    without_tower.__dict__ = {**model.__dict__, "_modules": {**model._modules, "image_encoder": torch.nn.Identity()}}
    gallery, vector = model.gps_gallery, torch.randn(1, 512)

    def lookup() -> object:
        """Do what `predict` does once it has the image's vector."""
        return without_tower(vector, gallery).softmax(dim=-1).topk(5, dim=1)

    tasks = {
        "encode gallery": Task(lambda: model.location_encoder(gallery), len(gallery), "points"),
        "lookup": Task(lookup, 1, "queries"),
        "predict": Task(lambda: model.predict(photo, 5)),
        "tower": Task(lambda: model.image_encoder(torch.zeros(1, 3, 224, 224))),
    }
    serve(tasks, versions=versions(("geoclip", "torch", "transformers", "pillow", "numpy")))


if __name__ == "__main__":
    main()
