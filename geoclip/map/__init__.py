"""Answers as maps: an HTML page that works without a network, or a picture for a report (`geoclip.map.picture`)."""

from geoclip.map.page import map_html, write_map

__all__ = ["map_html", "write_map"]
