"""`geoclip card` and `geoclip push`."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.cli.arguments import Index
from geoclip.cli.registry import command


@command(
    "geoclip card planet/     [dim]# writes planet/README.md[/dim]",
    "geoclip card planet/ --results recall.jsonl -o -",
)
def card(
    index: Index,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: README.md in DIR; - for stdout.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `python -m benchmarks.recall` measured with this index.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="NAME", help="Of the whole, as the hub calls it, such as cc-by-4.0."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the card that is there.")] = False,
) -> None:
    """Write the card of an index: what it holds, of what, under which licences, how good it is, what it cannot do."""
    from geoclip.answers.source import index_folder
    from geoclip.cli.terminal import say
    from geoclip.files import STDOUT, check_output
    from geoclip.publish.card import write_card
    from index.storage.manifest import CARD

    folder = index_folder(index) or Path(index)
    check_output(output or folder / CARD, overwrite=overwrite)
    written = write_card(folder, output, results=results, licence=licence)
    if written != STDOUT:
        say(f"{written} is written; read it, and add what only you know.")


@command(
    "geoclip push planet/ hf://datasets/me/planet",
    "geoclip push release/ hf://me/my-geoclip@v2 --public",
)
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An index, or a folder of `geoclip export`.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="hf://owner/name or hf://datasets/owner/name.")],
    public: Annotated[
        bool, typer.Option("--public", help="A repository that is made is for everyone; else for you alone.")
    ] = False,
) -> None:
    """Put an index or a model on the Hugging Face hub, for `fetch-index` and `--weights` of others."""
    from geoclip.cli.terminal import say, stderr
    from geoclip.publish.push import push as pushed

    with stderr.status(f"Sending {folder} ..."):
        commit = pushed(folder, address, public=public)
    say(f"{folder} is at {commit}.")
