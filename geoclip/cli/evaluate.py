"""`geoclip evaluate`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.answers.source import index_folder
from geoclip.cli.session import open_embedder, open_locator
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.evaluation.evaluating import evaluate
from geoclip.evaluation.evaluation_options import ColumnOptions, EvaluationOptions, ReportOptions
from geoclip.evaluation.inputs import InputKind, evaluation_inputs
from geoclip.evaluation.outputs import Outputs
from geoclip.evaluation.overlap import gallery_of_index
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions
from geoclip.tables.columns import LabelColumns

if TYPE_CHECKING:
    from geoclip.locator import Locator


def run(
    labels: Path,
    inputs: Sequence[str],
    comparing: EvaluationOptions,
    columns: ColumnOptions,
    files: ReportOptions,
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Evaluate tables of answers, vectors and photos side by side; exit 1 if photos are missing or unreadable."""
    outputs = Outputs(**vars(files))
    outputs.check()
    named = columns.name_column, columns.lat_column, columns.lng_column
    kinds = {each.kind for each in evaluation_inputs(inputs, named)}
    _check(kinds, photo, index, search)
    given = {"labels": labels, "inputs": list(inputs), "columns": columns, "protocol": comparing, "index": index}
    given |= {"search": search, "photo": photo, "model": model, "machine": machine}
    if comparing.gallery is None and (folder := index_folder(index.index)):
        comparing = replace(comparing, gallery=gallery_of_index(folder))

    def opened() -> "Locator":
        embedder = open_embedder(photo, model, machine)
        return open_locator(embedder, index, search, machine, photos=InputKind.PHOTOS in kinds)

    found = evaluate(
        labels,
        inputs,
        comparing,
        locator=opened,
        search=search,
        label_columns=LabelColumns(columns.label_name_column, columns.label_lat_column, columns.label_lng_column),
        by_order=columns.by_order,
        exclude=photo.exclude,
        columns=named,
        workers=machine.processes,
        progress=progress,
        on_problem=say,
    )
    outputs.write(found, given)
    from geoclip.evaluation.console import print_report

    print_report(found.report, sys.stdout)  # last: its reader may stop, as `head` does
    photos = [each.counts for each in found.report.runs if each.kind is InputKind.PHOTOS]
    raise typer.Exit(1 if any(counts.answered < counts.labelled for counts in photos) else 0)


def _check(kinds: set[InputKind], photo: PhotoOptions, index: IndexOptions, search: SearchOptions) -> None:
    if InputKind.PHOTOS not in kinds and photo.crops != PhotoOptions.crops:
        raise InputError(f"--crops {photo.crops} needs photos; vectors and predictions are made already.")
    if kinds == {InputKind.PREDICTIONS} and (search, replace(index, index=None)) != (SearchOptions(), IndexOptions()):
        raise InputError("Options of the search need photos or vectors; predictions are made already.")
