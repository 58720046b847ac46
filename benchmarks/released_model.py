"""The released model as the benchmarks of the index need it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.encoders.location import LocationEncoder
from index.encoder import Encode
from index.search.planet import Planet


class ReleasedModel(NamedTuple):
    """The location encoder and what belongs to it."""

    encoder: LocationEncoder
    tau: float
    gallery: NDArray[np.float64]
    """(N, 2) degrees: the distinct places of the released gallery."""

    @property
    def encode(self) -> Encode:
        """As fast as the device goes: bf16 where it has units for it."""
        return self.encoder.embed

    @property
    def exact(self) -> Encode:
        """In float32: what queries and truth are made with, so that they are the same on every machine."""
        return self.encoder.exactly

    def open(self, index: Path, *, engine: str = "auto", device: str = "cpu") -> Planet:
        """Open an index as a locator does."""
        return Planet.open(index, self.encoder, engine=engine, device=device)


def released_model(device: str = "cpu") -> ReleasedModel:
    """Return the released model on a device."""
    from geoclip.encoders.embedded_gallery import distinct_rows
    from geoclip.release.fetch import released

    release = released()
    encoder = LocationEncoder.of(release).to(device)
    gallery, _ = distinct_rows(release.gallery())
    return ReleasedModel(encoder, float(release.logit_scale().exp()), gallery.astype(np.float64))
