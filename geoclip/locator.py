"""`Locator`: joins the encoders and the search. Photos, words or vectors in, places out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from geoclip.answer import Answer, Prediction
from geoclip.decode import DecodeLimits, Photo
from geoclip.errors import InputError
from geoclip.gallery import Gallery, embedded_gallery
from geoclip.image_encoder import ImageEncoder
from geoclip.location_encoder import LocationEncoder
from geoclip.photos import Decoded, decode_all
from geoclip.precision import Precision, pick_device
from geoclip.release import Release, released
from geoclip.text import TextEncoder
from index import ExactEngine

# Photos encoded at once: a CPU gains nothing from more, and answers come sooner; a GPU needs them to be busy.
CPU_BATCH, GPU_BATCH = 4, 64


@dataclass(frozen=True)
class Places:
    """The best places for N vectors, best first; arrays are (N, k)."""

    lat_lng: NDArray[np.float32]
    """(N, k, 2) degrees; NaN where there are fewer than k places."""
    scores: NDArray[np.float32]
    """Cosine; -inf where there are fewer than k places."""
    probabilities: NDArray[np.float64]
    """Softmax of tau * score over all places searched; 0 where there are fewer than k places."""


class Locator:
    """Finds where photos were taken among the distinct places of a gallery.

    Args:
        release: the model and its gallery.
        gallery: the gallery's distinct places with their vectors.
        device: where to compute.
        precision: arithmetic of CLIP's tower.
        clip_path: CLIP's weights, a file or folder; None takes open_clip's hub. Nothing is loaded before the
            first photo or text.
        limits: what one photo may cost.
    """

    def __init__(
        self,
        release: Release,
        gallery: Gallery,
        *,
        device: torch.device,
        precision: Precision = Precision.AUTO,
        clip_path: Path | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.release = release
        self.device = device
        self.tau = float(release.logit_scale().exp())
        self._lat_lng = gallery.lat_lng
        self._engine = ExactEngine(gallery.vectors, device=device)
        self._precision, self._clip_path, self._limits = precision, clip_path, limits
        self._images: ImageEncoder | None = None
        self._texts: TextEncoder | None = None

    @classmethod
    def open(
        cls,
        *,
        device: str = "auto",
        precision: Precision | str = Precision.AUTO,
        clip_path: str | Path | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Self:
        """Open the released gallery, fetching weights and embedding the gallery where that was not done yet.

        Args:
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32` or `bf16`, for CLIP's tower.
            clip_path: CLIP's weights, a file or folder.
            limits: what one photo may cost.
            on_progress: called with the number of gallery places embedded and of all, where they must be.

        Raises:
            WeightsError: the released weights cannot be had.
            InputError: the device or precision is unknown.
        """
        chosen = pick_device(device)
        release = released()
        encoder = LocationEncoder(release.sigma, from_pretrained=False)
        encoder.load_released(release.location_encoder())
        gallery = embedded_gallery(encoder.to(chosen), release.gallery(), on_progress=on_progress)
        path = None if clip_path is None else Path(clip_path)
        return cls(release, gallery, device=chosen, precision=Precision(precision), clip_path=path, limits=limits)

    def search(self, vectors: ArrayLike, k: int = 5) -> Places:
        """Return the k best places for vectors of photos, words or places.

        Args:
            vectors: (N, 512), any length above 0.
            k: how many; from 1.

        Raises:
            InputError: another shape, a vector of length 0, values that are not finite, or k below 1.
        """
        queries = _unit(np.asarray(vectors, dtype=np.float32), self._engine.dim)
        if k < 1:
            raise InputError(f"k is {k}; ask for at least 1 place.")
        hits, log_partition = self._engine.search_scored(queries, k, self.tau)
        found = hits.rows >= 0
        lat_lng = np.where(found[..., None], self._lat_lng[hits.rows], np.float32(np.nan))
        probabilities = np.exp(self.tau * hits.scores.astype(np.float64) - log_partition[:, None])
        return Places(lat_lng, hits.scores, np.where(found, probabilities, 0.0))

    def locate(self, photos: Iterable[Photo], k: int = 5, *, workers: int = 0) -> list[Answer]:
        """Answer for photos; see `stream`."""
        return list(self.stream(photos, k, workers=workers))

    def stream(self, photos: Iterable[Photo], k: int = 5, *, workers: int = 0) -> Iterator[Answer]:
        """Yield an answer for each photo, in order and as they come; memory does not grow with their number.

        Args:
            photos: paths, bytes of files, open binary files, or Pillow images.
            k: places per photo.
            workers: decode in this many processes, where each photo has bounded time and memory; 0 decodes in
                this one.

        Yields:
            An `Answer`; for a photo that cannot be read, one with `error` and no predictions.
        """
        for batch in self._batches(photos, workers):
            good = [d.pixels for d in batch if d.pixels is not None]
            predictions = iter(self.predictions(self.image_encoder.embed(good).numpy(), k) if good else ())
            for decoded in batch:
                yield Answer(decoded.name, () if decoded.error else next(predictions), decoded.error)

    def embed(
        self, photos: Iterable[Photo], *, workers: int = 0
    ) -> Iterator[tuple[Decoded, NDArray[np.float32] | None]]:
        """Yield each photo with its unit vector (512,), or with None and the reason in `Decoded.error`."""
        for batch in self._batches(photos, workers):
            good = [d.pixels for d in batch if d.pixels is not None]
            vectors = iter(self.image_encoder.embed(good).numpy() if good else ())
            for decoded in batch:
                yield decoded, None if decoded.error else next(vectors)

    def locate_text(self, texts: Sequence[str], k: int = 5) -> list[Answer]:
        """Answer for words, such as "a red double-decker bus".

        Raises:
            InputError: a text is empty.
        """
        predictions = self.predictions(self.text_encoder.embed(texts).numpy(), k)
        return [Answer(text, found) for text, found in zip(texts, predictions, strict=True)]

    @property
    def image_encoder(self) -> ImageEncoder:
        """The image encoder, loaded on first use."""
        if self._images is None:
            self._images = ImageEncoder(
                clip_path=self._clip_path, precision=self._precision, device=self.device, release=self.release
            ).eval()
        return self._images

    @property
    def text_encoder(self) -> TextEncoder:
        """The text encoder, loaded on first use."""
        if self._texts is None:
            self._texts = TextEncoder(clip_path=self._clip_path, device=self.device, release=self.release).eval()
        return self._texts

    def _batches(self, photos: Iterable[Photo], workers: int) -> Iterator[list[Decoded]]:
        size = GPU_BATCH if self.device.type == "cuda" else CPU_BATCH
        batch: list[Decoded] = []
        for decoded in decode_all(photos, self._limits, workers=workers):
            batch.append(decoded)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def predictions(self, vectors: NDArray[np.float32], k: int) -> list[tuple[Prediction, ...]]:
        """Return what `search` finds as the predictions of each vector."""
        places = self.search(vectors, k)
        return [
            tuple(
                Prediction(float(lat), float(lng), float(p), float(s))
                for (lat, lng), p, s in zip(*row, strict=True)
                if np.isfinite(s)
            )
            for row in zip(places.lat_lng, places.probabilities, places.scores, strict=True)
        ]


def _unit(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InputError(f"Vectors have the shape {vectors.shape}; expected (N, {dim}).")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise InputError(f"Vector {bad[0]} has the length {lengths[bad[0], 0]}; it must be finite and above 0.")
    unit: NDArray[np.float32] = vectors / lengths
    return unit
