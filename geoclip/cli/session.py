"""What a run of a command works with: where answers go, how photos are encoded, the opened locator, the inputs."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoclip.cli.terminal import progress, say
from geoclip.encoders.precision import Precision
from geoclip.errors import InputError
from geoclip.files import sha256_of

if TYPE_CHECKING:
    from geoclip.answers.answer import Answer
    from geoclip.answers.answering import AnswerOptions
    from geoclip.locator import Locator
    from geoclip.photos.decode import Photo
    from geoclip.release.directory import Release
    from index.grid.constraint import Constraint
    from index.grid.region import Region
    from index.search.question import Question


@dataclass(frozen=True)
class Encoding:
    """How photos become vectors, as asked for on the command line."""

    clip_checkpoint: Path | None
    device: str
    precision: Precision
    workers: int | None
    max_megapixels: int
    as_released: bool
    crops: int = 1
    weights: Path | None = None

    @property
    def processes(self) -> int:
        """Processes to decode in."""
        return self.workers if self.workers is not None else min(os.cpu_count() or 1, 8)


@dataclass(frozen=True)
class Where:
    """The flags that say where to look; see `index.grid.constraint.Constraint.parse`."""

    country: Sequence[str] = ()
    region: Sequence[str] = ()
    bbox: Sequence[str] = ()
    near: Sequence[str] = ()
    not_country: Sequence[str] = ()
    not_region: Sequence[str] = ()
    not_bbox: Sequence[str] = ()
    not_near: Sequence[str] = ()

    def constraint(self) -> "Constraint":
        """Read them.

        Raises:
            InputError: one cannot be read, or they leave no place.
        """
        from index.grid.constraint import Constraint

        try:
            return Constraint.parse(**vars(self))
        except ValueError as error:
            raise InputError(str(error)) from error


@dataclass(frozen=True)
class Search:
    """Where and how to search and to answer, as asked for on the command line; None is the default."""

    index: Path | None = None
    candidates: str | None = None
    where: Where = field(default_factory=Where)
    point: str = "cell"
    apart_km: float | None = None
    resolution: int | None = None
    effort: str | None = None
    prior_weight: float | None = None
    calibration: Path | None = None
    mass_resolution: int | None = None
    gallery_places: bool = True
    engine: str = "auto"

    @property
    def on_planet(self) -> bool:
        """Whether any place on land can be the answer."""
        return self.index is not None and self.candidates != "gallery"

    def question(self, region: "Region | None" = None) -> "Question":
        """Return what is asked.

        Raises:
            InputError: something is asked that only a planet answers, or that nothing answers.
        """
        from geoclip.locator import PLANET_QUESTION
        from index.search.efforts import EffortName
        from index.search.question import Question

        given: dict[str, Any] = {
            "resolution": self.resolution,
            "effort": self.effort,
            "prior_weight": self.prior_weight,
            "mass_resolution": self.mass_resolution,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if self.calibration is not None and "prior_weight" in given:
            raise InputError("--prior-weight and --calibration exclude each other; the calibration has a weight.")
        if not self.on_planet and given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise InputError(
                f"{names} need --index DIR and not --candidates gallery; make an index with `geoclip build DIR`."
            )
        try:
            if "effort" in given:
                given["effort"] = EffortName(given["effort"])
            base = PLANET_QUESTION if self.on_planet else Question()
            return replace(base, gallery=self.gallery_places, region=region, **given)
        except ValueError as error:
            raise InputError(str(error)) from error

    def reading(self) -> "AnswerOptions":
        """Return how answers are read.

        Raises:
            InputError: a value is out of range.
        """
        from geoclip.locator import default_answer_options

        reading = replace(default_answer_options("planet" if self.on_planet else "gallery"), point=self.point)
        return reading if self.apart_km is None else replace(reading, apart_km=self.apart_km)


def open_locator(encoding: Encoding, search: Search = Search()) -> "Locator":
    """Open the locator, telling people what takes long the first time."""
    from geoclip.encoders.precision import pick_device
    from geoclip.locator import Locator
    from geoclip.photos.decode import DecodeLimits

    pick_device(encoding.device)  # a wrong name should not wait for a download
    limits = DecodeLimits(
        max_pixels=encoding.max_megapixels * 1_000_000, as_released=encoding.as_released, crops=encoding.crops
    )
    reading = search.reading()
    search.question()  # complains of wrong options before anything is loaded
    constraint = search.where.constraint()
    release = release_of(encoding.weights)
    with progress("Opening" if search.on_planet else "Embedding the gallery (once)") as update:
        return Locator.open(
            search.index,
            candidates=search.candidates,
            question=search.question(constraint.region),
            reading=reading,
            constraint=constraint.words,
            calibration=search.calibration,
            engine=search.engine,
            device=encoding.device,
            precision=encoding.precision,
            clip_path=encoding.clip_checkpoint,
            limits=limits,
            release=release,
            on_progress=update,
        )


def release_of(weights: Path | None) -> "Release":
    """Open the release in a folder, or the authors', fetched where it is not there yet.

    Raises:
        WeightsError: the folder holds no sound release, or the authors' cannot be had.
    """
    from geoclip.release.directory import Release, released

    if weights is not None:
        return Release.open(weights)
    ensure_fetched()
    return released()


def ensure_fetched() -> None:
    """Fetch the released weights if the cache has none, and say so."""
    from geoclip.release.directory import CONFIG, released_path
    from geoclip.release.fetch import fetch

    if not (released_path() / CONFIG).is_file():
        say("Fetching the released weights (40 MB, once) ...")
        fetch()


_WHATEVER = ("device", "workers", "engine")  # options that change the speed of a run and not its results


def options_of(
    locator: "Locator", encoding: Encoding, search: Search = Search(), **others: object
) -> dict[str, object]:
    """Return what results depend on beside the inputs, by name: a stopped run goes on with the same only."""
    given = vars(encoding) | vars(search) | vars(search.where) | others
    given["model"], given["index digest"] = locator.release.model_digest, locator.searcher.searched.index_digest
    if search.calibration is not None:
        given["calibration"] = f"{search.calibration} ({sha256_of(search.calibration)[:12]})"
    return {name.replace("_", " "): value for name, value in given.items() if name not in (*_WHATEVER, "where")}


def photo_key(photo: "Photo") -> tuple[bytes, bytes]:
    """Return the name and something of the content by which a photo is known again when a run is gone on with."""
    if isinstance(photo, str):
        size = -1
        with suppress(OSError):
            size = os.stat(photo).st_size  # noqa: PTH116 - a path may hold what Path does not
        return os.fsencode(photo), str(size).encode()
    return b"-", photo.getvalue() if isinstance(photo, io.BytesIO) else b""


def photo_inputs(inputs: list[str], from_list: Path | None) -> "Iterator[Photo]":
    """Return the photos of a command's arguments; read lazily.

    Raises:
        InputError: no inputs, one that does not exist, or stdin asked for twice.
    """
    from geoclip.photos.pool import find_photos

    if inputs.count("-") + (str(from_list) == "-") > 1:
        raise InputError("Stdin (-) can be read once only.")
    if not inputs and from_list is None:
        raise InputError("No photos given; name photos or folders, - for stdin, or --from-list FILE.")
    found = find_photos([path for path in inputs if path != "-"])
    listed = _listed(from_list) if from_list is not None else iter(())
    return chain(_from_stdin() if "-" in inputs else (), found, listed)


def _from_stdin() -> "Iterator[Photo]":
    photo = io.BytesIO(sys.stdin.buffer.read())
    photo.name = "-"  # what answers call it
    yield photo


def _listed(path: Path) -> Iterator[str]:
    if str(path) != "-" and not path.is_file():
        raise InputError(f"{path} does not exist; --from-list takes a text file with one path a line.")

    def lines() -> Iterator[str]:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            for line in file:
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    yield name

    return lines()


@dataclass
class RunCounts:
    """Counts a run and names what failed; `exit_code` is 1 if anything did."""

    answered: int = 0
    failed: int = 0

    def count(self, answer: "Answer") -> bool:
        """Count an answer; say why if there is none. Returns whether there is one."""
        if answer.error is None:
            self.answered += 1
            return True
        self.failed += 1
        say(f"{answer.query}: {answer.error}")
        return False

    def exit_code(self, what: str) -> int:
        """Say how many there were, if it was not just one, and return the exit code."""
        if self.failed or self.answered > 1:
            say(f"{self.answered} {what}, {self.failed} failed.")
        return 1 if self.failed else 0
