"""What was read of each split, and the lines that say so when a run ends."""

from dataclasses import dataclass
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from geoclip.train.data.checks import Reason


@dataclass(frozen=True)
class SplitCounts:
    """What was read of one split; `missing` and `unreadable` grow as photos are met."""

    rows: int
    """In the file, bad ones included; of features, photos."""
    used: int
    """Samples of the split: good rows that its fraction takes."""
    bad: dict[Reason, int]
    """Rows left out of the whole file, by reason."""
    missing: int
    """Photos of the split that are not there, as far as they were met."""
    unreadable: int
    """Photos of the split that are there and cannot be read; likewise."""
    rejected: str | None
    """The CSV file of the bad rows."""

    def __str__(self) -> str:
        """Return one line whose parts add up to the rows read."""
        bad = sum(self.bad.values())
        failed = self.missing + self.unreadable
        line = f"{self.rows:,} rows read, {self.used - failed:,} used, {bad:,} bad, {self.missing:,} missing, "
        line += f"{self.unreadable:,} unreadable"
        others = self.rows - self.used - bad
        return f"{line}, {others:,} not of this split" if others else line


class SplitCountLines(L.Callback):
    """Says what was read of each split at the end of a run, once, whatever the number of processes."""

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Log a line a split; all ranks take part, as each has met photos of its own."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for split, counts in data.joined_counts(pl_module.device).items():
            rank_zero_info(f"{split}: {counts}.")
