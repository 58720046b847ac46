"""What a split's name stands for: a table of photos, a folder with one, tar shards, or a features file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geoclip.photos.decode import DecodeLimits
from geoclip.tables.vectors import FEATURE
from geoclip.train.data.columns import Columns
from geoclip.train.data.decoders import DecoderPool
from geoclip.train.data.entries import Entries
from geoclip.train.data.feature_file import FeatureFile
from geoclip.train.data.features import feature_entries
from geoclip.train.data.photo_table import table_entries, table_in
from geoclip.train.data.rows import PARQUET
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
    crew: Callable[[], DecoderPool]
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
            return ShardSource(entries, shards, self.crew, self.limits, pin=self.pin)
        if path.is_dir():
            path = table_in(path)
        elif _has_features(path):
            file = FeatureFile(path)
            entries = feature_entries(path, self._labels(), self.columns, self._rejected(path), self.images)
            return FeatureSource(entries, file)
        folder = path.parent if self.images is None else Path(self.images)
        entries = table_entries(path, self.columns, self._rejected(path))
        return FileSource(entries, folder, self.crew, self.limits, pin=self.pin)

    def _labels(self) -> tuple[Path, Entries] | None:
        if self.labels is None:
            return None
        path = Path(self.labels)
        return path, table_entries(path, self.columns, self._rejected(path))

    def _rejected(self, path: Path) -> Path:
        name = f"{path.name}.rejected.csv"
        return path.with_name(name) if self.rejected is None else Path(self.rejected) / name


def _has_features(path: Path) -> bool:
    if path.suffix.lower() not in PARQUET:
        return False
    try:
        return FEATURE in pq.read_schema(path).names
    except (OSError, pa.ArrowException):  # said by whoever opens it next
        return False
