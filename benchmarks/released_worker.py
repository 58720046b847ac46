"""Tasks of the released package, run by its own environment; see `worker.py` and `side_by_side.py`."""

import importlib.metadata
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from released_answers import released_package, write_tower

from benchmarks.worker import Task, serve


def main() -> None:
    """Serve; arguments: a work folder (the tower is written there), a photo, points to encode, seed."""
    work, photo, points, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_grad_enabled(False)
    torch.manual_seed(seed)
    geoclip = released_package()
    model = geoclip.GeoCLIP(clip_pretrained=False).eval()
    write_tower(model, work / "tower", seed)
    without_tower = geoclip.GeoCLIP.__new__(geoclip.GeoCLIP)
    without_tower.__dict__ = {**model.__dict__, "_modules": {**model._modules, "image_encoder": torch.nn.Identity()}}
    rows = np.random.default_rng(seed).choice(len(model.gps_gallery), points, replace=False)
    sample, vector = model.gps_gallery[torch.from_numpy(rows)], torch.randn(1, 512)

    def lookup() -> object:
        """Do what `predict` does once it has the image's vector."""
        return without_tower(vector, model.gps_gallery).softmax(dim=-1).topk(5, dim=1)

    tasks = {
        "encode": Task(lambda: model.location_encoder(sample), points, "points"),
        "encode gallery": Task(lambda: model.location_encoder(model.gps_gallery), len(model.gps_gallery), "points"),
        "lookup": Task(lookup, 1, "queries"),
        "predict": Task(lambda: model.predict(photo, 5), 1, "photos"),
        "tower": Task(lambda: model.image_encoder(torch.zeros(1, 3, 224, 224)), 1, "photos"),
    }
    names = ("geoclip", "torch", "transformers", "pillow", "numpy")
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}
    serve(tasks, {"versions": versions})


if __name__ == "__main__":
    main()
