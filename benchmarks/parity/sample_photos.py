"""Draw nineteen seeded pictures of many sizes, modes and formats: input that both packages read alike.

All are opaque, upright and of at most 8 bits: on the rest the two packages differ on purpose.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Sample(NamedTuple):
    """One picture to draw."""

    width: int
    height: int
    mode: str
    suffix: str


SAMPLES = (
    Sample(224, 224, "RGB", "png"),  # nothing to resize
    Sample(225, 224, "RGB", "png"),  # an odd surplus to crop
    Sample(224, 227, "RGB", "bmp"),
    Sample(97, 61, "RGB", "png"),  # upscaled
    Sample(16, 16, "RGB", "png"),
    Sample(1, 1, "RGB", "png"),
    Sample(333, 500, "RGB", "jpg"),
    Sample(1023, 767, "RGB", "jpg"),
    Sample(4000, 3000, "RGB", "jpg"),  # a phone's 12 megapixels
    Sample(2048, 257, "RGB", "webp"),
    Sample(151, 1801, "RGB", "tiff"),  # a strip, 1 : 12
    Sample(640, 481, "L", "png"),
    Sample(301, 299, "L", "jpg"),
    Sample(500, 375, "P", "png"),
    Sample(321, 243, "P", "gif"),
    Sample(800, 601, "RGBA", "png"),  # fully opaque
    Sample(259, 390, "RGBA", "webp"),
    Sample(411, 277, "CMYK", "jpg"),
    Sample(129, 515, "1", "png"),
)


def draw_samples(folder: Path, seed: int) -> list[Path]:
    """Write the pictures into an existing folder and return their paths."""
    paths = []
    for position, sample in enumerate(SAMPLES):
        random = np.random.default_rng((seed, position))
        image = Image.fromarray(_scene(random, sample.width, sample.height)).convert(sample.mode)
        name = f"{position:02d}-{sample.width}x{sample.height}-{sample.mode}.{sample.suffix}"
        image.save(folder / name, lossless=True)  # WebP's option; the others pay no heed to it
        paths.append(folder / name)
    return paths


def _scene(random: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Return (height, width, 3): a colour gradient, waves of several lengths, rectangles, and grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / max(width, height), y / max(width, height)
    canvas = random.uniform(0, 255, 3) + (x[..., None] - y[..., None]) * random.uniform(-160, 160, 3)
    for _ in range(6):
        fx, fy = random.normal(0, random.choice([3, 15, 60]), 2)
        wave = np.sin(2 * np.pi * (fx * x + fy * y + random.uniform()))
        canvas += wave[..., None] * random.uniform(-35, 35, 3)
    for _ in range(8):
        left, top = random.integers(0, width), random.integers(0, height)
        right, bottom = left + random.integers(1, width + 1), top + random.integers(1, height + 1)
        canvas[top:bottom, left:right] = 0.4 * canvas[top:bottom, left:right] + random.uniform(0, 150, 3)
    canvas += random.normal(0, random.uniform(0, 25), canvas.shape)
    pixels: NDArray[np.uint8] = canvas.clip(0, 255).astype(np.uint8)
    return pixels
