"""Where samples come from: photo files, tar shards, cached features. Each starts reading a batch when asked."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoclip.encoders.preprocess import normalised
from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.pool import DecodingPool
from geoclip.photos.worker import Worker
from geoclip.release.config import Preprocess
from geoclip.tables.names import spellings
from geoclip.train.data.augment import job
from geoclip.train.data.entries import Entries
from geoclip.train.data.features import FeatureFile
from geoclip.train.data.shards import read_member

_SHOWN_FAILURES = 20
_LOOKED_FOR = 100
_log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Some samples. B is the batch size or less: a photo that cannot be read leaves it, so B can be 0."""

    inputs: Tensor
    """(B, 3, size, size) float32, pixels normalised with CLIP's mean and deviation; or (B, D) float32, features."""
    lat_lng: Tensor
    """(B, 2) float64, degrees, longitude in [-180, 180)."""
    rows: Tensor
    """(B,) int64, the sample's row in its table, from 0; of a features file its row there, of shards its position."""


Finish = Callable[[], Batch]


class Wanted(NamedTuple):
    """A batch to read."""

    positions: NDArray[np.int64]
    """(B,) which entries of the source."""
    seeds: NDArray[np.uint64] | None
    """(B,) of their augmented views; None takes CLIP's own."""


class SampleSource(Protocol):
    """Samples that can be read."""

    entries: Entries

    @property
    def blocks(self) -> NDArray[np.int64] | None:
        """First position of each part that lies together; None where nothing is gained by staying within one."""

    def begin(self, wanted: Wanted) -> Finish:
        """Start reading a batch; the result waits for it."""

    def failed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of photos that were found missing, and unreadable, so far."""


class PhotoSource:
    """Photos that are decoded as they are read. A bad one is left out of its batch, counted and named in the log.

    Args:
        entries: the samples.
        pool: makes the processes that decode, by `augment.decode_job`.
        limits: what one photo may cost.
        preprocess: what CLIP's tower wants.
        pin: whether batches are made in page-locked memory, from which a GPU copies faster.
    """

    def __init__(
        self,
        entries: Entries,
        pool: Callable[[], DecodingPool],
        limits: DecodeLimits,
        preprocess: Preprocess,
        *,
        pin: bool,
    ) -> None:
        self.entries, self._pool, self._limits, self._preprocess, self._pin = entries, pool, limits, preprocess, pin
        self._missing = np.zeros(len(entries), dtype=bool)
        self._unreadable = np.zeros(len(entries), dtype=bool)

    @property
    def blocks(self) -> NDArray[np.int64] | None:
        """Files lie anywhere."""
        return None

    def photo(self, position: int) -> Path | bytes:
        """Return the path of a photo, or its content.

        Raises:
            PhotoError: it cannot be read.
            FileNotFoundError: it is not there.
        """
        raise NotImplementedError

    def begin(self, wanted: Wanted) -> Finish:
        """Start decoding a batch."""
        count, side, pool = len(wanted.positions), self._limits.size, self._pool()
        with torch.inference_mode(False):  # validation is in that mode, and the threads that write here are not
            inputs = torch.empty((count, 3, side, side), dtype=torch.float32, pin_memory=self._pin)
        seeds = [None] * count if wanted.seeds is None else wanted.seeds.tolist()
        jobs = zip(wanted.positions.tolist(), seeds, inputs, strict=True)
        started = [pool.start(partial(self._fill, position, seed, slot)) for position, seed, slot in jobs]
        return partial(self._finish, wanted.positions, inputs, started)

    def failed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of photos that were found missing, and unreadable, so far."""
        return np.flatnonzero(self._missing), np.flatnonzero(self._unreadable)

    def _fill(self, position: int, seed: int | None, slot: Tensor, worker: Worker) -> str | None:
        """Decode a photo into its slot of a batch, (3, size, size) float32; return why not, if it cannot be read."""
        try:
            pixels = worker.decode(self._message(position, seed)).pixels
        except PhotoError as error:
            return str(error)
        slot.copy_(normalised([pixels], self._preprocess)[0])
        return None

    def _message(self, position: int, seed: int | None) -> bytes:
        try:
            photo = self.photo(position)
            if isinstance(photo, Path):
                photo.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            self._missing[position] = True
            raise PhotoError("The file does not exist.") from error
        except (OSError, ValueError) as error:
            raise PhotoError(f"The file cannot be opened: {error}.") from error
        return job(photo, seed)

    def _finish(self, positions: NDArray[np.int64], inputs: Tensor, started: "Sequence[Future[str | None]]") -> Batch:
        errors = [future.result() for future in started]
        good = np.array([error is None for error in errors], dtype=bool)
        for position, error in zip(positions.tolist(), errors, strict=True):
            if error is not None:
                self._note(position, error)
        if not good.all():
            inputs, positions = inputs[torch.from_numpy(good)], positions[good]
        return _batch(inputs, self.entries, positions, self.entries.rows[positions])

    def _note(self, position: int, error: str) -> None:
        before = sum(map(len, self.failed()))
        if not self._missing[position]:
            if self._unreadable[position]:
                return
            self._unreadable[position] = True
        if before < _SHOWN_FAILURES:
            _log.warning("%s: %s", self.entries.name(position), error)
        elif before == _SHOWN_FAILURES:
            _log.warning("Further photos that cannot be read are counted, not named.")


class FileSource(PhotoSource):
    """Photos in files, named relative to a folder."""

    def __init__(
        self,
        entries: Entries,
        folder: Path,
        pool: Callable[[], DecodingPool],
        limits: DecodeLimits,
        preprocess: Preprocess,
        *,
        pin: bool,
    ) -> None:
        super().__init__(entries, pool, limits, preprocess, pin=pin)
        self._folder = folder

    def check_some_there(self) -> None:
        """Look for some photos, spread over the table.

        Raises:
            InputError: none is there, so the folder is wrong.
        """
        some = sorted({position * len(self.entries) // _LOOKED_FOR for position in range(_LOOKED_FOR)})
        if not any(self.photo(position).exists() for position in some):
            raise InputError(
                f"None of {len(some)} photos looked for is there, such as {self.photo(some[0])}; "
                "name their folder with data.images."
            )

    def photo(self, position: int) -> Path:
        """Return the path of a photo, under the first spelling of its name that is there."""
        paths = (self._folder / spelling for spelling in spellings(self.entries.name(position)))
        return next((path for path in paths if path.exists()), self._folder / self.entries.name(position))


class ShardSource(PhotoSource):
    """Photos in tar shards."""

    def __init__(
        self,
        entries: Entries,
        shards: Sequence[Path],
        pool: Callable[[], DecodingPool],
        limits: DecodeLimits,
        preprocess: Preprocess,
        *,
        pin: bool,
    ) -> None:
        super().__init__(entries, pool, limits, preprocess, pin=pin)
        self._shards = shards
        self._shard, self._offset, self._size = (entries.numbers(part) for part in ("shard", "offset", "size"))

    @property
    def blocks(self) -> NDArray[np.int64]:
        """The first sample of each shard."""
        return np.flatnonzero(np.diff(self._shard, prepend=-1))

    def photo(self, position: int) -> bytes:
        """Return the content of a photo."""
        if (size := int(self._size[position])) > self._limits.max_bytes:
            raise PhotoError(f"The file has {size / 2**20:.4g} MB; {self._limits.max_bytes / 2**20:.4g} are allowed.")
        return read_member(self._shards[self._shard[position]], int(self._offset[position]), size)


class FeatureSource:
    """Cached features; a sample is a photo, its views are rows of the file."""

    def __init__(self, entries: Entries, file: FeatureFile) -> None:
        self.entries, self.file = entries, file
        self._views = entries.numbers("views").astype(np.uint64)

    @property
    def blocks(self) -> NDArray[np.int64] | None:
        """Rows are read in any order."""
        return None

    def begin(self, wanted: Wanted) -> Finish:
        """Read a batch, when it is waited for: it takes less than starting to would."""
        return partial(self._read, wanted)

    def failed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return that nothing can be missing."""
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)

    def _read(self, wanted: Wanted) -> Batch:
        rows = self.entries.rows[wanted.positions]
        if wanted.seeds is not None:
            rows = rows + (wanted.seeds % self._views[wanted.positions]).astype(np.int64)
        return _batch(self.file.gather(rows), self.entries, wanted.positions, rows)


def _batch(inputs: Tensor, entries: Entries, positions: NDArray[np.int64], rows: NDArray[np.int64]) -> Batch:
    return Batch(inputs, torch.from_numpy(entries.lat_lng[positions]), torch.from_numpy(rows))
