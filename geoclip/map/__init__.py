"""Answers as maps: an HTML page that works without a network, or a picture for a report."""

from geoclip.extras import need

need("map", "A map")

from geoclip.map.page import map_html, write_map  # noqa: E402 - what it needs is there
from geoclip.map.picture import write_png  # noqa: E402

__all__ = ["map_html", "write_map", "write_png"]
