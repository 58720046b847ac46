"""The library as tools of an assistant (MCP, Model Context Protocol), over stdio.

The assistant runs on this machine as its user: it names files. Answers leave out the tree of cells, which is long.
"""

from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from pydantic import Field

from geoclip import __version__
from geoclip.answers.answer import Answer
from geoclip.errors import GeoclipError, InputError
from geoclip.locator import Locator
from geoclip.options import SearchOptions
from geoclip.serve.parameters import ToolParameters
from geoclip.tables.vector_file import VectorFile
from geoclip.writers.wording import headline, notes

MOST = 20
"""Answers of one call."""
INSTRUCTIONS = (
    "Says where photos may have been taken. Answers are estimates, often hundreds of kilometres off: give the "
    "radius and the notes with the place, and treat it as a lead. Not for finding or following persons."
)
Where = Annotated[ToolParameters, Field(description="Where to look, how hard, how many places.")]  # type: ignore[valid-type]
DEFAULTS = ToolParameters()


def assistant(locator: Locator, workers: int) -> MCPServer:
    """Return the server of an opened locator.

    Args:
        locator: answers.
        workers: processes that decode photos.
    """
    server = MCPServer("geoclip", version=__version__, instructions=INSTRUCTIONS)

    @server.tool()
    def locate(
        photos: Annotated[list[str], Field(description="Paths of photos.")] = [],  # noqa: B006 - never changed
        text: Annotated[str, Field(description="Words to locate, in place of photos.")] = "",
        together: Annotated[bool, Field(description="All photos show one place: answer once.")] = False,
        options: Where = DEFAULTS,
    ) -> list[dict[str, Any]]:
        """Say where photos (or the place that words describe) may be, with probabilities and radii."""
        return _told(lambda: _located(locator, workers, photos, text, together, options))

    @server.tool()
    def search(
        vectors: Annotated[str, Field(description="Path of a file that `geoclip embed` made (.parquet), or .npy.")],
        options: Where = DEFAULTS,
    ) -> list[dict[str, Any]]:
        """Say which places the vectors of photos, made before, stand for."""
        return _told(lambda: _searched(locator, Path(vectors), options))

    return server


def _located(
    locator: Locator, workers: int, photos: list[str], text: str, together: bool, options: Any
) -> list[Answer]:
    asked = locator.answerer.asked(options.options(SearchOptions))
    if not photos:
        return locator.locate_text(text, asked=asked)
    if len(photos) > MOST:
        raise InputError(f"There are {len(photos)} photos; give {MOST} at most, the others in another call.")
    if together:
        answer, failed = locator.locate_together(photos, workers=workers, asked=asked)
        return [answer, *failed]
    return locator.locate(photos, workers=workers, asked=asked)


def _searched(locator: Locator, path: Path, options: Any) -> list[Answer]:
    answerer = locator.answerer
    asked = answerer.asked(options.options(SearchOptions))
    file = VectorFile(path, dim=answerer.searcher.dim, model_digest=answerer.source.model)
    batch = next(iter(file))
    return answerer.answers(batch.names[:MOST], batch.vectors[:MOST], asked)


def _told(answers: Any) -> list[dict[str, Any]]:
    """Return answers as an assistant reads them; an error as a sentence."""
    try:
        found: list[Answer] = answers()
    except GeoclipError as error:
        return [{"error": str(error)}]
    told = []
    for answer in found:
        record = {"headline": headline(answer), "notes": notes(answer)} | answer.to_dict()
        del record["cells"]
        told.append(record)
    return told
