"""Commands that are killed at any moment and gone on with: in the end the same bytes as of a run that nobody disturbed.

Of `train`, the same weights: its files hold times.
"""

import random
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.faults.children import forkserver, said, start
from benchmarks.faults.outcome import Outcome
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SMALL, SmallRelease
from tests.helpers.train_world import around, sites, write_features

ENDLESS_S = 600.0


class Kind(NamedTuple):
    """A command that writes one file."""

    arguments: tuple[str, ...]
    """Names of `inputs` stand for their paths."""
    suffix: str

    @property
    def name(self) -> str:
        """What to call it; each of `KINDS` has its own."""
        flags = [each for each in self.arguments[2:] if each.startswith("--") and each != "--workers"]
        return f"{' '.join((*self.arguments[:2], *flags))} to {self.suffix}"


KINDS = (
    Kind(("search", "a.npy", "b.npy", "-k", "2"), ".jsonl"),
    Kind(("locate", "photos", "--workers", "1"), ".csv"),
    Kind(("embed", "places.csv"), ".parquet"),
    Kind(("embed", "photos", "--workers", "1"), ".parquet"),
    Kind(("search", "photos", "a.npy", "--workers", "1", "-i", "none"), ".csv"),
    Kind(("search", "same.parquet", "a.npy", "-k", "3", "--country", "FR,ES,JP,US,BR"), ".exiftool.csv"),
    Kind(("locate", "photos", "--crops", "10", "--workers", "2"), ".jsonl"),
    Kind(("locate", "photos", "--text", "snow", "--workers", "1"), ".exiftool.csv"),
    Kind(("embed", "photos", "--features", "--views", "3", "--workers", "1"), ".parquet"),
)
"""The first four are what a test tries."""


def make_inputs(folder: Path) -> Path:
    """Write files of vectors whose rows have the same names, a table of coordinates, photos of which one is broken."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", rng.normal(size=(10, SMALL.dim)).astype(np.float32))
    vectors = rng.normal(size=(9, SMALL.dim)).astype(np.float32)
    pq.write_table(pa.table({"photo": ["same.jpg"] * 9, "vector": list(vectors)}), folder / "same.parquet")
    places = np.stack((rng.uniform(-80, 80, 700), rng.uniform(-179, 179, 700)), axis=1)
    (folder / "places.csv").write_text("lat,lng\n" + "".join(f"{lat},{lng}\n" for lat, lng in places.tolist()))
    for seed in range(30):
        make_photo(folder / "photos" / f"{seed:02}.png", seed=seed, size=(64, 48))
    (folder / "photos" / "07.png").write_bytes(b"broken")
    return folder


def killed(kind: Kind, kills: int, *, inputs: Path, towers: SmallRelease, folder: Path, rng: random.Random) -> Outcome:
    """Kill a command so often, when some share of its output is there, each run going on from what the last one left.

    Args:
        kind: the command.
        kills: how often.
        inputs: of `make_inputs`.
        towers: the model, of the size `SMALL`.
        folder: to work in.
        rng: says when.
    """
    outcome = Outcome()
    given = [str(inputs / each) if (inputs / each).exists() else each for each in kind.arguments]
    given += towers.options

    def begin(output: Path, *flags: str) -> Any:
        return start([*given, "-o", str(output), *flags], log=folder / "log.txt")

    whole = folder / f"whole{kind.suffix}"
    begin(whole).join(ENDLESS_S)
    size, finished, ended = _size(whole), 0, False
    while not ended:
        output = folder / f"{finished}{kind.suffix}"
        child = begin(output, "--resume")
        enough = outcome.counts["kills"] >= kills
        wanted = np.inf if enough else rng.uniform(_size(output), size)
        until = time.monotonic() + ENDLESS_S
        while child.is_alive() and _size(output) <= wanted and time.monotonic() < until:
            time.sleep(0.002)
        if child.is_alive():
            child.kill()
            outcome.counts["kills"] += 1
        child.join()
        if time.monotonic() >= until:
            outcome.wrong.append(f"{kind.name} does not end")
            return outcome
        if child.exitcode != -9:
            outcome.counts["finished"] += 1
            if not output.exists() or output.read_bytes() != whole.read_bytes():
                outcome.wrong.append(
                    f"{kind.name}: other bytes after {finished} and a kill: {said(folder / 'log.txt')}"
                )
            finished += 1
            ended = enough  # so that the last that was killed is gone on with
    return outcome


def _size(output: Path) -> int:
    try:
        return sum(each.stat().st_size for each in [output, *Path(f"{output}.parts").glob("[0-9]*")] if each.exists())
    except FileNotFoundError:  # parts go just now
        return 0


def train_arguments(folder: Path, *, photos: Path | None = None, towers: SmallRelease | None = None) -> list[str]:
    """Return `train fit` of a small model from features, or from photos where towers are given; two steps a save."""
    features = folder / "features.parquet"
    if not features.exists():
        write_features(features, around(sites(12), 160, 0.1, seed=1))
    given = ["--data.train", str(features)]
    if towers is not None and photos is not None:
        rows = "".join(f"{n:02}.png,{n},{2 * n}\n" for n in range(30))
        (folder / "labels.csv").write_text(f"photo,lat,lng\n{rows}")
        given = ["--data.train", str(folder / "labels.csv"), "--data.images", str(photos), "--data.workers", "1"]
        given += ["--model.like", str(towers.weights), "--model.clip_checkpoint", str(towers.clip)]
    else:
        given += ["--model.sigma", "[4.0]"]
    saving = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"filename": "last", "every_n_train_steps": 2, "enable_version_counter": False},
    }
    return [
        *("train", "fit", *given, "--data.val_fraction", "0.1", "--model.start", "scratch"),
        *("--model.queue_size", "16", "--model.optimizer.lr", "0.001", "--model.gallery", "train"),
        *("--data.batch_size", "16" if towers is None else "8", "--trainer.max_epochs", "3"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        *("--trainer.callbacks", str([saving]), "--trainer.num_sanity_val_steps", "0"),
    ]


def killed_training(arguments: list[str], kills: int, *, folder: Path, rng: random.Random) -> Outcome:
    """Kill `train fit` so often at random moments; each run goes on from the newest checkpoint.

    Args:
        arguments: of `train_arguments`.
        kills: how often.
        folder: to work in.
        rng: says when.
    """
    forkserver("geoclip.train.cli")
    outcome = Outcome()

    def begin(runs: Path) -> Any:
        flags = ["--trainer.logger", str(_logger(runs))]
        resumed = any(runs.rglob("last.ckpt"))
        outcome.counts["resumed"] += resumed
        flags += ["--ckpt_path", "last"] * resumed
        return start([*arguments, *flags], log=folder / "log.txt", folder=folder)

    begun = time.monotonic()
    begin(folder / "whole").join(ENDLESS_S)
    seconds = time.monotonic() - begun
    whole = _weights(folder / "whole")
    if whole is None:
        return Outcome(wrong=[f"Training ended without a checkpoint: {said(folder / 'log.txt')}"])
    finished, ended = 0, False
    while not ended:
        runs, begun = folder / f"runs {finished}", time.monotonic()
        fresh = not runs.exists()
        child = begin(runs)
        enough = outcome.counts["kills"] >= kills
        child.join(ENDLESS_S if enough else rng.uniform(0, seconds))
        until = time.monotonic() + ENDLESS_S
        while not outcome.counts["kills"] and child.is_alive() and not any(runs.rglob("last.ckpt")):
            if time.monotonic() > until:  # the first is killed when something was saved, so that one goes on at least
                break
            time.sleep(0.01)
        if child.is_alive():
            child.kill()
            child.join()
            if enough:
                outcome.wrong.append("Training does not end")
                return outcome
            outcome.counts["kills"] += 1
            continue
        if fresh:
            seconds = min(seconds, time.monotonic() - begun)  # the first imported what others find there
        outcome.counts["finished"] += 1
        found = _weights(runs)
        if found is None or found.keys() != whole.keys() or not all(torch.equal(found[n], whole[n]) for n in whole):
            outcome.wrong.append(f"Training: other weights after kills: {said(folder / 'log.txt')[-500:]}")
        finished += 1
        ended = enough
    return outcome


def _logger(folder: Path) -> dict[str, Any]:
    return {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": str(folder), "name": "run"},
    }


def _weights(runs: Path) -> dict[str, torch.Tensor] | None:
    """Return the tensors of the newest last.ckpt; None where there is none."""
    paths = sorted(runs.rglob("last.ckpt"), key=lambda path: int(re.findall(r"version_(\d+)", str(path))[-1]))
    if not paths:
        return None
    state: dict[str, torch.Tensor] = torch.load(paths[-1], map_location="cpu", weights_only=True)["state_dict"]
    return state
