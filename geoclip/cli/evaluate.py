"""`geoclip evaluate`."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.cli.session import Encoding, RunCounts, Search, open_locator
from geoclip.cli.terminal import progress
from geoclip.distance import Distance
from geoclip.errors import InputError
from geoclip.evaluate.inputs import EvaluationInput, sources
from geoclip.evaluate.measures import distances
from geoclip.evaluate.overlap import Overlap, overlap
from geoclip.evaluate.predictions import Columns, read_answers, read_labels, read_places
from geoclip.evaluate.report import Report, Run, RunKind, evaluated, write_json
from geoclip.evaluate.system_answers import Answers, label_rows
from geoclip.files import check_writable, sha256_of
from geoclip.tables.labels import Labels

if TYPE_CHECKING:
    from geoclip.evaluate.located import RowVector
    from geoclip.locator import Locator

_ROW_SUFFIXES = (".csv", ".parquet", ".pq")


@dataclass(frozen=True)
class Protocol:
    """How answers are compared with the true places."""

    distance: Distance
    top: int
    """Places in an answer, where this program makes it."""
    resamples: int
    seed: int
    gallery: Path | None

    @classmethod
    def of(cls, distance: str, *, top: int, resamples: int, seed: int, gallery: Path | None) -> "Protocol":
        """Read the name of a distance.

        Raises:
            InputError: there is none of that name.
        """
        try:
            return cls(Distance(distance), top, resamples, seed, gallery)
        except ValueError as error:
            raise InputError(f"The distance is {distance!r}; choose from {', '.join(Distance)}.") from error


@dataclass(frozen=True)
class Outputs:
    """What is written, beside the tables on stdout."""

    report: Path | None
    plots: Path | None
    errors: Path | None
    overwrite: bool

    def check(self) -> None:
        """Refuse, before anything is computed, what could not be written at the end.

        Raises:
            InputError: a file exists or cannot be written, a folder is in the way, or a name has no suffix to write by.
        """
        files = [path for path in (self.report, self.errors) if path is not None]
        if self.report is not None and self.report.suffix.lower() != ".json":
            raise InputError(f"The report is JSON and is to be called {self.report}; name it .json.")
        if self.errors is not None and self.errors.suffix.lower() not in _ROW_SUFFIXES:
            raise InputError(f"The errors are to be called {self.errors}; name them .csv or .parquet.")
        if self.plots is not None:
            if self.plots.exists() and not self.plots.is_dir():
                raise InputError(f"{self.plots} is a file; --plots takes a folder.")
            files += sorted(self.plots.glob("*.png"))
        for path in files:
            if path.is_dir():
                raise InputError(f"{path} is a folder; give the name of a file.")
            if path.exists() and not self.overwrite:
                raise InputError(f"{path} exists; replace it with --overwrite, or choose another name.")
        for place in (self.report, self.errors, self.plots and self.plots / "accuracy.png"):
            if place is not None:
                check_writable(place)


class _Given(NamedTuple):
    """What every run is made with."""

    labels: Labels
    labels_path: Path
    protocol: Protocol
    encoding: Encoding
    search: Search


def run(
    labels: Path,
    inputs: Sequence[str],
    *,
    label_columns: Columns,
    columns: Sequence[Sequence[str]],
    protocol: Protocol,
    outputs: Outputs,
    encoding: Encoding,
    search: Search,
) -> None:
    """Evaluate tables of answers, vectors and photos side by side; exit 1 if photos are missing or unreadable."""
    outputs.check()
    given = _Given(read_labels(labels, label_columns), labels, protocol, encoding, search)
    found = sources(inputs, columns)
    _check_options({source.kind for source in found}, encoding, search)
    beside = _overlap(given, protocol.gallery or (search.index and search.index / "gallery.parquet"))
    tables = {source.name: _of_table(source, given) for source in found if source.kind is RunKind.PREDICTIONS}
    others = {}
    if len(tables) < len(found):
        locator = open_locator(encoding, search)
        if beside is None and locator.release.gallery_file is not None:
            beside = _overlap(given, locator.release.path / locator.release.gallery_file)
        for source in found:
            if source.kind is not RunKind.PREDICTIONS:
                make = _of_vectors if source.kind is RunKind.VECTORS else _of_photos
                others[source.name] = make(source, given, locator)
    runs = [(tables | others)[source.name] for source in found]
    report = _evaluated(runs, given, beside)
    options = {"labels": labels, "inputs": list(inputs), "label_columns": label_columns, "columns": columns}
    options |= {"protocol": protocol, "encoding": encoding, "search": search}
    _write(report, runs, given.labels, outputs, options)
    lost = [each for each in report.runs if each.kind is RunKind.PHOTOS and each.counts.answered < each.counts.labelled]
    raise typer.Exit(1 if lost else 0)


def _check_options(kinds: set[RunKind], encoding: Encoding, search: Search) -> None:
    if RunKind.PHOTOS not in kinds and encoding.crops != 1:
        raise InputError(f"--crops {encoding.crops} needs photos; vectors and predictions are made already.")
    if kinds == {RunKind.PREDICTIONS} and replace(search, index=None) != Search():
        raise InputError("Options of the search need photos or vectors; predictions are made already.")


def _evaluated(runs: Sequence[Run], given: _Given, beside: Overlap | None) -> Report:
    from geoclip.evaluate.by_country import whereabouts

    truth, protocol = given.labels.lat_lng, given.protocol
    with progress("Measuring"):
        return evaluated(
            (str(given.labels_path), sha256_of(given.labels_path)),
            runs,
            whereabouts(truth),
            beside,
            resamples=protocol.resamples,
            seed=protocol.seed,
        )


def _overlap(given: _Given, gallery: Path | None) -> Overlap | None:
    """Compare the true places with the gallery that is named or searched; None where there is none."""
    return None if gallery is None else overlap(given.labels.lat_lng, read_places(gallery), str(gallery))


def _of_table(source: EvaluationInput, given: _Given) -> Run:
    path = Path(source.paths[0])
    names, answers = read_answers(path, source.columns)
    rows = _rows(names or [str(row) for row in range(len(answers.seen))], given, source, named=names is not None)
    return _run(source, answers.in_order(rows, len(given.labels.lat_lng)), rows, given, sha256=sha256_of(path))


def _of_vectors(source: EvaluationInput, given: _Given, locator: "Locator") -> Run:
    from geoclip.evaluate.located import located
    from geoclip.tables.vectors import at_most_unit, read_vectors

    path = Path(source.paths[0])
    expected: dict[str, Any] = {"dim": locator.searcher.dim, "model_digest": locator.release.model_digest}
    names = [name for batch in read_vectors(path, **expected) for name in batch.names]
    rows = _rows(names, given, source, named=path.suffix.lower() != ".npy")

    def vectors() -> "Iterator[RowVector]":
        row = iter(rows.tolist())
        for batch in read_vectors(path, **expected):
            yield from ((at, vector) for vector in at_most_unit(batch.vectors) if (at := next(row)) >= 0)

    with progress("Locating", int((rows >= 0).sum())) as update:
        answers, sets = located(locator, vectors(), given.labels.lat_lng, given.protocol.top, on_progress=update)
    found = _run(source, answers, rows, given, sha256=sha256_of(path))
    return replace(found, about=_about(locator, given), sets=sets)


def _of_photos(source: EvaluationInput, given: _Given, locator: "Locator") -> Run:
    from geoclip.evaluate.located import located
    from geoclip.photos.pool import find_photos

    paths = list(dict.fromkeys(find_photos(source.paths)))
    if not paths:
        raise InputError(
            f"No photos were found in {source.name}; files are recognised by suffixes such as .jpg, .png and .heic."
        )
    rows = _rows(paths, given, source)
    labelled = [(path, row) for path, row in zip(paths, rows.tolist(), strict=True) if row >= 0]
    tally, unreadable = RunCounts(), []

    def vectors() -> "Iterator[RowVector]":
        stream = locator.embed([path for path, _ in labelled], workers=given.encoding.processes)
        for (path, row), (decoded, vector) in zip(labelled, stream, strict=True):
            if tally.count(Answer(path, error=decoded.error)) and vector is not None:
                yield row, vector
            else:
                unreadable.append(row)

    with progress("Locating", len(labelled)) as update:
        answers, sets = located(locator, vectors(), given.labels.lat_lng, given.protocol.top, on_progress=update)
    answers.seen[unreadable] = True
    found = _run(source, answers, rows, given)
    return replace(found, about=_about(locator, given) | {"crops": given.encoding.crops}, sets=sets)


def _rows(names: list[str], given: _Given, source: EvaluationInput, *, named: bool = True) -> NDArray[np.int64]:
    """Return the label of each input; inputs without names are in the order of the labels."""
    labels = given.labels
    if not names:
        raise InputError(f"{source.name} is empty; there is nothing to evaluate.")
    if not named and labels.names is not None and source.kind is RunKind.PREDICTIONS:
        raise InputError(
            f"{source.name} has no column of names as {given.labels_path} has; name it with --name-column."
        )
    rows = label_rows(labels if named else Labels(None, labels.lat_lng), names)
    if (rows < 0).all():
        first = labels.names[0] if labels.names else ""
        raise InputError(
            f"None of the {len(names)} names in {source.name} has a row in {given.labels_path}: the first is "
            f"{names[0]!r}, the first label {first!r}; name another column of the labels with --label-name-column, of "
            "predictions with --name-column."
        )
    return rows


def _run(
    source: EvaluationInput, answers: Answers, rows: NDArray[np.int64], given: _Given, sha256: str | None = None
) -> Run:
    km = distances(answers, given.labels.lat_lng, given.protocol.distance)
    return Run(source.name, source.kind, answers, km, left_out=int((rows < 0).sum()), sha256=sha256)


def _about(locator: "Locator", given: _Given) -> dict[str, Any]:
    """Return what was searched, and how, as answers say it."""
    question, reading = locator.question, locator.reading
    on_planet = locator.searcher.searched.candidates == "planet"
    searched = replace(
        locator.searcher.searched,
        constraint=given.search.where.constraint().words,
        resolution=question.resolution,
        effort=str(question.effort) if on_planet else "",
        prior_weight=question.prior_weight,
        temperature=question.temperature,
        point=reading.point,
        calibrated=reading.calibrated,
    )
    return {"model": locator.release.model_digest, **asdict(searched), "apart_km": reading.apart_km}


def _write(report: Report, runs: Sequence[Run], labels: Labels, outputs: Outputs, options: dict[str, Any]) -> None:
    from geoclip.evaluate.console import print_report

    if outputs.report is not None:
        write_json(report, options, outputs.report)
    if outputs.errors is not None:
        from geoclip.evaluate.error_table import write_rows

        write_rows(runs, labels, outputs.errors)
    if outputs.plots is not None:
        from geoclip.evaluate.plots import write_plots

        write_plots(report, runs, outputs.plots)
    print_report(report, sys.stdout)  # last: its reader may stop, as `head` does
