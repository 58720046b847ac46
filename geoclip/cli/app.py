"""The commands and their help; each loads what it needs when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from geoclip import __version__
from geoclip.cli.arguments import FromList, Index, Overwrite
from geoclip.cli.output_options import OutputOptions
from geoclip.cli.registry import app, command
from geoclip.cli.terminal import with_exit_codes
from geoclip.evaluation.evaluation_options import ColumnOptions, EvaluationOptions, ReportOptions
from geoclip.option_groups import Panel
from geoclip.options import (
    BuildOptions,
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
            metavar="PHOTO... | FOLDER | -",
            help="Photos, folders of photos (searched deeply), or - for one photo on stdin.",
        ),
    ] = None,
    from_list: FromList = None,
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

    run(photos or [], from_list, together, by_time, words, output, index, search, photo, model, machine)


@command(
    "geoclip embed photos/ -o vectors.parquet",
    "geoclip embed places.csv -o vectors.parquet     [dim]# columns lat, lng[/dim]",
    "geoclip embed photos/ -o features.parquet --features --views 4     [dim]# for `geoclip train`[/dim]",
)
def embed(
    features: FeatureOptions,
    columns: PlaceColumnOptions,
    photo: Annotated[PhotoOptions, "exclude", "max_megapixels", "as_released"],
    model: ModelOptions,
    machine: MachineOptions,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO... | FOLDER | COORDINATES.csv",
            help="Photos, or one table with columns lat and lng.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.parquet", help="Where to write the vectors.")
    ] = None,
    from_list: FromList = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a stopped run.", rich_help_panel=Panel.OUTPUT)
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn photos or coordinates into unit vectors (512 numbers each) in a Parquet file."""
    from geoclip.cli.embed import run

    run(inputs or [], from_list, output, resume, overwrite, columns, features, photo, model, machine)


@command(
    "geoclip search planet/ vectors.parquet -o hits.jsonl",
    "geoclip search planet/ vectors.npy --effort thorough -k 10",
    "geoclip search planet/ photos/     [dim]# photos need CLIP[/dim]",
    "geoclip search vectors.parquet --index none     [dim]# the released gallery in place of an index[/dim]",
)
def search(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[DIR] VECTORS | PHOTO | FOLDER | -",
            help="An index, if it comes first; then vectors (.parquet from `geoclip embed`, .npy (N, 512)), photos, "
            "or - for one of these on stdin.",
        ),
    ],
    output: Annotated[OutputOptions, "output", "format", "map_file", "resume", "overwrite"],
    index: IndexOptions,
    search: SearchOptions,
    photo: Annotated[PhotoOptions, "exclude", "max_megapixels", "as_released"],
    model: ModelOptions,
    machine: MachineOptions,
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

    run(inputs, output, index, search, photo, model, machine, means=means)


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


@command(
    "geoclip build planet/ --dry-run     [dim]# how long, how large[/dim]",
    "geoclip build planet/     [dim]# stopped? the same command goes on[/dim]",
    "geoclip build --preset lite     [dim]# into the cache, where every command finds it[/dim]",
    "geoclip build france/ --region FR --gallery my_photos.csv",
)
def build(
    options: BuildOptions,
    model: Annotated[ModelOptions, "weights"],
    machine: Annotated[MachineOptions, "device", "precision"],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="The directory to make. Default: the preset's name, in the cache."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and build nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it exists.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Discard what a stopped build left.")] = False,
) -> None:
    """Make an index of the planet, or of a part of it. A stopped build goes on when it is started again."""
    from geoclip.cli.index_commands import run_build

    run_build(target, dry_run, overwrite, restart, options, model, machine)


@command("geoclip info planet/", "geoclip info lite")
def info(index: Index) -> None:
    """Say what an index is made of."""
    from geoclip.cli.index_commands import run_info

    run_info(index)


@command("geoclip verify planet/")
def verify(index: Index) -> None:
    """Read an index whole and compare it with its checksums. Exit code 1 if it is damaged."""
    from geoclip.cli.index_commands import run_verify

    run_verify(index)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip train fit --config configs/finetune.yaml --data.train labels.csv --data.images photos/\n\n"
    "geoclip train fit --help     [dim]# every key of a configuration[/dim]",
)
@with_exit_codes
def train(context: typer.Context) -> None:
    """Train the encoders: fit, validate or test, by a configuration file. Needs the packages of the extra `train`."""
    from geoclip.cli.model_commands import run_train

    run_train(context.args, context.get_help)


@command(
    "geoclip export runs/finetune/version_0/checkpoints/best.ckpt -o release/",
    "geoclip build planet/ --weights release/",
)
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of `geoclip train fit`.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.")],
    gallery: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Coordinates for its gallery, .csv or .parquet. Default: the released ones."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it is a release.")] = False,
) -> None:
    """Turn a checkpoint into a release: what --weights and both packages' from_pretrained take."""
    from geoclip.cli.model_commands import run_export

    run_export(checkpoint, output, gallery=gallery, overwrite=overwrite)


from geoclip.cli import mcp as _mcp  # noqa: E402, F401 - their commands stand last
from geoclip.cli import serve as _serve  # noqa: E402, F401

__all__ = ["app"]
