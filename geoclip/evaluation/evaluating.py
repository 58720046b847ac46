"""`geoclip.evaluate`: true places and the answers of systems in, measures and comparisons out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geoclip.distance import Distance
from geoclip.errors import InputError
from geoclip.evaluation.answer_table import AnswerTable, own_rows
from geoclip.evaluation.evaluation_options import EvaluationOptions
from geoclip.evaluation.inputs import EvaluationInput, InputKind, evaluation_inputs
from geoclip.evaluation.measures import distances, exchanged_km
from geoclip.evaluation.overlap import Overlap, gallery_of_index, overlap
from geoclip.evaluation.predictions import read_answers, read_labels
from geoclip.evaluation.report import Report, Run, evaluated
from geoclip.files import sha256_of
from geoclip.options import SearchOptions
from geoclip.tables.bad_rows import OnBadRows
from geoclip.tables.columns import LABELS, Columns
from geoclip.tables.coordinates import read_lat_lng
from geoclip.tables.labels import Labels

if TYPE_CHECKING:
    from geoclip.evaluation.located import RowVector
    from geoclip.locator import Locator

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int, int | None], object]]]
"""Begins a stage, of a name and a total; what it yields is called with the number done and None."""


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation."""

    report: Report
    runs: tuple[Run, ...]
    """The answers of every system, in the order of the inputs."""
    labels: Labels


@contextmanager
def silent(stage: str, total: int | None = None) -> Iterator[Callable[[int, int | None], object]]:
    """Show no progress."""
    yield lambda done, total: None


def evaluate(
    labels: str | Path,
    inputs: Sequence[str | Path],
    options: EvaluationOptions = EvaluationOptions(),
    *,
    locator: "Locator | Callable[[], Locator] | None" = None,
    search: SearchOptions = SearchOptions(),
    label_columns: Columns = LABELS,
    columns: Sequence[Sequence[str]] = ((), (), ()),
    by_order: bool = False,
    exclude: Sequence[str] = (),
    workers: int = 0,
    progress: Progress = silent,
    on_problem: Callable[[str], object] = lambda sentence: None,
) -> Evaluation:
    """Say how far answers are from the true places, how sure that is, and whether systems differ.

    Args:
        labels: the file of true places, `.csv`, `.tsv`, `.jsonl` or `.parquet`.
        inputs: photos and folders, which together are one system; and files of vectors or of predictions, each of which
            is another.
        options: how they are compared.
        locator: answers for photos and vectors: one, or what opens one where there are any; None is `Locator.open()`.
        search: what is asked of it.
        label_columns: the columns of the labels.
        columns: of tables of predictions; see `inputs.evaluation_inputs`.
        by_order: where names are missing, the first input is that of the labels' first row, and so on; else refused.
        exclude: patterns of names that are left out of folders.
        workers: processes that decode photos; 0 decodes in this one.
        progress: begins a stage.
        on_problem: told in a sentence of each photo that cannot be read.

    Raises:
        InputError: a file cannot be read or lacks what is needed, or no input has a row in the labels.
    """
    path = Path(labels)
    evaluator = _Evaluator(
        path, read_labels(path, label_columns), options, search, by_order, exclude, workers, progress, on_problem
    )
    found = evaluation_inputs([str(each) for each in inputs], columns)
    beside = None if options.gallery is None else evaluator.overlap(options.gallery)
    runs = {source: evaluator.of_table(source) for source in found if source.kind is InputKind.PREDICTIONS}
    if len(runs) < len(found):
        opened = _opened(locator)
        gallery = _gallery_of(opened)
        if beside is None and gallery is not None:
            beside = evaluator.overlap(gallery)
        for source in (each for each in found if each not in runs):
            of = evaluator.of_vectors if source.kind is InputKind.VECTORS else evaluator.of_photos
            runs[source] = of(source, opened)
    ordered = tuple(runs[source] for source in found)
    return Evaluation(evaluator.report(ordered, beside), ordered, evaluator.labels)


def _opened(locator: "Locator | Callable[[], Locator] | None") -> "Locator":
    from geoclip.locator import Locator

    if isinstance(locator, Locator):
        return locator
    return Locator.open() if locator is None else locator()


def _gallery_of(locator: "Locator") -> Path | None:
    """Return the file with the places of the gallery that is searched; None where there are none."""
    if locator.answerer.source.index is not None:
        return gallery_of_index(locator.answerer.source.index)
    release = locator.embedder.release
    return None if release.gallery_file is None else release.path / release.gallery_file


@dataclass(frozen=True)
class _Evaluator:
    """Makes the runs of one evaluation."""

    path: Path
    labels: Labels
    options: EvaluationOptions
    search: SearchOptions
    by_order: bool
    exclude: Sequence[str]
    workers: int
    progress: Progress
    on_problem: Callable[[str], object]

    def report(self, runs: Sequence[Run], beside: Overlap | None) -> Report:
        from geoclip.evaluation.by_country import whereabouts

        with self.progress("Measuring", None):
            return evaluated(
                (str(self.path), sha256_of(self.path)),
                runs,
                whereabouts(self.labels.lat_lng),
                beside,
                resamples=self.options.resamples,
                seed=self.options.seed,
            )

    def overlap(self, gallery: Path) -> Overlap:
        return overlap(
            self.labels.lat_lng, read_lat_lng(gallery, policy=OnBadRows.SKIP, on_problem=self.on_problem), str(gallery)
        )

    def of_table(self, source: EvaluationInput) -> Run:
        path = Path(source.paths[0])
        names, answers = read_answers(path, source.columns, on_problem=self.on_problem)
        rows = self._rows(names, len(answers.seen), source)
        return self._run(source, answers.in_order(rows, len(self.labels.lat_lng)), rows, sha256=sha256_of(path))

    def of_vectors(self, source: EvaluationInput, locator: "Locator") -> Run:
        from geoclip.tables.vector_file import VectorFile

        path = Path(source.paths[0])
        dim, model = locator.answerer.searcher.dim, locator.answerer.source.model
        file = VectorFile(path, dim=dim, model_digest=model, on_problem=self.on_problem)
        read = [(batch.names, batch.rows) for batch in file]
        names, positions = [name for some, _ in read for name in some], np.concatenate([rows for _, rows in read])
        rows = self._rows(names if file.named else None, file.rows, source, positions)

        def vectors() -> "Iterator[RowVector]":
            row = iter(rows.tolist())
            for batch in file:
                yield from ((at, vector) for vector in batch.vectors if (at := next(row)) >= 0)

        return self._located(source, locator, vectors(), rows)

    def of_photos(self, source: EvaluationInput, locator: "Locator") -> Run:
        from geoclip.photos.find import find_photos

        paths = list(dict.fromkeys(find_photos(source.paths, self.exclude, on_passed_over=self.on_problem)))
        if not paths:
            raise InputError(
                f"No photos were found in {source.name}; files are recognised by suffixes such as .jpg, .png and .heic."
            )
        rows = self._rows(paths, len(paths), source)
        labelled = [(path, row) for path, row in zip(paths, rows.tolist(), strict=True) if row >= 0]
        unreadable = []

        def vectors() -> "Iterator[RowVector]":
            stream = locator.embedder.embed([path for path, _ in labelled], workers=self.workers)
            for (path, row), (decoded, vector) in zip(labelled, stream, strict=True):
                if vector is None:
                    self.on_problem(f"{path}: {decoded.error}")
                    unreadable.append(row)
                else:
                    yield row, vector

        found = self._located(source, locator, vectors(), rows)
        found.answers.seen[unreadable] = True
        return replace(found, about={**(found.about or {}), "crops": locator.embedder.limits.crops})

    def _located(
        self, source: EvaluationInput, locator: "Locator", vectors: "Iterator[RowVector]", rows: NDArray[np.int64]
    ) -> Run:
        from geoclip.evaluation.located import located

        asked = locator.answerer.asked(self.search)
        with self.progress("Locating", int((rows >= 0).sum())) as update:
            answers, sets = located(locator.answerer, asked, vectors, self.labels.lat_lng, on_progress=update)
        searched = asdict(locator.answerer.searched(asked))
        about = {"model": locator.answerer.source.model, **searched, "apart_km": asked.how.apart_km}
        digest = None if source.kind is InputKind.PHOTOS else sha256_of(Path(source.paths[0]))
        return replace(self._run(source, answers, rows, sha256=digest), about=about, sets=sets)

    def _rows(
        self,
        names: list[str] | None,
        inputs: int,
        source: EvaluationInput,
        positions: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Return the label of each input; see `Labels.rows`."""
        rows = self.labels.rows(names, inputs, positions=positions, by_order=self.by_order)
        if names and self.labels.names and (rows < 0).all():
            raise InputError(
                f"None of the {len(names)} names in {source.name} has a row in {self.path}: the first is {names[0]!r}, "
                f"the first label {self.labels.names[0]!r}; name another column of the labels with "
                "--label-name-column, of predictions with --name-column."
            )
        return own_rows(rows, names or [str(at) for at in range(inputs)])

    def _run(
        self, source: EvaluationInput, answers: AnswerTable, rows: NDArray[np.int64], sha256: str | None = None
    ) -> Run:
        km = distances(answers, self.labels.lat_lng, Distance(self.options.distance))
        if better := exchanged_km(answers, self.labels.lat_lng):
            self.on_problem(
                f"{source.name}: with latitude and longitude exchanged the median error would be {better[1]:,.0f} km "
                f"in place of {better[0]:,.0f}; check which column is which, there and in {self.path}."
            )
        return Run(source.name, source.kind, answers, km, left_out=int((rows < 0).sum()), sha256=sha256)
