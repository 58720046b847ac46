"""Answers out, and what a stopped run had written."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoclip.answer import Answer, Prediction
from geoclip.errors import InputError
from geoclip.writers import CSV_COLUMNS, Format, answered, open_writer

NAMES = ["plain.jpg", 'with "quotes", commas.jpg', "two\nlines.jpg", "東京.jpg", "bytes-\udcff.jpg", "semi;colon.jpg"]

CELL = "8928308280fffff"


def answer(name: str, k: int = 2) -> Answer:
    return Answer(name, tuple(Prediction(10.5 + i, -170.25 - i, 0.5 / (i + 1), 0.3 - i / 10, CELL) for i in range(k)))


def write(path: Path, kind: Format, names: list[str], *, append: bool = False) -> None:
    with path.open("a" if append else "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = open_writer(kind, stream, header=not append)
        for name in names:
            writer.write(answer(name))


def test_json_lines_are_json(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", Format.JSONL, NAMES)
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["query"] for r in records] == NAMES
    assert records[0]["predictions"][1] == {
        "lat": 11.5,
        "lng": -171.25,
        "probability": 0.25,
        "score": 0.2,
        "cell": CELL,
    }


def test_csv_is_csv(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", Format.CSV, NAMES)
    with (tmp_path / "a.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row[0] for row in rows[1::2]] == NAMES
    assert rows[2][1:] == ["2", "11.500000", "-171.250000", "0.25", "0.200000", CELL]


def test_table_shows_every_place() -> None:
    stream = io.StringIO()
    open_writer(Format.TABLE, stream).write(answer("bytes-\udcff\n\x1b[bold].jpg"))
    text = stream.getvalue()
    assert "bytes-\\xff\\n\\x1b[bold].jpg" in text
    assert "11.50000" in text
    assert "25.00 %" in text


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from([Format.JSONL, Format.CSV]), cut=st.floats(0, 1), order=st.permutations(NAMES))
def test_a_file_cut_anywhere_is_completed_without_loss_or_repetition(
    tmp_path_factory: pytest.TempPathFactory, kind: Format, cut: float, order: list[str]
) -> None:
    path = tmp_path_factory.mktemp("cut") / f"a.{kind}"
    write(path, kind, order)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    done, keep = answered(path, kind)
    with path.open("ab") as file:
        file.truncate(keep)
    rest = [name for name in order if name not in done]
    write(path, kind, rest, append=keep > 0) if keep else write(path, kind, rest)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("kind", "content"), [(Format.JSONL, b"{}\n"), (Format.JSONL, b"a,b\n"), (Format.CSV, b"a,b\n1,2\n")]
)
def test_files_of_something_else_are_refused(tmp_path: Path, kind: Format, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="something else"):
        answered(tmp_path / "a", kind)
