"""The released model as the benchmarks of the index need it."""

import numpy as np
from numpy.typing import NDArray

from index.represent import Encoder


def released_encoder(device: str = "cpu", precision: str = "auto") -> tuple[Encoder, float, NDArray[np.float64]]:
    """Return the location encoder as a callable, tau, and the distinct places (N, 2) of the released gallery."""
    from geoclip.gallery import distinct_rows
    from geoclip.location_encoder import LocationEncoder
    from geoclip.release import released

    release = released()
    encoder = LocationEncoder(release.sigma, from_pretrained=False, precision=precision)
    encoder.load_released(release.location_encoder())
    gallery, _ = distinct_rows(release.gallery())
    return encoder.eval().to(device).embed, float(release.logit_scale().exp()), gallery.astype(np.float64)
