"""Hostile files, and changes of all files that are read, in a small form; `python -m benchmarks.faults` tries more."""

from pathlib import Path

import pytest

from benchmarks.faults.fuzzed import FILES, replayed
from benchmarks.faults.hostile import hostile
from benchmarks.faults.readers import READERS


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tries"), [("indexes", 100), ("releases", 25), ("checkpoints", 25)])
def test_hostile_files_are_refused_in_words_or_answered_from(kind: str, tries: int, tmp_path: Path) -> None:
    outcome = hostile(kind, tries, tmp_path / kind, seed=1)
    assert outcome.wrong == []
    assert outcome.counts["refused"] > tries / 3
    assert outcome.counts["answered"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_whatever_is_read_is_read_or_refused_in_words(reader: str) -> None:
    outcome = replayed(reader, 100, seed=1)
    assert outcome.wrong == []
    assert outcome.counts["tries"] >= FILES + 100
    assert outcome.counts["read"] + outcome.counts["refused"] == outcome.counts["tries"]
