"""What a photo's metadata say: which way is up (EXIF), and where it was taken (EXIF, else XMP).

Nothing here fails a photo: damaged metadata says nothing about the pixels.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from numbers import Real
from typing import NamedTuple

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

LatLng = tuple[float, float]

MAX_BLOCK_BYTES = 2**18
"""Pillow makes Python objects of all a GPS directory holds, half a second for each MB; a JPEG segment has 64 kB."""
MAX_DATUM = 32
"""Characters of a datum's name that are kept."""
ESTIMATE = "ESTIMATED geoclip-planet"
"""GPSProcessingMethod of answers that were written into photos: they are not read back as positions."""
_VOID = "V"
"""GPSStatus: the receiver had no fix, and what stands there is an older place or a guess."""

_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class GpsSource(StrEnum):
    """Where a position was found; the first in this order counts."""

    EXIF = "EXIF"
    XMP = "XMP"
    SIDECAR = "XMP sidecars"
    TAKEOUT = "Google Takeout"


class GpsPosition(NamedTuple):
    """A recorded position."""

    gps: LatLng
    """(lat, lng) in degrees, lat in [-90, 90] and lng in [-180, 180], as written."""
    datum: str
    """Where it is said and is not WGS 84, else empty."""
    source: GpsSource


def orientation_of(image: Image.Image) -> Image.Transpose | None:
    """Return how to turn the loaded image upright by its EXIF tag 0x0112; None where there is nothing to do.

    Pillow turns TIFF, and libheif HEIC, while loading; the tag then says so.
    """
    try:
        return _ORIENTATIONS.get(image.getexif().get(Base.Orientation, 1))
    except Exception:  # Pillow raises whatever it meets
        return None


def gps_of(image: Image.Image) -> tuple[LatLng | None, str]:
    """Return the position in a loaded image's EXIF data, else in its XMP data; None where there is none to be trusted.

    That asks for both references (N or S, E or W) and three finite numbers each (degrees, minutes, seconds) in their
    ranges, for another place than exactly (0, 0), which devices write when they do not know, for a GPSStatus other than
    void, and for another GPSProcessingMethod than `ESTIMATE`.

    Returns:
        (lat, lng) in degrees, lat in [-90, 90] and lng in [-180, 180], as written; and its datum where that is said
        and is not WGS 84, else an empty string.
    """
    return next(((found.gps, found.datum) for found in positions_in(image)), (None, ""))


def positions_in(image: Image.Image) -> Iterator[GpsPosition]:
    """Yield the positions in a loaded image's EXIF and XMP data that are to be trusted; see `gps_of`."""
    for source, read in ((GpsSource.EXIF, _from_exif), (GpsSource.XMP, _from_xmp)):
        try:
            lat, lng, datum = read(image)
        except Exception:
            continue
        if not lat == 0 == lng:
            yield GpsPosition((lat, lng), datum, source)


def _from_exif(image: Image.Image) -> tuple[float, float, str]:
    """Return latitude, longitude and datum; whatever is raised means that there is no position."""
    if len(image.info.get("exif", b"")) > MAX_BLOCK_BYTES:
        raise ValueError("too large")
    tags = image.getexif().get_ifd(IFD.GPSInfo)
    if _letter(tags.get(GPS.GPSStatus, "A")) == _VOID:
        raise ValueError("void")
    method = tags.get(GPS.GPSProcessingMethod, b"")
    if ESTIMATE.encode() in (method if isinstance(method, bytes) else str(method).encode()):
        raise ValueError("an estimate")
    lat = _degrees(tags, GPS.GPSLatitude, GPS.GPSLatitudeRef, {"N": 1, "S": -1}, 90)
    lng = _degrees(tags, GPS.GPSLongitude, GPS.GPSLongitudeRef, {"E": 1, "W": -1}, 180)
    return lat, lng, _datum(tags.get(GPS.GPSMapDatum, ""))


_XMP_VALUE = rb"exif:%s\s*(?:=\s*[\"']|>)\s*([^\"'<]{1,40}?)\s*[\"'<]"
_XMP_ANGLE = re.compile(r"(\d+),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])", re.ASCII)


def _from_xmp(image: Image.Image) -> tuple[float, float, str]:
    """Return the same of XMP (ISO 16684-2), found by its text: a parser of XML would do more than is asked."""
    block = image.info.get("xmp", b"")[:MAX_BLOCK_BYTES]

    def value(name: bytes) -> str:
        found = re.search(_XMP_VALUE % name, block)
        return "" if found is None else found[1].decode("ascii")

    return position_of_xmp(lambda name: value(name.encode()))


def position_of_xmp(value: Callable[[str], str]) -> tuple[float, float, str]:
    """Return latitude, longitude and datum of XMP, from the values of its EXIF properties by name, empty if missing.

    Raises:
        ValueError: there is no position, or one not to be trusted; see `gps_of`.
    """

    def angle(name: str, letters: str, limit: int) -> float:
        found = _XMP_ANGLE.fullmatch(value(name).upper())
        if found is None or found[4] not in letters:
            raise ValueError("no angle")
        sign = 1 if found[4] == letters[0] else -1
        return _signed(float(found[1]), float(found[2]), float(found[3] or 0), sign, limit)

    if _letter(value("GPSStatus")) == _VOID or ESTIMATE in value("GPSProcessingMethod"):
        raise ValueError("void, or an estimate")
    lat, lng = angle("GPSLatitude", "NS", 90), angle("GPSLongitude", "EW", 180)
    return lat, lng, _datum(value("GPSMapDatum"))


def _letter(text: object) -> str:
    return text.strip("\0 ").upper() if isinstance(text, str) else ""


def _datum(text: object) -> str:
    """Return a datum's name as far as it can be printed; empty for WGS 84 and where none is said."""
    name = "".join(c for c in text if c.isascii() and c.isprintable()).strip() if isinstance(text, str) else ""
    return "" if re.sub("[^A-Z0-9]", "", name.upper()) in ("", "WGS84", "WGS1984") else name[:MAX_DATUM]


def _degrees(tags: Mapping[int, object], angle: GPS, reference: GPS, signs: Mapping[str, int], limit: int) -> float:
    """Return a signed angle in degrees.

    Raises:
        KeyError, TypeError, ValueError: a tag is missing, of another type, or out of range.
    """
    parts, letter = tags[angle], tags[reference]
    if not isinstance(parts, tuple) or not isinstance(letter, str):
        raise TypeError("not what EXIF asks for")
    sign = signs[letter.rstrip("\0 ").upper()]
    degrees, minutes, seconds = (float(part) for part in parts if isinstance(part, Real))
    return _signed(degrees, minutes, seconds, sign, limit)


def _signed(degrees: float, minutes: float, seconds: float, sign: int, limit: int) -> float:
    """Return an angle in degrees; ValueError if a part is out of range."""
    value = degrees + (minutes + seconds / 60) / 60  # in this order 59 minutes and 60 seconds are a degree exactly
    # 60 is allowed: rounding devices write it. A zero denominator is NaN here, and no comparison with it holds.
    if not (degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60 and value <= limit):
        raise ValueError("out of range")
    return sign * value + 0.0  # not -0.0
