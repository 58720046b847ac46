"""The best places as a table that `exiftool -csv=FILE` writes into photos, marked as estimates."""

import csv
import math

from geoclip.answers.answer import Answer
from geoclip.photos.exif import ESTIMATE
from geoclip.writers.formats import Writer

EXIFTOOL_COLUMNS = (
    "SourceFile",
    "GPSLatitude",
    "GPSLatitudeRef",
    "GPSLongitude",
    "GPSLongitudeRef",
    "GPSMapDatum",
    "GPSHPositioningError",
    "GPSProcessingMethod",
)


class ExiftoolWriter(Writer):
    """One row a photo. One that has a position already has none, or the estimate would replace it.

    GPSHPositioningError is the radius in metres that holds half of the probability; empty, which exiftool passes, where
    it is not known.
    """

    head = ",".join(EXIFTOOL_COLUMNS) + "\n"

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        if not answer.predictions or answer.gps is not None:
            return
        lat, lng, radius_m = answer.best.lat, answer.best.lng, answer.radius_50_km * 1000
        place = (f"{abs(lat):.6f}", "S" if lat < 0 else "N", f"{abs(lng):.6f}", "W" if lng < 0 else "E")
        error = f"{radius_m:.0f}" if math.isfinite(radius_m) else ""
        csv.writer(self._stream, lineterminator="\n").writerow((answer.query, *place, "WGS-84", error, ESTIMATE))
