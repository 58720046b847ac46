"""A made-up calibration."""

from geoclip.answers.calibration import Calibration, EntropyClass
from geoclip.options import Candidates


def a_calibration(model: str) -> Calibration:
    """Return a calibration of this model on a planet."""
    return Calibration(
        temperature=2.5,
        prior_weight=0.7,
        classes=(EntropyClass(up_to_bits=None, level_50=0.4, level_90=0.95, photos=50),),
        model=model,
        candidates=Candidates.PLANET,
        index="",
        resolution=9,
        effort="default",
        point="all",
        crops=1,
        photos=100,
    )
