"""`Locator`: joins the encoders and the search. Photos, words or vectors in, places out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from geoclip.answers.answer import Answer, RecordedGps, Searched
from geoclip.answers.answering import AnswerMaker, AnswerOptions
from geoclip.answers.calibration import Calibration
from geoclip.answers.searchers import GallerySearch, Places, PlanetSearch, Searcher, with_k
from geoclip.distance import haversine_km
from geoclip.encoders.embedded_gallery import embedded_gallery
from geoclip.encoders.image import ImageEncoder
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision, pick_device
from geoclip.encoders.preprocess import crops_of
from geoclip.encoders.text import TextEncoder
from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits, Photo
from geoclip.photos.pool import Decoded, decode_all
from geoclip.release.directory import Release, released
from index.encoder import Encode
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question
from index.storage.contents import open_gallery

# Photos encoded at once: a CPU gains nothing from more, and answers come sooner; a GPU needs them to be busy.
CPU_BATCH, GPU_BATCH = 4, 64

PLANET_QUESTION = Question(prior_weight=0.5)
"""What is asked of an index for photos and words. The prior's weight is a start: not yet measured on photos."""

HITS = 10
"""Cells or places looked at for the best point of an answer, at least."""


def default_answer_options(candidates: str) -> AnswerOptions:
    """Return how answers are read off: on a planet places apart, in a gallery its best places, as released."""
    return AnswerOptions() if candidates == "planet" else AnswerOptions(apart_km=0.0)


class Words(NamedTuple):
    """Words about photos, and how much they count: 0 not at all, 1 alone."""

    text: str
    weight: float = 0.3


class Locator:
    """Finds where photos were taken: among the distinct places of a gallery, or anywhere, through an index.

    Args:
        release: the model.
        searcher: finds places for vectors.
        device: where to compute.
        encode: the location encoder in float32.
        question: what `locate` and its kin ask; `search` asks what its arguments say.
        reading: how answers are read off what was found; by default predictions of a planet are places apart, and
            those of a gallery are its best places, however close.
        constraint: the question's region in words, for answers.
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
        encode: Encode,
        question: Question = Question(),  # noqa: B008 - frozen
        reading: AnswerOptions | None = None,
        constraint: str = "",
        precision: Precision = Precision.AUTO,
        clip_path: Path | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.release = release
        self.device = device
        self.tau = float(release.logit_scale().exp())
        self.question = question
        self.searcher = searcher
        self.reader = AnswerMaker(reading or default_answer_options(searcher.searched.candidates), encode)
        self._constraint = constraint
        self._precision, self._clip_path, self.limits = precision, clip_path, limits
        self._images: ImageEncoder | None = None
        self._texts: TextEncoder | None = None

    @classmethod
    def open(
        cls,
        index: str | Path | None = None,
        *,
        candidates: str | None = None,
        question: Question | None = None,
        reading: AnswerOptions | None = None,
        constraint: str = "",
        calibration: str | Path | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: Precision | str = Precision.AUTO,
        clip_path: str | Path | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 - frozen
        release: Release | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Self:
        """Open an index made by `geoclip build`, or the released gallery; weights are fetched where they lack.

        Args:
            index: the directory of an index; None is the gallery, which is embedded where that was not done yet.
            candidates: `planet`, any place on land, which needs an index; or `gallery`, the places of the index's
                gallery or, without an index, of the released one, ranked as the released package ranks them. None is
                `planet` with an index.
            question: what `locate` and its kin ask; by default on a planet, `PLANET_QUESTION`.
            reading: how answers are read off what was found; None is `default_answer_options`.
            constraint: the question's region in words, for answers.
            calibration: a file of `geoclip calibrate`; it decides temperature, prior weight and circles.
            engine: for an index, how coarse cells are found: `auto`, `tree`, `exact` or `faiss-gpu`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32` or `bf16`, for CLIP's tower and for the search down an index.
            clip_path: CLIP's weights, a file or folder.
            limits: what one photo may cost.
            release: the model; None is the authors' release.
            on_progress: called with the number of gallery places embedded and of all, where they must be.

        Raises:
            WeightsError: the released weights cannot be had.
            InputError: the device or precision is unknown, or the directory is no sound index of this model.
        """
        if candidates not in (None, "gallery", "planet") or (candidates == "planet" and index is None):
            raise InputError(f"The candidates are {candidates!r}; choose gallery, or planet together with an index.")
        chosen = pick_device(device)
        release = release or released()
        encoder = LocationEncoder(release.sigma, from_pretrained=False, precision=precision)
        encoder.load_released(release.location_encoder())
        encoder.to(chosen).eval()
        on_planet = index is not None and candidates != "gallery"
        searcher: Searcher
        if on_planet:
            searcher = _opened(Path(str(index)), encoder, release, engine, chosen)
        else:
            searcher = _opened_gallery(index, encoder, release, chosen, on_progress)
        question = question or (PLANET_QUESTION if on_planet else Question())
        reading = reading or default_answer_options(searcher.searched.candidates)
        if calibration is not None:
            fitted = Calibration.load(Path(calibration))
            fitted.check(release.model_digest, searcher.searched.candidates)
            question, reading = fitted.applied(question, reading)
        return cls(
            release,
            searcher,
            device=chosen,
            encode=encoder.exactly,
            question=question,
            reading=reading,
            constraint=constraint,
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
            region: where to look; see `index.grid.region.Region.parse` for text.
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
            question = Question(
                k=k,
                resolution=resolution,
                effort=EffortName(effort),
                prior_weight=prior_weight,
                region=where,
                mass_resolution=mass_resolution,
                gallery=gallery,
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        return self.ask(vectors, question)

    def ask(self, vectors: ArrayLike, question: Question) -> Places:
        """Return the best places for vectors (N, 512). As `search`, which puts its arguments into a question."""
        return self.searcher.search(_unit(np.asarray(vectors, dtype=np.float32), self.searcher.dim), question)

    def locate(
        self, photos: Iterable[Photo], k: int = 5, *, workers: int = 0, words: Words | None = None
    ) -> list[Answer]:
        """Answer for photos; see `stream`."""
        return list(self.stream(photos, k, workers=workers, words=words))

    def stream(
        self, photos: Iterable[Photo], k: int = 5, *, workers: int = 0, words: "Words | None" = None
    ) -> Iterator[Answer]:
        """Yield an answer for each photo, in order and as they come; memory does not grow with their number.

        Args:
            photos: paths, bytes of files, open binary files, or Pillow images.
            k: predictions per photo.
            workers: decode in this many processes, where each photo has bounded time and memory; 0 decodes in
                this one.
            words: said about every photo.

        Yields:
            An `Answer`; for a photo that cannot be read, one with `error` and no predictions.
        """
        hint = self._hint(words)
        for batch in self._embedded(photos, workers):
            good = [(decoded, vector) for decoded, vector in batch if vector is not None]
            vectors = [vector if hint is None else hint(vector) for _, vector in good]
            found = iter(self.answers([d.name for d, _ in good], np.stack(vectors), k) if good else ())
            for decoded, vector in batch:
                if vector is None:
                    yield Answer(decoded.name, error=decoded.error)
                else:
                    yield _beside(next(found), decoded.gps)

    def locate_together(
        self, photos: Iterable[Photo], k: int = 5, *, workers: int = 0, words: "Words | None" = None
    ) -> tuple[Answer, list[Answer]]:
        """Answer once for several photos of one place.

        The vectors' mean is searched, not brought to length 1 again: its logits are the means of the photos' logits.

        Returns:
            The answer, and one with `error` for each photo that could not be read.

        Raises:
            InputError: no photo could be read.
        """
        hint = self._hint(words)
        total: NDArray[np.float64] | None = None
        used: list[str] = []
        failed: list[Answer] = []
        for batch in self._embedded(photos, workers):
            for decoded, vector in batch:
                if vector is None:
                    failed.append(Answer(decoded.name, error=decoded.error))
                else:
                    total = vector.astype(np.float64) + (0.0 if total is None else total)
                    used.append(decoded.name)
        if total is None:
            raise InputError(
                f"None of the {len(failed)} photos could be read; the first: {failed[0].error}"
                if failed
                else "There are no photos to answer for."
            )
        mean = (total / len(used)).astype(np.float32)
        name = used[0] if len(used) == 1 else f"{used[0]} and {len(used) - 1} more"
        return self.answers([name], (mean if hint is None else hint(mean))[None], k)[0], failed

    def embed(
        self, photos: Iterable[Photo], *, workers: int = 0
    ) -> Iterator[tuple[Decoded, NDArray[np.float32] | None]]:
        """Yield each photo with its vector (512,), or with None and the reason in `Decoded.error`.

        Vectors have length 1; with ten crops they are means of ten such vectors, and shorter.
        """
        for batch in self._embedded(photos, workers):
            yield from batch

    def locate_text(self, texts: Sequence[str], k: int = 5) -> list[Answer]:
        """Answer for words, such as "a red double-decker bus".

        Raises:
            InputError: a text is empty.
        """
        return self.answers(texts, self.text_encoder.embed(texts).numpy(), k)

    def answers(self, queries: Sequence[str], vectors: NDArray[np.float32], k: int = 5) -> list[Answer]:
        """Answer for vectors (N, 512) of length 1, or means of such, called `queries`."""
        question = with_k(self.question, k)
        places = self.found(vectors, k)
        return self.reader.answers(queries, vectors, places, k, self.searched, region=question.region)

    @property
    def batch(self) -> int:
        """How many photos are encoded at once."""
        return GPU_BATCH if self.device.type == "cuda" else CPU_BATCH

    @property
    def searched(self) -> Searched:
        """What is searched, and how, as answers say it."""
        question, searched = self.question, self.searcher.searched
        return replace(
            searched,
            constraint=self._constraint,
            resolution=question.resolution,
            effort=str(question.effort) if searched.candidates == "planet" else "",
            prior_weight=question.prior_weight,
            temperature=question.temperature,
            point=self.reading.point,
            calibrated=self.reading.calibrated,
        )

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

    def found(self, vectors: NDArray[np.float32], k: int = 1) -> Places:
        """Return what answers are read off: places, a few more than k, and the distributions."""
        question = with_k(self.question, max(k, HITS))
        return self.searcher.search(np.ascontiguousarray(vectors, dtype=np.float32), question, with_posteriors=True)

    @property
    def reading(self) -> AnswerOptions:
        """How answers are read off what was found."""
        return self.reader.reading

    def with_reading(self, question: Question, reading: AnswerOptions) -> "Locator":
        """Return a locator that shares everything else with this one."""
        other = copy(self)
        other.question, other.reader = question, AnswerMaker(reading, self.reader.encode, self.reader.names)
        return other

    def _hint(self, words: "Words | None") -> Callable[[NDArray[np.float32]], NDArray[np.float32]] | None:
        """Return what mixes words into a vector: logits are linear, so this mixes the logits."""
        if words is None:
            return None
        said = self.text_encoder.embed([words.text]).numpy()[0]
        return lambda vector: (1 - words.weight) * vector + words.weight * said

    def _embedded(
        self, photos: Iterable[Photo], workers: int
    ) -> Iterator[list[tuple[Decoded, NDArray[np.float32] | None]]]:
        """Yield photos with their vectors, in batches."""
        size = GPU_BATCH if self.device.type == "cuda" else CPU_BATCH
        waiting = decode_all(photos, self.limits, workers=workers)
        while batch := list(islice(waiting, size)):
            crops = [crop for d in batch if d.pixels is not None for crop in crops_of(d.pixels)]
            parts = [self.image_encoder.embed(crops[at : at + size]).numpy() for at in range(0, len(crops), size)]
            vectors = iter(np.concatenate(parts).reshape(-1, self.limits.crops, self.searcher.dim) if parts else ())
            yield [(d, None if d.pixels is None else _mean(next(vectors))) for d in batch]


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of a photo's crops (crops, dim): its logits are the means of the crops' logits."""
    mean: NDArray[np.float32] = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return vectors[0] if len(vectors) == 1 else mean


def _beside(answer: Answer, gps: tuple[float, float] | None) -> Answer:
    """Put what the photo itself says beside an answer."""
    if gps is None or not answer.predictions:
        return answer
    best = answer.best
    return replace(answer, gps=RecordedGps(*gps, float(haversine_km(gps, (best.lat, best.lng)))))


def _opened_gallery(
    index: str | Path | None,
    encoder: LocationEncoder,
    release: Release,
    device: torch.device,
    on_progress: Callable[[int, int], object] | None,
) -> GallerySearch:
    lat_lng = release.gallery()
    if index is not None:
        try:
            lat_lng = open_gallery(Path(index)).lat_lng.astype(np.float32)
        except ValueError as error:
            raise InputError(str(error)) from error
        if not len(lat_lng):
            raise InputError(f"{index} was built without a gallery; leave --candidates out, or build it with one.")
    gallery = embedded_gallery(encoder, lat_lng, on_progress=on_progress)
    return GallerySearch(gallery, float(release.logit_scale().exp()), device)


def _opened(
    folder: Path, encoder: LocationEncoder, release: Release, engine: str, device: torch.device
) -> PlanetSearch:
    try:
        planet = Planet.open(folder, engine=engine, device=str(device), model=release.model_digest)
    except ValueError as error:
        raise InputError(str(error)) from error
    return PlanetSearch(planet, encoder)


def _unit(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InputError(f"Vectors have the shape {vectors.shape}; expected (N, {dim}).")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise InputError(f"Vector {bad[0]} has the length {lengths[bad[0], 0]}; it must be finite and above 0.")
    unit: NDArray[np.float32] = vectors / lengths
    return unit
