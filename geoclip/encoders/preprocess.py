"""Decoded pixels to CLIP's input tensor."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from geoclip.photos.decode import SIZE

# OpenAI CLIP's statistics (Radford et al. 2021), not ImageNet's.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

_CROP_BYTES = SIZE * SIZE * 3


def crops_of(pixels: bytes) -> list[bytes]:
    """Return the views of one decoded photo (1 or 10), each 224 x 224 x 3 bytes as `normalised` takes them."""
    return [pixels[start : start + _CROP_BYTES] for start in range(0, len(pixels), _CROP_BYTES)]


def normalised(pixels: Sequence[bytes]) -> Tensor:
    """Return CLIP's input, (N, 3, 224, 224) float32, of N views of photos (224 x 224 x 3 bytes each).

    The arithmetic (scale in float64, then float32) is that of transformers' Pillow-backed processor, so the
    tensors are equal bit for bit.
    """
    images = np.frombuffer(b"".join(pixels), dtype=np.uint8).reshape(len(pixels), SIZE, SIZE, 3)
    levels = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)[:, None]
    table = (levels - np.array(MEAN, dtype=np.float32)) / np.array(STD, dtype=np.float32)  # (256, 3)
    out = np.empty((len(pixels), 3, SIZE, SIZE), dtype=np.float32)
    for channel in range(3):
        np.take(table[:, channel], images[..., channel], out=out[:, channel])
    return torch.from_numpy(out)
