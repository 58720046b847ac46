"""Two processes that train together do what one does with the joined batch."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from geoclip.train.data.module import _joined
from geoclip.train.settings import Optimizer, Schedule
from tests.helpers.train_world import scratch, town_data, trainer

STEPS = 3


class Recorder(L.Callback):
    """Writes down losses, gradients and the queue of each rank."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._losses: list[Tensor] = []
        self._gradients: list[Tensor] = []

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        gradients = [p.grad.detach().flatten() for p in pl_module.parameters() if p.grad is not None]
        self._gradients.append(torch.cat(gradients))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach().clone())

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        queue: Any = pl_module.queue
        found = {
            "losses": torch.stack(self._losses),
            "gradients": torch.stack(self._gradients),
            "queue": queue.contents(),
            "head": queue.head,
            "met": _joined(np.array([5, 7 + trainer.global_rank]), pl_module.device).tolist(),
            "median_km": trainer.callback_metrics["val/median_km"],
        }
        torch.save(found, self._folder / f"{trainer.global_rank}.pt")


def train(folder: Path, **options: Any) -> None:
    fit = trainer(max_steps=STEPS, callbacks=[Recorder(folder)], use_distributed_sampler=False, **options)
    module = scratch(optimizer=Optimizer(lr=1e-3), schedule=Schedule("none"), queue_size=37)
    fit.fit(module, datamodule=town_data(train=40, val=21, batch_size=15))  # shares of 8 and 7; the last of 5 and 5


@pytest.mark.slow
def test_two_processes_equal_one_with_the_joined_batch(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_torchrun = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.geoclip.train.test_ranks", str(two)],
            env=os.environ | as_torchrun | {"TORCHELASTIC_RUN_ID": "test", "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    try:
        train(one, devices=1)
        assert [process.wait(timeout=240) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    alone = torch.load(one / "0.pt")
    for rank in (torch.load(two / f"{rank}.pt") for rank in range(2)):
        torch.testing.assert_close(rank["losses"], alone["losses"], rtol=1e-5, atol=0)
        for found, expected in zip(rank["gradients"], alone["gradients"], strict=True):
            assert (found - expected).norm() / expected.norm() < 1e-5
        assert rank["met"] == [5, 7, 8]  # of both ranks, each once
        torch.testing.assert_close(rank["queue"], alone["queue"], rtol=0, atol=0)
        torch.testing.assert_close(rank["head"], alone["head"], rtol=0, atol=0)
        torch.testing.assert_close(rank["median_km"], alone["median_km"], rtol=1e-4, atol=1e-3)
    assert alone["losses"].std() > 0


if __name__ == "__main__":
    train(Path(sys.argv[1]), devices=2, strategy=DDPStrategy(process_group_backend="gloo"))
