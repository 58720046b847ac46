"""CLIP's features of photos, several views of each, and which tower made them."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geoclip.encoders.image import ImageEncoder, views_at_once
from geoclip.encoders.preprocess import crops_of, normalised
from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits, Photo
from geoclip.photos.pool import Decoded, decode_all
from geoclip.train.data.augment import views

MAX_VIEWS = 255


def features_of(
    photos: Iterable[Photo], encoder: ImageEncoder, limits: DecodeLimits, *, count: int, seed: int, workers: int
) -> Iterator[tuple[Decoded, NDArray[np.float32] | None]]:
    """Yield each photo with its features (count, D), or with None and the reason in `Decoded.error`.

    Args:
        photos: as for `decode_all`.
        encoder: its tower is used, not its perceptron.
        limits: what one photo may cost, and how it is read.
        count: views, from 1 to 255. The first is the photo as `geoclip locate` sees it, the others are augmented.
        seed: of these.
        workers: processes to decode in.

    Raises:
        InputError: `count` is out of range.
    """
    if not 1 <= count <= MAX_VIEWS:
        raise InputError(f"views is {count}; it must be from 1 to {MAX_VIEWS}.")
    limits = replace(limits, size=encoder.config.preprocess.size)
    decoded = decode_all(photos, limits, workers=workers, decoder=partial(views, count=count, seed=seed))
    at_once = views_at_once(encoder.device)
    while batch := list(islice(decoded, photos_at_once(encoder, count))):
        crops = [
            crop
            for photo in batch
            if photo.pixels is not None
            for crop in crops_of(photo.pixels, encoder.config.preprocess)
        ]
        parts = [_encoded(encoder, crops[start : start + at_once]) for start in range(0, len(crops), at_once)]
        features = iter(np.concatenate(parts).reshape(-1, count, parts[0].shape[1]) if parts else [])
        for photo in batch:
            yield photo._replace(pixels=None), None if photo.pixels is None else next(features)


def photos_at_once(encoder: ImageEncoder, count: int) -> int:
    """Return how many photos of `count` views are encoded together."""
    return max(1, views_at_once(encoder.device) // count)


def _encoded(encoder: ImageEncoder, crops: list[bytes]) -> NDArray[np.float32]:
    with torch.inference_mode():
        features: NDArray[np.float32] = (
            encoder.backbone(normalised(crops, encoder.config.preprocess).to(encoder.device, encoder.dtype))
            .float()
            .cpu()
            .numpy()
        )
    return features


def tower_digest(tower: nn.Module) -> str:
    """Return the sha256 of a tower's parameters and buffers, rounded to bfloat16, with their names.

    Rounded because a tower that computes in bfloat16 has only those numbers; rounding twice changes nothing.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tower.state_dict().items()):
        rounded = tensor.detach().to("cpu", torch.bfloat16).contiguous()
        digest.update(f"{name}{tuple(rounded.shape)}".encode())
        digest.update(rounded.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()
