"""What a training or validation step is given."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Some samples. B is the batch size or less: a photo that cannot be read leaves it, so B can be 0."""

    inputs: Tensor
    """(B, 3, size, size) float32, pixels normalised with CLIP's mean and deviation; or (B, D) float32, features."""
    lat_lng: Tensor
    """(B, 2) float64, degrees, longitude in [-180, 180)."""
    rows: Tensor
    """(B,) int64, the sample's row in its table, from 0; of a features file its row there, of shards its position."""
