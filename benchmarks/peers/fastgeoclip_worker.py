"""Photos through FastGeoCLIP (github.com/fbarbe00/FastGeoCLIP), in the released package's environment plus faiss-cpu.

Arguments: a work folder with the tower, a photo, a copy of FastGeoCLIP, a batch. Its location weights are the released
ones; where the copy lacks that file it is taken from the released package.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import torch

from benchmarks.worker import Task, serve


def main() -> None:
    """Serve."""
    work, photo, copy, batch = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    weights = copy / "fastgeoclip" / "weights" / "location_encoder_weights.pth"
    if not weights.is_file():
        released = importlib.util.find_spec("geoclip")
        assert released is not None
        assert released.origin is not None
        shutil.copy(Path(released.origin).parent / "model" / "weights" / weights.name, weights)
    os.environ |= {"CLIP_MODEL_PATH": str(work / "tower"), "CACHE_DIR": str(work / "fastgeoclip")}
    _write_processor(work / "tower")
    torch.set_grad_enabled(False)
    sys.path.insert(0, str(copy))
    sys.stdout, stdout = sys.stderr, sys.stdout  # it prints; stdout is for answers
    model = importlib.import_module("fastgeoclip").FastGeoCLIP().eval()
    sys.stdout = stdout
    tasks = {
        "predict": Task(lambda: model.predict(photo, 5), 1, "photos"),
        f"batch {batch}": Task(lambda: model.predict_batch([photo] * batch, 5), batch, "photos"),
    }
    serve(tasks, {"tasks": list(tasks)})


def _write_processor(tower: Path) -> None:
    """Write the preprocessing settings that `reduce_clip_size.py` of FastGeoCLIP saves with the tower."""
    if not (tower / "preprocessor_config.json").is_file():
        from transformers import CLIPImageProcessor

        CLIPImageProcessor().save_pretrained(tower)


if __name__ == "__main__":
    main()
