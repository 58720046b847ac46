"""Answers as maps: an HTML page that works without a network, or a picture for a report."""

from geoclip.map.page import write_map
from geoclip.map.picture import write_png

__all__ = ["write_map", "write_png"]
