"""`Answerer`: an opened planet or gallery. Vectors in, places or answers out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from geoclip.answers.answer import Answer, Searched
from geoclip.answers.answering import AnswerMaker
from geoclip.answers.choosing import Chooser
from geoclip.answers.place_names import shared_place_names
from geoclip.answers.searchers import GallerySearcher, PlanetSearcher, Searcher
from geoclip.answers.source import Asked, SearchSource
from geoclip.encoders.embedded_gallery import embedded_gallery
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision, pick_device
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from geoclip.release.directory import Release
from index.encoder import Encode
from index.search.engine import EngineName
from index.search.hits import FoundPlaces
from index.search.planet import Planet
from index.search.question import SAME_UP_TO
from index.storage.contents import open_gallery

CHOSEN_AMONG = 10
"""Areas that a chooser weighs, at most."""
LEAST_PLACES = 10
"""Places looked at for the best point of an answer, at least; on a planet, beside the scored cells."""
LEAST_IN_GALLERY = 200


class Answerer:
    """Finds places for vectors, and says in an answer where that is and how sure.

    Args:
        searcher: finds places.
        encode: the location encoder in float32, for scores of points that no search scored.
        source: what was opened.
    """

    def __init__(self, searcher: Searcher, encode: Encode, source: SearchSource) -> None:
        self.searcher, self.source = searcher, source
        self.encode, self._names = encode, shared_place_names()

    @classmethod
    def open(
        cls,
        release: Release,
        source: SearchSource,
        *,
        engine: str = EngineName.AUTO,
        device: str | torch.device = "auto",
        precision: Precision | str = Precision.AUTO,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Self:
        """Open an index or a gallery.

        Args:
            release: the model.
            source: what to open.
            engine: how coarse cells are found: `auto`, `tree`, `exact`, `resident` or `faiss-gpu`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32` or `bf16`, for the search down an index.
            on_progress: called with the number of gallery places embedded and of all, where that was not done yet.

        Raises:
            InputError: the device or precision is unknown, or the index is damaged or of another model.
        """
        device = pick_device(device)
        encoder = LocationEncoder.of(release, precision=precision).to(device)
        searcher: Searcher
        try:
            if source.candidates is Candidates.PLANET and source.index is not None:
                planet = Planet.open(
                    source.index, encoder, engine=engine, device=str(device), model=release.model_digest
                )
                searcher = PlanetSearcher(planet)
            else:
                gallery = embedded_gallery(encoder, _gallery(release, source.index), on_progress=on_progress)
                searcher = GallerySearcher(gallery, float(release.logit_scale().exp()), device)
        except ValueError as error:
            raise InputError(str(error)) from error
        if source.calibration is not None:
            source.calibration.check(index=searcher.index_digest)
        return cls(searcher, encoder.exactly, source)

    def search(self, vectors: ArrayLike, asked: Asked | None = None) -> FoundPlaces:
        """Return the best places.

        Args:
            vectors: (N, dim), or (dim,) for one; any length above 0.
            asked: by `asked`; None is the default.

        Raises:
            InputError: another shape, a vector of length 0, values that are not finite, or a region without places.
        """
        question = (asked or self.asked()).question
        return self.searcher.search(_unit(np.asarray(vectors, dtype=np.float32), self.searcher.dim), question)

    def asked(self, options: SearchOptions = SearchOptions()) -> Asked:
        """Return what options ask here. Errors as of `SearchSource.asked`."""
        return self.source.asked(options)

    def answers(self, names: Sequence[str], vectors: NDArray[np.float32], asked: Asked) -> list[Answer]:
        """Answer for vectors (N, dim) of length 1, or means of such, that are called `names` (N,)."""
        return self.read(names, vectors, self.found(vectors, asked), asked)

    def answers_chosen(
        self, names: Sequence[str], vectors: NDArray[np.float32], asked: Asked, choose: Chooser
    ) -> list[Answer]:
        """Answer as `answers` does, after a chooser has weighed the areas of each answer."""
        places = self.maker(asked).chosen(names, self.found(vectors, asked), choose, CHOSEN_AMONG)
        return self.read(names, vectors, places, asked)

    def found(self, vectors: NDArray[np.float32], asked: Asked) -> FoundPlaces:
        """Return what answers are read off: `LEAST_PLACES` or more, and the posteriors, inside the region."""
        least = LEAST_PLACES if self.searcher.candidates is Candidates.PLANET else LEAST_IN_GALLERY
        if asked.how.apart_km == 0 or asked.question.mass_resolution is not None:
            least = max(least, SAME_UP_TO)  # the most probable are listed, which are not those that score best
        question = replace(asked.question, k=max(asked.question.k, least))
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        places = self.searcher.search(vectors, question, with_posteriors=True)
        if (region := question.region) is None:
            return places
        return places._replace(posteriors=tuple(posterior.within(region) for posterior in places.posteriors))

    def read(
        self, names: Sequence[str], vectors: NDArray[np.float32], places: FoundPlaces, asked: Asked
    ) -> list[Answer]:
        """Return the answers that `found` places give."""
        return self.maker(asked).answers(names, vectors, places, self.searched(asked))

    def maker(self, asked: Asked) -> AnswerMaker:
        """Return what makes answers of found places."""
        return AnswerMaker(asked.question, asked.how, self.encode, self._names)

    def searched(self, asked: Asked) -> Searched:
        """Return what is searched, and how, as answers say it."""
        question, how = asked
        return Searched(
            self.searcher.candidates,
            self.searcher.index,
            self.searcher.index_digest,
            constraint=question.constraint.words if question.constraint else "",
            resolution=question.resolution,
            effort=str(question.effort) if self.searcher.candidates is Candidates.PLANET else "",
            prior_weight=question.prior_weight,
            temperature=question.temperature,
            point=how.point,
            calibrated=how.calibrated > 0,
            calibration_photos=how.calibrated,
        )


def _gallery(release: Release, index: Path | None) -> NDArray[np.float32]:
    """Return the coordinates (N, 2) of an index's gallery, or of the release's."""
    if index is None:
        return release.gallery()
    lat_lng = open_gallery(index).lat_lng.astype(np.float32)
    if not len(lat_lng):
        raise InputError(f"{index} was built without a gallery; leave --candidates out, or build it with one.")
    return lat_lng


def _unit(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    if vectors.shape == (dim,):
        vectors = vectors[None]
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InputError(f"Vectors have the shape {vectors.shape}; expected (N, {dim}), or ({dim},) for one.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise InputError(f"Vector {bad[0]} has the length {lengths[bad[0], 0]}; it must be finite and above 0.")
    unit: NDArray[np.float32] = vectors / lengths
    return unit
