"""Commands about indexes: `build`, `info`, `verify`."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.cli.arguments import Index
from geoclip.cli.registry import command
from geoclip.options import BuildOptions, MachineOptions, ModelOptions


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
