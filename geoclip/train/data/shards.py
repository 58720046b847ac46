"""Photos in tar files, in webdataset's convention: `key.jpg` beside `key.json`, which holds the place.

The shards are read through once for what lies where (kept, see `entries`); after that a photo is one read at an offset.
So shards are shuffled, shared out and resumed exactly like files.
"""

import json
import logging
import os
import tarfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from geoclip.errors import InputError
from geoclip.photos.decode import SUFFIXES
from geoclip.tables.coordinates import LAT_NAMES, LNG_NAMES
from geoclip.train.data.checks import RowCounts, usable
from geoclip.train.data.columns import Columns
from geoclip.train.data.entries import Entries, batch_of, kept
from geoclip.train.data.sampling import keys_of

_MAX_JSON_BYTES = 1 << 20
_BATCH_ROWS = 1 << 14
_log = logging.getLogger(__name__)


def is_pattern(source: str) -> bool:
    """Whether a source names tar shards."""
    return source.endswith((".tar", ".tar.gz", ".tgz"))


def shards_of(pattern: str) -> list[Path]:
    """Return the files of a pattern in webdataset's notation, such as `train-{000000..000127}.tar`.

    Raises:
        InputError: the shards are compressed, or not local files.
    """
    from webdataset.shardlists import expand_urls

    found: list[str] = expand_urls(pattern)
    for name in found:
        if not name.endswith(".tar") or "://" in name or name.startswith("pipe:"):
            raise InputError(f"{name} is not a local uncompressed tar file; copy the shards here and unpack .gz ones.")
    return [Path(name) for name in found]


def shard_entries(shards: Sequence[Path], columns: Columns, rejected: Path) -> Entries:
    """Return the usable samples of tar shards; entries have also shard, offset and size (bytes).

    A sample's row is its position over all shards, its name the photo's path in the tar file. Of several photos under
    one key the first counts.

    Raises:
        InputError: a shard does not exist or is no tar file.
    """
    return kept(shards, f"shards {columns}", lambda tally: _entries(shards, columns, tally), rejected)


def read_member(shard: Path, offset: int, size: int) -> bytes:
    """Return the content of a member."""
    descriptor = os.open(shard, os.O_RDONLY)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)


def _entries(shards: Sequence[Path], columns: Columns, tally: RowCounts) -> Iterator[pa.RecordBatch]:
    _log.info("Looking through %d shards, once ...", len(shards))
    samples: list[dict[str, Any]] = []
    for number, shard in enumerate(shards):
        try:
            for sample in _samples(shard, columns):
                samples.append({"shard": number, **sample})
                if len(samples) == _BATCH_ROWS:
                    yield _batch(samples, tally)
                    samples = []
        except (OSError, tarfile.TarError) as error:
            raise InputError(f"{shard} cannot be read as a tar file: {error}; write it again.") from error
    if samples:
        yield _batch(samples, tally)


def _batch(samples: list[dict[str, Any]], tally: RowCounts) -> pa.RecordBatch:
    numbers = np.arange(tally.rows, tally.rows + len(samples), dtype=np.int64)
    names, lat, lng = (pa.array([s[part] for s in samples], type=pa.binary()) for part in ("name", "lat", "lng"))
    good, lat_lng = usable(numbers, names, lat, lng, tally)
    mask = pa.array(good)
    names = names.filter(mask)
    places = {
        part: pa.array([s[part] for s in samples], pa.int64()).filter(mask) for part in ("shard", "offset", "size")
    }
    return batch_of(numbers[good], lat_lng[good], keys_of(names.to_pylist()), names, **places)


def _samples(shard: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield name, offset, size, lat and lng (texts or None) of each key; the name is None where there is no photo."""
    with tarfile.open(shard, "r:") as tar:
        for _, members in groupby(_files(tar), key=lambda member: _key(member.name)):
            sample: dict[str, Any] = {"name": None, "offset": 0, "size": 0, "lat": None, "lng": None}
            for member in members:
                suffix = PurePosixPath(member.name).suffix.lower()
                if suffix in SUFFIXES and sample["name"] is None:
                    sample |= {"name": os.fsencode(member.name), "offset": member.offset_data, "size": member.size}
                elif suffix == ".json" and member.size <= _MAX_JSON_BYTES:
                    file = tar.extractfile(member)
                    sample |= _place(file.read() if file else b"", columns)
            yield sample


def _files(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        if member.isreg():
            yield member
        tar.members = []  # type: ignore[attr-defined]  # else every header of the shard stays in memory


def _key(name: str) -> str:
    """Return what members of one sample share: the path up to the first dot of its last part."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def _place(content: bytes, columns: Columns) -> dict[str, bytes]:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    lowered = {key.lower(): value for key, value in record.items()}
    place = {}
    for part, wanted, usual in (("lat", columns.lat, LAT_NAMES), ("lng", columns.lng, LNG_NAMES)):
        value = record.get(wanted) if wanted else next((lowered[name] for name in usual if name in lowered), None)
        if value is not None:
            place[part] = str(value).encode()
    return place
