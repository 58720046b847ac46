"""The files of an evaluation: the report as JSON, each photo's error as a table, plots; each whole or not at all."""

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from geoclip.distance import geoscore
from geoclip.errors import InputError
from geoclip.evaluation.evaluating import Evaluation
from geoclip.evaluation.evaluation_options import ReportOptions
from geoclip.evaluation.report import Report, Run
from geoclip.extras import need
from geoclip.files import check_output, written_whole
from geoclip.tables.labels import Labels
from geoclip.writers.wording import utf8

SCHEMA = "geoclip-evaluation/1"
"""Names the fields and their meaning, which `report.schema.json` describes; another number where a reader would have to
change."""
_PACKAGES = ("geoclip-planet", "numpy", "scipy", "pyarrow", "pyproj", "torch", "open-clip-torch")
_TABLE_SUFFIXES = (".csv", ".parquet", ".pq")


@dataclass(frozen=True)
class Outputs(ReportOptions):
    """The files to write."""

    def check(self) -> None:
        """Refuse, before anything is computed, what could not be written at the end.

        Raises:
            InputError: a file exists or cannot be written, a folder is in the way, or a name has no suffix to write by.
        """
        if self.report is not None and self.report.suffix.lower() != ".json":
            raise InputError(f"The report is JSON and is to be called {self.report}; name it .json.")
        if self.errors is not None and self.errors.suffix.lower() not in _TABLE_SUFFIXES:
            raise InputError(f"The errors are to be called {self.errors}; name them .csv or .parquet.")
        if self.plots is not None and self.plots.exists() and not self.plots.is_dir():
            raise InputError(f"{self.plots} is a file; --plots takes a folder.")
        if self.plots is not None:
            need("map", "A plot")
        plots = [] if self.plots is None else [self.plots / "accuracy.png", *self.plots.glob("*.png")]
        for path in (self.report, self.errors, *plots):
            if path is not None:
                check_output(path, overwrite=self.overwrite)

    def write(self, evaluation: Evaluation, options: dict[str, Any]) -> None:
        """Write them, the report with the options of the command.

        Raises:
            InputError: a file cannot be written.
        """
        if self.report is not None:
            write_json(evaluation.report, options, self.report)
        if self.errors is not None:
            write_errors(evaluation.runs, evaluation.labels, self.errors)
        if self.plots is not None:
            from geoclip.evaluation.plots import write_plots

            write_plots(evaluation.report, evaluation.runs, self.plots)


def write_json(report: Report, options: dict[str, Any], path: Path) -> None:
    """Write the report with the options of the command and the versions of what computed it.

    Raises:
        InputError: the file cannot be written.
    """
    content = {"schema": SCHEMA, "versions": versions(), "options": plain(options), **plain(report)}
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False, default=str) + "\n", encoding="utf-8")


def write_errors(runs: Sequence[Run], labels: Labels, path: Path) -> None:
    """Write a row for each photo of each system, as CSV or, by the suffix, Parquet.

    Columns: run, name (the row's number where the labels have no names), true_lat, true_lng, pred_lat, pred_lng in
    degrees, km, geoscore (0 to 5000), score (the system's own). What is not known is null; a photo without an answer
    has the geoscore 0.

    Raises:
        InputError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    names = [utf8(name) for name in labels.names or map(str, range(len(labels.lat_lng)))]
    tables = []
    for run in runs:
        km, places = run.km[:, 0], run.answers.places[:, 0]
        columns = dict(
            zip(("true_lat", "true_lng", "pred_lat", "pred_lng"), (*labels.lat_lng.T, *places.T), strict=True)
        )
        columns |= {"km": np.where(np.isfinite(km), km, np.nan), "geoscore": geoscore(km), "score": run.answers.score}
        numbers = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}  # NaN becomes null
        tables.append(pa.table({"run": [utf8(run.name)] * len(names), "name": names, **numbers}))
    with written_whole(path) as temporary:
        write = pa_csv.write_csv if path.suffix.lower() == ".csv" else pq.write_table
        write(pa.concat_tables(tables), temporary)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter, where they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """Return values as JSON has them: named fields as objects, numbers that are not finite as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
