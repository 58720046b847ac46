"""The commands and their help; each loads what it needs when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from geoclip import __version__
from geoclip.cli import options
from geoclip.cli.terminal import with_exit_codes
from geoclip.precision import Precision

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
    "geoclip locate photos/ -o answers.jsonl --resume     [dim]# goes on where it was stopped[/dim]\n\n"
    "curl -s https://example.org/a.jpg | geoclip locate - -f csv\n\n"
    'geoclip locate --text "a red double-decker bus"'
)
@with_exit_codes
def locate(
    photos: options.Inputs = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="WORDS", help="Locate words in place of photos; repeatable."),
    ] = None,
    from_list: options.FromList = None,
    top: options.Top = 5,
    format: options.FormatOption = None,  # noqa: A002 - the option's name
    output: options.Output = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    clip_checkpoint: options.ClipCheckpoint = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
    as_released: options.AsReleased = False,
) -> None:
    """Say where photos were taken: the best places among the 100,000 of the released gallery."""
    from geoclip.cli.locate import run
    from geoclip.cli.session import Encoding, Target

    run(
        photos or [],
        texts=text or [],
        from_list=from_list,
        top=top,
        target=Target.chosen(output, format, resume=resume, overwrite=overwrite),
        encoding=Encoding(clip_checkpoint, device, precision, workers, max_megapixels, as_released),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "geoclip embed photos/ -o vectors.parquet\n\n"
    "geoclip embed places.csv -o vectors.parquet     [dim]# columns lat, lng[/dim]"
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
    from_list: options.FromList = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    clip_checkpoint: options.ClipCheckpoint = None,
    device: options.Device = "auto",
    precision: options.PrecisionOption = Precision.AUTO,
    workers: options.Workers = None,
    max_megapixels: options.MaxMegapixels = 178,
    as_released: options.AsReleased = False,
) -> None:
    """Turn photos or coordinates into unit vectors (512 numbers each) in a Parquet file."""
    from geoclip.cli.embed import run
    from geoclip.cli.session import Encoding

    run(
        inputs or [],
        output=output,
        from_list=from_list,
        resume=resume,
        overwrite=overwrite,
        encoding=Encoding(clip_checkpoint, device, precision, workers, max_megapixels, as_released),
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\ngeoclip search vectors.parquet\n\ngeoclip search vectors.npy -k 10 -o hits.csv"
)
@with_exit_codes
def search(
    vectors: Annotated[
        Path, typer.Argument(metavar="VECTORS", help=".parquet from `geoclip embed`, or .npy (N, 512).")
    ],
    top: options.Top = 5,
    format: options.FormatOption = None,  # noqa: A002 - the option's name
    output: options.Output = None,
    overwrite: options.Overwrite = False,
    device: options.Device = "auto",
) -> None:
    """Find the best places for vectors made earlier. Needs no CLIP."""
    from geoclip.cli.search import run
    from geoclip.cli.session import Target

    run(
        vectors,
        top=top,
        target=Target.chosen(output, format, resume=False, overwrite=overwrite),
        device=device,
    )
