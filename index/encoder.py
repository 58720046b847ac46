"""What an index needs of a location encoder."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Encoder = Callable[[NDArray[np.float64]], NDArray[np.float32]]
"""Degrees (N, 2), latitude and longitude, in; unit vectors (N, dim) float32 out."""
