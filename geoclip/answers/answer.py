"""What an answer is: where, how sure, at which scale. Plain values, made by `answering`.

The records that programs read, their JSON schema and their columns in Parquet follow from the types here and from the
texts beneath them (see `geoclip.answers.record`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from geoclip.options import Candidates, SearchOptions

NEARBY_KM = 25.0
"""The distance within which a prediction's `nearby` counts probability: a city's, and a threshold of the field."""


class Written(NamedTuple):
    """How a value stands in a record, and what a reader may rely on."""

    decimals: int | None = None
    digits: int | None = None
    """Those that count."""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    unknown: bool = False
    """Whether NaN stands for what is not known; then null is written."""
    pattern: str = ""
    """Regular expression of a text."""
    name: str = ""
    """In the record, where it is another than here."""


Lat = Annotated[float, Written(decimals=6, least=-90, most=90)]
Lng = Annotated[float, Written(decimals=6, least=-180, most=180)]
Probability = Annotated[float, Written(digits=6, least=0, most=1)]
Kilometres = Annotated[float, Written(digits=3, least=0, unknown=True)]
Code = Annotated[str, Written(pattern="^([A-Z]{2})?$")]


class PlaceName(NamedTuple):
    """The inhabited place nearest to a point, in the point's country. A part that is not known is empty."""

    city: str
    """City, town or village."""
    region: str
    """First administrative level."""
    country: str
    code: Code
    """ISO 3166 alpha-2."""

    def __str__(self) -> str:
        """Return city, region, country, as far as they are known."""
        return ", ".join(dict.fromkeys(part for part in self[:3] if part))


class Prediction(NamedTuple):
    """One place that may be where a photo was taken."""

    lat: Lat
    """Degrees, WGS 84."""
    lng: Lng
    """Degrees, WGS 84."""
    probability: Probability
    """Of the place among all candidates, or of its cell among all land."""
    score: Annotated[float, Written(decimals=6, least=-1.001, most=1.001)]
    """Cosine between the query's and the place's vectors; tau times it is the logit."""
    cell: Annotated[str, Written(pattern="^([0-9a-f]{15})?$")] = ""
    """H3 cell around the place, in hexadecimal; empty where it is not known."""
    nearby: Annotated[float, Written(digits=6, least=0, most=1, unknown=True)] = math.nan
    """Probability within 25 km of the point; not known where it was not computed."""
    name: Annotated[PlaceName | None, Written(name="place")] = None
    share: Annotated[float, Written(digits=6, least=0, most=1, unknown=True)] = math.nan
    """Probability of the area that the place stands for, of radius `Answer.area_km`, outside the areas of all
    predictions before it; where areas have no radius, of the place alone. Predictions are in this order."""
    radius_km: Kilometres = math.nan
    """Of the circle around the place that holds half of its area's share."""


class Candidate(NamedTuple):
    """An area where a photo may have been taken, as a chooser sees it (`geoclip.choose`)."""

    rank: int
    """From 1 on."""
    name: str
    """Of its best place."""
    code: str
    """ISO 3166 alpha-2 of the country."""
    share: float
    """Its probability."""
    lat: float
    """Of its best place."""
    lng: float
    area_km: float
    """Radius of the area; NaN where it is one place alone."""


class Area(NamedTuple):
    """A continent, country, region or city with the probability of all its cells together."""

    name: str
    within: str
    """What it lies in: of a city its region and country, of a region its country; else empty."""
    code: Code
    """ISO 3166 alpha-2 of the country; empty for a continent."""
    probability: Probability


class CellProbability(NamedTuple):
    """An H3 cell and its probability."""

    cell: Annotated[str, Written(pattern="^[0-9a-f]{15}$")]
    """In hexadecimal."""
    probability: Probability


class RecordedGps(NamedTuple):
    """Where a photo's own EXIF or XMP data say it was taken. Reported beside the answer, never used for it."""

    lat: Lat
    lng: Lng
    distance_km: Kilometres
    """Great-circle, from the best prediction."""
    datum: str = ""
    """Of the position as it is written, where it is not WGS 84: up to some hundred metres away from it."""


class Promise(NamedTuple):
    """What the circles of a calibrated answer promise, and how well that is known.

    Of photos like the calibrated ones, half and nine tenths lie inside; as so few were seen, the true shares may be as
    low and as high as here: nine times of ten they are between.
    """

    photos: Annotated[int, Written(least=1)]
    """Labelled photos that the circles rest on: those that say about as much as this one does."""
    low_50: Probability
    high_50: Probability
    low_90: Probability
    high_90: Probability


class Outsider(NamedTuple):
    """One of several photos of one place that does not seem to show it."""

    query: str
    share: Probability
    """Of its own probability, what lies in the circle that holds 90 % of what all the other photos say."""
    points_to: Annotated[PlaceName | None, Written(name="place")] = None
    """Where it seems to have been taken instead."""


@dataclass(frozen=True)
class Searched:
    """What was searched, and how: everything needed to understand or repeat an answer."""

    candidates: Annotated[Candidates, Written(pattern="^(gallery|planet)$")]
    """`gallery` or `planet`."""
    index: str = ""
    """The directory of the index, as given; empty for the released gallery."""
    index_digest: str = ""
    """Names the content of the index."""
    constraint: str = ""
    """Where was searched, in words; empty is everywhere."""
    resolution: Annotated[int, Written(least=0, most=15)] = SearchOptions.resolution
    """H3 resolution of the cells."""
    effort: str = ""
    """How thoroughly was searched."""
    prior_weight: Annotated[float, Written(least=0)] = 0.0
    """Of the density of photographs; 0 asks the photo alone."""
    temperature: Annotated[float, Written(above=0)] = 1.0
    """Logits were divided by it; 1 is the model's own."""
    point: str = "all"
    """How the best point was chosen."""
    calibrated: bool = False
    """Whether temperature, prior weight and radii come from `geoclip calibrate`."""
    calibration_photos: Annotated[int, Written(least=0)] = 0
    """How many labelled photos that rests on."""


@dataclass(frozen=True, repr=False)
class Answer:
    """Where one query may have been taken, or the reason why nothing is known.

    Probabilities are over all that was searched. They are not calibrated unless `searched.calibrated`.
    """

    query: str
    """The photo's path as given, the words asked for, or the name of a vector. Bytes that are no UTF-8 are lone
    surrogates, as Python's surrogateescape has them."""
    error: str | None = field(default=None, kw_only=True)
    """Why there are no predictions, in one sentence."""
    predictions: tuple[Prediction, ...] = ()
    """The first is the answer: the best point, in the most probable area. The others are the next areas' best."""
    area_km: Kilometres = math.nan
    """Radius of the areas that predictions stand for; not known where each stands for itself alone."""
    verdict: str = ""
    """The answer in one sentence. Its numbers are those of the fields below, rounded."""
    radius_50_km: Kilometres = math.nan
    """Of the circle around the best point that holds half of the probability."""
    radius_90_km: Kilometres = math.nan
    """The same for nine tenths."""
    continents: tuple[Area, ...] = ()
    """Most probable first; each with at least 1 %, but always one; at most five."""
    countries: tuple[Area, ...] = ()
    """In the same way."""
    regions: tuple[Area, ...] = ()
    """First administrative levels, in the same way."""
    cities: tuple[Area, ...] = ()
    """In the same way."""
    cells: Sequence[CellProbability] = ()
    """A pruned tree: every H3 cell from resolution 0 to the finest with at least 0.1 %, coarse to fine, then by id."""
    entropy_bits: Annotated[float, Written(decimals=4, least=0, unknown=True)] = math.nan
    """Spatial entropy: of the probabilities of cells of resolution 3 (about 100 km across)."""
    threshold_bits: Annotated[float, Written(decimals=4, unknown=True)] = math.nan
    """The entropy above which a photo counts as not localizable."""
    localizable: bool | None = None
    """Whether the entropy is below `threshold_bits`: whether the photo says where it was taken at all."""
    estimated: Probability = 0.0
    """Share of the probability that lies in cells which were not scored one by one at the finest resolution."""
    promise: Promise | None = None
    """What the circles of a calibrated answer promise."""
    outsiders: tuple[Outsider, ...] = ()
    """Of an answer to several photos together: those that do not seem to belong, the least fitting first."""
    gps: RecordedGps | None = None
    searched: Searched = field(default_factory=lambda: Searched(Candidates.GALLERY))

    @property
    def best(self) -> Prediction:
        """The first prediction.

        Raises:
            IndexError: there is none; see `error`.
        """
        return self.predictions[0]

    def candidates(self, count: int = 10) -> tuple[Candidate, ...]:
        """Return the first areas of the answer; ask for as many places (`k=10`)."""
        return tuple(
            Candidate(rank, str(p.name or ""), p.name.code if p.name else "", p.share, p.lat, p.lng, self.area_km)
            for rank, p in enumerate(self.predictions[:count], 1)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as strings, numbers, lists and dicts, as JSON Lines have it."""
        from geoclip.answers.record import record

        return record(self)

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The places as a GeoJSON FeatureCollection, best first: for shapely, GeoPandas, folium and others."""
        from geoclip.answers.notebook import features

        return features(self)

    def to_geopandas(self) -> Any:
        """Return the places as a GeoDataFrame in WGS 84, a row each.

        Raises:
            ImportError: GeoPandas is not installed.
        """
        from index.search.features import frame

        return frame(self.__geo_interface__)

    def _repr_html_(self) -> str:
        from geoclip.answers.notebook import html

        return html(self)

    def __repr__(self) -> str:
        """Return the query, and where it may have been taken."""
        if not self.predictions:
            return f"<Answer to {self.query!r}: {self.error}>"
        best = self.best
        where = f"{best.name}, {best.lat:.5f}, {best.lng:.5f}" if best.name else f"{best.lat:.5f}, {best.lng:.5f}"
        sure = f"90 % within {self.radius_90_km:.3g} km"
        return f"<Answer to {self.query!r}: {where}; {sure}; {len(self.predictions)} places>"

    @property
    def calibrated(self) -> bool:
        """Whether temperature, prior weight and radii come from a calibration; else the model's own are shown."""
        return self.searched.calibrated
