"""`geoclip cells`."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.cli.arguments import Index, Overwrite
from geoclip.cli.registry import command
from geoclip.option_groups import Panel
from geoclip.options import MachineOptions, ModelOptions


@command(
    "geoclip cells planet/ --resolution 5 -o cells.parquet",
    "geoclip cells iberia/ --vectors -o cells.parquet     [dim]# with the vector of each cell's centre[/dim]",
)
def cells(
    index: Index,
    model: Annotated[ModelOptions, "weights"],
    machine: Annotated[MachineOptions, "device", "precision"],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.parquet", help="The file to make.")],
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", help="H3 resolution; default: that of the stored cells. One finer is the finest."),
    ] = None,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Also the unit vector of each cell's centre.", rich_help_panel=Panel.MODEL)
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the cells of an index as a table (GeoParquet): prior, land, country, outline; to join with your data."""
    from geoclip.answers.source import index_folder
    from geoclip.cell_table import write_cells
    from geoclip.cli.session import release_of
    from geoclip.cli.terminal import progress, say
    from geoclip.errors import InputError
    from geoclip.files import check_output

    if output.suffix.lower() not in (".parquet", ".geoparquet"):
        raise InputError(f"{output} is not called .parquet; give the file to make with --output NAME.parquet.")
    check_output(output, overwrite=overwrite)
    folder, encode, digest = index_folder(index) or Path(index), None, None
    if vectors:
        from geoclip.encoders.location import LocationEncoder
        from geoclip.encoders.precision import pick_device

        release = release_of(model.weights)
        encoder, digest = LocationEncoder.of(release, precision=machine.precision), release.model_digest
        encode = encoder.to(pick_device(machine.device)).embed
    with progress("Writing") as update:
        count = write_cells(folder, output, resolution, encode=encode, model=digest, on_rows=update)
    say(f"{output} has {count:,} cells.")
