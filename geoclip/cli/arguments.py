"""Arguments and options that several commands share and that belong to no group."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.option_groups import Panel

FromList = Annotated[
    Path | None,
    typer.Option(
        "--from-list",
        metavar="FILE",
        help="Read more paths or addresses from a file, one a line; - for stdin. Or a table, see --column.",
        rich_help_panel=Panel.INPUT,
    ),
]
Column = Annotated[
    str | None,
    typer.Option(
        "--column",
        metavar="NAME",
        help="Of tables of photos (.csv, .parquet, ...): the column with paths or addresses. Default: uri, url, photo, "
        "image and the like.",
        rich_help_panel=Panel.INPUT,
    ),
]
Index = Annotated[str, typer.Argument(metavar="DIR", help="An index; planet or lite for one in the cache.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace --output if it exists.", rich_help_panel=Panel.OUTPUT)
]
