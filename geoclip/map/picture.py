"""One answer as a PNG picture for a report, drawn by Matplotlib without a display."""

import io
import math
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from geoclip.answers.answer import Answer
from geoclip.answers.figures import distance
from geoclip.files import written_whole
from geoclip.map import contents
from geoclip.map.contents import BORDER, LAND, LEAST, MOST, POINT, SEA, Tree
from geoclip.map.outline import outlines
from geoclip.writers.rings import Line, circle_line
from geoclip.writers.wording import one_line, share, title
from index.grid.sphere import EARTH_RADIUS_KM

WIDTH_PX, HEIGHT_PX, DPI = 1680, 945, 120
AREA_PX = 480

Box = tuple[float, float, float, float]
WORLD_BOX: Box = (0.01, 0.42, 0.575, 0.535)
ZOOM_BOX: Box = (0.60, 0.105, 0.39, 0.85)
"""Left, bottom, width and height of the two maps as shares of the picture."""

_STEPS = np.linspace(0.0, 1.0, 256)
COLOURS = np.column_stack((colormaps["viridis"](_STEPS[::-1])[:, :3], 0.35 + 0.5 * _STEPS))
"""From the least probable cell to the most: viridis backwards, which darkens evenly in greyscale and for colour-blind
eyes too, and from faint to strong."""

MOST_LISTED, MOST_LINES, LINE_CHARS = 6, 17, 74
"""Places in the caption, its lines, and their length beside a thumbnail."""

_METRES_PER_DEG = 1000 * math.radians(EARTH_RADIUS_KM)
_WIDEST_DEG = 120.0
_BEST_REGION_DEG = 4.5  # shown around the best point where no circle can be


class View(NamedTuple):
    """What part of the world a map shows. The middle and half of the width and height, all in degrees."""

    lat: float
    lng: float
    half_lat: float
    half_lng: float


def write_png(answer: Answer, path: str | Path, *, thumbnail: bytes | None = None) -> None:
    """Write a picture of one answer, 1680 x 945 pixels, whole or not at all.

    It shows the world, the circle that holds 90 % of the probability (or the best point's surroundings), and a caption.
    Of an answer with an error it shows the world and the error. Scripts that Matplotlib's own font lacks, such as
    Chinese, appear as boxes.

    Args:
        answer: what to show.
        path: of the file.
        thumbnail: JPEG bytes of the photo, of any size.

    Raises:
        InputError: the file cannot be written, or the thumbnail is not an image.
    """
    photo = contents.thumbnail(thumbnail, one_line(answer.query)) if thumbnail else None
    tree = contents.tree_of(answer.cells)
    with style.context("default"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI)
        best_lng = answer.best.lng if answer.predictions else 0.0
        world = View(0.0, float(np.copysign(180.0, best_lng)) if abs(best_lng) > 144.0 else 0.0, 90.0, 180.0)
        axes = _map(figure, WORLD_BOX, world, tree, answer)
        if answer.predictions:
            zoom = _zoom(answer)
            _frame(axes, zoom)
            _scale_bar(_map(figure, ZOOM_BOX, zoom, tree, answer), zoom)
            _legend(figure)
        _caption(figure, answer, photo)
        with written_whole(Path(path)) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)


def area_png(answer: Answer, rank: int) -> bytes:
    """Return a picture of one area of an answer, 480 x 480 pixels: its cells, and coast and borders around it."""
    place = answer.predictions[rank - 1]
    reach_km = 1.3 * (answer.area_km if math.isfinite(answer.area_km) else 25.0)
    half_lat = min(math.degrees(reach_km / EARTH_RADIUS_KM), 90.0)
    half_lng = min(half_lat / max(math.cos(math.radians(place.lat)), 0.05), 180.0)
    with style.context("default"):
        figure = Figure(figsize=(AREA_PX / DPI, AREA_PX / DPI), dpi=DPI)
        view = View(place.lat, place.lng, half_lat, half_lng)
        _map(figure, (0.0, 0.0, 1.0, 1.0), view, contents.tree_of(answer.cells), answer)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _map(figure: Figure, box: Box, view: View, tree: Tree, answer: Answer) -> Axes:
    axes = figure.add_axes(box, facecolor=SEA, xticks=[], yticks=[])
    axes.set_xlim(view.lng - view.half_lng, view.lng + view.half_lng)
    axes.set_ylim(view.lat - view.half_lat, view.lat + view.half_lat)
    axes.add_collection(PolyCollection(_seen(list(outlines()), view), facecolor=LAND, edgecolor=BORDER, linewidth=0.4))
    if len(tree.cells):
        _cells(axes, box, view, tree)
    if answer.predictions:
        _places(axes, view, answer)
    return axes


def _seen(lines: list[Line], view: View) -> list[Line]:
    """Return the lines in (lng, lat), as often as they touch the view, each 360 degrees from the next."""
    copies = (line[:, ::-1] + (turn, 0.0) for turn in (-360.0, 0.0, 360.0) for line in lines if len(line))
    middle, reach = np.array((view.lng, view.lat)), np.array((view.half_lng, view.half_lat))
    low, high = middle - reach, middle + reach
    return [copy for copy in copies if (copy.max(axis=0) >= low).all() and (copy.min(axis=0) <= high).all()]


def _cells(axes: Axes, box: Box, view: View, tree: Tree) -> None:
    metres_per_pixel = 2 * view.half_lat * _METRES_PER_DEG / (box[3] * HEIGHT_PX)
    res = min(contents.resolution_for(metres_per_pixel), int(tree.resolutions.max()))
    shades = ScalarMappable(LogNorm(LEAST, MOST, clip=True), ListedColormap(COLOURS))
    drawn = [
        (ring, shades.to_rgba(probability))
        for row, probability in zip(*tree.shown_at(res), strict=True)
        for ring in _seen([tree.rings[row]], view)
    ]
    if drawn:
        rings, colours = zip(*drawn, strict=True)
        axes.add_collection(PolyCollection(rings, facecolor=colours, edgecolor="#30303066", linewidth=0.4))
    wide = distance(contents.cell_width_m(res) / 1000)
    axes.set_title(f"H3 resolution {res}, cells about {wide} wide", fontsize=8, loc="left", pad=3)


def _places(axes: Axes, view: View, answer: Answer) -> None:
    best = answer.best
    for radius, dash in ((answer.radius_50_km, "solid"), (answer.radius_90_km, "dashed")):
        seen = _seen([circle_line((best.lat, best.lng), radius)], view)
        axes.add_collection(LineCollection(seen, colors="white", linewidths=3))
        axes.add_collection(LineCollection(seen, colors=POINT, linewidths=1.4, linestyles=dash))
    for rank, place in reversed(list(enumerate(answer.predictions, 1))):
        for x, y in np.concatenate([*_seen([np.array([(place.lat, place.lng)])], view), np.zeros((0, 2))]):
            star = rank == 1
            axes.plot(
                x,
                y,
                "*" if star else "o",
                ms=14 if star else 11,
                mfc=POINT if star else "white",
                mec="#202020",
                mew=0.9,
            )
            if not star:
                axes.text(x, y, f"{rank}", fontsize=7, ha="center", va="center_baseline", clip_on=True)


def _zoom(answer: Answer) -> View:
    """Return the view of the 90 % circle, else the 50 % circle, else of some 500 km around the best point."""
    best = answer.best
    low, high = np.array((best.lat, best.lng)) - _BEST_REGION_DEG, np.array((best.lat, best.lng)) + _BEST_REGION_DEG
    for radius in (answer.radius_90_km, answer.radius_50_km):
        line = circle_line((best.lat, best.lng), radius)
        if len(line) and np.ptp(line[:, 1]) < _WIDEST_DEG:
            low, high = line.min(axis=0), line.max(axis=0)
            break
    lat, lng = ((low + high) / 2).tolist()
    half_lat, half_lng = (1.15 * (high - low) / 2).tolist()
    across = (ZOOM_BOX[2] * WIDTH_PX) / (ZOOM_BOX[3] * HEIGHT_PX)
    narrowing = max(float(np.cos(np.radians(lat))), 0.05)  # of a degree of longitude
    half_lat = max(half_lat, half_lng * narrowing / across, 0.005)
    lat = max(min(lat, 90.0 - half_lat), half_lat - 90.0)
    return View(lat, lng, half_lat, half_lat * across / narrowing)


def _frame(axes: Axes, view: View) -> None:
    for turn in (-360.0, 0.0, 360.0):
        corner = (view.lng - view.half_lng + turn, view.lat - view.half_lat)
        axes.add_patch(Rectangle(corner, 2 * view.half_lng, 2 * view.half_lat, fill=False, lw=0.8, ec="#202020"))


def _scale_bar(axes: Axes, view: View) -> None:
    degrees = 0.25 * 2 * view.half_lng
    metres_per_deg = _METRES_PER_DEG * view.half_lat / view.half_lng * (ZOOM_BOX[2] * WIDTH_PX)
    metres_per_deg /= ZOOM_BOX[3] * HEIGHT_PX
    power = 10.0 ** np.floor(np.log10(degrees * metres_per_deg))
    metres = power * next(step for step in (5, 2, 1) if step * power <= degrees * metres_per_deg)
    x, y = view.lng - 0.95 * view.half_lng, view.lat - 0.95 * view.half_lat
    axes.plot([x, x + metres / metres_per_deg], [y, y], color="#202020", lw=2.5, solid_capstyle="butt")
    axes.text(x, y + 0.015 * view.half_lat, distance(metres / 1000), fontsize=8, va="bottom")


def _legend(figure: Figure) -> None:
    left, _, width, _ = ZOOM_BOX
    shades = ScalarMappable(LogNorm(LEAST, MOST), ListedColormap(COLOURS))
    bar = figure.colorbar(shades, cax=figure.add_axes((left, 0.045, 0.42 * width, 0.018)), orientation="horizontal")
    ticks = 10.0 ** np.arange(round(np.log10(LEAST)), 1)
    bar.set_ticks(ticks.tolist(), labels=[f"{100 * tick:g} %" for tick in ticks], fontsize=7)
    bar.minorticks_off()
    bar.ax.set_title("probability of a cell (larger ones: mean of such)", fontsize=7, pad=3, loc="left")
    keys = [
        Line2D([], [], marker="*", ms=11, mfc=POINT, mec="#202020", ls="", label="best point"),
        Line2D([], [], marker="o", ms=9, mfc="white", mec="#202020", ls="", label="alternatives, by rank"),
        Line2D([], [], color=POINT, label="50 % of the probability"),
        Line2D([], [], color=POINT, ls="dashed", label="90 % of the probability"),
    ]
    place = (left + 0.5 * width, 0.012, 0.5 * width, 0.075)
    figure.legend(handles=keys, bbox_to_anchor=place, loc="center right", ncols=2, fontsize=7, frameon=False)


def _caption(figure: Figure, answer: Answer, photo: bytes | None) -> None:
    left, chars = 0.012, LINE_CHARS + 26
    if photo:
        with Image.open(io.BytesIO(photo)) as image:
            axes = figure.add_axes((left, 0.03, 0.17, 0.34), anchor="NW")
            axes.imshow(np.asarray(image))
            axes.set_axis_off()
        left, chars = 0.195, LINE_CHARS
    lines = [] if answer.predictions else [answer.error or "No place was found."]
    for rank, place in enumerate(answer.predictions[:MOST_LISTED], 1):
        mark = "\N{BLACK STAR}" if rank == 1 else f"{rank}"
        lines.append(_cut(f"{mark}  {title(place)}, {share(place)}", chars))
    if len(answer.predictions) > MOST_LISTED:
        lines.append(f"and {len(answer.predictions) - MOST_LISTED} more places")
    lines += [line for text in ["", *contents.sentences(answer)] for line in textwrap.wrap(text, chars) or [""]]
    query = _cut(one_line(answer.query), chars - 10)
    figure.text(left, 0.37, query, fontsize=11, fontweight="bold", va="top", parse_math=False)
    body = "\n".join([*lines[:MOST_LINES], *(["..."] if len(lines) > MOST_LINES else [])])
    figure.text(left, 0.335, body, fontsize=8.5, va="top", linespacing=1.3, parse_math=False)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 3] + "..."
