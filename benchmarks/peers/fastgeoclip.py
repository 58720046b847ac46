"""FastGeoCLIP (github.com/fbarbe00/FastGeoCLIP) as a worker, in the released package's environment plus faiss-cpu.

Arguments: a folder with the tower, a photo, a copy of FastGeoCLIP, a batch. Its location weights are the released ones;
where the copy lacks that file it is taken from the released package.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import torch

from benchmarks.processes import Task, serve


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
    if not (work / "tower" / "preprocessor_config.json").is_file():  # its `reduce_clip_size.py` saves it with the tower
        from transformers import CLIPImageProcessor

        CLIPImageProcessor().save_pretrained(work / "tower")
    torch.set_grad_enabled(False)
    sys.path.insert(0, str(copy))
    sys.stdout, stdout = sys.stderr, sys.stdout  # it prints; stdout is for answers
    model = importlib.import_module("fastgeoclip").FastGeoCLIP().eval()
    sys.stdout = stdout
    serve(
        {
            "predict": Task(lambda: model.predict(photo, 5)),
            f"batch {batch}": Task(lambda: model.predict_batch([photo] * batch, 5), batch),
        }
    )


if __name__ == "__main__":
    main()
