"""Made-up photos."""

from pathlib import Path

import numpy as np
from PIL import Image


def make_photo(path: Path, seed: int, size: tuple[int, int] = (320, 240)) -> Path:
    """Write a seeded picture of smooth blobs; the format is the suffix's."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC).save(path)
    return path
