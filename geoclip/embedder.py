"""`PhotoEmbedder`: photos and words to vectors. It knows nothing of what is searched."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from geoclip.encoders.image import ImageEncoder, views_at_once
from geoclip.encoders.precision import Precision, pick_device
from geoclip.encoders.preprocess import crops_of
from geoclip.encoders.text import TextEncoder
from geoclip.options import WordOptions
from geoclip.photos.decode import DecodeLimits, Photo
from geoclip.photos.elsewhere import Elsewhere
from geoclip.photos.pool import Decoded, Decoders, decode_all
from geoclip.release.directory import Release
from geoclip.release.fetch import released

Vector = NDArray[np.float32]
"""(dim,)"""
Photos = Photo | os.PathLike[str] | Iterable[Photo | os.PathLike[str]]
"""One photo or several: paths, bytes of files, open binary files, or Pillow images."""


class Words(NamedTuple):
    """Words about photos, and how much they count: 0 not at all, 1 alone."""

    text: str
    weight: float = WordOptions.text_weight


class PhotoEmbedder:
    """Turns photos and words into vectors of one space. CLIP's weights are loaded when they are first needed.

    Args:
        release: the model; None is the authors' release, fetched where it is not there yet.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32` or `bf16`, of CLIP's image tower.
        clip_path: CLIP's weights, a file or folder; None is `$GEOCLIP_CLIP_CHECKPOINT`, else open_clip's hub.
        limits: what one photo may cost, and how it is read.

    Raises:
        WeightsError: the released weights cannot be had.
        InputError: the device is unknown.
    """

    def __init__(
        self,
        release: Release | None = None,
        *,
        device: str | torch.device = "auto",
        precision: Precision | str = Precision.AUTO,
        clip_path: str | Path | None = None,
        limits: DecodeLimits = DecodeLimits(),
    ) -> None:
        self.device = pick_device(device)
        self.release = release or released()
        self.limits = replace(limits, size=self.release.config.preprocess.size)
        self.precision = precision
        self._clip_path = clip_path

    @property
    def batch(self) -> int:
        """How many photos are encoded at once."""
        return views_at_once(self.device)

    @cached_property
    def image_encoder(self) -> ImageEncoder:
        """The image encoder, loaded on first use."""
        return ImageEncoder(
            clip_path=self._clip_path, precision=self.precision, device=self.device, release=self.release
        ).eval()

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The text encoder, loaded on first use."""
        return TextEncoder(clip_path=self._clip_path, device=self.device, release=self.release).eval()

    def embed(self, photos: Photos, *, workers: int | Decoders = 0) -> Iterator[tuple[Decoded, Vector | None]]:
        """Yield each photo with its vector, or with None and the reason in `Decoded.error`.

        Vectors have length 1; with ten crops they are means of ten such vectors, and shorter.

        Args:
            photos: one or several; memory does not grow with their number.
            workers: decode in this many processes, where each photo has bounded time and memory; 0 decodes in this
                one. Or a pool of such, which stays open.
        """
        for batch in self.batches(photos, workers=workers):
            yield from batch

    def batches(self, photos: Photos, *, workers: int | Decoders = 0) -> Iterator[list[tuple[Decoded, Vector | None]]]:
        """Yield the same in batches, as they are encoded."""
        size = self.batch
        waiting = decode_all(each_photo(photos), self.limits, workers=workers)
        while batch := list(islice(waiting, size)):
            pixels = [decoded.pixels for decoded in batch if decoded.pixels is not None]
            crops = [crop for one in pixels for crop in crops_of(one, self.release.config.preprocess)]
            parts = [self.embed_views(crops[at : at + size]) for at in range(0, len(crops), size)]
            vectors = iter(
                np.concatenate(parts).reshape(len(crops) // self.limits.crops, self.limits.crops, -1) if parts else ()
            )
            yield [(d, None if d.pixels is None else _mean(next(vectors))) for d in batch]

    def embed_views(self, views: Sequence[bytes]) -> NDArray[np.float32]:
        """Return unit vectors (N, dim) of views of photos, size x size x 3 RGB each."""
        return self.image_encoder.embed(views).numpy()

    def embed_words(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (N, dim) of words, such as "a red double-decker bus".

        Raises:
            InputError: a text is empty.
        """
        return self.text_encoder.embed(texts).numpy()

    def mixed_with(self, words: Words | None) -> Callable[[Vector], Vector]:
        """Return what mixes words into a photo's vector: logits are linear, so this mixes the logits."""
        if words is None:
            return lambda vector: vector
        (said,) = self.embed_words([words.text])
        return lambda vector: (1 - words.weight) * vector + words.weight * said


def each_photo(photos: Photos) -> Iterator[Photo]:
    """Yield one photo or several, path-likes as paths."""
    if isinstance(photos, str | bytes | os.PathLike | Image.Image | Elsewhere) or hasattr(photos, "read"):
        photos = cast(list[Photo], [photos])
    for photo in photos:
        yield Path(photo) if isinstance(photo, os.PathLike) else photo


def _mean(vectors: NDArray[np.float32]) -> Vector:
    """Return the mean of a photo's crops (crops, dim): its logits are the means of the crops' logits."""
    mean: Vector = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return vectors[0] if len(vectors) == 1 else mean
