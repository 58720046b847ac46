"""Photos in tar files, in webdataset's convention: `key.jpg` beside `key.json`, which holds the place.

The shards are read through once for what lies where (kept, see `entries`); after that a photo is one read at an offset.
So shards are shuffled, shared out and resumed exactly like files.
"""

import json
import logging
import os
import tarfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from geoclip.errors import InputError
from geoclip.photos.decode import SUFFIXES
from geoclip.tables.bad_rows import BadRows, Reason
from geoclip.tables.columns import Columns, MissingColumnError
from geoclip.tables.coordinates import judge
from geoclip.tables.rows import readable, text_of
from geoclip.train.data.entries import Entries, batch_of, kept

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
    one key those count that have a record of their own, `a.1.jpg` and `a.1.json`; else the first.

    Raises:
        InputError: a shard does not exist or is no tar file.
    """
    return kept(shards, f"shards {columns}", lambda bad: _entries(shards, columns, bad), rejected)


def read_member(shard: Path, offset: int, size: int) -> bytes:
    """Return the content of a member."""
    descriptor = os.open(shard, os.O_RDONLY)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)


class _Sample(NamedTuple):
    shard: int
    name: str | None
    """None where there is no photo."""
    offset: int = 0
    size: int = 0
    lat: str | None = None
    lng: str | None = None
    spare: bool = False
    """Whether it is another photo of a key that has one."""


def _entries(shards: Sequence[Path], columns: Columns, bad: BadRows) -> Iterator[pa.RecordBatch]:
    _log.info("Looking through %d shards, once ...", len(shards))
    samples: list[_Sample] = []
    for number, shard in enumerate(shards):
        try:
            for sample in _samples(number, shard, columns):
                samples.append(sample)
                if len(samples) == _BATCH_ROWS:
                    yield _batch(samples, bad)
                    samples = []
        except (OSError, tarfile.TarError) as error:
            raise InputError(f"{shard} cannot be read as a tar file: {error}; write it again.") from error
    if samples:
        yield _batch(samples, bad)


def _batch(samples: list[_Sample], bad: BadRows) -> pa.RecordBatch:
    rows = np.arange(bad.rows + 1, bad.rows + 1 + len(samples), dtype=np.int64)
    bad.rows += len(samples)
    for row, sample in zip(rows.tolist(), samples, strict=True):
        if sample.spare:
            bad.reject(row, Reason.SAME_KEY, sample.name)
    alone = np.array([not sample.spare for sample in samples])
    table = pa.table(dict(zip(_Sample._fields, zip(*samples, strict=True), strict=True)), schema=_SAMPLES).filter(
        pa.array(alone)
    )
    name, lat, lng = (table[part].combine_chunks() for part in ("name", "lat", "lng"))
    judged = judge(rows[alone], name, lat, lng, bad)
    good, (rows, lat_lng, names) = pa.array(judged.good), judged.places()
    places = {part: table[part].combine_chunks().filter(good) for part in ("shard", "offset", "size")}
    return batch_of(rows, lat_lng, names, **places)


_SAMPLES = pa.schema({
    "shard": pa.int64(), "name": pa.string(), "offset": pa.int64(), "size": pa.int64(), "lat": pa.string(),
    "lng": pa.string(), "spare": pa.bool_(),
})  # fmt: skip


def _samples(number: int, shard: Path, columns: Columns) -> Iterator[_Sample]:
    """Yield the samples of each key; one without a name where it has no photo."""
    with tarfile.open(shard, "r:") as tar:
        for _, members in groupby(_files(tar), key=lambda member: _key(member.name)):
            photos: list[tarfile.TarInfo] = []
            records: dict[str, tuple[str | None, str | None]] = {}
            for member in members:
                suffix = PurePosixPath(member.name).suffix.lower()
                if suffix in SUFFIXES:
                    photos.append(member)
                elif suffix == ".json" and member.size <= _MAX_JSON_BYTES:
                    file = tar.extractfile(member)
                    records[_stem(member.name)] = _place(file.read() if file else b"", columns)
            yield from _of_key(number, photos, records)


def _of_key(
    shard: int, photos: list[tarfile.TarInfo], records: dict[str, tuple[str | None, str | None]]
) -> Iterator[_Sample]:
    if not photos:
        yield _Sample(shard, None)
    own = any(_stem(photo.name) in records for photo in photos) and len(photos) > 1
    shared = next(iter(records.values()), (None, None))
    for at, photo in enumerate(photos):
        place = records.get(_stem(photo.name)) if own else shared if at == 0 else None
        lat, lng = place or (None, None)
        name = readable(photo.name)
        yield _Sample(shard, name, photo.offset_data, photo.size, lat, lng, spare=place is None)


def _files(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        if member.isreg():
            yield member
        tar.members = []  # type: ignore[attr-defined]  # else every header of the shard stays in memory


def _key(name: str) -> str:
    """Return what members of one sample share: the path up to the first dot of its last part."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _place(content: bytes, columns: Columns) -> tuple[str | None, str | None]:
    """Return latitude and longitude as a record has them."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None, None
    found = _parts(columns, tuple(record)) if isinstance(record, dict) else None
    return (None, None) if found is None else (text_of(record[found[0]]), text_of(record[found[1]]))


@lru_cache(maxsize=64)
def _parts(columns: Columns, keys: tuple[str, ...]) -> tuple[str, str] | None:
    try:
        found = columns.find(keys, "A record in the shards", photo=False)
    except MissingColumnError:
        return None
    return keys[found.lat], keys[found.lng]
