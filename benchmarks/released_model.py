"""The released model as the benchmarks of the index need it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.encoders.location import LocationEncoder
from index.encoder import Encode
from index.search.hits import PlanetHits
from index.search.planet import Planet
from index.search.question import Question


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

    def search(self, planet: Planet, vectors: NDArray[np.float32], question: Question) -> PlanetHits:
        """Search as a locator does: fast on the way down, exactly for the scores that are answered."""
        return planet.search(vectors, self.encoder, question)


def released_model(device: str = "cpu") -> ReleasedModel:
    """Return the released model on a device."""
    from geoclip.encoders.embedded_gallery import distinct_rows
    from geoclip.release.directory import released

    release = released()
    encoder = LocationEncoder(release.sigma, from_pretrained=False)
    encoder.load_released(release.location_encoder())
    encoder.eval().to(device)
    gallery, _ = distinct_rows(release.gallery())
    return ReleasedModel(encoder, float(release.logit_scale().exp()), gallery.astype(np.float64))
