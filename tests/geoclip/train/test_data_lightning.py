"""Training data under Lightning's trainer: what a run sees, and sees after it was stopped and resumed."""

from pathlib import Path
from typing import Any

import lightning
import pyarrow as pa
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from geoclip.tables.vectors import FEATURES, ResumableVectors, VectorSource
from geoclip.train.data.module import GeoData
from geoclip.train.data.sources import Batch


class Recorder(lightning.LightningModule):
    """Notes the rows of every batch; stops the run after some."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.seen: list[tuple[int, list[int]]] = []
        self.validated: list[int] = []
        self.stop_after = stop_after

    def training_step(self, batch: Batch, _: int) -> Tensor:
        if self.stop_after is not None and len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen.append((self.current_epoch, batch.rows.tolist()))
        loss: Tensor = self.layer(batch.inputs).mean()
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        self.validated += batch.rows.tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """50 photos of two views."""
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "f.parquet"
    kinds = {"photo": pa.string(), "view": pa.uint8(), "lat": pa.float64(), "lng": pa.float64()}
    with ResumableVectors(path, kinds, VectorSource(FEATURES, "t", "fp32"), resume=False) as out:
        for i in range(50):
            vector = torch.full((4,), float(i)).numpy()
            out.add_together([((f"{i}.jpg", view, i, i + 1), vector) for view in (0, 1)])
        out.finish()
    return path


def fit(path: Path, folder: Path, module: Recorder, *, resume: Path | None = None, **options: Any) -> Recorder:
    checkpoints = ModelCheckpoint(folder, filename="{epoch}-{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[checkpoints],
        **options,
    )
    data = GeoData(str(path), val_fraction=0.2, batch_size=8)
    trainer.fit(module, datamodule=data, ckpt_path=resume)
    return module


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("options", [{}, {"limit_train_batches": 3}, {"val_check_interval": 2}])
def test_a_resumed_run_sees_what_an_unbroken_one_sees(features: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    whole = fit(features, tmp_path / "whole", Recorder(), **options)
    per_epoch = len(whole.seen) // 3
    assert [epoch for epoch, _ in whole.seen] == sorted([0, 1, 2] * per_epoch)
    first = [row // 2 for _, rows in whole.seen[:per_epoch] for row in rows]
    held_out = {row // 2 for row in whole.validated}
    assert len(first) == len(set(first))
    assert not set(first) & held_out
    if not options:
        assert set(first) | held_out == set(range(50))
        assert per_epoch == -(-(50 - len(held_out)) // 8)
    for stop in (1, per_epoch, per_epoch + 2):
        checkpoint = next((tmp_path / "whole").glob(f"epoch=*-step={stop}.ckpt"))
        resumed = fit(features, tmp_path / f"resumed-{stop}", Recorder(), resume=checkpoint, **options)
        assert resumed.seen == whole.seen[stop:]
