"""What a photo's EXIF data says: which way is up, and where it was taken.

Nothing here fails a photo: damaged metadata says nothing about the pixels.
"""

from collections.abc import Mapping
from numbers import Real

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

LatLng = tuple[float, float]

MAX_GPS_BLOCK_BYTES = 2**18
"""Pillow makes Python objects of all a GPS directory holds, half a second for each MB; a JPEG segment has 64 kB."""

_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(image: Image.Image) -> Image.Transpose | None:
    """Return how to turn the loaded image upright by its EXIF tag 0x0112; None where there is nothing to do.

    Pillow turns TIFF, and libheif HEIC, while loading; the tag then says so.
    """
    try:
        return _ORIENTATIONS.get(image.getexif().get(Base.Orientation, 1))
    except Exception:  # Pillow raises whatever it meets
        return None


def gps_of(image: Image.Image) -> LatLng | None:
    """Return the position in a loaded image's EXIF data; None where there is none that can be trusted in form.

    That asks for both references (N or S, E or W) and three finite numbers each (degrees, minutes, seconds) in their
    ranges, and for another place than exactly (0, 0), which devices write when they do not know.

    Returns:
        (lat, lng) in degrees, lat in [-90, 90] and lng in [-180, 180], as written: the datum is taken for WGS 84.
    """
    try:
        if len(image.info.get("exif", b"")) > MAX_GPS_BLOCK_BYTES:
            return None
        tags = image.getexif().get_ifd(IFD.GPSInfo)
        lat = _degrees(tags, GPS.GPSLatitude, GPS.GPSLatitudeRef, {"N": 1, "S": -1}, 90)
        lng = _degrees(tags, GPS.GPSLongitude, GPS.GPSLongitudeRef, {"E": 1, "W": -1}, 180)
    except Exception:  # Pillow raises whatever it meets
        return None
    return None if lat == 0 == lng else (lat, lng)


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
    value = degrees + (minutes + seconds / 60) / 60  # in this order 59 minutes and 60 seconds are a degree exactly
    # 60 is allowed: rounding devices write it. A zero denominator is NaN here, and no comparison with it holds.
    if not (degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60 and value <= limit):
        raise ValueError("out of range")
    return sign * value + 0.0  # not -0.0
