"""`GeoData`: photos with places, or their cached features, for Lightning's trainer."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.train.data.loader import Loader
from geoclip.train.data.sampling import EpochPlan, chosen, held_out
from geoclip.train.data.sources import FileSource, SampleSource
from geoclip.train.data.splits import TEST, TRAIN, VAL, SplitCounts, SplitFiles
from geoclip.train.gather import gathered

MAX_COORDINATES = 1_000_000


class _Split(NamedTuple):
    source: SampleSource
    positions: NDArray[np.int64]

    def failed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of the positions were found missing and unreadable so far in this process."""
        missing, unreadable = (np.intersect1d(positions, self.positions) for positions in self.source.failed())
        return missing, unreadable


class GeoData(SplitFiles):
    """Photos and where they were taken.

    Each of `train`, `val` and `test` is: a table (see `geoclip.tables.rows`) with the columns IMG_FILE, LAT, LON, or
    photo, lat, lng, or others that `columns` names; a folder with such a table in it, called metadata.csv or
    metadata.parquet if there are several; tar shards in webdataset's notation, `train-{000000..000127}.tar`, whose
    samples are `key.jpg` and `key.json` with lat and lng; or features from `geoclip embed --features`.

    Rows that are not places (see `Reason`) are counted, left out, and written to a CSV file. Photos that are missing or
    cannot be read are found when they are met: their batch is shorter, down to none at all.

    Args:
        train: what to train on.
        val: what to validate on; None holds out `val_fraction` of `train`.
        test: what to test on.
        batch_size: samples a batch, on each process.
        fraction: part of the training data, chosen by a hash of the photo's name (see `geoclip.train.data.sampling`).
        val_fraction: part of `train` held out, chosen likewise; its own hash, so it is the same for every `fraction`.
        augment: train on random views: augmented photos, or a random one of a photo's cached views. Validation and
            tests see photos as `geoclip locate` does.
        seed: of order and random views.
        files: how they are read; see `SplitFiles`.

    Raises:
        InputError: an option is out of range; and, when a split is opened, it cannot be read or has no usable row.
    """

    def __init__(
        self,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        *,
        batch_size: int = 512,
        fraction: float = 1.0,
        val_fraction: float = 0.0,
        augment: bool = True,
        seed: int = 0,
        **files: Any,
    ) -> None:
        super().__init__(train, val, test, **files)
        self._batch_size, self._seed, self._augment = EpochPlan(0, batch_size).batch_size, seed, augment
        if seed < 0:
            raise InputError(f"The seed of the data is {seed}; it must be 0 or more.")
        self._fraction, self._val_fraction = fraction, val_fraction
        no_keys = np.zeros(0, dtype=np.uint64)
        chosen(no_keys, fraction), held_out(no_keys, val_fraction)  # complains of wrong ones before anything is read
        self._splits: dict[str, _Split] = {}
        self._loader: Loader | None = None
        self._state: dict[str, Any] | None = None

    def prepare_data(self) -> None:
        """Read what has not been read before, once a machine."""
        for split in self._needed():
            source = self._split(split).source
            if self.trainer is not None and isinstance(source, FileSource):
                source.check_some_there()

    def train_dataloader(self) -> Loader:
        """Return the training batches."""
        self._loader = self._made(TRAIN)
        if self._state is not None:
            self._loader.load_state_dict(self._state)
            self._state = None
        return self._loader

    def val_dataloader(self) -> Loader | list[Loader]:
        """Return the validation batches, in the order of the file; an empty list where there is no such data."""
        return self._made(VAL) if self.validates else []

    def test_dataloader(self) -> Loader:
        """Return the test batches, in the order of the file."""
        return self._made(TEST)

    def coordinates(self) -> NDArray[np.float64]:
        """Return the places of the training split, (N, 2) degrees; a random million of them where there are more."""
        source, positions = self._split(TRAIN)
        if len(positions) > MAX_COORDINATES:
            rng = np.random.default_rng(self._seed)
            positions = np.sort(rng.choice(positions, MAX_COORDINATES, replace=False))
        return source.entries.lat_lng[positions]

    @property
    def validates(self) -> bool:
        """Whether there is validation data."""
        return self._name(VAL) is not None

    @property
    def counts(self) -> dict[str, SplitCounts]:
        """What was read of each split that is open, in this process."""
        return {name: _counts(split, *split.failed()) for name, split in self._splits.items()}

    def joined_counts(self, device: torch.device) -> dict[str, SplitCounts]:
        """Return what all ranks together read of each split of what the trainer does; every rank must call it.

        Args:
            device: one on which the ranks can exchange tensors.
        """
        splits = {name: self._split(name) for name in self._needed()}
        return {
            name: _counts(split, *(_joined(positions, device) for positions in split.failed()))
            for name, split in splits.items()
        }

    @property
    def tower_digest(self) -> str | None:
        """Of the CLIP tower that made the features (see `geoclip.train.data.extract`); None for photos.

        Raises:
            InputError: the data cannot be read, or the splits' features come from different towers.
        """
        self.prepare_data()
        return next(iter(self.towers), None)

    def state_dict(self) -> dict[str, Any]:
        """Return where training stands: epoch and batches handed out."""
        return {} if self._loader is None else self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let training go on there; other data is refused when training begins."""
        if self._loader is not None and state_dict:
            self._loader.load_state_dict(state_dict)
        else:
            self._state = state_dict or None

    def _needed(self) -> list[str]:
        """Return the splits of what the trainer does, of fitting where there is none."""
        if self.trainer is not None and self.trainer.testing:
            return [TEST]
        splits = [VAL] if self.trainer is not None and self.trainer.validating else [TRAIN, VAL]
        return [split for split in splits if self._name(split) is not None]

    def _name(self, split: str) -> str | None:
        """Return what a split is read from."""
        if split == VAL and self.names[VAL] is None and self._val_fraction > 0:
            return self.names[TRAIN]
        return self.names[split]

    def _split(self, split: str) -> _Split:
        if split not in self._splits:
            name = self._name(split)
            if name is None:
                raise InputError(
                    f"There is no {split} data; name a table, a folder, shards or features with data.{split}."
                )
            source = self.source(name)
            taken = np.ones(len(source.entries), dtype=bool)
            if split != TEST and self.names[VAL] is None and self._val_fraction > 0:
                held = held_out(source.entries.numbers("key"), self._val_fraction)
                taken = held if split == VAL else ~held
            if split == TRAIN:
                taken &= chosen(source.entries.numbers("key"), self._fraction)
            self._splits[split] = _Split(source, np.flatnonzero(taken))
            if not taken.any():
                raise InputError(f"{name} has {len(taken)} samples and none is taken; raise fraction or val_fraction.")
        return self._splits[split]

    def _made(self, split: str) -> Loader:
        source, positions = self._split(split)
        trainer = self.trainer
        rank, world = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        training = split == TRAIN
        return Loader(
            source,
            positions,
            EpochPlan(len(positions), self._batch_size, rank, world),
            seed=self._seed,
            shuffle=training,
            augment=training and self._augment,
            epoch=(lambda: int(trainer.current_epoch)) if training and trainer is not None else None,
        )


def _counts(split: _Split, missing: NDArray[np.int64], unreadable: NDArray[np.int64]) -> SplitCounts:
    entries = split.source.entries
    where = None if entries.rejected is None else str(entries.rejected)
    return SplitCounts(entries.rows_read, len(split.positions), entries.bad, len(missing), len(unreadable), where)


def _joined(positions: NDArray[np.int64], device: torch.device) -> NDArray[np.int64]:
    """Return the positions of all ranks, each once: in another epoch another rank may have met the same photo."""
    return np.unique(gathered(torch.from_numpy(positions).to(device)).cpu().numpy())
