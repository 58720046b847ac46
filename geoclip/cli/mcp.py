"""`geoclip mcp`."""

from typing import Annotated

from geoclip.cli.registry import command
from geoclip.cli.session import open_embedder, open_locator
from geoclip.extras import need
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions


@command(
    "geoclip mcp     [dim]# what an assistant is told to run[/dim]",
)
def mcp(
    index: IndexOptions,
    photo: Annotated[PhotoOptions, "max_megapixels", "crops"],
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Be a tool of an assistant: `locate` and `search` by the Model Context Protocol, over stdin and stdout."""
    need("mcp", "The tool")
    from geoclip.serve.assistant import assistant

    locator = open_locator(open_embedder(photo, model, machine), index, SearchOptions(), machine)
    assistant(locator, machine.processes).run("stdio")
