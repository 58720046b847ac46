"""What an answer is: where, how sure, at which scale. Plain values, made by `answering`."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

NEARBY_KM = 25.0
"""The distance within which a prediction's `nearby` counts probability: a city's, and a threshold of the field."""


class PlaceName(NamedTuple):
    """The inhabited place nearest to a point, in the point's country. A part that is not known is empty."""

    city: str
    region: str
    """First administrative level."""
    country: str
    code: str
    """ISO 3166 alpha-2."""

    def __str__(self) -> str:
        """Return city, region, country, as far as they are known."""
        return ", ".join(dict.fromkeys(part for part in self[:3] if part))


class Prediction(NamedTuple):
    """One place that may be where a photo was taken."""

    lat: float
    """Degrees, -90 to 90."""
    lng: float
    """Degrees, -180 to 180."""
    probability: float
    """Of the place among all candidates, or of its cell among all land."""
    score: float
    """Cosine between the query's and the place's vectors; tau times it is the logit."""
    cell: str = ""
    """H3 cell around the place, in hexadecimal."""
    nearby: float = math.nan
    """Probability within `NEARBY_KM` of the point; NaN where it was not computed."""
    name: PlaceName | None = None


class Area(NamedTuple):
    """A country, region or city with the probability of all its cells together."""

    name: str
    within: str
    """What it lies in: of a city its region and country, of a region its country; empty for a country."""
    code: str
    """ISO 3166 alpha-2 of the country."""
    probability: float


class CellProbability(NamedTuple):
    """An H3 cell and its probability."""

    cell: str
    """In hexadecimal."""
    probability: float


class RecordedGps(NamedTuple):
    """Where a photo's own EXIF says it was taken. Reported beside the answer, never used for it."""

    lat: float
    lng: float
    distance_km: float
    """Great-circle, from the best prediction."""


@dataclass(frozen=True)
class Searched:
    """What was searched, and how: everything needed to understand or repeat an answer."""

    candidates: str
    """`gallery` or `planet`."""
    index: str = ""
    """The directory of the index, as given; empty for the released gallery."""
    index_digest: str = ""
    """Names the content of the index."""
    constraint: str = ""
    """Where was searched, in words; empty is everywhere."""
    resolution: int = 9
    effort: str = ""
    prior_weight: float = 0.0
    temperature: float = 1.0
    """Logits were divided by it; 1 is the model's own."""
    point: str = "cell"
    """How the best point was chosen."""
    calibrated: bool = False
    """Whether temperature, prior weight and radii come from `geoclip calibrate`."""


@dataclass(frozen=True)
class Answer:
    """Where one query may have been taken, or the reason why nothing is known.

    Probabilities are over all that was searched. They are not calibrated unless `searched.calibrated`.
    """

    query: str
    predictions: tuple[Prediction, ...] = ()
    """Best first. The first is the answer; the others are alternatives, apart as `AnswerOptions` says."""
    error: str | None = None
    """Why there are no predictions, in one sentence."""
    radius_50_km: float = math.nan
    """Of the circle around the best point that holds half of the probability."""
    radius_90_km: float = math.nan
    """The same for nine tenths."""
    countries: tuple[Area, ...] = ()
    """Most probable first; each with at least 1 %, but always one."""
    regions: tuple[Area, ...] = ()
    cities: tuple[Area, ...] = ()
    cells: tuple[CellProbability, ...] = ()
    """A pruned tree: every H3 cell from resolution 0 to the finest with at least 0.1 %, coarse to fine, then by id."""
    entropy_bits: float = math.nan
    """Spatial entropy: of the probabilities of cells of resolution 3 (about 100 km across)."""
    localizable: bool | None = None
    """Whether the entropy is below `threshold_bits`: whether the photo says where it was taken at all."""
    threshold_bits: float = math.nan
    estimated: float = 0.0
    """Share of the probability that rests on estimates, because those cells were not scored one by one."""
    gps: RecordedGps | None = None
    searched: Searched = field(default_factory=lambda: Searched("gallery"))

    @property
    def best(self) -> Prediction:
        """The first prediction.

        Raises:
            IndexError: there is none; see `error`.
        """
        return self.predictions[0]
