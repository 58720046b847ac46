"""How much a run does."""

from typing import NamedTuple


class Size(NamedTuple):
    """How much a run does: `quick` is the smallest that still shows every effect, `full` is what the report quotes."""

    name: str
    region: str
    """Of the search suite: explicit grids hold all its cells."""
    resolution: int
    """Of those cells."""
    queries: int
    """Of each kind."""
    singles: int
    """Queries timed alone."""
    rounds: int
    """Turns of each timed task."""
    graphs: bool
    """Also build the graph indexes (HNSW, usearch), which take minutes."""
    budget_s: float
    """What one kind of call of one setting may take in the search suite; slow systems are called fewer times, and three
    times as long may go into answers whose recall is measured."""
    built: str
    """Region whose builds are measured."""
    grown: tuple[str, ...]
    """Regions in which lookups are measured as indexes grow."""


QUICK = Size("quick", "country:SI", 8, 256, 40, 3, False, 2.0, "bbox:43,-5,51,8", ("country:LU", "country:CH"))
FULL = Size(
    "full", "country:CH", 8, 1024, 200, 5, True, 4.0, "bbox:36,-10,60,16", ("country:LU", "country:CH", "country:IT")
)
