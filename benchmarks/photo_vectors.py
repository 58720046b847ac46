"""Vectors of real photos, where the user has CLIP's weights: what benchmarks take in place of simulated queries."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated import unit


def photo_vectors(path: Path) -> NDArray[np.float32]:
    """Return the unit vectors (N, 512) of a file of `geoclip embed`, or of an npy file."""
    from geoclip.release.fetch import released
    from geoclip.tables.vectors import read_vectors

    batches = read_vectors(path, dim=512, model_digest=released().model_digest)
    return unit(np.concatenate([batch.vectors for batch in batches]))
