"""`geoclip calibrate`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.cli.photo_inputs import photo_inputs
from geoclip.cli.run_counts import RunCounts
from geoclip.cli.session import open_embedder, open_locator
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.evaluation.evaluation_options import ColumnOptions
from geoclip.files import STDOUT, check_output
from geoclip.locator import Locator
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions
from geoclip.photos.decode import SUFFIXES
from geoclip.photos.pool import Decoded
from geoclip.photos.sidecars import position_beside
from geoclip.tables.columns import LabelColumns
from geoclip.tables.labels import Labels
from geoclip.tables.vector_file import VECTOR_SUFFIXES, VectorFile


def run(
    labels: Path,
    inputs: list[str] | None,
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
    by_gps = labels.is_dir() or labels.suffix.lower() in SUFFIXES
    if by_gps:
        inputs = [str(labels), *(inputs or [])]
    elif not inputs:
        raise InputError(
            f"{labels} is a table of true places; name the photos or vectors too, or photos that carry GPS."
        )
    known = None if by_gps else Labels.read(labels, called)
    has_photos = any(Path(name).suffix.lower() not in VECTOR_SUFFIXES for name in inputs)
    locator = open_locator(open_embedder(photo, model, machine), index, search, machine, photos=has_photos)
    vectors, truth, left_out = _labelled(
        known, inputs, locator, machine.processes, by_order=columns.by_order, exclude=photo.exclude
    )
    if left_out:
        lack = "say nowhere where they were taken" if known is None else f"have no row in {labels}"
        say(f"{left_out} of the inputs {lack} and are left out.")
    with progress("Calibrating"):
        asked = locator.answerer.asked(search)
        fitted = calibrate(locator.answerer, asked, vectors, truth, crops=photo.crops)
    fitted.save(output)
    _describe(fitted.report, fitted.temperature, fitted.prior_weight, to_stderr=output == STDOUT)
    say(f"{output} holds the calibration of {fitted.photos} photos; use it with --calibration {output}.")


def _labelled(
    known: Labels | None, inputs: list[str], locator: Locator, workers: int, *, by_order: bool, exclude: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    """Return vectors (N, dim) and true places (N, 2) of the inputs that have a label, and how many have none.

    Without labels, photos are where they say that they were taken.
    """
    names, vectors, positions, recorded = [], [], [], []
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
                    recorded.append(_recorded(decoded) if known is None else None)
                    positions.append(given)
                given += 1
                update(counts.answered + counts.failed, None)
    if not names:
        raise InputError("There are no photos or vectors to calibrate with.")
    if known is None:
        own = [row for row, place in enumerate(recorded) if place is not None]
        if files:
            raise InputError(f"{files[0]} holds vectors, which carry no GPS; give a table of their true places first.")
        if not own:
            raise InputError(
                f"None of the {len(names)} photos says where it was taken; give a table of true places first."
            )
        return np.stack([vectors[row] for row in own]), np.array([recorded[row] for row in own]), len(names) - len(own)
    rows = known.rows(names if named else None, given, positions=np.array(positions), by_order=by_order)
    found = np.flatnonzero(rows >= 0)
    if not len(found):
        raise InputError(f"None of the {len(names)} inputs has a row in the labels; the first input is {names[0]!r}.")
    return np.stack([vectors[i] for i in found]), known.lat_lng[rows[found]], len(names) - len(found)


def _recorded(photo: Decoded) -> tuple[float, float] | None:
    """Return where a photo, or a file beside it, says it was taken, in degrees."""
    if photo.gps is not None:
        return photo.gps
    beside = position_beside(photo.name, say)
    return None if beside is None else beside.gps


def _describe(report: dict[str, dict[str, Any]], temperature: float, weight: float, *, to_stderr: bool) -> None:
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
    for which, (photos, inside_50, inside_90) in zip(_THIRDS, after["coverage_by_entropy"], strict=False):
        console.print(f"{which} third ({photos} photos): {100 * inside_50:.0f} % and {100 * inside_90:.0f} % inside")
    console.print(f"temperature {temperature:.3g}, prior weight {weight:.3g}")


_THIRDS = ("surest", "middle", "least sure")
