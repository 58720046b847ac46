"""Answers as CSV."""

import csv

from geoclip.answers.answer import Answer
from geoclip.answers.record import rounded, significant
from geoclip.writers.formats import Writer

_PLACE = ("city", "region", "country", "code")
_OF_QUERY = ("verdict", "radius_50_km", "radius_90_km", "entropy_bits", "localizable", "calibrated")
_AREA = ("share", "radius_km")
CSV_COLUMNS = ("query", "rank", "lat", "lng", "probability", "score", "cell", "nearby", *_PLACE, *_AREA, *_OF_QUERY)


class CsvWriter(Writer):
    """One row a prediction, best first; what belongs to the whole query stands in each of its rows.

    What is not known is empty. An answer without predictions has no row.
    """

    head = ",".join(CSV_COLUMNS) + "\n"

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        radii = (significant(radius, 3) for radius in (answer.radius_50_km, answer.radius_90_km))
        truths = (
            None if truth is None else f"{truth}".lower() for truth in (answer.localizable, answer.searched.calibrated)
        )
        of_query = (answer.verdict, *radii, rounded(answer.entropy_bits, 4), *truths)
        rows = (
            (answer.query, rank, f"{p.lat:.6f}", f"{p.lng:.6f}", f"{p.probability:.6g}", f"{p.score:.6f}", p.cell,
             significant(p.nearby, 6), *(p.name or ("",) * len(_PLACE)), significant(p.share, 6),
             significant(p.radius_km, 3), *of_query)
            for rank, p in enumerate(answer.predictions, 1)
        )  # fmt: skip
        csv.writer(self._stream, lineterminator="\n").writerows(rows)
