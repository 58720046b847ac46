"""The drawing surface of the HTML page: a Bokeh plot with empty layers, which `page.js` fills."""

import math
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LogColorMapper,
    PanTool,
    Range1d,
    WheelZoomTool,
    WMTSTileSource,
)
from bokeh.models.renderers import TileRenderer
from bokeh.plotting import figure
from numpy.typing import NDArray

from geoclip.map.contents import BORDER, COLOURS, LAND, LEAST, MOST, POINT, SEA
from geoclip.writers.rings import Line

WEB_MERCATOR_RADIUS_M = 6378137.0
WEB_MERCATOR_LAT = 85.0511287798
"""Where Web Mercator (EPSG:3857) cuts the poles off, so that the world is a square."""
_WORLD_M = 2 * math.pi * WEB_MERCATOR_RADIUS_M


def empty_map() -> Document:
    """Return a document with the plot, which calls the page's `start` with its parts when the browser has drawn it."""
    wheel = WheelZoomTool()
    plot = figure(
        x_range=Range1d(
            start=-_WORLD_M / 2,
            end=_WORLD_M / 2,
            bounds=(-1.5 * _WORLD_M, 1.5 * _WORLD_M),
            min_interval=100.0,  # metres: finer than any cell
        ),
        y_range=Range1d(start=-_WORLD_M / 2, end=_WORLD_M / 2),
        x_axis_type=None,
        y_axis_type=None,
        tools=[PanTool(), wheel],
        sizing_mode="stretch_both",
        background_fill_color=SEA,
        border_fill_color=SEA,
        outline_line_color=None,
        min_border=0,
        toolbar_location=None,
    )
    plot.toolbar.active_scroll = wheel
    plot.grid.visible = False
    parts = {"plot": plot, **_layers(plot)}
    document = Document()
    document.add_root(plot)
    document.js_on_event("document_ready", CustomJS(args=parts, code=f"start({{{', '.join(parts)}}})"))
    return document


def _layers(plot: figure) -> dict[str, Any]:
    """Add the layers, lowest first; return what the script needs of them."""
    land, borders = (_source("xs ys") for _ in range(2))
    circles = _source("xs ys dash")
    cells = _source("xs ys id resolution shade text")
    places = _source("x y rank marker size fill name text at cell")
    tiles = TileRenderer(tile_source=WMTSTileSource(max_zoom=19), level="underlay")  # the script adds it to the plot
    ground = plot.patches("xs", "ys", source=land, fill_color=LAND, line_color=None)
    plot.multi_line("xs", "ys", source=borders, line_color=BORDER, line_width=0.8)
    hexagons = plot.patches(
        "xs",
        "ys",
        source=cells,
        fill_color={"field": "shade", "transform": LogColorMapper(palette=COLOURS, low=LEAST, high=MOST)},
        line_color="#303030",
        line_alpha=0.4,
        line_width=0.6,
    )
    for width, colour in ((4.5, "white"), (2.2, POINT)):
        plot.multi_line("xs", "ys", source=circles, line_color=colour, line_width=width, line_dash="dash")
    disks = plot.scatter(
        "x", "y", source=places, marker="marker", size="size", fill_color="fill", line_color="#202020", line_width=1.4
    )
    plot.text("x", "y", "rank", source=places, text_align="center", text_baseline="middle", text_font_size="12px")
    cell_lines = [("cell", "@id"), ("resolution", "@resolution"), ("probability", "@text")]
    place_lines = [("place", "@name"), ("probability", "@text"), ("at", "@at"), ("cell", "@cell")]
    plot.add_tools(
        HoverTool(
            renderers=[hexagons],
            tooltips=cell_lines,
            limit=1,
            sort_by=[("resolution", -1)],
            point_policy="follow_mouse",
            attachment="below",
        ),
        HoverTool(renderers=[disks], tooltips=place_lines, limit=1, attachment="above"),
    )
    return {
        "land": land, "borders": borders, "cells": cells, "circles": circles, "places": places,
        "ground": ground, "tiles": tiles,
    }  # fmt: skip


def _source(columns: str) -> ColumnDataSource:
    return ColumnDataSource({name: [] for name in columns.split()})


def web_mercator(lat_lng: Line) -> NDArray[np.float64]:
    """Return (V, 2) metres east and north of (0, 0) in EPSG:3857; latitudes beyond its edge are put on the edge."""
    lat = np.radians(np.clip(lat_lng[:, 0], -WEB_MERCATOR_LAT, WEB_MERCATOR_LAT))
    metres: Line = WEB_MERCATOR_RADIUS_M * np.stack((np.radians(lat_lng[:, 1]), np.arcsinh(np.tan(lat))), axis=1)
    return metres
