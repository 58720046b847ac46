"""The errors of every photo as a table, to look into."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from geoclip.distance import geoscore
from geoclip.evaluate.report import Run
from geoclip.files import written_whole
from geoclip.tables.labels import Labels
from geoclip.writers.formats import utf8


def write_rows(runs: Sequence[Run], labels: Labels, path: Path) -> None:
    """Write a row for each photo of each system, as CSV or, by the suffix, Parquet; whole or not at all.

    Columns: run, name (the row's number where the labels have no names), true_lat, true_lng, pred_lat, pred_lng in
    degrees, km, geoscore (0 to 5000), score (the system's own). What is not known is null; a photo without an answer
    has the geoscore 0.

    Raises:
        InputError: the file cannot be written.
    """
    names = labels.names or tuple(str(row) for row in range(len(labels.lat_lng)))
    table = pa.concat_tables(_table(run, [utf8(name) for name in names], labels) for run in runs)
    with written_whole(path) as temporary:
        if path.suffix.lower() in (".parquet", ".pq"):
            pq.write_table(table, temporary)
        else:
            pa_csv.write_csv(table, temporary)


def _table(run: Run, names: list[str], labels: Labels) -> pa.Table:
    km = run.km[:, 0]
    columns = {
        "true_lat": labels.lat_lng[:, 0],
        "true_lng": labels.lat_lng[:, 1],
        "pred_lat": run.answers.places[:, 0, 0],
        "pred_lng": run.answers.places[:, 0, 1],
        "km": np.where(np.isfinite(km), km, np.nan),
        "geoscore": geoscore(km),
        "score": run.answers.score,
    }
    numbers = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}  # NaN becomes null
    return pa.table({"run": [utf8(run.name)] * len(names), "name": names, **numbers})
