"""`geoclip fetch-index`."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.cli.registry import command


@command(
    "geoclip fetch-index hf://owner/name@v1     [dim]# into the cache, under its name[/dim]",
    "geoclip fetch-index https://example.org/indexes/planet planet/",
    "geoclip fetch-index s3://bucket/indexes/lite lite/",
)
def fetch_index(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The folder of an index: hf://, https://, s3://.")],
    target: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The folder to make. Default: its name, in the cache.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index in DIR.")] = False,
) -> None:
    """Fetch an index that somebody has built; each file is checked. A fetch that was stopped goes on."""
    from geoclip.cli.terminal import say, stage_progress
    from geoclip.files import cache_dir
    from geoclip.remote.address import Address
    from geoclip.remote.index import fetch_index as fetch

    target = target or cache_dir() / Address(address).name
    with stage_progress() as report:
        fetch(address, target, overwrite=overwrite, report=report)
    say(f"{target} is fetched and sound. Search it with `geoclip locate PHOTO --index {target}`.")
