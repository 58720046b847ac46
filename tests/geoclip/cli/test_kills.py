"""Commands that are killed at any moment and gone on with: in the end the same bytes as of a run that nobody disturbed.

`python -m benchmarks.faults killed` kills more of them more often.
"""

import random
from pathlib import Path

import pytest

from benchmarks.faults.full import COMMANDS, Written, full
from benchmarks.faults.killed import KINDS, Kind, killed, killed_training, make_inputs, train_arguments
from tests.helpers.small_release import SmallRelease, small_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return small_release(tmp_path_factory.mktemp("model"))


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS[:4], ids=lambda kind: kind.name)
def test_killed_commands_end_in_the_same_bytes(model: SmallRelease, inputs: Path, tmp_path: Path, kind: Kind) -> None:
    outcome = killed(kind, 2, inputs=inputs, towers=model, folder=tmp_path, rng=random.Random(7))
    assert outcome.wrong == []
    assert outcome.counts["kills"] == 2
    assert outcome.counts["finished"] >= 1


def test_killed_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    outcome = killed_training(train_arguments(tmp_path), 2, folder=tmp_path, rng=random.Random(3))
    assert outcome.wrong == []
    assert outcome.counts["kills"] == 2
    assert outcome.counts["resumed"] >= 1


@pytest.mark.parametrize("kind", COMMANDS[:2], ids=lambda kind: f"{kind.arguments[0]} to {kind.output}")
def test_full_disks_are_said_and_nothing_is_lost(
    model: SmallRelease, inputs: Path, tmp_path: Path, kind: Written
) -> None:
    outcome = full(kind, 2, inputs=inputs, towers=model, folder=tmp_path, rng=random.Random(1))
    assert outcome.wrong == []
    assert outcome.counts["said"] >= 1
