"""Hostile indexes, releases and checkpoints in a small form; `python -m benchmarks.faults` tries more."""

from pathlib import Path

import pytest

from benchmarks.faults.hostile import hostile


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tries"), [("indexes", 150), ("releases", 40), ("checkpoints", 40)])
def test_hostile_files_are_refused_in_words_or_answered_from(kind: str, tries: int, tmp_path: Path) -> None:
    outcome = hostile(kind, tries, tmp_path / kind, seed=1)
    assert outcome.wrong == []
    assert outcome.counts["refused"] > tries / 3
    assert outcome.counts["answered"] > 0
