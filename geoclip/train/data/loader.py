"""Batches of a split, epoch after epoch, read ahead, and resumable at any batch."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.train.data.sampling import EpochPlan, epoch_order, sample_seeds
from geoclip.train.data.sources import Batch, Finish, SampleSource, Wanted

AHEAD = 2
"""Batches begun before they are needed; 512 photos are 308 MB."""


class Loader:
    """Yields `Batch`es; `len` is the number of batches of an epoch, on every rank.

    Iterating begins an epoch: the one after the last, or the trainer's where `epoch` is given; after `load_state_dict`
    it goes on with the batch after the last that was handed out.

    Args:
        source: the samples.
        positions: (N,) those of the split, ascending.
        plan: how an epoch is cut.
        seed: of order, augmentation and choice of views.
        shuffle: whether order is random; else the source's.
        augment: whether views are random.
        epoch: says which epoch it is; None counts.
    """

    def __init__(
        self,
        source: SampleSource,
        positions: NDArray[np.int64],
        plan: EpochPlan,
        *,
        seed: int,
        shuffle: bool,
        augment: bool,
        epoch: Callable[[], int] | None = None,
    ) -> None:
        self._source, self._positions, self._plan = source, positions, plan
        self._seed, self._shuffle, self._augment, self._epoch_of = seed, shuffle, augment, epoch
        self._epoch, self._handed_out = -1, 0
        self._resumed = False

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of an epoch, or what is left of it."""
        epoch, start = self._next()
        self._resumed, self._epoch, self._handed_out = False, epoch, start
        order = self._order(epoch)
        waiting: deque[Finish] = deque()
        upcoming = iter(range(start, len(self)))
        for number in upcoming:
            waiting.append(self._begin(order, number, epoch))
            if len(waiting) > AHEAD:
                self._handed_out += 1
                yield waiting.popleft()()
        while waiting:
            self._handed_out += 1
            yield waiting.popleft()()

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, how many of its batches were handed out, and what must not change for these to mean it."""
        return {"epoch": self._epoch, "batches": self._handed_out, "data": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a loader of the same data stood.

        Raises:
            InputError: the data, the batch size, the seed or the number of processes is another.
        """
        if state["data"] != self._identity():
            changed = [name for name, value in self._identity().items() if state["data"].get(name) != value]
            before = ", ".join(f"{name} {state['data'].get(name)}" for name in changed)
            raise InputError(
                f"The resumed run had other data ({before}); resume with the same, or start a new run with its weights."
            )
        self._epoch, self._handed_out, self._resumed = int(state["epoch"]), int(state["batches"]), True

    def _next(self) -> tuple[int, int]:
        """Return the epoch to iterate and its first batch."""
        if self._epoch_of is not None:
            epoch = self._epoch_of()
            return epoch, self._handed_out if self._resumed and self._epoch == epoch else 0
        if self._resumed and self._epoch >= 0 and self._handed_out < len(self):
            return self._epoch, self._handed_out
        return self._epoch + 1, 0

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self._shuffle:
            return self._positions
        return epoch_order(self._positions, self._source.blocks, np.random.default_rng((self._seed, epoch)))

    def _begin(self, order: NDArray[np.int64], number: int, epoch: int) -> Finish:
        positions = self._plan.share(order, number)
        seeds = sample_seeds(self._source.entries.rows[positions], self._seed, epoch) if self._augment else None
        return self._source.begin(Wanted(positions, seeds))

    def _identity(self) -> dict[str, int]:
        plan = self._plan
        return {"samples": plan.samples, "batch_size": plan.batch_size, "processes": plan.world, "seed": self._seed}
