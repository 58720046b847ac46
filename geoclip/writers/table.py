"""Answers as tables for people at a terminal."""

import math
from typing import TYPE_CHECKING, TextIO

from geoclip.answers.answer import NEARBY_KM, Answer, Prediction
from geoclip.writers.formats import Writer
from geoclip.writers.wording import headline, notes, one_line, percent, searched

if TYPE_CHECKING:
    from rich.table import Table


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
            self._console.print(_table(answer.predictions))
            for note in (*notes(answer), searched(answer)):
                self._console.print(Text(note, style="dim"))
        self._console.print()


def _table(predictions: tuple[Prediction, ...]) -> "Table":
    """Return a row for each place; columns that no place has a value for are left out."""
    from rich.table import Table
    from rich.text import Text

    named = any(p.name for p in predictions)
    nearby = any(math.isfinite(p.nearby) for p in predictions)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    if named:
        table.add_column("place")  # the one column that wraps
    for name in ("latitude", "longitude", f"within {NEARBY_KM:.0f} km" if nearby else "probability", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    for rank, p in enumerate(predictions, 1):
        link = f"https://www.openstreetmap.org/?mlat={p.lat:.5f}&mlon={p.lng:.5f}#map=12/{p.lat:.5f}/{p.lng:.5f}"
        cells = [one_line(str(p.name or ""))] if named else []
        cells += [f"{p.lat:.5f}", f"{p.lng:.5f}", _share(p.nearby) if nearby else f"{100 * p.probability:.2f} %"]
        table.add_row(f"{rank}", *(Text(cell, style=f"link {link}") for cell in (*cells, f"{p.score:.4f}")))
    return table


def _share(nearby: float) -> str:
    return percent(nearby) if math.isfinite(nearby) else ""
