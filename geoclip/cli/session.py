"""What a run of a command works with: where answers go, how photos are encoded, the opened locator, the inputs."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.files import cannot_write
from geoclip.precision import Precision
from geoclip.writers import Format, Writer, answered, open_writer

if TYPE_CHECKING:
    from geoclip.answer import Answer
    from geoclip.decode import Photo
    from geoclip.locator import Locator
    from index.planet import Question

_BY_SUFFIX = {".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".csv": Format.CSV}


@dataclass(frozen=True)
class Encoding:
    """How photos become vectors, as asked for on the command line."""

    clip_checkpoint: Path | None
    device: str
    precision: Precision
    workers: int | None
    max_megapixels: int
    as_released: bool

    @property
    def processes(self) -> int:
        """Processes to decode in."""
        return self.workers if self.workers is not None else min(os.cpu_count() or 1, 8)


@dataclass(frozen=True)
class Target:
    """Where answers go, in which format, and which queries are answered there already."""

    path: Path | None
    format: Format
    done: frozenset[str] = field(default_factory=frozenset)
    keep_bytes: int = 0

    @classmethod
    def chosen(cls, path: Path | None, kind: Format | None, *, resume: bool, overwrite: bool) -> "Target":
        """Check the options of a command.

        Raises:
            InputError: an existing file would be lost, or there is nothing to resume from.
        """
        if path is None:
            if resume:
                raise InputError("--resume needs --output, the file of the stopped run.")
            return cls(None, kind or Format.TABLE)
        kind = kind or _BY_SUFFIX.get(path.suffix.lower())
        if kind is None or kind is Format.TABLE:
            raise InputError(f"{path} has no format that a program reads; name it .jsonl or .csv, or add --format.")
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the name of a file.")
        if resume and path.exists():
            done, keep = answered(path, kind)
            return cls(path, kind, frozenset(done), keep)
        if not overwrite and path.exists() and path.stat().st_size > 0:
            raise InputError(f"{path} exists; continue it with --resume, or replace it with --overwrite.")
        return cls(path, kind)

    @contextmanager
    def open(self) -> Iterator[Writer]:
        """Yield the writer of answers. The file is made, or cut to its whole answers, only now."""
        if self.path is None:
            _reconfigure(sys.stdout)
            yield open_writer(self.format, sys.stdout)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(self.keep_bytes)
            with self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                yield open_writer(self.format, stream, header=self.keep_bytes == 0)
        except OSError as error:
            raise cannot_write(self.path, error) from error


@dataclass(frozen=True)
class Search:
    """Where and how to search, as asked for on the command line; None is the default."""

    index: Path | None = None
    engine: str = "auto"
    resolution: int | None = None
    effort: str | None = None
    prior_weight: float | None = None
    region: str | None = None
    mass_resolution: int | None = None
    gallery_places: bool = True

    def question(self) -> "Question | None":
        """Return what is asked of an index; None where no index is.

        Raises:
            InputError: something is asked that only an index answers, or that no index answers.
        """
        given: dict[str, Any] = {
            "resolution": self.resolution,
            "effort": self.effort,
            "prior_weight": self.prior_weight,
            "region": self.region,
            "mass_resolution": self.mass_resolution,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if self.index is None:
            if given:
                names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise InputError(f"{names} need --index DIR; make an index with `geoclip build DIR`.")
            return None
        from geoclip.locator import PLANET_QUESTION
        from index.efforts import Name
        from index.region import Region

        try:
            if "region" in given:
                given["region"] = Region.parse(given["region"])
            if "effort" in given:
                given["effort"] = Name(given["effort"])
            return replace(PLANET_QUESTION, gallery=self.gallery_places, **given)
        except ValueError as error:
            raise InputError(str(error)) from error


def open_locator(encoding: Encoding, search: Search = Search()) -> "Locator":
    """Open the locator, telling people what takes long the first time."""
    from geoclip.decode import DecodeLimits
    from geoclip.locator import Locator
    from geoclip.precision import pick_device

    pick_device(encoding.device)  # a wrong name should not wait for a download
    ensure_fetched()
    limits = DecodeLimits(max_pixels=encoding.max_megapixels * 1_000_000, as_released=encoding.as_released)
    question = search.question()
    with progress("Opening" if search.index else "Embedding the gallery (once)") as update:
        return Locator.open(
            search.index,
            question=question,
            engine=search.engine,
            device=encoding.device,
            precision=encoding.precision,
            clip_path=encoding.clip_checkpoint,
            limits=limits,
            on_progress=update,
        )


def ensure_fetched() -> None:
    """Fetch the released weights if the cache has none, and say so."""
    from geoclip.fetch import fetch
    from geoclip.release import CONFIG, released_path

    if not (released_path() / CONFIG).is_file():
        say("Fetching the released weights (40 MB, once) ...")
        fetch()


def photo_inputs(inputs: list[str], from_list: Path | None, done: frozenset[str]) -> "Iterator[Photo]":
    """Return the photos of a command's arguments, without those answered already; read lazily.

    Raises:
        InputError: no inputs, one that does not exist, or stdin asked for twice.
    """
    from geoclip.photos import find_photos

    if inputs.count("-") + (str(from_list) == "-") > 1:
        raise InputError("Stdin (-) can be read once only.")
    if not inputs and from_list is None:
        raise InputError("No photos given; name photos or folders, - for stdin, or --from-list FILE.")
    found = find_photos([path for path in inputs if path != "-"])
    listed = _listed(from_list) if from_list is not None else iter(())
    return chain(_from_stdin() if "-" in inputs else (), (path for path in chain(found, listed) if path not in done))


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
class Tally:
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


def _reconfigure(stream: TextIO) -> None:
    """Let file names of any bytes out unchanged."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="surrogateescape")
