"""What is to be searched, and what is asked of it: found on disk and checked before anything large is opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from geoclip.answers.answering import AnswerOptions
from geoclip.answers.calibration import Calibration
from geoclip.errors import InputError
from geoclip.files import cache_dir
from geoclip.options import Candidates, Preset, SearchOptions
from index.search.question import Question
from index.storage.directory import read_manifest
from index.storage.manifest import MANIFEST

GALLERY_INDEX = "none"
"""What stands for the released gallery in place of an index."""


class Asked(NamedTuple):
    """What is asked of one source, and how answers are read off what it finds."""

    question: Question
    how: AnswerOptions


@dataclass(frozen=True)
class SearchSource:
    """An index or a gallery, and a calibration that was fitted to it."""

    model: str
    """Digest of the model that queries come from."""
    candidates: Candidates
    index: Path | None = None
    """None is the released gallery."""
    calibration: Calibration | None = None

    @classmethod
    def find(
        cls,
        model: str,
        index: str | Path | None = None,
        candidates: Candidates | str | None = None,
        calibration: str | Path | None = None,
        *,
        crops: int = 1,
    ) -> Self:
        """Find what is meant.

        Args:
            model: the digest of the model that queries come from.
            index: a folder; `planet` or `lite` for one in the cache, where no folder has this name; `none` for the
                released gallery. None is the finest index in the cache that was built with the model, or the gallery.
            candidates: None is `planet` with an index, `gallery` without.
            calibration: a file of `geoclip calibrate`.
            crops: of each photo.

        Raises:
            InputError: there is no such index, it is of another model, or the calibration is of something else.
        """
        if candidates not in (None, *Candidates):
            raise InputError(f"The candidates are {candidates!r}; choose {', '.join(Candidates)}.")
        if index is None and candidates != Candidates.GALLERY:
            folder = _finest_built(model)
        else:
            folder = index_folder(index)
        if candidates == Candidates.PLANET and folder is None:
            raise InputError("The candidates are planet, and there is no index; name one, or make it: `geoclip build`.")
        chosen = Candidates(candidates or (Candidates.PLANET if folder else Candidates.GALLERY))
        fitted = None
        if calibration is not None:
            fitted = Calibration.load(Path(calibration))
            fitted.check(model=model, candidates=chosen, crops=crops)
        return cls(model, chosen, folder, fitted)

    def asked(self, options: SearchOptions) -> Asked:
        """Return what is asked here.

        Raises:
            InputError: a gallery cannot answer this, or nothing can; or it contradicts the calibration.
        """
        options.check(self.candidates)
        on_planet = self.candidates is Candidates.PLANET
        if self.calibration is not None and options.prior_weight != SearchOptions.prior_weight:
            raise InputError("A prior weight and a calibration exclude each other; the calibration has a weight.")
        try:
            question = Question(
                k=options.k,
                resolution=options.resolution,
                effort=options.effort,
                prior_weight=options.prior_weight if on_planet else 0.0,
                constraint=options.constraint,
                mass_resolution=options.mass_resolution,
                gallery=options.gallery_places,
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        apart_km, point = options.apart_km, options.point
        if not on_planet and apart_km is None and point in (None, "cell"):
            apart_km = 0.0  # a gallery's best places, however close, as the released package lists them
        if apart_km == 0:
            if point not in (None, "cell"):
                raise InputError(
                    f"--apart 0 lists the best-ranked places one by one, and --point {point} chooses another; "
                    "leave one out."
                )
            point = "cell"
        how = AnswerOptions(point or AnswerOptions.point, apart_km)
        if self.calibration is None:
            return Asked(question, how)
        self.calibration.check(resolution=question.resolution, effort=str(question.effort), point=how.point)
        return Asked(*self.calibration.applied(question, how))


def built_index(name: str) -> Path:
    """Return where the index of this name lies, or would lie, in the cache."""
    return cache_dir() / name


def index_folder(index: str | Path | None) -> Path | None:
    """Return the folder of an index that is named; see `SearchSource.find`. None where none is.

    Raises:
        InputError: it is in neither place.
    """
    if index is None or str(index) == GALLERY_INDEX:
        return None
    if str(index) not in list(Preset) or Path(index).exists():
        return Path(index)
    if not (in_cache := built_index(str(index))).exists():
        raise InputError(
            f"There is no index {index}, neither here nor in {in_cache.parent}; make it with "
            f"`geoclip build --preset {index}`."
        )
    return in_cache


def _finest_built(model: str) -> Path | None:
    """Return the finest index in the cache that was built with a model."""
    for folder in map(built_index, Preset):
        if (folder / MANIFEST).is_file():
            try:
                if read_manifest(folder).model == model:
                    return folder
            except ValueError as error:
                raise InputError(f"{error} It would be searched by default; name another index, or none.") from error
    return None
