"""Commands that are killed at any moment and gone on with: in the end the same bytes as of a run that nobody disturbed.

`GEOCLIP_KILLS=200 pytest tests/geoclip/cli/test_kills.py` kills more often than the usual run does.
"""

import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

KILLS = int(os.environ.get("GEOCLIP_KILLS", "2"))

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_towers")]


def run(arguments: list[str]) -> None:
    """Run a command in a process of its own, in small steps each of which is kept."""
    from geoclip import embed_files
    from geoclip.cli import main, search
    from geoclip.tables import vectors
    from geoclip.writers import output

    patch = pytest.MonkeyPatch()
    patch.setattr(output, "SAVE_SECONDS", 0.0)
    patch.setattr(vectors, "PART_ROWS", 100)
    patch.setattr(embed_files, "COORDINATE_ROWS", 70)
    patch.setattr(search, "_TOGETHER", 3)
    sys.argv = ["geoclip", *arguments]
    main()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of vectors whose rows have the same names, a table of coordinates, photos of which one is broken."""
    folder, rng = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", rng.normal(size=(10, 512)).astype(np.float32))
    places = np.stack((rng.uniform(-80, 80, 700), rng.uniform(-179, 179, 700)), axis=1)
    (folder / "places.csv").write_text("lat,lng\n" + "".join(f"{lat},{lng}\n" for lat, lng in places.tolist()))
    for seed in range(30):
        make_photo(folder / "photos" / f"{seed:02}.png", seed=seed, size=(64, 48))
    (folder / "photos" / "07.png").write_bytes(b"broken")
    return folder


@pytest.mark.parametrize(
    ("arguments", "suffix"),
    [
        (["search", "a.npy", "b.npy", "-k", "2"], ".jsonl"),
        (["locate", "photos", "--workers", "1"], ".csv"),
        (["embed", "places.csv"], ".parquet"),
        (["embed", "photos", "--workers", "1"], ".parquet"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_killed_commands_end_in_the_same_bytes(
    small_towers: SmallRelease, inputs: Path, tmp_path: Path, arguments: list[str], suffix: str
) -> None:
    """SIGKILL when some share of the output is there; each run goes on from what the one before left."""
    processes = multiprocessing.get_context("forkserver")  # has imported everything, so that a kill costs no imports
    processes.set_forkserver_preload(["tests.geoclip.cli.test_kills", "torch", "geoclip.locator"])
    given = [str(inputs / each) if (inputs / each).exists() else each for each in arguments]
    if "photos" in arguments:  # the server of processes may be older than this test's environment
        given += small_towers.options

    def start(output: Path, *flags: str) -> multiprocessing.process.BaseProcess:
        child = processes.Process(target=run, args=([*given, "-o", str(output), *flags],))
        child.start()
        return child

    def size(output: Path) -> int:
        try:
            return sum(
                each.stat().st_size for each in [output, *Path(f"{output}.parts").glob("[0-9]*")] if each.exists()
            )
        except FileNotFoundError:  # parts go just now
            return 0

    whole = tmp_path / f"whole{suffix}"
    start(whole).join()
    rng, kills, finished = random.Random(7), 0, 0
    while kills < KILLS or not finished:
        output = tmp_path / f"{finished}{suffix}"
        child = start(output, "--resume")
        wanted = rng.uniform(size(output), size(whole)) if kills < KILLS else np.inf
        while child.is_alive() and size(output) <= wanted:
            time.sleep(0.002)
        if child.is_alive():
            child.kill()
            kills += 1
        child.join()
        if child.exitcode != -9:
            assert output.read_bytes() == whole.read_bytes()
            finished += 1
    assert kills >= KILLS
