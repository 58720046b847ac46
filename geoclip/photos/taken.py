"""When and with which camera photos were taken, by their EXIF data; and photos of one scene."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base

from geoclip.photos.decode import DecodeLimits, Photo, Picture, opened
from geoclip.photos.exif import MAX_BLOCK_BYTES
from geoclip.photos.pool import Decoders, decode_all

_WRITTEN = "%Y:%m:%d %H:%M:%S"
_LONGEST = 100  # characters of a camera's name


class Taken(NamedTuple):
    """When and with which camera."""

    at: datetime
    """As the camera's clock said it, without a time zone."""
    camera: str


def read_taken(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> Picture:
    """Return, as text for pixels, the time and the camera of a photo, a tab between them; empty where none is said.

    Raises:
        PhotoError: the photo cannot be read.
    """
    return opened(photo, limits, _taken_alone)


def _taken_alone(image: Image.Image, limits: DecodeLimits) -> Picture:
    del limits
    if len(image.info.get("exif", b"")) > MAX_BLOCK_BYTES:
        return Picture(b"", None)
    try:
        tags = image.getexif()
        written = str(tags.get_ifd(IFD.Exif).get(Base.DateTimeOriginal) or tags.get(Base.DateTime) or "")
        at = datetime.strptime(written.strip("\0 "), _WRITTEN)
        camera = " ".join(str(tags.get(tag) or "").strip("\0 ") for tag in (Base.Make, Base.Model))
    except Exception:  # Pillow raises whatever it meets
        return Picture(b"", None)
    return Picture(f"{at:{_WRITTEN}}\t{camera[:_LONGEST]}".encode(errors="replace"), None)


def scenes(
    photos: Iterable[str | Path], minutes: float, *, limits: DecodeLimits = DecodeLimits(), workers: int | Decoders = 0
) -> list[list[str]]:
    """Return photos in groups: of one camera, each taken within so many minutes of the one before.

    A photo whose time is not known, or that cannot be read, is a group of its own. Groups come in the order of their
    first photos.
    """
    names = [str(photo) for photo in photos]
    taken: dict[str, list[tuple[datetime, int]]] = {}
    unknown = []
    for position, decoded in enumerate(decode_all(names, limits, workers=workers, decoder=read_taken)):
        written, _, camera = (decoded.pixels or b"").decode().partition("\t")
        if written:
            at = datetime.strptime(written, _WRITTEN)
            taken.setdefault(camera, []).append((at, position))
        else:
            unknown.append(position)
    positions = [[position] for position in unknown]
    for own in taken.values():
        positions += _parted(sorted(own), timedelta(minutes=minutes))
    return [[names[position] for position in sorted(group)] for group in sorted(positions, key=min)]


def _parted(own: Sequence[tuple[datetime, int]], most: timedelta) -> list[list[int]]:
    """Part the photos of one camera, sorted by time, where the pause is longer than `most`."""
    groups: list[list[int]] = []
    before: datetime | None = None
    for at, position in own:
        if before is None or at - before > most:
            groups.append([])
        groups[-1].append(position)
        before = at
    return groups
