"""Answers as CSV."""

import csv
import io
from typing import TextIO

from geoclip.answers.answer import Answer
from geoclip.writers.formats import Writer
from geoclip.writers.record import rounded, significant

_PLACE = ("city", "region", "country", "code")
_OF_QUERY = ("radius_50_km", "radius_90_km", "entropy_bits", "localizable", "calibrated")
CSV_COLUMNS = ("query", "rank", "lat", "lng", "probability", "score", "cell", "nearby", *_PLACE, *_OF_QUERY)


class CsvWriter(Writer):
    """One row a prediction, best first; what belongs to the whole query stands in each of its rows.

    What is not known is empty. An answer without predictions has no row.
    """

    def __init__(self, stream: TextIO, *, header: bool = True) -> None:
        super().__init__()
        self._stream = stream
        if header:
            stream.write(csv_line(CSV_COLUMNS))

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        whole = (
            significant(answer.radius_50_km, 3),
            significant(answer.radius_90_km, 3),
            rounded(answer.entropy_bits, 4),
            _truth(answer.localizable),
            _truth(answer.searched.calibrated),
        )
        lines = []
        for rank, p in enumerate(answer.predictions, 1):
            numbers = (f"{p.lat:.6f}", f"{p.lng:.6f}", f"{p.probability:.6g}", f"{p.score:.6f}")
            row = (
                answer.query,
                rank,
                *numbers,
                p.cell,
                significant(p.nearby, 6),
                *(p.name or ("",) * len(_PLACE)),
                *whole,
            )
            lines.append(csv_line(row))
        self._stream.write("".join(lines))
        self._stream.flush()


def csv_line(values: tuple[object, ...]) -> str:
    """Return one row with its line end; None is empty."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _truth(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
