"""Commands about indexes: `build`, `info`, `verify`."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.cli.arguments import Index
from geoclip.cli.registry import command
from geoclip.on_ray import Runner
from geoclip.option_groups import Panel
from geoclip.options import BuildOptions, MachineOptions, ModelOptions


@command(
    "geoclip build planet/ --dry-run     [dim]# how long, how large[/dim]",
    "geoclip build planet/     [dim]# stopped? the same command goes on[/dim]",
    "geoclip build --preset lite     [dim]# into the cache, where every command finds it[/dim]",
    "geoclip build france/ --region FR --gallery my_photos.csv",
    "geoclip build /shared/planet --part 3/16     [dim]# one of 16 jobs; then, once: --finish[/dim]",
    "geoclip build planet/ --part 3/16 --blocks s3://bucket/blocks     [dim]# without a shared folder[/dim]",
    "geoclip build planet/ --on ray         [dim]# on the machines of a Ray cluster[/dim]",
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
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="I/N",
            help="Do only the I-th of N parts, 1/N to N/N, on any machine that sees DIR or --blocks; repeat what was "
            "stopped.",
            rich_help_panel=Panel.MACHINE,
        ),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="Make the index of the parts, when all are done.", rich_help_panel=Panel.MACHINE),
    ] = False,
    blocks: Annotated[
        str | None,
        typer.Option(
            "--blocks",
            metavar="ADDRESS",
            help="Keep the blocks there (s3://bucket/folder, gs://, file:// or a folder), for machines that share no "
            "DIR. They stay there.",
            rich_help_panel=Panel.MACHINE,
        ),
    ] = None,
    on: Annotated[
        Runner,
        typer.Option(
            "--on",
            "--engine",
            help="Who encodes: this process; or Ray, on this machine or the cluster of $RAY_ADDRESS.",
            rich_help_panel=Panel.MACHINE,
        ),
    ] = Runner.HERE,
) -> None:
    """Make an index of the planet, or of a part of it. A stopped build goes on when it is started again."""
    from geoclip.cli.index_commands import How, run_build

    how = How(
        dry_run=dry_run,
        overwrite=overwrite,
        restart=restart,
        part=part,
        finish=finish,
        blocks=blocks,
        runner=on,
    )
    run_build(target, how, options, model, machine)


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
