"""`geoclip evaluate`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import typer

from geoclip.cli.session import Encoding, Search, open_locator
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.evaluation.evaluating import EvaluationOptions, evaluate
from geoclip.evaluation.inputs import InputKind, evaluation_inputs
from geoclip.evaluation.outputs import Outputs
from geoclip.evaluation.predictions import Columns


def run(
    labels: Path,
    inputs: Sequence[str],
    *,
    label_columns: Columns,
    columns: Sequence[Sequence[str]],
    protocol: EvaluationOptions,
    outputs: Outputs,
    encoding: Encoding,
    search: Search,
) -> None:
    """Evaluate tables of answers, vectors and photos side by side; exit 1 if photos are missing or unreadable."""
    outputs.check()
    _check_options({each.kind for each in evaluation_inputs(inputs, columns)}, encoding, search)
    given = {"labels": labels, "inputs": list(inputs), "label_columns": label_columns, "columns": columns}
    given |= {"protocol": protocol, "encoding": encoding, "search": search}
    if protocol.gallery is None and search.index is not None:
        protocol = replace(protocol, gallery=search.index / "gallery.parquet")
    found = evaluate(
        labels,
        inputs,
        protocol,
        locator=partial(open_locator, encoding, search),
        label_columns=label_columns,
        columns=columns,
        workers=encoding.processes,
        progress=progress,
        on_problem=say,
    )
    outputs.write(found, given)
    from geoclip.evaluation.console import print_report

    print_report(found.report, sys.stdout)  # last: its reader may stop, as `head` does
    photos = [each.counts for each in found.report.runs if each.kind is InputKind.PHOTOS]
    raise typer.Exit(1 if any(counts.answered < counts.labelled for counts in photos) else 0)


def _check_options(kinds: set[InputKind], encoding: Encoding, search: Search) -> None:
    if InputKind.PHOTOS not in kinds and encoding.crops != 1:
        raise InputError(f"--crops {encoding.crops} needs photos; vectors and predictions are made already.")
    if kinds == {InputKind.PREDICTIONS} and replace(search, index=None) != Search():
        raise InputError("Options of the search need photos or vectors; predictions are made already.")
