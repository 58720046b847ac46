"""What a split's name stands for, a table of photos, a folder with one, tar shards or a features file; its counts."""

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from lightning.pytorch.utilities import rank_zero_info

from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import DecodingPool, default_workers
from geoclip.release.config import Preprocess
from geoclip.tables.bad_rows import Reason
from geoclip.tables.columns import Columns
from geoclip.tables.rows import TABLE_SUFFIXES
from geoclip.tables.vectors import FEATURE
from geoclip.train.data.augment import decode_job
from geoclip.train.data.entries import Entries, table_entries
from geoclip.train.data.features import FeatureFile, feature_entries
from geoclip.train.data.shards import is_pattern, shard_entries, shards_of
from geoclip.train.data.sources import FeatureSource, FileSource, SampleSource, ShardSource

TRAIN, VAL, TEST = "train", "val", "test"


class SplitFiles(L.LightningDataModule):
    """What the splits are read from, each opened once. The processes that decode photos are shared, and start late.

    Args:
        train: what to train on.
        val: what to validate on; None holds out `val_fraction` of `train`.
        test: what to test on.
        images: the folder that photos' names are relative to; None takes the table's.
        labels: a table of the places of photos, for features files without lat and lng.
        columns: names of the columns photo, lat and lng; those not given are found by their usual names.
        rejected: the folder for the lists of bad rows; None puts each beside its table.
        workers: processes that decode photos; None takes one a core, at most 8.
        max_megapixels: larger photos are not read.
        preprocess: how pixels are prepared; the command line takes it from the model, None is the authors'.

    Raises:
        InputError: an option is out of range.
    """

    def __init__(
        self,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        *,
        images: str | None = None,
        labels: str | None = None,
        columns: Columns | dict[str, str] | None = None,
        rejected: str | None = None,
        workers: int | None = None,
        max_megapixels: int = 178,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        self.names = {TRAIN: train, VAL: val, TEST: test}
        self._images, self._labels, self._columns, self._rejected = images, labels, Columns.of(columns), rejected
        self._workers = default_workers() if workers is None else workers
        if self._workers < 1:
            raise InputError(f"workers is {workers}; give at least 1 process to decode photos in.")
        self._preprocess = preprocess or Preprocess()
        self._limits = DecodeLimits(max_pixels=max_megapixels * 1_000_000, size=self._preprocess.size)
        self._sources: dict[str, SampleSource] = {}
        self._pools: list[DecodingPool] = []
        weakref.finalize(self, _close, self._pools)

    def source(self, name: str) -> SampleSource:
        """Open what a split is named, unless it is open.

        Raises:
            InputError: it cannot be read, a column is missing, or its features come from another tower than others'.
        """
        if name not in self._sources:
            self._sources[name] = self._opened(name)
            if len(self.towers) > 1:
                raise InputError(f"{name} and other features come from different CLIP towers; make them with the same.")
        return self._sources[name]

    @property
    def towers(self) -> set[str]:
        """Digests of the CLIP towers that made the features that are open."""
        return {s.file.source.model_digest for s in self._sources.values() if isinstance(s, FeatureSource)}

    def teardown(self, stage: str | None = None) -> None:
        """End the decoding processes; they start again when needed."""
        _close(self._pools)

    def _opened(self, name: str) -> SampleSource:
        path = Path(name)
        pin = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        if is_pattern(name):
            shards = shards_of(name)
            entries = shard_entries(shards, self._columns, self._list_of(shards[0]))
            return ShardSource(entries, shards, self._pool, self._limits, self._preprocess, pin=pin)
        if path.is_dir():
            path = table_in(path)
        elif _has_features(path):
            file = FeatureFile(path)
            labels = None if self._labels is None else (Path(self._labels), self._table(Path(self._labels)))
            return FeatureSource(feature_entries(path, labels, self._columns, self._list_of(path)), file)
        folder = path.parent if self._images is None else Path(self._images)
        return FileSource(self._table(path), folder, self._pool, self._limits, self._preprocess, pin=pin)

    def _table(self, path: Path) -> Entries:
        return table_entries(path, self._columns, self._list_of(path))

    def _list_of(self, path: Path) -> Path:
        """Return where the bad rows of a file are listed."""
        name = f"{path.name}.rejected.csv"
        return path.with_name(name) if self._rejected is None else Path(self._rejected) / name

    def _pool(self) -> DecodingPool:
        if not self._pools:
            self._pools.append(DecodingPool(self._workers, self._limits, decode_job))
        return self._pools[0]


def _close(pools: list[DecodingPool]) -> None:
    while pools:
        pools.pop().close()


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
