"""One table in every format, encoding and delimiter that people have."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Row = tuple[str, float, float]
HEADER = ("Photo", "LAT", "Longitude")
ROWS: tuple[Row, ...] = (
    ("0071", 48.85, 2.35),
    ("12345678901234567890123", -33.875, 151.25),
    ("2020-01-02", 89.9, -180.0),
    ("deep er/Zürich, am See; Ufer|a.jpg", 47.375, 8.5),
    ('the "big" one.jpg', -90.0, 0.125),
    ("nan", 1e-7, 5.0),
)


def written(
    path: Path,
    rows: Sequence[Row] = ROWS,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    comma: bool = False,
    end: str = "\n",
    before: str = "",
    note: str = "",
) -> Path:
    """Write a table as text; `comma` is the decimal mark, `note` a value of a last column."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow([*HEADER, *(["note"] if note else [])])
    for name, *place in rows:
        numbers = [str(value).replace(".", ",") if comma else str(value) for value in place]
        writer.writerow([name, *numbers, *([note] if note else [])])
    path.write_bytes((before + text.getvalue()).encode(encoding))
    return path


def as_json(path: Path, rows: Sequence[Row] = ROWS, *, encoding: str = "utf-8", text: bool = False) -> Path:
    """Write a table as JSON Lines; `text` writes numbers as strings."""
    records = [dict(zip(HEADER, (name, *(str(v) if text else v for v in place)), strict=True)) for name, *place in rows]
    path.write_bytes("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode(encoding))
    return path


def as_parquet(path: Path, rows: Sequence[Row] = ROWS, *, names: pa.DataType, places: pa.DataType) -> Path:
    """Write a table as Parquet."""
    table = pa.table(dict(zip(HEADER, zip(*rows, strict=True), strict=True)))
    columns = [table[0].cast(names) if names != pa.binary() else table[0].cast(pa.binary())]
    columns += [column.cast(places) for column in table.columns[1:]]
    pq.write_table(pa.table(columns, names=list(HEADER)), path, row_group_size=4)
    return path


FORMATS: dict[str, Callable[[Path], Path]] = {
    "plain": lambda folder: written(folder / "t.csv"),
    "with a mark": lambda folder: written(folder / "t.csv", encoding="utf-8-sig"),
    "UTF-16": lambda folder: written(folder / "t.csv", encoding="utf-16"),
    "UTF-16, big end, tabs": lambda folder: written(folder / "t.txt", encoding="utf-16-be", delimiter="\t"),
    "Windows-1252": lambda folder: written(folder / "t.csv", encoding="cp1252"),
    "spreadsheet in German": lambda folder: written(
        folder / "t.csv", encoding="cp1252", delimiter=";", comma=True, end="\r\n"
    ),
    "decimal commas in quotes": lambda folder: written(folder / "t.csv", comma=True),
    "says what divides it": lambda folder: written(folder / "t.csv", delimiter=";", before="sep=;\n"),
    "tabs": lambda folder: written(folder / "t.tsv", delimiter="\t"),
    "bars": lambda folder: written(folder / "t.txt", delimiter="|"),
    "semicolons called .tsv": lambda folder: written(folder / "t.tsv", delimiter=";"),
    "empty lines": lambda folder: written(folder / "t.csv", end="\r\n\r\n", before="\n \n"),
    "old line ends": lambda folder: written(folder / "t.CSV", end="\r"),
    "line breaks in quotes": lambda folder: written(folder / "t.csv", note="two\nlines, and\n\nmore"),
    "JSON Lines": lambda folder: as_json(folder / "t.jsonl"),
    "JSON Lines of text, UTF-16": lambda folder: as_json(folder / "t.ndjson", encoding="utf-16", text=True),
    "Parquet": lambda folder: as_parquet(folder / "t.parquet", names=pa.string(), places=pa.float64()),
    "Parquet of text": lambda folder: as_parquet(folder / "t.pq", names=pa.large_string(), places=pa.string()),
    "Parquet of bytes": lambda folder: as_parquet(folder / "t.parquet", names=pa.binary(), places=pa.large_string()),
    "Parquet with dictionaries": lambda folder: as_parquet(
        folder / "t.parquet", names=pa.dictionary(pa.int32(), pa.string()), places=pa.float64()
    ),
}
