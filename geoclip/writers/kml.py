"""Answers as KML 2.2 (OGC 07-147r2) for Google Earth, written as a stream.

The elements are made with the standard library: the packages for KML hold a whole document in memory before they
write it, and what is needed of the format is a dozen elements.
"""

from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

from geoclip.answers.answer import Answer, Prediction
from geoclip.answers.figures import distance, percent
from geoclip.answers.record import rounded, significant
from geoclip.writers.formats import Writer
from geoclip.writers.map_shapes import circles, drawn_cells
from geoclip.writers.rings import Polygon, Ring
from geoclip.writers.wording import headline, notes, one_line, share, title

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2">
<Document>
<name>Where photos were taken</name>
<Style id="circle"><LineStyle><color>ff00a5ff</color><width>2</width></LineStyle>\
<PolyStyle><fill>0</fill></PolyStyle></Style>
"""
_CELL_COLOUR = "3c14dc"  # crimson, as KML has it: blue, green, red
_FAINTEST, _FULLEST = 32, 200  # opacity of the least and the most probable cell, of 255


class KmlWriter(Writer):
    """A folder a query: the best place, the others, the 50 % and 90 % circles, and the leaves of its tree of cells.

    Names of files that XML cannot hold are escaped as in `one_line`.
    """

    head = _HEAD
    tail = "</Document>\n</kml>\n"

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        self._stream.write(tostring(_folder(answer), encoding="unicode") + "\n")


def _folder(answer: Answer) -> Element:
    folder = Element("Folder")
    _text(folder, "name", answer.query)
    if not answer.predictions:
        _text(folder, "description", headline(answer))
    for rank, prediction in enumerate(answer.predictions, 1):
        _place(folder, answer, rank, prediction)
    for circle in circles(answer):
        name = f"{100 * circle.share:.0f} % within {distance(circle.radius_km)}"
        placemark = _placemark(folder, name, style="#circle", data={"radius_km": significant(circle.radius_km, 3)})
        _area(placemark, circle.polygons)
    cells = drawn_cells(answer)
    if cells:
        inner = SubElement(folder, "Folder")
        _text(inner, "name", "Cells")
        most = max(cell.probability for cell in cells)
        for cell in cells:
            data = {"cell": cell.cell, "probability": significant(cell.probability, 6)}
            style = _fill(cell.probability / most if most else 0.0)
            _area(_placemark(inner, percent(cell.probability), style=style, data=data), cell.polygons)
    return folder


def _place(folder: Element, answer: Answer, rank: int, prediction: Prediction) -> None:
    data = {"rank": rank, "probability": significant(prediction.probability, 6)}
    for name, value in (
        ("share", significant(prediction.share, 6)),
        ("radius_km", significant(prediction.radius_km, 3)),
    ):
        if value is not None:
            data[name] = value
    if rank == 1:
        name, description = title(prediction), " ".join([headline(answer), *notes(answer)])
    else:
        name = f"{rank}. {title(prediction)}"
        description = share(prediction)
    placemark = _placemark(folder, name, description=description, data=data)
    _text(SubElement(placemark, "Point"), "coordinates", _position((prediction.lat, prediction.lng)))


def _placemark(
    parent: Element, name: str, *, description: str = "", style: str | Element = "", data: Mapping[str, object]
) -> Element:
    """Append a placemark that lacks its geometry only; `style` is a style or the address of one."""
    placemark = SubElement(parent, "Placemark")
    _text(placemark, "name", name)
    if description:
        _text(placemark, "description", description)
    if isinstance(style, Element):
        placemark.append(style)
    elif style:
        _text(placemark, "styleUrl", style)
    extended = SubElement(placemark, "ExtendedData")
    for key, value in data.items():
        _text(SubElement(extended, "Data", name=key), "value", str(value))
    return placemark


def _fill(share: float) -> Element:
    """Return the style of a cell that has this share of the most probable cell's probability."""
    style = Element("Style")
    _text(SubElement(style, "LineStyle"), "width", "0")
    opacity = round(_FAINTEST + (_FULLEST - _FAINTEST) * share)
    _text(SubElement(style, "PolyStyle"), "color", f"{opacity:02x}{_CELL_COLOUR}")
    return style


def _area(placemark: Element, polygons: list[Polygon]) -> None:
    parent = placemark if len(polygons) == 1 else SubElement(placemark, "MultiGeometry")
    for outer, *holes in polygons:
        polygon = SubElement(parent, "Polygon")
        _text(polygon, "tessellate", "1")
        for kind, ring in [("outerBoundaryIs", outer), *(("innerBoundaryIs", hole) for hole in holes)]:
            _ring(SubElement(polygon, kind), ring)


def _ring(parent: Element, ring: Ring) -> None:
    _text(SubElement(parent, "LinearRing"), "coordinates", " ".join(_position(point) for point in ring))


def _position(point: tuple[float, float]) -> str:
    return f"{rounded(point[1], 6)},{rounded(point[0], 6)}"


def _text(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = one_line(text)
