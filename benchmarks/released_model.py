"""The released model as the benchmarks of the index need it."""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.search.hits import PlanetHits
from index.search.planet import Planet
from index.search.question import Question


class ReleasedModel(NamedTuple):
    """The location encoder as a callable, twice, and what belongs to it."""

    encode: Encoder
    """As fast as the device goes: bf16 where it has units for it."""
    exact: Encoder
    """In float32: what queries and truth are made with, so that they are the same on every machine. The same object as
    `encode` where that computes in float32."""
    tau: float
    gallery: NDArray[np.float64]
    """(N, 2) degrees: the distinct places of the released gallery."""

    def search(self, planet: Planet, vectors: NDArray[np.float32], question: Question) -> PlanetHits:
        """Search as a locator does: fast on the way down, exactly for the scores that are answered."""
        exactly = None if self.exact is self.encode else self.exact
        return planet.search(vectors, self.encode, question, encode_exactly=exactly)


def released_model(device: str = "cpu") -> ReleasedModel:
    """Return the released model on a device."""
    import torch

    from geoclip.encoders.embedded_gallery import distinct_rows
    from geoclip.encoders.location import LocationEncoder
    from geoclip.encoders.precision import Precision, compute_dtype
    from geoclip.release.directory import released

    release = released()
    encoder = LocationEncoder(release.sigma, from_pretrained=False)
    encoder.load_released(release.location_encoder())
    encoder.eval().to(device)
    encode = exact = encoder.embed
    if compute_dtype(Precision.AUTO, encoder.device) is not torch.float32:
        exact = partial(encoder.embed, precision=Precision.FP32)
    gallery, _ = distinct_rows(release.gallery())
    return ReleasedModel(encode, exact, float(release.logit_scale().exp()), gallery.astype(np.float64))
