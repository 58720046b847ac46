"""Random views of a photo, as GeoCLIP was trained on, made with Pillow alone: this runs in the decoding processes.

The released training code's chain: a random part of the photo (8 to 100 % of its area, sides 3:4 to 4:3) at CLIP's
size; mirrored in half of the cases; brightness, contrast and saturation changed by up to 40 % and hue by up to 10 % in
a random order in 80 %; grey in 20 %. Its normalisation, ImageNet's, is not repeated: CLIP's is used everywhere.
"""

import hashlib
import math
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import cast

from PIL import Image, ImageEnhance

from geoclip.photos.colour import Conversion, as_it_is
from geoclip.photos.decode import CLIP_SIZE, DecodeLimits, Photo, Upright, clip_crop, upright

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
JITTER, HUE = 0.4, 0.1
JITTER_PROBABILITY, GREY_PROBABILITY, MIRROR_PROBABILITY = 0.8, 0.2, 0.5

_JOB = struct.Struct("<cBQ")  # augmented or not; whether a path follows, or a file's content; the seed
_PLAIN, _AUGMENTED = b"P", b"A"


def job(photo: Path | bytes, seed: int | None) -> bytes:
    """Return the message that `decode_job` reads: a file or its content, and the seed of its view.

    Args:
        photo: a path, or a file's content.
        seed: from 0 to below 2^64; None for CLIP's own crop.
    """
    head = _JOB.pack(_PLAIN if seed is None else _AUGMENTED, isinstance(photo, Path), seed or 0)
    return head + (os.fsencode(photo) if isinstance(photo, Path) else photo)


def decode_job(message: Photo, limits: DecodeLimits) -> bytes:
    """Return size x size x 3 bytes of one view; what a worker runs (see `geoclip.photos.worker`).

    Raises:
        PhotoError: the photo cannot be read.
    """
    packed = cast("bytes", message)
    kind, is_path, seed = _JOB.unpack_from(packed)
    content = packed[_JOB.size :]
    photo = upright(Path(os.fsdecode(content)) if is_path else content, limits)
    return _view(photo, None if kind == _PLAIN else Random(seed), limits.size)


def views(photo: Photo, limits: DecodeLimits, *, count: int, seed: int) -> bytes:
    """Return several views of a photo one after another: CLIP's own crop, then augmented ones.

    The augmented ones depend on the seed, the view's number and the last part of the photo's path.

    Raises:
        PhotoError: the photo cannot be read.
    """
    whole = upright(photo, limits)
    name = Path(photo).name if isinstance(photo, str | Path) else ""
    randoms = (Random(_seed(seed, view, name)) for view in range(1, count))
    return b"".join(_view(whole, random, limits.size) for random in (None, *randoms))


def _view(photo: Upright, random: Random | None, size: int) -> bytes:
    """Return CLIP's own crop, or a random view."""
    if random is None:
        return photo.to_srgb(clip_crop(photo.image, size)).tobytes()
    return augmented(photo.image, random, size, photo.to_srgb).tobytes()


def _seed(seed: int, view: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed},{view},".encode() + os.fsencode(name), digest_size=8).digest())


def augmented(image: Image.Image, random: Random, size: int = CLIP_SIZE, to_srgb: Conversion = as_it_is) -> Image.Image:
    """Return a random view of an RGB image, size x size."""
    left, top, width, height = random_part(image.width, image.height, random)
    part = image.crop((left, top, left + width, top + height))
    view = to_srgb(part.resize((size, size), Image.Resampling.BILINEAR))
    if random.random() < MIRROR_PROBABILITY:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < JITTER_PROBABILITY:
        view = jittered(view, random)
    if random.random() < GREY_PROBABILITY:
        view = view.convert("L").convert("RGB")
    return view


def random_part(width: int, height: int, random: Random) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a random part, in pixels, chosen as torchvision's RandomResizedCrop does.

    Ten tries; then the largest middle part whose sides are within the ratio.
    """
    for _ in range(10):
        area = width * height * random.uniform(*AREA)
        ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    w = min(width, max(1, round(height * RATIO[1])))
    h = min(height, max(1, round(width / RATIO[0])))
    return (width - w) // 2, (height - h) // 2, w, h


def jittered(image: Image.Image, random: Random) -> Image.Image:
    """Change brightness, contrast, saturation and hue by random amounts, in a random order."""
    brightness, contrast, saturation = (random.uniform(1 - JITTER, 1 + JITTER) for _ in range(3))
    changes: list[Callable[[Image.Image], Image.Image]] = [
        lambda view: ImageEnhance.Brightness(view).enhance(brightness),
        lambda view: ImageEnhance.Contrast(view).enhance(contrast),
        lambda view: ImageEnhance.Color(view).enhance(saturation),
        partial(turned_hue, turns=random.uniform(-HUE, HUE)),
    ]
    random.shuffle(changes)
    for change in changes:
        image = change(image)
    return image


def turned_hue(image: Image.Image, turns: float) -> Image.Image:
    """Turn the hue of an RGB image by part of a circle, -0.5 to 0.5."""
    hue, saturation, value = image.convert("HSV").split()
    shift = int(turns * 255)
    hue = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
