"""Where a photo was taken, by the files beside it: XMP sidecars and Google Takeout's JSON.

They come from strangers: at most 1 MB of each is read, and XML that declares a document type is refused.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated
from xml.parsers import expat

from pydantic import ConfigDict, Field

from geoclip.photos.exif import GpsPosition, GpsSource, position_of_xmp
from geoclip.schema import Record, read_record

MAX_SIDECAR_BYTES = 2**20
_TAKEOUT_CHARACTERS = 46
"""Takeout cuts a file's name to so many, before `.json`."""
_SUPPLEMENT = ".supplemental-metadata"
_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.[^.]+)", re.DOTALL)
_EXIF = "http://ns.adobe.com/exif/1.0/ "


class TakeoutPlace(Record):
    """A place; (0, 0) is none."""

    model_config = ConfigDict(extra="ignore")

    latitude: Annotated[float, Field(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, Field(ge=-180, le=180)] = 0.0


class TakeoutPhoto(Record):
    """What is read of Takeout's JSON about a photo."""

    model_config = ConfigDict(extra="ignore")

    title: str = ""
    """The photo's name before it was cut."""
    geoData: TakeoutPlace = TakeoutPlace()  # noqa: N815 - Takeout's names
    """As a person may have corrected it."""
    geoDataExif: TakeoutPlace = TakeoutPlace()  # noqa: N815


def position_beside(photo: str, on_problem: Callable[[str], object]) -> GpsPosition | None:
    """Return the position in a photo's sidecar, else in its Takeout JSON; None where there is none.

    Args:
        photo: its path.
        on_problem: called with a sentence about a file that cannot be read.
    """
    for names, read, source in (
        (_xmp_names, _xmp_position, GpsSource.SIDECAR),
        (_takeout_names, _takeout_position, GpsSource.TAKEOUT),
    ):
        folder, name = os.path.split(photo)
        for path in (os.path.join(folder, each) for each in names(name)):  # noqa: PTH118 - any bytes, any length
            if not os.path.isfile(path):  # noqa: PTH113 - a name may be too long for Path
                continue
            try:
                lat, lng, datum = read(Path(path), name)
            except OSError as error:
                on_problem(f"{path} cannot be read: {error.strerror}.")
            except ValueError as error:
                on_problem(f"{path} cannot be read: {error}.")
            else:
                if not lat == 0 == lng:
                    return GpsPosition((lat, lng), datum, source)
    return None


def _xmp_names(name: str) -> Iterator[str]:
    for begin in dict.fromkeys((name, Path(name).stem)):
        yield from (f"{begin}.xmp", f"{begin}.XMP")


def _takeout_names(name: str) -> Iterator[str]:
    """Yield `IMG.jpg.supplemental-metadata.json`, cut ever shorter; `IMG(1).jpg` has `IMG.jpg(1).json` too."""
    numbered = _NUMBERED.fullmatch(name)
    for base, number in ((name, ""), (numbered[1] + numbered[3], numbered[2])) if numbered else ((name, ""),):
        lengths = [len(base) + cut for cut in range(len(_SUPPLEMENT), -1, -1)]
        cut_inside = [_TAKEOUT_CHARACTERS] if len(base) > _TAKEOUT_CHARACTERS else []
        for length in lengths + cut_inside:
            yield f"{(base + _SUPPLEMENT)[:length]}{number}.json"


def _takeout_position(path: Path, name: str) -> tuple[float, float, str]:
    found = read_record(path, TakeoutPhoto, MAX_SIDECAR_BYTES)
    of_another = len(name) > _TAKEOUT_CHARACTERS and found.title and not found.title.startswith(Path(name).stem)
    places = [] if of_another else [found.geoData, found.geoDataExif]
    known = ((each.latitude, each.longitude) for each in places if (each.latitude, each.longitude) != (0, 0))
    return *next(known, (0.0, 0.0)), ""


def _xmp_position(path: Path, _: str) -> tuple[float, float, str]:
    """Return latitude, longitude and datum of a sidecar, (0, 0) where it has none; ValueError where it is damaged."""
    with path.open("rb") as file:
        content = file.read(MAX_SIDECAR_BYTES + 1)
    if len(content) > MAX_SIDECAR_BYTES:
        raise ValueError(f"it has more than {MAX_SIDECAR_BYTES / 2**20:.0f} MB")
    values: dict[str, str] = defaultdict(str)
    within: list[str] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        within.append(name)
        values.update(attributes)

    def text(content: str) -> None:
        if within[-1].startswith(_EXIF):
            values[within[-1]] += content

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type, which XMP has not")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = begin, lambda _: within.pop()
    parser.CharacterDataHandler = text
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError) as error:  # the latter of an unknown encoding
        raise ValueError(f"it is not XML ({error})") from error
    try:
        return position_of_xmp(lambda name: values[_EXIF + name].strip())
    except ValueError:  # nothing to be trusted
        return 0.0, 0.0, ""
