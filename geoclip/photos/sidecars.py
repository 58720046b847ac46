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
"""Takeout cuts the name of a JSON file to so many, before `.json`,"""
_TAKEOUT_STEM = 47
"""and that of a photo to so many, before its suffix."""
_SUPPLEMENT = ".supplemental-metadata"
_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.[^.]+)", re.DOTALL)
_EDITED = (
    *("-edited", "-effects", "-smile", "-mix", "-collage", "-bearbeitet", "-bewerkt", "-edytowane", "-editado"),
    *("-ha editado", "-editat", "-modificato", "-modifié", "-redigeret", "-redigerad", "-redigert", "-muokattu"),
    *("-编辑", "-編輯", "-編集済み", "-수정됨", "-изменено", "-upraveno"),
)
"""What Takeout adds to the name of an edited photo, which has no JSON file of its own, by the account's language."""
_ORIGINALS = (".HEIC", ".heic", ".JPG", ".jpg", ".jpeg", ".PNG", ".png", ".webp", ".DNG", ".dng")
"""An edited photo is a JPEG whatever it was before."""
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
    folder, name = os.path.split(photo)
    for names, read, source in (
        (_xmp_names, _xmp_position, GpsSource.SIDECAR),
        (_takeout_names, _takeout_position, GpsSource.TAKEOUT),
    ):
        for beside, stem in names(name):
            path = os.path.join(folder, beside)  # noqa: PTH118 - any bytes, any length
            if not os.path.isfile(path):  # noqa: PTH113 - a name may be too long for Path
                continue
            try:
                lat, lng, datum = read(Path(path), stem)
            except OSError as error:
                on_problem(f"{path} cannot be read: {error.strerror}.")
            except ValueError as error:
                on_problem(f"{path} cannot be read: {error}.")
            else:
                if not lat == 0 == lng:
                    return GpsPosition((lat, lng), datum, source)
    return None


def _xmp_names(name: str) -> Iterator[tuple[str, str]]:
    stem = Path(name).stem
    for begin in dict.fromkeys((name, stem)):
        yield from ((f"{begin}.xmp", stem), (f"{begin}.XMP", stem))


def _takeout_names(name: str) -> Iterator[tuple[str, str]]:
    """Yield names of Takeout's JSON files about a photo, and how the title in them begins.

    `IMG.jpg.supplemental-metadata.json`, cut ever shorter; for `IMG(1).jpg` `IMG.jpg(1).json` too; for
    `IMG-edited.jpg` those of `IMG.jpg`, or of `IMG.HEIC`.
    """
    numbered = _NUMBERED.fullmatch(name)
    for base, number in ((name, ""), (numbered[1] + numbered[3], numbered[2])) if numbered else ((name, ""),):
        for original in (base, *_unedited(base)):
            stem = Path(original).stem
            lengths = [len(original) + cut for cut in range(len(_SUPPLEMENT), -1, -1)]
            cut_inside = [_TAKEOUT_CHARACTERS] if len(original) > _TAKEOUT_CHARACTERS else []
            for length in lengths + cut_inside:
                yield f"{(original + _SUPPLEMENT)[:length]}{number}.json", stem


def _unedited(name: str) -> Iterator[str]:
    """Yield what an edited photo may have been called before; what was added to a long name is cut as the name is."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - any bytes
    for added in _EDITED:
        cuts = range(len(added), 1 if len(stem) == _TAKEOUT_STEM else len(added) - 1, -1)
        if cut := next((cut for cut in cuts if stem.endswith(added[:cut])), None):
            yield from (stem[:-cut] + each for each in dict.fromkeys((suffix, *_ORIGINALS)))


def _takeout_position(path: Path, stem: str) -> tuple[float, float, str]:
    found = read_record(path, TakeoutPhoto, MAX_SIDECAR_BYTES)
    cut = len(path.name) >= _TAKEOUT_CHARACTERS + len(".json")
    of_another = cut and found.title and not found.title.startswith(stem[:_TAKEOUT_STEM])
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
