"""The commands and their help; each loads what it needs when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from geoclip import __version__
from geoclip.cli import evaluate_options, options
from geoclip.cli.options import Preset
from geoclip.cli.terminal import with_exit_codes
from geoclip.encoders.precision import Precision

app = typer.Typer(
    name="geoclip",
    help="Where was this photo taken? GeoCLIP's trained encoders as a search engine. Everything runs on this machine; "
    "no photo leaves it.",
    epilog="Weights are kept in ~/.cache/geoclip-planet; set GEOCLIP_CACHE to keep them elsewhere. "
    "Exit codes: 0 done, 1 some photos failed (each named), 2 nothing could be done, 130 stopped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
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


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip fetch\n\n"
    "geoclip fetch --from geoclip-1.3.0-py3-none-any.whl     [dim]# without a network[/dim]\n\n"
    "geoclip fetch --clip     [dim]# CLIP's weights too, so that later runs need no network[/dim]"
)
@with_exit_codes
def fetch(
    wheel: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The wheel geoclip-1.3.0, already on disk.")
    ] = None,
    clip: Annotated[
        bool, typer.Option("--clip", help="Also download CLIP's weights (1.7 GB) into the hub's cache.")
    ] = False,
) -> None:
    """Bring the authors' released weights and gallery (40 MB) into the cache, checked and converted."""
    from geoclip.cli.fetch import run

    run(wheel, clip=clip)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip locate holiday.jpg\n\n"
    "geoclip locate holiday.jpg --index planet/ --country FR,ES --map answer.html\n\n"
    "geoclip locate a.jpg b.jpg c.jpg --index planet/ --together --crops 10\n\n"
    "geoclip locate photos/ -o answers.jsonl --resume     [dim]# goes on where it was stopped[/dim]\n\n"
    "curl -s https://example.org/a.jpg | geoclip locate - -f csv\n\n"
    'geoclip locate --text "a red double-decker bus"'
)
@with_exit_codes
def locate(
    photos: options.Inputs = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="WORDS", help="Locate words; repeatable. With photos: words about all of them."),
    ] = None,
    text_weight: Annotated[
        float, typer.Option(min=0, max=1, help="How much words count beside photos: 0 not at all, 1 alone.")
    ] = 0.3,
    together: Annotated[
        bool, typer.Option("--together", help="All photos show one place: answer once, by the mean of their logits.")
    ] = False,
    crops: options.Crops = 1,
    from_list: options.FromList = None,
    top: options.Top = 5,
    format: options.FormatOption = None,  # noqa: A002 - the option's name
    output: options.Output = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    map_file: options.MapFile = None,
    index: options.Index = None,
    candidates: options.Candidates = None,
    country: options.Country = None,
    region: options.RegionOption = None,
    bbox: options.Bbox = None,
    near: options.Near = None,
    not_country: options.NotCountry = None,
    not_region: options.NotRegion = None,
    not_bbox: options.NotBbox = None,
    not_near: options.NotNear = None,
    point: options.Point = "cell",
    apart: options.Apart = None,
    resolution: options.Resolution = None,
    effort: options.Effort = None,
    prior_weight: options.PriorWeight = None,
    calibration: options.CalibrationFile = None,
    mass_resolution: options.MassResolution = None,
    gallery_places: options.GalleryPlaces = True,
    engine: options.Engine = "auto",
    clip_checkpoint: options.ClipCheckpoint = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
    as_released: options.AsReleased = False,
) -> None:
    """Say where photos were taken: anywhere, with --index, or among the 100,000 places of the released gallery."""
    from geoclip.cli.locate import run
    from geoclip.cli.session import Encoding, Search, Where
    from geoclip.writers import Output

    run(
        photos or [],
        texts=text or [],
        text_weight=text_weight,
        together=together,
        from_list=from_list,
        top=top,
        map_file=map_file,
        output=Output(output, format, resume=resume, overwrite=overwrite),
        encoding=Encoding(
            clip_checkpoint, device, precision, workers, max_megapixels, as_released, crops, weights=weights
        ),
        search=Search(
            index=index,
            candidates=candidates,
            where=Where(
                country=country or (),
                region=region or (),
                bbox=bbox or (),
                near=near or (),
                not_country=not_country or (),
                not_region=not_region or (),
                not_bbox=not_bbox or (),
                not_near=not_near or (),
            ),
            point=point,
            apart_km=apart,
            resolution=resolution,
            effort=effort,
            prior_weight=prior_weight,
            calibration=calibration,
            mass_resolution=mass_resolution,
            gallery_places=gallery_places,
            engine=engine,
        ),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip embed photos/ -o vectors.parquet\n\n"
    "geoclip embed places.csv -o vectors.parquet     [dim]# columns lat, lng[/dim]\n\n"
    "geoclip embed photos/ -o features.parquet --features --views 4     [dim]# for `geoclip train`[/dim]"
)
@with_exit_codes
def embed(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO... | FOLDER | COORDINATES.csv",
            help="Photos, or one table with columns lat and lng.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.parquet", help="Where to write the vectors."),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Write CLIP's features (768 numbers) in place of vectors: for training.")
    ] = False,
    views: Annotated[
        int, typer.Option(min=1, max=255, help="With --features: views of each photo; all but the first are random.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the random views.")] = 0,
    from_list: options.FromList = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    clip_checkpoint: options.ClipCheckpoint = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
    as_released: options.AsReleased = False,
) -> None:
    """Turn photos or coordinates into unit vectors (512 numbers each) in a Parquet file."""
    from geoclip.cli.embed import Features, run
    from geoclip.cli.session import Encoding
    from geoclip.errors import InputError

    if views > 1 and not features:
        raise InputError(f"--views {views} needs --features; vectors are of the photos themselves.")
    run(
        inputs or [],
        output=output,
        from_list=from_list,
        resume=resume,
        overwrite=overwrite,
        features=Features(views, seed) if features else None,
        encoding=Encoding(clip_checkpoint, device, precision, workers, max_megapixels, as_released, weights=weights),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip search planet/ vectors.parquet -o hits.jsonl\n\n"
    "geoclip search planet/ vectors.npy --effort thorough -k 10\n\n"
    "geoclip search planet/ photos/     [dim]# photos need CLIP[/dim]\n\n"
    "geoclip search vectors.parquet     [dim]# the released gallery in place of an index[/dim]"
)
@with_exit_codes
def search(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[DIR] VECTORS | PHOTO | FOLDER | -",
            help="An index, if it comes first; then vectors (.parquet from `geoclip embed`, .npy (N, 512)), photos, "
            "or - for one of these on stdin.",
        ),
    ],
    top: options.Top = 5,
    format: options.FormatOption = None,  # noqa: A002 - the option's name
    output: options.Output = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    map_file: options.MapFile = None,
    index: options.Index = None,
    candidates: options.Candidates = None,
    country: options.Country = None,
    region: options.RegionOption = None,
    bbox: options.Bbox = None,
    near: options.Near = None,
    not_country: options.NotCountry = None,
    not_region: options.NotRegion = None,
    not_bbox: options.NotBbox = None,
    not_near: options.NotNear = None,
    point: options.Point = "cell",
    apart: options.Apart = None,
    resolution: options.Resolution = None,
    effort: options.Effort = None,
    prior_weight: options.PriorWeight = None,
    calibration: options.CalibrationFile = None,
    mass_resolution: options.MassResolution = None,
    gallery_places: options.GalleryPlaces = True,
    engine: options.Engine = "auto",
    clip_checkpoint: options.ClipCheckpoint = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
    as_released: options.AsReleased = False,
) -> None:
    """Find the best places for vectors or photos in an index. Vectors need no CLIP."""
    from geoclip.cli.search import run
    from geoclip.cli.session import Encoding, Search, Where
    from geoclip.writers import Output

    run(
        inputs,
        top=top,
        map_file=map_file,
        output=Output(output, format, resume=resume, overwrite=overwrite),
        encoding=Encoding(clip_checkpoint, device, precision, workers, max_megapixels, as_released, weights=weights),
        search=Search(
            index=index,
            candidates=candidates,
            where=Where(
                country=country or (),
                region=region or (),
                bbox=bbox or (),
                near=near or (),
                not_country=not_country or (),
                not_region=not_region or (),
                not_bbox=not_bbox or (),
                not_near=not_near or (),
            ),
            point=point,
            apart_km=apart,
            resolution=resolution,
            effort=effort,
            prior_weight=prior_weight,
            calibration=calibration,
            mass_resolution=mass_resolution,
            gallery_places=gallery_places,
            engine=engine,
        ),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip calibrate labels.csv photos/ --index planet/ -o calibration.json\n\n"
    "geoclip calibrate labels.csv vectors.parquet --index planet/ -o calibration.json\n\n"
    "geoclip locate holiday.jpg --index planet/ --calibration calibration.json"
)
@with_exit_codes
def calibrate(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="CSV or Parquet of true places: a name (photo, image, file, IMG_FILE ...), lat and lng.",
        ),
    ],
    inputs: Annotated[
        list[str], typer.Argument(metavar="PHOTO... | FOLDER | VECTORS", help="The photos, or a file of their vectors.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.json", help="Where to keep the result.")],
    overwrite: options.Overwrite = False,
    index: options.Index = None,
    candidates: options.Candidates = None,
    effort: options.Effort = None,
    point: options.Point = "cell",
    crops: options.Crops = 1,
    engine: options.Engine = "auto",
    clip_checkpoint: options.ClipCheckpoint = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
) -> None:
    """Make probabilities honest: fit temperature, prior weight and circles to photos whose places are known."""
    from geoclip.cli.calibrate import run
    from geoclip.cli.session import Encoding, Search

    run(
        labels,
        inputs,
        output=output,
        overwrite=overwrite,
        encoding=Encoding(clip_checkpoint, device, precision, workers, max_megapixels, False, crops, weights=weights),
        search=Search(index=index, candidates=candidates, effort=effort, point=point, engine=engine),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip evaluate labels.csv photos/ --crops 10 -o report.json --plots plots/\n\n"
    "geoclip evaluate labels.csv vectors.parquet --index planet/ --errors errors.csv\n\n"
    "geoclip evaluate labels.csv ours.jsonl theirs.csv --lat-column LAT --lng-column LON"
)
@with_exit_codes
def evaluate(
    labels: evaluate_options.Labels,
    inputs: evaluate_options.Inputs,
    output: evaluate_options.Report = None,
    plots: evaluate_options.Plots = None,
    errors: evaluate_options.Errors = None,
    overwrite: evaluate_options.Overwrite = False,
    label_name_column: evaluate_options.LabelName = None,
    label_lat_column: evaluate_options.LabelLat = None,
    label_lng_column: evaluate_options.LabelLng = None,
    name_column: evaluate_options.Name = None,
    lat_column: evaluate_options.Lat = None,
    lng_column: evaluate_options.Lng = None,
    distance: evaluate_options.Distance = "haversine",
    gallery: evaluate_options.Gallery = None,
    resamples: evaluate_options.Resamples = 2000,
    seed: evaluate_options.Seed = 0,
    crops: options.Crops = 1,
    top: options.Top = 5,
    index: options.Index = None,
    candidates: options.Candidates = None,
    country: options.Country = None,
    region: options.RegionOption = None,
    bbox: options.Bbox = None,
    near: options.Near = None,
    not_country: options.NotCountry = None,
    not_region: options.NotRegion = None,
    not_bbox: options.NotBbox = None,
    not_near: options.NotNear = None,
    point: options.Point = "cell",
    apart: options.Apart = None,
    resolution: options.Resolution = None,
    effort: options.Effort = None,
    prior_weight: options.PriorWeight = None,
    calibration: options.CalibrationFile = None,
    mass_resolution: options.MassResolution = None,
    gallery_places: options.GalleryPlaces = True,
    engine: options.Engine = "auto",
    clip_checkpoint: options.ClipCheckpoint = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
    as_released: options.AsReleased = False,
) -> None:
    """Say how far answers are from the true places, how sure that is, and whether systems differ."""
    from geoclip.cli.evaluate import run
    from geoclip.cli.session import Encoding, Search, Where
    from geoclip.evaluation.evaluating import EvaluationOptions
    from geoclip.evaluation.outputs import Outputs
    from geoclip.evaluation.predictions import Columns

    run(
        labels,
        inputs,
        label_columns=Columns(label_name_column, label_lat_column, label_lng_column),
        columns=(name_column or (), lat_column or (), lng_column or ()),
        protocol=EvaluationOptions(distance, top, resamples, seed, gallery),
        outputs=Outputs(output, plots, errors, overwrite),
        encoding=Encoding(
            clip_checkpoint, device, precision, workers, max_megapixels, as_released, crops, weights=weights
        ),
        search=Search(
            index=index,
            candidates=candidates,
            where=Where(
                country=country or (),
                region=region or (),
                bbox=bbox or (),
                near=near or (),
                not_country=not_country or (),
                not_region=not_region or (),
                not_bbox=not_bbox or (),
                not_near=not_near or (),
            ),
            point=point,
            apart_km=apart,
            resolution=resolution,
            effort=effort,
            prior_weight=prior_weight,
            calibration=calibration,
            mass_resolution=mass_resolution,
            gallery_places=gallery_places,
            engine=engine,
        ),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip build planet/ --dry-run     [dim]# how long, how large[/dim]\n\n"
    "geoclip build planet/     [dim]# stopped? the same command goes on[/dim]\n\n"
    "geoclip build france/ --region FR --gallery my_photos.csv"
)
@with_exit_codes
def build(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The directory to make.")],
    preset: Annotated[
        Preset, typer.Option(help="lite stores H3 resolution 5 (0.4 GB); planet resolution 6 (2.6 GB).")
    ] = Preset.PLANET,
    coarse_res: Annotated[
        int | None, typer.Option(min=3, max=8, help="Resolution of the stored cells, in place of a preset.")
    ] = None,
    start_res: Annotated[
        int | None,
        typer.Option(min=0, max=7, help="Resolution that a search compares whole. Default: 3, below the stored one."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="Only there, as in `geoclip locate --region`. Default: all land."),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Coordinates of photographs, .csv or .parquet, for the prior. Default: the released 100,000.",
        ),
    ] = None,
    no_gallery: Annotated[bool, typer.Option("--no-gallery", help="No gallery: the prior is the land's area.")] = False,
    rejected: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write the gallery's unusable rows here.")
    ] = None,
    memory: Annotated[float, typer.Option(min=0.05, metavar="GB", help="What a block may take.")] = 4.0,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Arithmetic of the encoder; auto is bf16 where the hardware has it.")
    ] = Precision.AUTO,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and build nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it exists.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Discard what a stopped build left.")] = False,
) -> None:
    """Make an index of the planet, or of a part of it. A stopped build goes on when it is started again."""
    from geoclip.cli.build import COARSE_RES, BuildOptions, run

    chosen = COARSE_RES[preset] if coarse_res is None else coarse_res
    start = min(3, chosen - 1) if start_res is None else start_res
    options_ = BuildOptions(chosen, start, region, gallery, no_gallery, rejected, memory, device, precision, weights)
    run(target, options_, dry_run=dry_run, overwrite=overwrite, restart=restart)


@app.command(epilog="[bold]Examples[/bold]\n\ngeoclip info planet/")
@with_exit_codes
def info(index: Annotated[Path, typer.Argument(metavar="DIR", help="An index.")]) -> None:
    """Say what an index is made of."""
    from geoclip.cli.build import info as run

    run(index)


@app.command(epilog="[bold]Examples[/bold]\n\ngeoclip verify planet/")
@with_exit_codes
def verify(index: Annotated[Path, typer.Argument(metavar="DIR", help="An index.")]) -> None:
    """Read an index whole and compare it with its checksums. Exit code 1 if it is damaged."""
    from geoclip.cli.build import verify as run

    run(index)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip train fit --config configs/finetune.yaml --data.train labels.csv --data.images photos/\n\n"
    "geoclip train fit --help     [dim]# every key of a configuration[/dim]",
)
@with_exit_codes
def train(context: typer.Context) -> None:
    """Train the encoders: fit, validate or test, by a configuration file. Needs the packages of the extra `train`."""
    from geoclip.cli.train import run

    run(context.args)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip export runs/finetune/version_0/checkpoints/best.ckpt -o release/\n\n"
    "geoclip build planet/ --weights release/"
)
@with_exit_codes
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
    from geoclip.cli.export import run

    run(checkpoint, output, gallery=gallery, overwrite=overwrite)
