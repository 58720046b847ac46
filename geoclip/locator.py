"""`Locator`: joins what embeds photos and what answers for vectors. Photos, words or vectors in, places out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoclip.answers.answer import Answer, RecordedGps
from geoclip.answers.answerer import Answerer
from geoclip.answers.choosing import Chooser
from geoclip.answers.outsiders import outsiders
from geoclip.answers.source import Asked, SearchSource
from geoclip.distance import haversine_km
from geoclip.embedder import PhotoEmbedder, Photos, Words
from geoclip.encoders.precision import Precision
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import Decoded, Decoders
from geoclip.release.directory import Release
from geoclip.release.fetch import released
from index.search.engine import EngineName
from index.search.hits import FoundPlaces


class Locator:
    """Finds where photos were taken: anywhere, through an index, or among the distinct places of a gallery.

    What its methods are asked is said in keyword arguments, the fields of `geoclip.options.SearchOptions`:
    `locator.locate(photo, k=3, country="FR", point="25")`. `asked` stands for all of them: what `Locator.asked` made.

    Args:
        embedder: turns photos and words into vectors.
        answerer: finds places for vectors.
    """

    def __init__(self, embedder: PhotoEmbedder, answerer: Answerer) -> None:
        self.embedder, self.answerer = embedder, answerer

    @classmethod
    def open(
        cls,
        index: str | Path | None = None,
        *,
        candidates: Candidates | str | None = None,
        calibration: str | Path | None = None,
        engine: EngineName | str = EngineName.AUTO,
        device: str = "auto",
        precision: Precision | str = Precision.AUTO,
        clip_path: str | Path | None = None,
        limits: DecodeLimits = DecodeLimits(),
        release: Release | str | Path | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Self:
        """Open an index, or a gallery; weights are fetched where they lack.

        Args:
            index: the folder of an index; `planet` or `lite` for one in the cache; `none` for the released gallery,
                which is embedded where that was not done yet. None is the finest index in the cache, or the gallery.
            candidates: `planet`, any place on land, which needs an index; or `gallery`, the places of the index's
                gallery or, without an index, of the released one, ranked as the released package ranks them. None is
                `planet` with an index.
            calibration: a file of `geoclip calibrate`; it decides temperature, prior weight and circles.
            engine: for an index, how coarse cells are found: `auto`, `tree`, `exact`, `resident` or `faiss-gpu`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32` or `bf16`, for CLIP's tower and for the search down an index.
            clip_path: CLIP's weights, a file or folder; None is `$GEOCLIP_CLIP_CHECKPOINT`, else open_clip's hub.
            limits: what one photo may cost, and how it is read.
            release: the model, or its folder; None is the authors' release.
            on_progress: called with the number of gallery places embedded and of all, where they must be.

        Raises:
            WeightsError: the released weights cannot be had.
            InputError: the device or precision is unknown, or the folder is not a sound index of this model.
        """
        if not isinstance(release, Release):
            release = released() if release is None else Release.open(release)
        embedder = PhotoEmbedder(release, device=device, precision=precision, clip_path=clip_path, limits=limits)
        source = SearchSource.find(release.model_digest, index, candidates, calibration, crops=limits.crops)
        answerer = Answerer.open(
            release, source, engine=engine, device=embedder.device, precision=precision, on_progress=on_progress
        )
        return cls(embedder, answerer)

    def asked(self, k: int | None = None, **options: Any) -> Asked:
        """Return what options ask here: for many calls with the same ones.

        Args:
            k: places per query.
            options: fields of `geoclip.options.SearchOptions`.

        Raises:
            InputError: there is no such option, a value is not allowed, or a gallery cannot answer this.
        """
        return self.answerer.asked(SearchOptions().changed(**options if k is None else options | {"k": k}))

    def search(
        self, vectors: ArrayLike, k: int | None = None, *, asked: Asked | None = None, **options: Any
    ) -> FoundPlaces:
        """Return the best places for vectors of photos, words or places.

        Args:
            vectors: (N, dim), or (dim,) for one; any length above 0.
            k: places per query.
            asked: by `Locator.asked`, in place of `k` and options.
            options: as for `asked`; how answers are read off does not matter here.

        Raises:
            InputError: another shape, a vector of length 0, values that are not finite, or an option out of range.
        """
        return self.answerer.search(vectors, asked or self.asked(k, **options))

    def locate(
        self,
        photos: Photos,
        k: int | None = None,
        *,
        workers: int | Decoders = 0,
        words: Words | None = None,
        asked: Asked | None = None,
        choose: Chooser | None = None,
        **options: Any,
    ) -> list[Answer]:
        """Answer for one photo or several; see `stream`."""
        return list(self.stream(photos, k, workers=workers, words=words, asked=asked, choose=choose, **options))

    def stream(
        self,
        photos: Photos,
        k: int | None = None,
        *,
        workers: int | Decoders = 0,
        words: Words | None = None,
        asked: Asked | None = None,
        choose: Chooser | None = None,
        **options: Any,
    ) -> Iterator[Answer]:
        """Yield an answer for each photo, in order and as they come; memory does not grow with their number.

        Args:
            photos: one or several: paths, bytes of files, open binary files, or Pillow images.
            k: predictions per photo.
            workers: decode in this many processes, where each photo has bounded time and memory; 0 decodes in this
                one. Or a pool of such, which stays open.
            words: said about every photo.
            asked: by `Locator.asked`, in place of `k` and options.
            choose: weighs the areas of each answer, see `geoclip.choose`.
            options: as for `asked`.

        Yields:
            An `Answer`; for a photo that cannot be read, one with `error` and no predictions.
        """
        asked = asked or self.asked(k, **options)
        mixed = self.embedder.mixed_with(words)
        for batch in self.embedder.batches(photos, workers=workers):
            good = [(decoded.name, mixed(vector)) for decoded, vector in batch if vector is not None]
            names, vectors = [name for name, _ in good], [vector for _, vector in good]
            found: Iterator[Answer] = iter(())
            if good and choose is None:
                found = iter(self.answerer.answers(names, np.stack(vectors), asked))
            elif good and choose is not None:
                found = iter(self.answerer.answers_chosen(names, np.stack(vectors), asked, choose))
            for decoded, vector in batch:
                if vector is None:
                    yield Answer(decoded.name, error=decoded.error)
                else:
                    yield _beside(next(found), decoded)

    def locate_together(
        self,
        photos: Photos,
        k: int | None = None,
        *,
        workers: int | Decoders = 0,
        words: Words | None = None,
        asked: Asked | None = None,
        **options: Any,
    ) -> tuple[Answer, list[Answer]]:
        """Answer once for several photos of one place; arguments as for `stream`.

        The vectors' mean is searched, not brought to length 1 again: its logits are the means of the photos' logits.

        Returns:
            The answer, which names the photos that do not seem to belong; and one with `error` for each photo that
            could not be read.

        Raises:
            InputError: no photo could be read.
        """
        asked = asked or self.asked(k, **options)
        mixed = self.embedder.mixed_with(words)
        vectors: list[NDArray[np.float32]] = []
        used: list[str] = []
        failed: list[Answer] = []
        for decoded, vector in self.embedder.embed(photos, workers=workers):
            if vector is None:
                failed.append(Answer(decoded.name, error=decoded.error))
            else:
                vectors.append(vector)
                used.append(decoded.name)
        if not vectors:
            raise InputError(
                f"None of the {len(failed)} photos could be read; the first: {failed[0].error}"
                if failed
                else "There are no photos to answer for."
            )
        mean = mixed(np.stack(vectors).astype(np.float64).mean(axis=0).astype(np.float32))
        name = used[0] if len(used) == 1 else f"{used[0]} and {len(used) - 1} more"
        (answer,) = self.answerer.answers([name], mean[None], asked)
        return replace(answer, outsiders=outsiders(self.answerer, used, np.stack(vectors), asked)), failed

    def locate_text(
        self, texts: str | Sequence[str], k: int | None = None, *, asked: Asked | None = None, **options: Any
    ) -> list[Answer]:
        """Answer for words, such as "a red double-decker bus"; arguments as for `stream`.

        Raises:
            InputError: a text is empty.
        """
        texts = [texts] if isinstance(texts, str) else texts
        return self.answerer.answers(texts, self.embedder.embed_words(texts), asked or self.asked(k, **options))


def _beside(answer: Answer, photo: Decoded) -> Answer:
    """Put what the photo itself says beside an answer."""
    if photo.gps is None or not answer.predictions:
        return answer
    km = float(haversine_km(photo.gps, (answer.best.lat, answer.best.lng)))
    return replace(answer, gps=RecordedGps(*photo.gps, km, photo.datum))
