"""Answers as tables for people at a terminal."""

import math
from typing import TYPE_CHECKING, TextIO

from geoclip.answers.answer import Answer
from geoclip.answers.figures import coordinates, distance
from geoclip.writers.formats import Writer
from geoclip.writers.wording import headline, notes, one_line, share, shares

if TYPE_CHECKING:
    from rich.table import Table

_WHOLE_COLUMNS = 60
"""A terminal as wide as this has room for all numbers and some of each name."""


class TableWriter(Writer):
    """For each query a line that says where and how sure, a row for each place, and what else to know."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        super().__init__(stream)
        self._console = Console(file=stream, highlight=False)

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        from rich.text import Text

        self._console.print(Text(one_line(answer.query), style="bold"))
        self._console.print(Text(one_line(headline(answer))))
        if answer.predictions:
            self._console.print(_table(answer, whole=self._console.width >= _WHOLE_COLUMNS))
            for note in (*notes(answer), shares(answer)):
                self._console.print(Text(note, style="dim"))
        self._console.print()


def _table(answer: Answer, *, whole: bool) -> "Table":
    """Return a row for each place; columns that no place has a value for are left out.

    Args:
        answer: with predictions.
        whole: there is room for numbers in one line; else they are broken, and never cut.
    """
    from rich.table import Table
    from rich.text import Text

    named = any(p.name for p in answer.predictions)
    wide = any(math.isfinite(p.radius_km) for p in answer.predictions)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    if named:
        table.add_column("place", overflow="fold")  # the one column that wraps where there is room
    for name in ("share", *(["radius"] if wide else []), "latitude, longitude"):
        table.add_column(name, justify="right", no_wrap=whole, overflow="fold")
    for rank, p in enumerate(answer.predictions, 1):
        link = f"https://www.openstreetmap.org/?mlat={p.lat:.5f}&mlon={p.lng:.5f}#map=12/{p.lat:.5f}/{p.lng:.5f}"
        cells = [one_line(str(p.name or ""))] if named else []
        cells += [share(p)]
        cells += [distance(p.radius_km) if math.isfinite(p.radius_km) else ""] if wide else []
        radius_km = answer.radius_50_km if rank == 1 else p.radius_km
        cells += [coordinates(p.lat, p.lng, radius_km)]
        table.add_row(f"{rank}", *(Text(cell, style=f"link {link}") for cell in cells))
    return table
