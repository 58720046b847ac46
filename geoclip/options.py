"""Every option that the command line and the library share: its name, type, default, limits and help, stated once.

The groups are dataclasses, see `geoclip.option_groups`. Importing this loads nothing heavy.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from geoclip.encoders.precision import Precision
from geoclip.errors import InputError
from geoclip.option_groups import Help, Options, Panel
from index.search.efforts import EffortName
from index.search.engine import EngineName
from index.search.question import Question

if TYPE_CHECKING:
    from geoclip.photos.decode import DecodeLimits
    from index.grid.constraint import Constraint


class Candidates(StrEnum):
    """What can be the answer."""

    PLANET = "planet"
    """Any place on land, through an index."""
    GALLERY = "gallery"
    """The places of a gallery."""


class Preset(StrEnum):
    """How fine the stored cells of an index are; also the name of its folder in the cache. The finest stands first."""

    PLANET = "planet"
    LITE = "lite"

    @property
    def coarse_res(self) -> int:
        """H3 resolution of the stored cells."""
        return {Preset.PLANET: 6, Preset.LITE: 5}[self]


@dataclass(frozen=True)
class SearchOptions(Options):
    """What is asked: where to look, how hard, and how an answer is read off what is found."""

    k: Annotated[int, Help("Places per query.", names=("--top", "-k"), least=1)] = 5
    country: Annotated[
        tuple[str, ...], Help("Look only in these countries: codes or English names.", metavar="FR,DE")
    ] = ()
    near: Annotated[tuple[str, ...], Help("Look only within so many kilometres of a point.", metavar="LAT,LNG,KM")] = ()
    region: Annotated[
        tuple[str, ...],
        Help("Look only there: a .geojson file of polygons, or continent:Europe.", Panel.WHERE, metavar="WHERE"),
    ] = ()
    bbox: Annotated[
        tuple[str, ...],
        Help("Look only in this box; west above east crosses the antimeridian.", Panel.WHERE, metavar="S,W,N,E"),
    ] = ()
    not_country: Annotated[tuple[str, ...], Help("Do not look there.", Panel.WHERE, metavar="FR,DE")] = ()
    not_region: Annotated[tuple[str, ...], Help("Do not look there.", Panel.WHERE, metavar="WHERE")] = ()
    not_bbox: Annotated[tuple[str, ...], Help("Do not look there.", Panel.WHERE, metavar="S,W,N,E")] = ()
    not_near: Annotated[tuple[str, ...], Help("Do not look there.", Panel.WHERE, metavar="LAT,LNG,KM")] = ()
    effort: Annotated[EffortName, Help("How hard to search an index.")] = EffortName.DEFAULT
    point: Annotated[
        str | None,
        Help(
            "How the best point is chosen: all, the place with the most probability around it at all distances from 1 "
            "to 2,500 km; a number of km, the most within that distance; geoscore, the best expected GeoGuessr score; "
            "cell, the best-ranked place. Default: all on a planet, cell in a gallery.",
            Panel.SEARCH,
            metavar="HOW",
        ),
    ] = None
    apart_km: Annotated[
        float | None,
        Help(
            "Radius of the areas that are listed, each by its best place; 0 lists the best-ranked places, however "
            "close. Default: as large as the distribution is wide; 0 in a gallery.",
            Panel.SEARCH,
            ("--apart",),
            metavar="KM",
        ),
    ] = None
    resolution: Annotated[
        int,
        Help(
            "H3 resolution of an answer's cells; 9 is about 400 m across. Of an index.", Panel.SEARCH, least=3, most=11
        ),
    ] = Question.resolution
    prior_weight: Annotated[
        float,
        Help(
            "Weight of the density of photographs: 0 asks the photo alone. Of an index.", Panel.SEARCH, least=0, most=2
        ),
    ] = 0.5
    mass_resolution: Annotated[
        int | None,
        Help(
            "Rank H3 cells of this resolution by their whole probability, and answer with the best place in each.",
            Panel.SEARCH,
            least=0,
            most=11,
        ),
    ] = None
    gallery_places: Annotated[bool, Help("Try the gallery's places in the cells found too.", Panel.SEARCH)] = True

    @cached_property
    def constraint(self) -> "Constraint":
        """Where to look.

        Raises:
            InputError: an option cannot be read, or no place is left.
        """
        from index.grid.constraint import Constraint

        try:
            return Constraint.parse(**{name: getattr(self, name) for name in _WHERE})
        except ValueError as error:
            raise InputError(str(error)) from error

    def check(self, candidates: Candidates) -> None:
        """Refuse what only an index answers.

        Raises:
            InputError: such an option was changed, and the candidates are those of a gallery.
        """
        if candidates is Candidates.PLANET:
            return
        default = type(self)()
        given = [name for name in _OF_AN_INDEX if getattr(self, name) != getattr(default, name)]
        if self.prior_weight == 0:  # as in every gallery
            given = [name for name in given if name != "prior_weight"]
        if given:
            names = ", ".join(name.replace("_", " ") for name in given)
            raise InputError(
                f"Only a search of the planet has a choice of {names}, and this is one of a gallery; leave it out, or "
                "name an index with --index, without --candidates gallery."
            )


_WHERE = ("country", "region", "bbox", "near", "not_country", "not_region", "not_bbox", "not_near")
_OF_AN_INDEX = ("resolution", "effort", "prior_weight", "mass_resolution")


@dataclass(frozen=True)
class IndexOptions(Options):
    """What is searched."""

    index: Annotated[
        str | None,
        Help(
            "An index made by `geoclip build`: its folder, or planet or lite for one in the cache; none for the "
            "released gallery. Default: the finest in the cache, else the gallery.",
            names=("--index", "-i"),
            metavar="DIR",
        ),
    ] = None
    candidates: Annotated[
        Candidates | None,
        Help(
            "planet: any place on land. gallery: the places of the index's gallery, or without an index of the "
            "released one, ranked as the authors' package ranks them. Default: planet with an index.",
            Panel.WHERE,
        ),
    ] = None
    calibration: Annotated[
        Path | None, Help("A file of `geoclip calibrate`, for honest probabilities.", Panel.SEARCH, metavar="FILE")
    ] = None
    engine: Annotated[EngineName, Help("How coarse cells are found.", Panel.MACHINE, ("--coarse-engine",))] = (
        EngineName.AUTO
    )


@dataclass(frozen=True)
class PhotoOptions(Options):
    """Which photos of a folder are read, and how."""

    exclude: Annotated[
        tuple[str, ...],
        Help("Leave out what is called so in folders, such as thumbs or *_small.jpg.", Panel.INPUT, metavar="PATTERN"),
    ] = ()
    crops: Annotated[
        int,
        Help("10 averages ten crops of each photo, as in the paper: ten times the work of CLIP.", metavar="1|10"),
    ] = 1
    max_megapixels: Annotated[
        int, Help("Larger photos are refused; a JPEG may have four times as many.", Panel.INPUT, least=1, most=1000)
    ] = 178
    as_released: Annotated[
        bool,
        Help(
            "Read photos as the authors' package does: EXIF rotation and colour profile ignored, alpha dropped.",
            Panel.INPUT,
        ),
    ] = False

    def limits(self) -> "DecodeLimits":
        """Return them as the decoder takes them."""
        from geoclip.photos.decode import DecodeLimits

        return DecodeLimits(max_pixels=self.max_megapixels * 1_000_000, as_released=self.as_released, crops=self.crops)


@dataclass(frozen=True)
class WordOptions(Options):
    """Words to locate, or said about photos."""

    text: Annotated[
        tuple[str, ...],
        Help("Locate words; repeatable. With photos: words about all of them.", metavar="WORDS"),
    ] = ()
    text_weight: Annotated[
        float,
        Help("How much words count beside photos: 0 not at all, 1 alone.", Panel.INPUT, least=0, most=1),
    ] = 0.3


@dataclass(frozen=True)
class FeatureOptions(Options):
    """What is written in place of vectors, for training.

    Raises:
        InputError: there are several views of vectors.
    """

    features: Annotated[bool, Help("Write CLIP's features (768 numbers) in place of vectors: for training.")] = False
    views: Annotated[
        int, Help("With --features: views of each photo; all but the first are random.", Panel.INPUT, least=1, most=255)
    ] = 1
    seed: Annotated[int, Help("Of the random views.", Panel.INPUT, least=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.views > 1 and not self.features:
            raise InputError(f"--views {self.views} needs --features; vectors are of the photos themselves.")


@dataclass(frozen=True)
class PlaceColumnOptions(Options):
    """How the columns of a table of places are called, where they are not recognised by themselves."""

    lat_column: Annotated[
        str | None, Help("Column of the table of places with the latitude.", Panel.COLUMNS, metavar="NAME")
    ] = None
    lng_column: Annotated[str | None, Help("The same for the longitude.", Panel.COLUMNS, metavar="NAME")] = None


@dataclass(frozen=True)
class BuildOptions(PlaceColumnOptions):
    """What an index is made of."""

    preset: Annotated[Preset, Help("lite stores H3 resolution 5 (0.5 GB); planet resolution 6 (1.7 GB).")] = (
        Preset.PLANET
    )
    region: Annotated[
        str | None, Help("Only there, as in `geoclip locate --region`. Default: all land.", metavar="WHERE")
    ] = None
    coarse_res: Annotated[
        int | None, Help("Resolution of the stored cells, in place of a preset.", Panel.BUILD, least=3, most=8)
    ] = None
    start_res: Annotated[
        int | None,
        Help(
            "Resolution that a search compares whole. Default: 3, below the stored one.", Panel.BUILD, least=0, most=7
        ),
    ] = None
    gallery: Annotated[
        Path | None,
        Help(
            "Places of photographs for the prior: a table with lat and lng. Default: the released 100,000.",
            metavar="FILE",
        ),
    ] = None
    no_gallery: Annotated[bool, Help("No gallery: the prior is the land's area.", Panel.BUILD)] = False
    rejected: Annotated[
        Path | None, Help("Write the gallery's unusable rows here.", Panel.BUILD, metavar="FILE.csv")
    ] = None
    memory: Annotated[float, Help("What a block may take.", Panel.MACHINE, metavar="GB", least=0.05)] = 4.0

    @property
    def stored_res(self) -> int:
        """H3 resolution of the stored cells."""
        return self.preset.coarse_res if self.coarse_res is None else self.coarse_res

    @property
    def compared_res(self) -> int:
        """H3 resolution that a search compares whole."""
        return min(3, self.stored_res - 1) if self.start_res is None else self.start_res


@dataclass(frozen=True)
class ModelOptions(Options):
    """Which weights."""

    weights: Annotated[
        Path | None,
        Help(
            "Another model: a folder of `geoclip export`, or its address (hf://, https://, s3://). Default: the "
            "released one.",
            Panel.MODEL,
            metavar="DIR",
        ),
    ] = None
    clip_path: Annotated[
        Path | None,
        Help(
            "CLIP ViT-L/14's weights: a file or folder in open_clip's, OpenAI's or transformers' format. Default: "
            "$GEOCLIP_CLIP_CHECKPOINT, else open_clip's model hub, downloaded once (1.7 GB).",
            Panel.MODEL,
            ("--clip-checkpoint",),
            metavar="FILE",
        ),
    ] = None


@dataclass(frozen=True)
class MachineOptions(Options):
    """Where and how to compute."""

    device: Annotated[str, Help("auto, cpu, cuda or cuda:N.", Panel.MACHINE)] = "auto"
    precision: Annotated[
        Precision, Help("Arithmetic of the encoders; auto is bf16 where the hardware has it.", Panel.MACHINE)
    ] = Precision.AUTO
    workers: Annotated[
        int | None,
        Help("Processes that decode photos. Default: one a core, at most 8.", Panel.MACHINE, least=1, most=256),
    ] = None

    @property
    def processes(self) -> int:
        """Processes to decode in."""
        from geoclip.photos.pool import default_workers

        return default_workers() if self.workers is None else self.workers
