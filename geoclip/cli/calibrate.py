"""`geoclip calibrate`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.cli.output_options import RunCounts
from geoclip.cli.session import open_embedder, open_locator, photo_inputs
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.evaluation.evaluation_options import ColumnOptions
from geoclip.files import STDOUT, check_output
from geoclip.locator import Locator
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions
from geoclip.tables.columns import LabelColumns
from geoclip.tables.labels import Labels
from geoclip.tables.vector_file import VECTOR_SUFFIXES, VectorFile


def run(
    labels: Path,
    inputs: list[str],
    output: Path,
    overwrite: bool,
    columns: ColumnOptions,
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Fit a calibration and keep it."""
    from geoclip.answers.fitting import calibrate

    check_output(output, overwrite=overwrite)
    called = LabelColumns(columns.label_name_column, columns.label_lat_column, columns.label_lng_column)
    known = Labels.read(labels, called)
    has_photos = any(Path(name).suffix.lower() not in VECTOR_SUFFIXES for name in inputs)
    locator = open_locator(open_embedder(photo, model, machine), index, search, machine, photos=has_photos)
    vectors, truth, left_out = _labelled(
        known, inputs, locator, machine.processes, by_order=columns.by_order, exclude=photo.exclude
    )
    if left_out:
        say(f"{left_out} of the inputs have no row in {labels} and are left out.")
    with progress("Calibrating"):
        fitted = calibrate(locator.answerer, locator.answerer.asked(search), vectors, truth)
    fitted.save(output)
    _describe(fitted.report, fitted.temperature, fitted.prior_weight, to_stderr=output == STDOUT)
    say(f"{output} holds the calibration of {fitted.photos} photos; use it with --calibration {output}.")


def _labelled(
    known: Labels, inputs: list[str], locator: Locator, workers: int, *, by_order: bool, exclude: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    """Return vectors (N, dim) and true places (N, 2) of the inputs that have a label, and how many have none."""
    names, vectors, positions = [], [], []
    counts, named, given = RunCounts(), True, 0
    files = [Path(name) for name in inputs if Path(name).suffix.lower() in VECTOR_SUFFIXES]
    photos = [name for name in inputs if Path(name).suffix.lower() not in VECTOR_SUFFIXES]
    for path in files:
        dim, model = locator.answerer.searcher.dim, locator.answerer.source.model
        file = VectorFile(path, dim=dim, model_digest=model, on_problem=say)
        named &= file.named
        for batch in file:
            names += batch.names
            vectors += list(batch.vectors)
            positions += (given + batch.rows).tolist()
        given += file.rows
    if photos:
        with progress("Embedding") as update:
            for decoded, vector in locator.embedder.embed(photo_inputs(photos, None, exclude), workers=workers):
                if counts.count(Answer(decoded.name, error=decoded.error)) and vector is not None:
                    names.append(decoded.name)
                    vectors.append(vector)
                    positions.append(given)
                given += 1
                update(counts.answered + counts.failed, None)
    if not names:
        raise InputError("There are no photos or vectors to calibrate with.")
    rows = known.rows(names if named else None, given, positions=np.array(positions), by_order=by_order)
    found = np.flatnonzero(rows >= 0)
    if not len(found):
        raise InputError(f"None of the {len(names)} inputs has a row in the labels; the first input is {names[0]!r}.")
    return np.stack([vectors[i] for i in found]), known.lat_lng[rows[found]], len(names) - len(found)


def _describe(report: dict[str, dict[str, float]], temperature: float, weight: float, *, to_stderr: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    table.title = f"On the held-out half of {report['after']['photos']} photos"
    for name in ("", "before", "after"):
        table.add_column(name, justify="right" if name else "left")
    before, after = report["before"], report["after"]
    for name, key, scale, unit in (
        ("true places inside the 50 % circle", "coverage_50", 100.0, " %"),
        ("true places inside the 90 % circle", "coverage_90", 100.0, " %"),
        ("expected calibration error", "error", 100.0, " %"),
        ("log likelihood of the true cells", "log_likelihood", 1.0, ""),
        ("median distance", "median_km", 1.0, " km"),
    ):
        table.add_row(name, *(f"{scale * each[key]:.1f}{unit}" for each in (before, after)))
    console = Console(highlight=False, stderr=to_stderr)
    console.print(table)
    console.print(f"temperature {temperature:.3g}, prior weight {weight:.3g}")
