"""Answers out: JSON Lines, CSV and Parquet for programs, GeoJSON and KML for maps, tables for people."""

from geoclip.writers.formats import Format, Writer
from geoclip.writers.output import Output

__all__ = ["Format", "Output", "Writer"]
