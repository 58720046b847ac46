"""Photos through this project: arguments are a work folder with the tower, a photo, a batch, and an index."""

import sys
from functools import partial
from pathlib import Path

import torch

from benchmarks.worker import Task, serve
from geoclip import GeoCLIP, Locator
from geoclip.photos.decode import decode


def main() -> None:
    """Serve."""
    work, photo, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_grad_enabled(False)
    model = GeoCLIP(clip_path=work / "tower", precision="fp32").eval()
    tensor = torch.zeros(1, 3, 224, 224)
    tasks = {
        "predict": Task(lambda: model.predict(photo, 5), 1, "photos"),
        "decode": Task(lambda: decode(photo), 1, "photos"),
        "tower": Task(lambda: model.image_encoder(tensor), 1, "photos"),
    }
    places = [("gallery", None), *(("index", folder) for folder in sys.argv[4:])]
    for name, folder in places:
        locator = Locator.open(folder, clip_path=work / "tower", precision="fp32", device="cpu")
        tasks[f"locate, {name}"] = Task(partial(locator.locate, [photo]), 1, "photos")
        tasks[f"batch {batch}, {name}"] = Task(partial(locator.locate, [photo] * batch), batch, "photos")
        if folder is not None:
            tasks[f"lookup, {name}"] = Task(
                partial(locator.search, model.image_encoder(tensor).numpy(), 5), 1, "queries"
            )
    serve(tasks, {"tasks": list(tasks)})


if __name__ == "__main__":
    main()
