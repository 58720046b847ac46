"""A process that is forked from one that has searched can search too."""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.pictures import make_photo
from tests.helpers.small_release import small_release

PATIENCE_S = 60.0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_answers_as_its_parent(tmp_path: Path) -> None:
    """In a process that computes on two threads, as it would on any machine but that of the tests."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.geoclip.test_forks", str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _main(folder: Path) -> None:
    from geoclip.locator import Locator

    small = small_release(folder / "model")
    locator = Locator.open("none", release=small.weights, clip_path=small.clip, device="cpu")
    vectors = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    photo = make_photo(folder / "photo.png", 1)

    def asked() -> tuple[list[list[int]], list[float]]:
        return locator.search(vectors, 3).cells.tolist(), [
            place.score for place in locator.locate(photo)[0].predictions
        ]

    def ask(pipe: Connection) -> None:
        pipe.send(asked())

    expected = asked()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=ask, args=(sender,))
    child.start()
    sender.close()
    answered = receiver.poll(PATIENCE_S)
    found = receiver.recv() if answered else None
    child.kill()
    assert answered, "the child hangs"
    assert found is not None
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
