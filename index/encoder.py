"""What an index needs of a location encoder."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Encode = Callable[[NDArray[np.float64]], NDArray[np.float32]]
"""Degrees (N, 2), latitude and longitude, in; unit vectors (N, dim) float32 out."""


class Encoder(Protocol):
    """Turns coordinates into vectors in two ways; shapes as for `Encode`."""

    def exactly(self, lat_lng_deg: NDArray[np.float64], /) -> NDArray[np.float32]:
        """Encode points in float32, for the scores that are answered; a point's vector is the same among any others."""

    def nearby(
        self, lat_lng_deg: NDArray[np.float64], /, spacing_km: float, *, few: bool = False
    ) -> NDArray[np.float32]:
        """Encode points as fast as the device goes, and faster where they lie close together.

        Args:
            lat_lng_deg: the points.
            spacing_km: from a point to its neighbours; infinite where nothing is known of that.
            few: be quick for a few hundred points. A point has the same vector, to the byte, among any others, but not
                the same as among many.
        """
