"""Options that several commands share, each with one default."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from geoclip.encoders.precision import Precision
from geoclip.writers import Format


class Preset(StrEnum):
    """How fine the stored level of an index is."""

    LITE = "lite"
    PLANET = "planet"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PHOTO... | FOLDER | -",
        help="Photos, folders of photos (searched deeply), or - for one photo on stdin.",
    ),
]
FromList = Annotated[
    Path | None,
    typer.Option("--from-list", metavar="FILE", help="Read more paths from a file, one a line; - for stdin."),
]
Top = Annotated[int, typer.Option("--top", "-k", min=1, help="Places per query.")]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="How to write answers. Default: by the suffix of --output, else table."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write here in place of stdout: .jsonl, .csv, .parquet, .geojson or .kml; the last three are written "
        "whole.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a stopped run: skip what --output holds already.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace --output if it exists.")]
ClipCheckpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="GEOCLIP_CLIP_CHECKPOINT",
        help="CLIP ViT-L/14's weights: a file or folder in open_clip's, OpenAI's or transformers' format. "
        "Default: open_clip's model hub, downloaded once (1.7 GB).",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="DIR", help="A model of your own: a folder of `geoclip export`. Default: the released one."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Arithmetic of CLIP; auto is bf16 where the hardware has it.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Processes that decode photos. Default: one a core, at most 8."),
]
MaxMegapixels = Annotated[int, typer.Option(min=1, max=178, help="Larger photos are refused.")]
AsReleased = Annotated[
    bool,
    typer.Option(
        "--as-released",
        help="Read photos as the authors' package does: EXIF rotation ignored, alpha dropped.",
    ),
]

Index = Annotated[
    Path | None,
    typer.Option("--index", "-i", metavar="DIR", help="Search the whole planet: an index made by `geoclip build`."),
]
Resolution = Annotated[
    int | None,
    typer.Option(
        min=3, max=11, help="H3 resolution of the cells of an answer. Default: 9, about 400 m across; for an index."
    ),
]
Effort = Annotated[
    str | None, typer.Option(metavar="NAME", help="fast, default, thorough or exhaustive; for an index.")
]
PriorWeight = Annotated[
    float | None,
    typer.Option(
        min=0, max=2, help="Weight of the density of photographs: 0 asks the photo alone. Default: 0.5; for an index."
    ),
]
Candidates = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="planet: any place on land. gallery: the places of the index's gallery, or without an index of the "
        "released one, ranked as the authors' package ranks them. Default: planet with an index.",
    ),
]
Country = Annotated[
    list[str] | None,
    typer.Option("--country", metavar="FR,DE", help="Look only in these countries: codes or English names."),
]
RegionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--region", metavar="WHERE", help="Look only there: a .geojson file of polygons, or continent:Europe."
    ),
]
Bbox = Annotated[
    list[str] | None,
    typer.Option("--bbox", metavar="S,W,N,E", help="Look only in this box; west above east crosses the antimeridian."),
]
Near = Annotated[
    list[str] | None,
    typer.Option("--near", metavar="LAT,LNG,KM", help="Look only within so many kilometres of a point."),
]
NotCountry = Annotated[list[str] | None, typer.Option("--not-country", metavar="FR,DE", help="Do not look there.")]
NotRegion = Annotated[list[str] | None, typer.Option("--not-region", metavar="WHERE", help="Do not look there.")]
NotBbox = Annotated[list[str] | None, typer.Option("--not-bbox", metavar="S,W,N,E", help="Do not look there.")]
NotNear = Annotated[list[str] | None, typer.Option("--not-near", metavar="LAT,LNG,KM", help="Do not look there.")]
Point = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="How the best point is chosen: cell, the best-ranked fine cell; a number of km, the point with the most "
        "probability within that distance; geoscore, the best expected GeoGuessr score.",
    ),
]
Apart = Annotated[
    float | None,
    typer.Option(
        metavar="KM",
        help="List predictions that are at least so far apart; 0 lists neighbouring places too. Default: 50 on a "
        "planet, 0 in a gallery.",
    ),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE", help="A file of `geoclip calibrate`, for honest probabilities."),
]
MapFile = Annotated[
    Path | None,
    typer.Option("--map", metavar="FILE", help="Also draw a map: .html, which needs no network, or .png."),
]
Crops = Annotated[
    int,
    typer.Option(
        metavar="1|10", help="10 averages ten crops of each photo, as in the paper: ten times the work of CLIP."
    ),
]
MassResolution = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=11,
        help="Rank H3 cells of this resolution by their whole probability, and answer with the best place in each.",
    ),
]
GalleryPlaces = Annotated[
    bool, typer.Option("--gallery-places/--no-gallery-places", help="Try the gallery's places in the cells found too.")
]
Engine = Annotated[
    str, typer.Option(metavar="NAME", help="How coarse cells are found: auto, tree, exact or faiss-gpu.")
]
