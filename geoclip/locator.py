"""`Locator`: joins the encoders and the search. Photos, words or vectors in, places out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from geoclip.answer import Answer, Prediction
from geoclip.decode import DecodeLimits, Photo
from geoclip.errors import InputError
from geoclip.gallery import embedded_gallery
from geoclip.image_encoder import ImageEncoder
from geoclip.location_encoder import LocationEncoder
from geoclip.photos import Decoded, decode_all
from geoclip.precision import Precision, compute_dtype, pick_device
from geoclip.release import Release, released
from geoclip.search import GallerySearch, Places, PlanetSearch, Searcher, with_k
from geoclip.text import TextEncoder
from index.efforts import Name
from index.planet import Planet, Question
from index.region import Region

# Photos encoded at once: a CPU gains nothing from more, and answers come sooner; a GPU needs them to be busy.
CPU_BATCH, GPU_BATCH = 4, 64

PLANET_QUESTION = Question(prior_weight=0.5)
"""What is asked of an index for photos and words. The prior's weight is a start: not yet measured on photos."""


class Locator:
    """Finds where photos were taken: among the distinct places of a gallery, or anywhere, through an index.

    Args:
        release: the model.
        searcher: finds places for vectors.
        device: where to compute.
        question: what `locate` and its kin ask; `search` asks what its arguments say.
        precision: arithmetic of CLIP's tower.
        clip_path: CLIP's weights, a file or folder; None takes open_clip's hub. Nothing is loaded before the
            first photo or text.
        limits: what one photo may cost.
    """

    def __init__(
        self,
        release: Release,
        searcher: Searcher,
        *,
        device: torch.device,
        question: Question = Question(),  # noqa: B008 - frozen
        precision: Precision = Precision.AUTO,
        clip_path: Path | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.release = release
        self.device = device
        self.tau = float(release.logit_scale().exp())
        self.question = question
        self._searcher = searcher
        self._precision, self._clip_path, self._limits = precision, clip_path, limits
        self._images: ImageEncoder | None = None
        self._texts: TextEncoder | None = None

    @classmethod
    def open(
        cls,
        index: str | Path | None = None,
        *,
        question: Question | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: Precision | str = Precision.AUTO,
        clip_path: str | Path | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Self:
        """Open an index made by `geoclip build`, or the released gallery; weights are fetched where they lack.

        Args:
            index: the directory of an index; None is the gallery, which is embedded where that was not done yet.
            question: what `locate` and its kin ask; by default on an index, `PLANET_QUESTION`.
            engine: for an index, how coarse cells are found: `auto`, `tree`, `exact` or `faiss-gpu`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32` or `bf16`, for CLIP's tower and for the search down an index.
            clip_path: CLIP's weights, a file or folder.
            limits: what one photo may cost.
            on_progress: called with the number of gallery places embedded and of all, where they must be.

        Raises:
            WeightsError: the released weights cannot be had.
            InputError: the device or precision is unknown, or the directory is no sound index of this model.
        """
        chosen = pick_device(device)
        release = released()
        encoder = LocationEncoder(release.sigma, from_pretrained=False, precision=precision)
        encoder.load_released(release.location_encoder())
        encoder.to(chosen).eval()
        searcher: Searcher
        if index is None:
            gallery = embedded_gallery(encoder, release.gallery(), on_progress=on_progress)
            searcher = GallerySearch(gallery, float(release.logit_scale().exp()), chosen)
        else:
            searcher = _opened(Path(index), encoder, release, engine, chosen)
            question = question or PLANET_QUESTION
        return cls(
            release,
            searcher,
            device=chosen,
            question=question or Question(),
            precision=Precision(precision),
            clip_path=None if clip_path is None else Path(clip_path),
            limits=limits,
        )

    def search(
        self,
        vectors: ArrayLike,
        k: int = 5,
        *,
        resolution: int = 9,
        effort: str = "default",
        prior_weight: float = 0.0,
        region: Region | str | None = None,
        mass_resolution: int | None = None,
        gallery: bool = True,
    ) -> Places:
        """Return the k best places for vectors of photos, words or places.

        Args:
            vectors: (N, 512), any length above 0.
            k: how many; from 1.
            resolution: H3 resolution of the cells, up to 11.
            effort: `fast`, `default`, `thorough` or `exhaustive`.
            prior_weight: of the density of photographs; 0 asks the vectors alone.
            region: where to look; see `index.region.Region.parse` for text.
            mass_resolution: rank by the probability summed up to this resolution; None ranks single cells.
            gallery: also try the places of the index's gallery inside the cells found.

        All but `k` and `resolution` need an index.

        Raises:
            InputError: another shape, a vector of length 0, values that are not finite, or an argument out of range.
        """
        if k < 1:
            raise InputError(f"k is {k}; ask for at least 1 place.")
        try:
            where = Region.parse(region) if isinstance(region, str) else region
            question = Question(k, resolution, Name(effort), prior_weight, where, mass_resolution, gallery)
        except ValueError as error:
            raise InputError(str(error)) from error
        return self.ask(vectors, question)

    def ask(self, vectors: ArrayLike, question: Question) -> Places:
        """Return the best places for vectors (N, 512). As `search`, which puts its arguments into a question."""
        return self._searcher.search(_unit(np.asarray(vectors, dtype=np.float32), self._searcher.dim), question)

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
        places = self.ask(vectors, with_k(self.question, k))
        return [
            tuple(
                Prediction(float(lat), float(lng), float(p), float(s), f"{cell:x}")
                for (lat, lng), p, s, cell in zip(*row, strict=True)
                if np.isfinite(s)
            )
            for row in zip(places.lat_lng, places.probabilities, places.scores, places.cells, strict=True)
        ]


def _opened(
    folder: Path, encoder: LocationEncoder, release: Release, engine: str, device: torch.device
) -> PlanetSearch:
    try:
        planet = Planet.open(folder, engine=engine, device=str(device), model=release.model_digest)
    except ValueError as error:
        raise InputError(str(error)) from error
    exact = compute_dtype(encoder.precision, device) is torch.float32
    return PlanetSearch(planet, encoder.embed, None if exact else partial(encoder.embed, precision=Precision.FP32))


def _unit(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InputError(f"Vectors have the shape {vectors.shape}; expected (N, {dim}).")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise InputError(f"Vector {bad[0]} has the length {lengths[bad[0], 0]}; it must be finite and above 0.")
    unit: NDArray[np.float32] = vectors / lengths
    return unit
