"""Commands about models: `train`, `export`."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.cli.registry import app, command
from geoclip.cli.terminal import with_exit_codes


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
    "geoclip export site-packages/geoclip/model -o release/     [dim]# the layout of the released package[/dim]",
)
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT | FOLDER",
            help="A checkpoint of `geoclip train fit`, or a folder of another layout.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.")],
    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Coordinates for its gallery, .csv or .parquet. Default: the folder's, else the released ones.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it is a release.")] = False,
) -> None:
    """Turn a checkpoint, or a public layout, into a release: what --weights and both packages' from_pretrained take."""
    from geoclip.cli.model_commands import run_export

    run_export(checkpoint, output, gallery=gallery, overwrite=overwrite)
