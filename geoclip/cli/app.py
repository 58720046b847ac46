"""The commands and their help; each loads what it needs when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from geoclip import __version__
from geoclip.cli.arguments import Column, FromList, Overwrite
from geoclip.cli.output_options import OutputOptions
from geoclip.cli.part_options import PartOptions
from geoclip.cli.registry import app, command
from geoclip.evaluation.evaluation_options import ColumnOptions, EvaluationOptions, ReportOptions
from geoclip.option_groups import Panel
from geoclip.options import (
    FeatureOptions,
    IndexOptions,
    MachineOptions,
    ModelOptions,
    PhotoOptions,
    PlaceColumnOptions,
    SearchOptions,
    WordOptions,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"geoclip-planet {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options before a command."""


@command(
    "geoclip fetch",
    "geoclip fetch --from geoclip-1.3.0-py3-none-any.whl     [dim]# without a network[/dim]",
    "geoclip fetch --clip     [dim]# CLIP's weights too, so that later runs need no network[/dim]",
)
def fetch(
    wheel: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The wheel geoclip-1.3.0, already on disk.")
    ] = None,
    clip: Annotated[
        bool, typer.Option("--clip", help="Also download CLIP's weights (1.7 GB) into the hub's cache.")
    ] = False,
) -> None:
    """Bring the authors' released weights and gallery (40 MB) into the cache, checked and converted."""
    from geoclip.cli.model_commands import run_fetch

    run_fetch(wheel, clip=clip)


@command(
    "geoclip locate holiday.jpg",
    "geoclip locate holiday.jpg --country FR,ES --map answer.html",
    "geoclip locate a.jpg b.jpg c.jpg --index planet/ --together --crops 10",
    "geoclip locate photos/ -o answers.jsonl --resume     [dim]# goes on where it was stopped[/dim]",
    "geoclip locate photos/ -o answers.csv --xmp beside     [dim]# sidecars, marked as estimates[/dim]",
    "geoclip locate photos/ --parts answers/ --part 3/16     [dim]# one of 16 jobs; then, once: --finish[/dim]",
    "geoclip locate photos/ --parts answers/ --engine ray     [dim]# by actors of Ray, here or on a cluster[/dim]",
    "geoclip locate photos.parquet --column uri -o answers.jsonl     [dim]# at https, s3, gs or in files[/dim]",
    "geoclip locate shards/*.tar -o answers.jsonl     [dim]# photos in tar files, which stay packed[/dim]",
    "curl -s https://example.org/a.jpg | geoclip locate - -f csv",
    'geoclip locate --text "a red double-decker bus"',
)
def locate(
    words: WordOptions,
    output: OutputOptions,
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO... | FOLDER | SHARD.tar | TABLE | -",
            help="Photos or their addresses (https, s3, gs), folders of photos (searched deeply), tar files of photos, "
            "tables with a photo a row, or - for one photo on stdin.",
        ),
    ] = None,
    from_list: FromList = None,
    column: Column = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together",
            help="All photos show one place: answer once, by the mean of their logits.",
            rich_help_panel=Panel.INPUT,
        ),
    ] = False,
    by_time: Annotated[
        float | None,
        typer.Option(
            "--by-time",
            metavar="MINUTES",
            help="Photos of one camera with pauses up to this show one place: one answer for each such scene.",
            rich_help_panel=Panel.INPUT,
        ),
    ] = None,
) -> None:
    """Say where photos were taken: anywhere, with an index, or among the 100,000 places of the released gallery."""
    from geoclip.cli.locate import run

    run(photos or [], from_list, column, together, by_time, words, output, index, search, photo, model, machine)


@command(
    "geoclip embed photos/ -o vectors.parquet",
    "geoclip embed places.csv -o vectors.parquet     [dim]# columns lat, lng[/dim]",
    "geoclip embed photos/ --parts vectors/ --part 3/16     [dim]# one of 16 jobs; then, once: --finish[/dim]",
    "geoclip embed photos/ -o features.parquet --features --views 4     [dim]# for `geoclip train`[/dim]",
)
def embed(
    features: FeatureOptions,
    parts: PartOptions,
    columns: PlaceColumnOptions,
    photo: Annotated[PhotoOptions, "exclude", "max_megapixels", "as_released"],
    model: ModelOptions,
    machine: MachineOptions,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO... | FOLDER | SHARD.tar | COORDINATES.csv",
            help="Photos as for `geoclip locate`; or one table with columns lat and lng, or with --column of photos.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.parquet", help="Where to write the vectors.")
    ] = None,
    from_list: FromList = None,
    column: Column = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a stopped run.", rich_help_panel=Panel.OUTPUT)
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn photos or coordinates into unit vectors (512 numbers each) in a Parquet file."""
    from geoclip.cli.embed import run

    run(inputs or [], from_list, column, output, resume, overwrite, parts, columns, features, photo, model, machine)


@command(
    "geoclip search planet/ vectors.parquet -o hits.jsonl",
    "geoclip search planet/ vectors.npy --effort thorough -k 10",
    "geoclip search planet/ photos/     [dim]# photos need CLIP[/dim]",
    "geoclip search vectors.parquet --index none     [dim]# the released gallery in place of an index[/dim]",
)
def search(
    output: Annotated[
        OutputOptions,
        "output",
        "format",
        "map_file",
        "resume",
        "overwrite",
        "parts",
        "part",
        "part_rows",
        "finish",
        "on",
        "actors",
    ],
    index: IndexOptions,
    search: SearchOptions,
    photo: Annotated[PhotoOptions, "exclude", "max_megapixels", "as_released"],
    model: ModelOptions,
    machine: MachineOptions,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR] VECTORS | PHOTO | FOLDER | -",
            help="An index, if it comes first; then vectors (.parquet from `geoclip embed`, .npy (N, 512)), photos, "
            "or - for one of these on stdin.",
        ),
    ] = None,
    means: Annotated[
        bool,
        typer.Option(
            "--means",
            help="Vectors shorter than 1 are means of several, as of photos of one place, and keep their length.",
            rich_help_panel=Panel.INPUT,
        ),
    ] = False,
) -> None:
    """Find the best places for vectors or photos in an index. Vectors need no CLIP."""
    from geoclip.cli.search import run

    run(inputs or [], output, index, search, photo, model, machine, means=means)


@command(
    "geoclip labels photos/ -o labels.csv",
    "geoclip calibrate labels.csv photos/ --index planet/ -o calibration.json     [dim]# what they are for[/dim]",
)
def labels(
    photo: Annotated[PhotoOptions, "exclude", "max_megapixels"],
    machine: Annotated[MachineOptions, "workers"],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.csv", help="Where to write the labels.")],
    photos: Annotated[
        list[str] | None, typer.Argument(metavar="PHOTO... | FOLDER", help="Photos, or folders searched deeply.")
    ] = None,
    from_list: FromList = None,
    overwrite: Overwrite = False,
) -> None:
    """Write where photos say they were taken (EXIF, XMP, XMP sidecars, Google Takeout) as a table photo,lat,lng."""
    from geoclip.cli.labels import run

    run(photos or [], from_list, output, overwrite, photo, machine)


@command(
    "geoclip calibrate photos/ -o calibration.json     [dim]# your own photos that carry GPS[/dim]",
    "geoclip calibrate labels.csv photos/ --index planet/ -o calibration.json",
    "geoclip calibrate labels.csv vectors.parquet --index planet/ -o calibration.json",
    "geoclip locate holiday.jpg --index planet/ --calibration calibration.json",
)
def calibrate(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS | FOLDER | PHOTO",
            help="A table of true places: a name (photo, image, file, IMG_FILE ...), lat and lng. Or photos that carry "
            "GPS, or a folder of such.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.json", help="Where to keep the result.")],
    index: Annotated[IndexOptions, "index", "candidates", "engine"],
    search: Annotated[SearchOptions, "effort", "point"],
    photo: Annotated[PhotoOptions, "exclude", "crops", "max_megapixels"],
    columns: Annotated[ColumnOptions, "label_name_column", "label_lat_column", "label_lng_column", "by_order"],
    model: ModelOptions,
    machine: MachineOptions,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO... | FOLDER | VECTORS", help="The photos of a table, or a file of their vectors."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make probabilities honest: fit temperature, prior weight and circles to photos whose places are known."""
    from geoclip.cli.calibrate import run

    run(labels, inputs, output, overwrite, columns, index, search, photo, model, machine)


@command(
    "geoclip evaluate labels.csv photos/ --crops 10 -o report.json --plots plots/",
    "geoclip evaluate labels.csv vectors.parquet --index planet/ --errors errors.csv",
    "geoclip evaluate labels.csv ours.jsonl theirs.csv --lat-column LAT --lng-column LON",
)
def evaluate(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="True places, .csv, .tsv, .jsonl or .parquet: a name (IMG_FILE, photo, image, id ...), lat and lng.",
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO... | FOLDER | VECTORS | PREDICTIONS",
            help="Photos; a file of their vectors (.parquet from `geoclip embed`, .npy with --by-order); "
            "or a table of predictions, this program's or another's. All photos are one system; each file is another, "
            "and several are compared.",
        ),
    ],
    files: ReportOptions,
    columns: ColumnOptions,
    comparing: EvaluationOptions,
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Say how far answers are from the true places, how sure that is, and whether systems differ."""
    from geoclip.cli.evaluate import run

    run(labels, inputs, comparing, columns, files, index, search, photo, model, machine)


# Their commands stand after these, in this order.
from geoclip.cli import indexes as _indexes  # noqa: E402, F401, I001
from geoclip.cli import cells as _cells  # noqa: E402, F401
from geoclip.cli import fetch_index as _fetch_index  # noqa: E402, F401
from geoclip.cli import publish as _publish  # noqa: E402, F401
from geoclip.cli import models as _models  # noqa: E402, F401
from geoclip.cli import mcp as _mcp  # noqa: E402, F401
from geoclip.cli import serve as _serve  # noqa: E402, F401

__all__ = ["app"]
