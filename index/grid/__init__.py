"""Where things are on the globe: H3 cells, land, countries, regions and shapes. Knows no vectors."""
