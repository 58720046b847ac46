"""XMP sidecars: beside a photo, or in a folder, a file that says where it may have been taken, as an estimate."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from geoclip.answers.answer import Answer
from geoclip.files import is_file, written_whole
from geoclip.photos.exif import ESTIMATE

BESIDE = Path("beside")
"""Stands for the photos' own folders."""
CREATOR = "geoclip-planet"
LONGEST_NAME = 255
"""Bytes of a file's name."""
MAX_BYTES = 2**20
_SPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


class Sidecars:
    """Writes `IMG.jpg.xmp` for each photo that is answered; the photo itself is never touched.

    One that has a position already gets none, as in `ExiftoolWriter`. A sidecar of another program is left as it is.

    Args:
        where: `BESIDE` or a folder, in which photos have the paths they were given by, without `..`; None writes none.
        on_problem: told of each sidecar that is not written.
    """

    def __init__(self, where: Path | None, on_problem: Callable[[str], object]) -> None:
        self._where, self._on_problem = where, on_problem
        self.written = self.left = 0
        """How many were written, and how many could not be."""

    def add(self, answer: Answer) -> None:
        """Write the sidecar of an answer, if it is one for a photo.

        Raises:
            InputError: the disk is full or the place cannot be written.
        """
        if self._where is None or not answer.predictions or answer.gps is not None or not is_file(answer.query):
            return
        path = self._path(answer.query)
        problem = ""
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            problem = f"{answer.query} has no sidecar: its name would be too long."
        elif path.exists() and not _is_ours(path):
            problem = f"{path} is a sidecar of another program and was left as it is; name a folder with --xmp."
        if problem:
            self.left += 1
            self._on_problem(problem)
            return
        with written_whole(path) as temporary:
            temporary.write_bytes(sidecar(answer))
        self.written += 1

    def _path(self, photo: str) -> Path:
        if self._where == BESIDE:
            return Path(f"{photo}.xmp")
        assert self._where is not None
        kept = [part for part in Path(photo).parts if part not in ("..", Path(photo).anchor)]
        return self._where.joinpath(*kept[:-1], f"{kept[-1]}.xmp")


def sidecar(answer: Answer) -> bytes:
    """Return the XMP of an answer's best place: position, datum, radius in metres that holds half, and the method."""
    for prefix, uri in _SPACES.items():
        ET.register_namespace(prefix, uri)
    values = {
        "exif:GPSVersionID": "2.3.0.0",
        "exif:GPSLatitude": _angle(answer.best.lat, "NS"),
        "exif:GPSLongitude": _angle(answer.best.lng, "EW"),
        "exif:GPSMapDatum": "WGS-84",
        "exif:GPSProcessingMethod": ESTIMATE,
        "xmp:CreatorTool": CREATOR,
    }
    if math.isfinite(answer.radius_50_km):
        values["exif:GPSHPositioningError"] = f"{answer.radius_50_km * 1000:.0f}/1"
    whole = ET.Element(_name("x:xmpmeta"))
    about = ET.SubElement(ET.SubElement(whole, _name("rdf:RDF")), _name("rdf:Description"), {_name("rdf:about"): ""})
    for name, value in values.items():
        ET.SubElement(about, _name(name)).text = value
    ET.indent(whole)
    text: bytes = ET.tostring(whole, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _is_ours(path: Path) -> bool:
    """Whether a file is a sidecar that this program wrote and nobody added to."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return False
    try:
        about = ET.parse(path).find(f"{_name('rdf:RDF')}/{_name('rdf:Description')}")
    except (ET.ParseError, LookupError, ValueError, OSError):
        return False
    if about is None:
        return False
    names = {each.tag for each in about} | {name for name in about.attrib if name != _name("rdf:about")}
    creator = about.findtext(_name("xmp:CreatorTool"))
    return creator == CREATOR and all(name == _name("xmp:CreatorTool") or "GPS" in name for name in names)


def _angle(degrees: float, letters: str) -> str:
    """Return an angle as XMP has it: degrees and minutes, to a tenth of a metre."""
    whole, millionths = divmod(round(abs(degrees) * 60_000_000), 60_000_000)
    return f"{whole},{millionths / 1e6:.6f}{letters[degrees < 0]}"


def _name(prefixed: str) -> str:
    prefix, _, name = prefixed.partition(":")
    return f"{{{_SPACES[prefix]}}}{name}"
