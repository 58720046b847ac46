"""The queue of places that serve as further negatives: a ring of the last places trained on."""

import torch
from torch import Tensor, nn

from geoclip.errors import InputError


class PlaceQueue(nn.Module):
    """A ring buffer of exact coordinates; noise is added where they are used. Its contents are in checkpoints.

    Args:
        size: places it can hold; 0 is no queue.
    """

    places: Tensor
    head: Tensor
    used: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("places", torch.zeros(size, 2, dtype=torch.float64))
        self.register_buffer("head", torch.tensor(0))
        self.register_buffer("used", torch.tensor(0))

    def start(self, lat_lng_deg: Tensor, generator: torch.Generator) -> None:
        """Fill it with places (N, 2) drawn without repetition; with fewer than `size` of them it stays shorter.

        Raises:
            InputError: there are no places.
        """
        if len(lat_lng_deg) == 0:
            raise InputError("The training data has no places to start the queue with; check --data.train.")
        drawn = torch.randperm(len(lat_lng_deg), generator=generator)[: len(self.places)]
        self.places[: len(drawn)] = lat_lng_deg[drawn].to(self.places)
        self.used.fill_(len(drawn))
        self.head.zero_()

    def contents(self) -> Tensor:
        """Return a copy of the places in it, (used, 2) float64 degrees, in the ring's order."""
        return self.places[: int(self.used)].clone()

    @torch.no_grad()
    def push(self, lat_lng_deg: Tensor) -> None:
        """Replace the oldest places by these (N, 2), any N; of more than fit, the last stay."""
        used = int(self.used)
        if used == 0:
            return
        fresh = lat_lng_deg[-used:].to(self.places)
        at = (int(self.head) + torch.arange(len(fresh), device=self.places.device)) % used
        self.places[at] = fresh
        self.head.fill_((int(self.head) + len(fresh)) % used)
