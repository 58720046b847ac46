"""Options of `geoclip evaluate` alone."""

from pathlib import Path
from typing import Annotated

import typer

Labels = Annotated[
    Path,
    typer.Argument(
        metavar="LABELS",
        help="True places, .csv, .tsv, .jsonl or .parquet: a name (IMG_FILE, photo, image, id ...), lat and lng.",
    ),
]
Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTO... | FOLDER | VECTORS | PREDICTIONS",
        help="Photos; a file of their vectors (.parquet from `geoclip embed`, .npy in the order of the labels); or a "
        "table of predictions, this program's or another's. All photos are one system; each file is another, and "
        "several are compared.",
    ),
]
Report = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Write all figures here, as JSON.")
]
Plots = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Draw accuracy against distance, and calibration, as PNG.")
]
Errors = Annotated[Path | None, typer.Option(metavar="FILE", help="Write each photo's error here, .csv or .parquet.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is written if it exists.")]
LabelName = Annotated[str | None, typer.Option(metavar="NAME", help="Column of the labels with the photo's name.")]
LabelLat = Annotated[str | None, typer.Option(metavar="NAME", help="Column of the labels with the latitude.")]
LabelLng = Annotated[str | None, typer.Option(metavar="NAME", help="Column of the labels with the longitude.")]
Name = Annotated[
    list[str] | None,
    typer.Option(
        "--name-column",
        metavar="NAME",
        help="Column of the predictions with the photo's name; once for all tables, or once for each in order.",
    ),
]
Lat = Annotated[
    list[str] | None, typer.Option("--lat-column", metavar="NAME", help="The same for the predicted latitude.")
]
Lng = Annotated[
    list[str] | None, typer.Option("--lng-column", metavar="NAME", help="The same for the predicted longitude.")
]
Distance = Annotated[
    str,
    typer.Option(metavar="NAME", help="haversine, on a sphere of 6371 km as publications do, or geodesic, on WGS 84."),
]
Gallery = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Coordinates to look for the true places in, .csv or .parquet. Default: the gallery of --index, or of the "
        "release where photos or vectors are searched.",
    ),
]
Resamples = Annotated[
    int, typer.Option(min=100, max=100_000, help="Bootstrap resamples; fewer for more than 25,000 photos.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the resamples.")]
