"""A made-up calibration."""

from geoclip.answers.calibration import Calibration
from geoclip.options import Candidates


def a_calibration(model: str) -> Calibration:
    """Return a calibration of this model on a planet."""
    return Calibration(
        temperature=2.5,
        prior_weight=0.7,
        level_50=0.4,
        level_90=0.95,
        model=model,
        candidates=Candidates.PLANET,
        photos=100,
    )
