"""Jobs in parts on Ray with two cores, and batches of its data sets: the same rows, though actors are killed."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from geoclip.encoders.location import LocationEncoder
from tests.helpers.builds import contents
from tests.helpers.commands import geoclip, geoclip_process
from tests.helpers.pictures import make_photo
from tests.helpers.ray_cluster import ray_processes, two_cores
from tests.helpers.small_release import SmallRelease

pytest.importorskip("ray", reason="the extra `ray` is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as Ray gives an actor of one core


@pytest.fixture(scope="module")
def cluster(small_towers: SmallRelease) -> Iterator[None]:
    """Ray on two cores; stopped at the end."""
    assert small_towers.clip.is_file()  # the environment names it, and the actors have the environment
    with two_cores():
        yield
    assert not ray_processes("FileMaker")


@pytest.fixture(scope="module")
def work(small_towers: SmallRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of nine photos, of which one cannot be read; and what the shell makes of them."""
    folder = tmp_path_factory.mktemp("work")
    for number in range(9):
        make_photo(folder / "photos" / f"{number}.png", seed=number)
    (folder / "photos" / "4.png").write_bytes(b"not a photo")
    for command in ("locate", "embed"):
        job = asked(folder, command, f"{command}-shell")
        for done in (geoclip_process(*job, environment=ONE_THREAD), geoclip(*job, "--finish")):
            assert done.exit_code == 1, done.stderr
    return folder


def asked(folder: Path, command: str, job: str) -> tuple[str | Path, ...]:
    index = ("-i", "none") if command == "locate" else ()
    return command, folder / "photos", *index, "--device", "cpu", "--parts", folder / job, "--part-rows", "2"


@pytest.mark.parametrize("command", ["locate", "embed"])
def test_ray_makes_what_the_shell_makes(work: Path, command: str) -> None:
    job = asked(work, command, f"{command}-ray")
    done = geoclip(*job, "--engine", "ray", "--actors", "2")  # another word for --on
    assert (done.exit_code, "5 of 5 files made here" in done.stderr, "8 " in done.stderr) == (1, True, True), done
    assert "4.png: This is not a photo in a known format" in done.stderr
    assert geoclip(*job, "--finish").exit_code == 1
    assert contents(work / f"{command}-ray") == contents(work / f"{command}-shell")
    done = geoclip(*job, "--on", "ray")
    assert (done.exit_code, "0 of 5 files made here" in done.stderr) == (0, True), done


def test_actors_that_are_killed_lose_what_they_were_doing_and_no_more(encoder: LocationEncoder, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    vectors = encoder.embed(np.stack((rng.uniform(-50, 60, 160), rng.uniform(-180, 180, 160)), axis=1))
    np.save(tmp_path / "vectors.npy", vectors)
    search = ("search", tmp_path / "vectors.npy", "-i", "none", "--device", "cpu", "--part-rows", "8")
    shell = (*search, "--parts", tmp_path / "shell")
    for done in (geoclip_process(*shell, environment=ONE_THREAD), geoclip(*shell, "--finish")):
        assert done.exit_code == 0, done.stderr
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        choice = random.Random(1)
        while len(killed) < 3 and not over.wait(0.05):
            running = [process for process in ray_processes("FileMaker") if process.pid not in killed]
            if running and list((tmp_path / "ray").glob("part-*")):
                victim = choice.choice(running)
                os.kill(victim.pid, signal.SIGKILL)
                killed.append(victim.pid)
                time.sleep(0.5)

    killer = threading.Thread(target=kill)
    killer.start()
    done = geoclip(*search, "--parts", tmp_path / "ray", "--on", "ray", "--actors", "2")
    over.set()
    killer.join()
    assert done.exit_code == 0, done.stderr
    assert killed
    assert geoclip(*search, "--parts", tmp_path / "ray", "--finish").exit_code == 0
    assert contents(tmp_path / "ray") == contents(tmp_path / "shell")


def test_what_an_actor_cannot_do_is_one_sentence(work: Path, tmp_path: Path) -> None:
    job = asked(work, "embed", "none")
    done = geoclip(*job, "--clip-checkpoint", tmp_path / "none.pt", "--on", "ray")
    assert (done.exit_code, "none.pt" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.fixture
def options() -> dict[str, Any]:
    return {"index": "none", "device": "cpu", "k": 2, "workers": 1}


def test_batches_of_photos_and_vectors(work: Path, small_towers: SmallRelease, options: dict[str, Any]) -> None:
    """Photos by an actor, which takes a while to start; what Ray makes of the other columns by an opened locator."""
    import ray.data

    from geoclip.locator import Locator
    from geoclip.ray import Locate

    photos = sorted((work / "photos").iterdir())
    rows = [{"id": number, "image": path.read_bytes()} for number, path in enumerate(photos)]
    paths = [{"id": number, "image": str(path)} for number, path in enumerate(photos)]
    vectors = pq.read_table(work / "embed-shell").to_pylist()
    expected = [row["predictions"][:2] for row in pq.read_table(work / "locate-shell").to_pylist()]
    by_actor = ray.data.from_items(rows).map_batches(
        Locate,
        fn_constructor_kwargs={**options, "column": "image", "keep": ("id",)},
        batch_format="pyarrow",
        batch_size=4,
        num_cpus=1,
        concurrency=1,
    )
    found = [by_actor.take_all()]
    opened = Locator.open("none", device="cpu", release=small_towers.release, clip_path=small_towers.clip)
    for column, items in (
        ("image", paths),
        ("vector", [{"id": n, "vector": row["vector"]} for n, row in enumerate(vectors)]),
    ):
        locate = Locate(column=column, keep=("id",), opened=opened, workers=1, k=2)
        batches = ray.data.from_items(items).iter_batches(batch_format="pyarrow", batch_size=4)
        found.append([row for batch in batches for row in locate(batch).to_pylist()])
    for rows_found in found:
        answers = sorted(rows_found, key=lambda row: int(row["id"]))
        assert [row["error"] is None for row in answers] == [number != 4 for number in range(9)]
        for mine, theirs in zip(answers, expected, strict=True):
            assert [each["cell"] for each in mine["predictions"]] == [each["cell"] for each in theirs]
            assert [each["lat"] for each in mine["predictions"]] == [each["lat"] for each in theirs]
    assert json.loads(json.dumps(answers[0]["verdict"]))
