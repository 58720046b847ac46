"""CSV text in which every quote ends: one that is left open would take the rows after it into its own."""

import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import TextIO

_LONGEST_LINE = 1 << 24


class ClosedQuotes:
    """Gives out the rows of a text; a row whose quote does not end costs itself and no other.

    Such a row is replaced by one of a single column, which `unclosed` knows.

    Args:
        text: the rest of a file, without changed line ends.
        first: a line before it.
        delimiter: between columns.
    """

    def __init__(self, text: TextIO, first: str, delimiter: str) -> None:
        self._text, self._delimiter = text, delimiter
        self._lines = deque([first])
        self.unclosed: dict[str, str] = {}
        """What stands for a row, without its line end, and the row."""

    def pieces(self, characters: int) -> Iterator[str]:
        """Yield the text, whole rows together, in pieces of about so many characters."""
        while True:
            if not self._lines:
                piece = self._text.read(characters)
                if not piece:
                    return
                if not piece.endswith("\n"):
                    piece += self._text.readline(_LONGEST_LINE)
                if '"' not in piece:
                    yield piece
                    continue
                self._lines.extend(io.StringIO(piece, newline=""))
            rows, length = [], 0
            while self._lines and length < characters:
                rows.append(self._row())
                length += len(rows[-1])
            yield "".join(rows)

    def _row(self) -> str:
        """Return the next row as it is, or what stands for it."""
        if '"' not in self._lines[0]:
            return self._lines.popleft()
        taken: list[str] = []
        ended = False

        def lines() -> Iterator[str]:
            nonlocal ended
            while line := self._lines.popleft() if self._lines else self._text.readline(_LONGEST_LINE):
                taken.append(line)
                yield line
            ended = True

        try:
            next(csv.reader(lines(), delimiter=self._delimiter, strict=True))
        except csv.Error:  # text after a quote that ends, the end of the file, or 128 KB without an end
            if len(taken) > 1 or ended:
                self._lines.extendleft(reversed(taken[1:]))
                line = taken[0].rstrip("\r\n")
                stand_in = '"' + line.replace('"', '""') + '"'
                self.unclosed[stand_in] = line
                return f"{stand_in}\n"
        return "".join(taken)
