"""The slow and plain way of computing what the packages compute."""

import numpy as np
from numpy.typing import NDArray


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows at length 1, in float64."""
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
