"""Decoded pixels to CLIP's input tensor."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from geoclip.release.config import Preprocess


def crops_of(pixels: bytes, preprocess: Preprocess) -> list[bytes]:
    """Return the views of one decoded photo (1 or 10), each size x size x 3 bytes as `normalised` takes them."""
    step = preprocess.size * preprocess.size * 3
    return [pixels[start : start + step] for start in range(0, len(pixels), step)]


def normalised(pixels: Sequence[bytes], preprocess: Preprocess) -> Tensor:
    """Return CLIP's input, (N, 3, size, size) float32, of N views of photos (size x size x 3 bytes each).

    The arithmetic (scale in float64, then float32) is that of transformers' Pillow-backed processor, so the
    tensors are equal bit for bit.
    """
    size = preprocess.size
    images = np.frombuffer(b"".join(pixels), dtype=np.uint8).reshape(len(pixels), size, size, 3)
    levels = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)[:, None]
    mean, std = np.array(preprocess.mean, dtype=np.float32), np.array(preprocess.std, dtype=np.float32)
    table = (levels - mean) / std  # (256, 3)
    out = np.empty((len(pixels), 3, size, size), dtype=np.float32)
    for channel in range(3):
        np.take(table[:, channel], images[..., channel], out=out[:, channel])
    return torch.from_numpy(out)
