"""`geoclip.label_photos`: photos that say where they were taken in, a table photo,lat,lng out."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from geoclip.errors import InputError
from geoclip.files import written_whole
from geoclip.photos.decode import DecodeLimits, Photo, read_gps
from geoclip.photos.exif import GpsSource
from geoclip.photos.pool import Decoded, decode_all
from geoclip.photos.sidecars import position_beside

LABEL_COLUMNS = ("photo", "lat", "lng")


@dataclass
class LabelCounts:
    """How many photos had a position, by its source, and how many had none."""

    found: Counter[GpsSource] = field(default_factory=Counter)
    without: int = 0
    unreadable: int = 0
    """Photos."""
    damaged_beside: int = 0
    """Sidecars and JSON files."""
    other_datum: int = 0
    """Positions in another datum than WGS 84: up to some hundred metres away."""

    def __str__(self) -> str:
        """Return them in words."""
        sources = ", ".join(f"{self.found[source]} from {source}" for source in GpsSource if self.found[source])
        counts = (
            (f"{self.found.total()} labels ({sources})" if sources else "0 labels"),
            f"{self.without} photos without a position",
            f"{self.unreadable} unreadable",
            f"{self.damaged_beside} damaged files beside them" if self.damaged_beside else "",
            f"{self.other_datum} not in WGS 84, up to some hundred metres away" if self.other_datum else "",
        )
        return "; ".join(part for part in counts if part)


def label_photos(
    photos: Iterable[Photo],
    output: Path,
    *,
    limits: DecodeLimits = DecodeLimits(),
    workers: int = 0,
    on_photo: Callable[[Decoded], object] = lambda decoded: None,
    on_problem: Callable[[str], object] = lambda sentence: None,
) -> LabelCounts:
    """Write a CSV file of photos and their recorded places, as `geoclip.evaluate` reads it; return how many there are.

    The place is that of EXIF, else XMP, an XMP sidecar (`IMG.xmp`, `IMG.jpg.xmp`), Google Takeout's JSON; in degrees.
    A photo that comes twice is written once.

    Args:
        photos: paths, as `geoclip.photos.find.find_photos` yields them, or what else has a name.
        output: the file to make; it is replaced.
        limits: what one photo may cost.
        workers: processes to read in; see `decode_all`.
        on_photo: called with each photo, which has no pixels here.
        on_problem: called with a sentence about each photo or file beside it that cannot be read.

    Raises:
        InputError: no photo has a position; then nothing is written. Or the file cannot be written.
    """
    counts, seen = LabelCounts(), set()

    def damaged(sentence: str) -> None:
        counts.damaged_beside += 1
        on_problem(sentence)

    with written_whole(output) as temporary:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(LABEL_COLUMNS)
            for decoded in decode_all(photos, limits, workers=workers, decoder=read_gps):
                on_photo(decoded)
                if decoded.name in seen:
                    continue
                seen.add(decoded.name)
                if decoded.pixels is None:
                    counts.unreadable += 1
                    on_problem(f"{decoded.name}: {decoded.error}")
                elif decoded.gps is not None:
                    counts.found[GpsSource.XMP if decoded.pixels == GpsSource.XMP.encode() else GpsSource.EXIF] += 1
                    counts.other_datum += bool(decoded.datum)
                    table.writerow((decoded.name, *(f"{angle:.7f}" for angle in decoded.gps)))
                elif beside := position_beside(decoded.name, damaged):
                    counts.found[beside.source] += 1
                    counts.other_datum += bool(beside.datum)
                    table.writerow((decoded.name, *(f"{angle:.7f}" for angle in beside.gps)))
                else:
                    counts.without += 1
        if not counts.found:
            raise InputError(f"No photo says where it was taken, and nothing was written: {counts}.")
    return counts
