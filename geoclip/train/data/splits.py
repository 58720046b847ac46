"""What a split's name stands for, a table of photos, a folder with one, tar shards or a features file; its counts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from lightning.pytorch.utilities import rank_zero_info

from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import DecodingPool
from geoclip.release.config import Preprocess
from geoclip.tables.bad_rows import Reason
from geoclip.tables.columns import Columns
from geoclip.tables.rows import TABLE_SUFFIXES
from geoclip.tables.vectors import FEATURE
from geoclip.train.data.entries import Entries, table_entries
from geoclip.train.data.features import FeatureFile, feature_entries
from geoclip.train.data.shards import is_pattern, shard_entries, shards_of
from geoclip.train.data.sources import FeatureSource, FileSource, SampleSource, ShardSource


@dataclass(frozen=True)
class Opener:
    """Opens splits; see `GeoData` for the arguments."""

    images: str | None
    labels: str | None
    columns: Columns
    rejected: str | None
    limits: DecodeLimits
    preprocess: Preprocess
    pool: Callable[[], DecodingPool]
    pin: bool

    def open(self, name: str) -> SampleSource:
        """Open what a split is named.

        Raises:
            InputError: it cannot be read, or a column is missing.
        """
        path = Path(name)
        if is_pattern(name):
            shards = shards_of(name)
            entries = shard_entries(shards, self.columns, self._rejected(shards[0]))
            return ShardSource(entries, shards, self.pool, self.limits, self.preprocess, pin=self.pin)
        if path.is_dir():
            path = table_in(path)
        elif _has_features(path):
            file = FeatureFile(path)
            entries = feature_entries(path, self._labels(), self.columns, self._rejected(path))
            return FeatureSource(entries, file)
        folder = path.parent if self.images is None else Path(self.images)
        entries = table_entries(path, self.columns, self._rejected(path))
        return FileSource(entries, folder, self.pool, self.limits, self.preprocess, pin=self.pin)

    def _labels(self) -> tuple[Path, Entries] | None:
        if self.labels is None:
            return None
        path = Path(self.labels)
        return path, table_entries(path, self.columns, self._rejected(path))

    def _rejected(self, path: Path) -> Path:
        name = f"{path.name}.rejected.csv"
        return path.with_name(name) if self.rejected is None else Path(self.rejected) / name


def _has_features(path: Path) -> bool:
    if path.suffix.lower() not in (".parquet", ".pq"):
        return False
    try:
        return FEATURE in pq.read_schema(path).names
    except (OSError, pa.ArrowException):  # said by whoever opens it next
        return False


def table_in(folder: Path) -> Path:
    """Return the table in a folder of photos: `metadata` with a table's suffix, else its only table.

    Raises:
        InputError: there is none, or several.
    """
    tables = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in TABLE_SUFFIXES
        and not path.name.startswith(".")
        and not path.stem.endswith(".rejected")
    )
    named = [path for path in tables if path.stem.lower() == "metadata"] or tables
    if len(named) != 1:
        raise InputError(
            f"{folder} holds {len(named)} tables of photos; put one there called metadata.csv or metadata.parquet, "
            "with a photo, its latitude and its longitude a row."
        )
    return named[0]


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
