"""What an index needs of a location encoder."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Encode = Callable[[NDArray[np.float64]], NDArray[np.float32]]
"""Degrees (N, 2), latitude and longitude, in; unit vectors (N, dim) float32 out."""


class StoredNodes(Protocol):
    """What an index keeps of the encoder's smooth part."""

    def rows(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the nodes of some keys (K,) are; -1 where they are not stored."""

    def values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values (K, dim) at some nodes."""


class NodeValues(Protocol):
    """The same where it lies in the memory of the device that encodes."""

    def at(self, keys: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return the values (K, dim) float32 at some nodes (K,) and which are stored, (K,) bool."""


class Encoder(Protocol):
    """Turns coordinates into vectors; shapes as for `Encode`. A point's vector is the same among any others."""

    def exactly(self, lat_lng_deg: NDArray[np.float64], /) -> NDArray[np.float32]:
        """Encode a few points in float32, for the scores that are answered."""

    def quickly(self, lat_lng_deg: NDArray[np.float64], /, nodes: StoredNodes | None = None) -> NDArray[np.float32]:
        """Encode a few points, about: the smooth part from nodes, where those around a point are stored."""

    def quickly_on_device(self, lat_lng_deg: "Tensor", /, nodes: NodeValues | None = None) -> "Tensor":
        """Encode as `quickly` does, from (N, 2) float64 to (N, dim) float32 on the device where the points are."""

    def nearby(self, lat_lng_deg: NDArray[np.float64], /, spacing_km: float) -> NDArray[np.float32]:
        """Encode many points as fast as the device goes, and faster where they lie close together.

        Args:
            lat_lng_deg: the points.
            spacing_km: from a point to its neighbours; infinite where nothing is known of that.
        """

    def nodes_around(self, lat_lng_deg: NDArray[np.float64], /) -> NDArray[np.int64]:
        """Return the keys (K,), ascending, of the nodes around points; none, where no part of the encoder is smooth."""

    def values_at(self, keys: NDArray[np.int64], /) -> NDArray[np.float32]:
        """Return what the smooth part is at nodes (K,), to be stored: (K, dim)."""
