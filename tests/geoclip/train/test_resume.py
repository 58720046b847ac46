"""A run that is killed goes on where it stopped; a full disk costs no checkpoint; checkpoints are checked."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from geoclip.errors import InputError
from geoclip.train.checkpoints import LastAtTheEnd, WholeCheckpoints, config_in, read_checkpoint
from geoclip.train.module import GeoModule
from geoclip.train.settings import Optimizer, Schedule
from tests.helpers.train_world import scratch, town_data, trainer

STEPS, EVERY, KILLED_AFTER = 10, 2, 5  # three batches an epoch: the checkpoint is in the middle of the second


class Losses(L.Callback):
    """Appends each loss to a file, in full precision; kills the process after some."""

    def __init__(self, path: Path, kill_after: int = 0) -> None:
        self._path, self._kill_after = path, kill_after

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        with self._path.open("a") as file:
            file.write(f"{trainer.global_step} {outputs['loss'].item().hex()}\n")
        if trainer.global_step == self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)


def fit(folder: Path, *, resume: bool = False, kill_after: int = 0) -> GeoModule:
    last = ModelCheckpoint(folder, "last", every_n_train_steps=EVERY, enable_version_counter=False)
    run = trainer(
        max_steps=STEPS,
        enable_checkpointing=True,
        callbacks=[last, Losses(folder / "losses.txt", kill_after)],
        plugins=[WholeCheckpoints()],
    )
    module = scratch(optimizer=Optimizer(lr=1e-3), schedule=Schedule("cosine"), queue_size=20)
    data = town_data(train=44, val=10, batch_size=16)
    run.fit(module, datamodule=data, ckpt_path=folder / "last.ckpt" if resume else None)
    return module


def losses(folder: Path) -> dict[int, float]:
    lines = [line.split() for line in (folder / "losses.txt").read_text().splitlines()]
    return {int(step): float.fromhex(loss) for step, loss in lines}


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    torn.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.geoclip.train.test_resume", str(torn)], check=False, timeout=240
    )
    assert done.returncode == -signal.SIGKILL
    assert sorted(losses(torn)) == list(range(1, KILLED_AFTER + 1))
    assert [path.name for path in torn.glob("*.ckpt")] == ["last.ckpt"]
    expected = fit(whole)
    resumed = fit(torn, resume=True)
    assert len((torn / "losses.txt").read_text().splitlines()) == STEPS + KILLED_AFTER % EVERY
    assert losses(torn).keys() == losses(whole).keys()
    for step, loss in losses(whole).items():
        assert losses(torn)[step] == pytest.approx(loss, rel=1e-6), step
    for (name, found), wanted in zip(resumed.state_dict().items(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(found, wanted, msg=name)


@pytest.mark.slow
def test_a_run_that_ends_can_go_on_from_its_last_step(tmp_path: Path) -> None:
    """A finished run of 5 steps that goes on to 10 has the losses of a run of 10."""

    def some(folder: Path, steps: int, ckpt_path: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        last = ModelCheckpoint(folder, "last", every_n_train_steps=100, enable_version_counter=False)
        run = trainer(
            max_steps=steps,
            enable_checkpointing=True,
            callbacks=[last, LastAtTheEnd(), Losses(folder / "losses.txt")],
            plugins=[WholeCheckpoints()],
        )
        run.fit(scratch(queue_size=20), town_data(train=44, val=10, batch_size=16), ckpt_path=ckpt_path)

    for steps in (5, 6):  # in the middle of an epoch, and at its end
        whole, parts = tmp_path / f"whole {steps}", tmp_path / f"parts {steps}"
        some(whole, STEPS)
        some(parts, steps)
        assert read_checkpoint(parts / "last.ckpt")["global_step"] == steps
        some(parts, STEPS, parts / "last.ckpt")
        assert losses(parts) == losses(whole)
        assert [path.name for path in parts.glob("*.ckpt")] == ["last.ckpt"]


@pytest.mark.slow
def test_cosine_of_a_run_that_goes_on_for_longer_falls_to_its_new_end(tmp_path: Path) -> None:
    data, path = town_data(train=44, val=10, batch_size=16), tmp_path / "short.ckpt"
    rates = []
    for steps, resumed in ((3, None), (6, path)):
        run = trainer(max_steps=steps, plugins=[WholeCheckpoints()])
        module = scratch(optimizer=Optimizer(lr=1e-3), schedule=Schedule("cosine"))
        run.fit(module, datamodule=data, ckpt_path=resumed)
        run.save_checkpoint(path)
        rates.append(run.optimizers[0].param_groups[0]["lr"])
    assert rates == pytest.approx([0, 0], abs=1e-12)  # not back at the start


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained module."""
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    run = trainer(max_steps=1, plugins=[WholeCheckpoints()])
    run.fit(scratch(), datamodule=town_data(train=20, val=4, batch_size=16))
    run.save_checkpoint(path)
    return path


def test_full_disk_is_said_and_leaves_the_earlier_checkpoint(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(checkpoint.read_bytes())

    def full(self: Path, content: Any) -> int:
        with self.open("wb") as file:
            file.write(bytes(content)[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match=r"No space left while writing .*last\.ckpt"):
            WholeCheckpoints().save_checkpoint({"state_dict": {}}, path)
    assert path.read_bytes() == checkpoint.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert config_in(read_checkpoint(path)).sigma == (4.0,)


def test_full_disk_during_a_run_stops_it_with_that_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = Path.write_bytes

    def full(self: Path, content: Any) -> int:
        if (tmp_path / "last.ckpt").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(whole(self, content))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        fit(tmp_path)
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == EVERY


def test_what_is_no_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(checkpoint.read_bytes()[:5000])
    (tmp_path / "empty.ckpt").write_bytes(b"")
    for name, message in {
        "none": "does not exist",
        "other": "no checkpoint of",
        "cut": "cannot be read",
        "empty": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=message):
            read_checkpoint(tmp_path / f"{name}.ckpt")


def test_checkpoint_holds_no_tower_and_of_another_configuration_is_refused(checkpoint: Path) -> None:
    content = read_checkpoint(checkpoint)
    assert {name.split(".")[0] for name in content["state_dict"]} == {"mlp", "logit_scale", "location_encoder", "queue"}
    for options in ({"sigma": [1.0]}, {"queue_size": 5}):
        with pytest.raises(InputError, match=f"has {next(iter(options))}"):
            scratch(**options).on_load_checkpoint(content)


if __name__ == "__main__":
    fit(Path(sys.argv[1]), kill_after=KILLED_AFTER)
