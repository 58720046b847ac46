"""`geoclip cells`: the cells of an index as a table to join with, GeoParquet 1.1 (https://geoparquet.org).

A row a cell of one resolution: its id, as a number and in H3's letters, how probable it is before any photo is seen,
how much of it the index counts as land, the country at its centre, its outline, and its vector if that is asked for.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import shapely
from numpy.typing import NDArray

from geoclip.answers.place_names import shared_place_names
from geoclip.errors import InputError
from geoclip.files import written_whole
from geoclip.writers.rings import outline
from index.encoder import Encode
from index.grid.cells import (
    Cells,
    areas_km2,
    boundaries,
    centres,
    children,
    distinct_parents,
    names,
    resolution,
)
from index.storage.contents import IndexContents
from index.storage.manifest import BadIndexError

_ROWS = 1 << 15  # of a row group: what is in memory at once
_BOX = ("xmin", "ymin", "xmax", "ymax")

OnRows = Callable[[int, int], object]
"""Called with the rows written so far, and all."""


class _Land(NamedTuple):
    """Cells of one resolution, sorted, with what is known of each."""

    cells: Cells
    prior: NDArray[np.float64]
    """Probability; all together 1."""
    km2: NDArray[np.float64]
    """Of the index's land."""


def write_cells(
    index: Path,
    output: Path,
    res: int | None = None,
    *,
    encode: Encode | None = None,
    model: str | None = None,
    on_rows: OnRows = lambda done, total: None,
) -> int:
    """Write the cells of an index as GeoParquet; return how many.

    Columns: `cell` uint64, `h3` string, `prior` float64 (its share of photographs; all rows together 1), `land_km2`
    float64, `country` string (ISO 3166-1 alpha-2, empty where there is none), `lat`, `lng` float64 degrees (the
    centre), `bbox` (struct of degrees), `geometry` (WKB polygons or multipolygons, longitude first, cut at the
    antimeridian), and with an encoder `vector`, the unit vector of the centre, fixed_size_list<float32>.

    Args:
        index: its folder.
        output: the file to make.
        res: H3 resolution, 0 to one below that of the stored cells; theirs unless said otherwise.
        encode: the location encoder, for vectors.
        model: the digest of its model; None does not compare.
        on_rows: told how far it is.

    Raises:
        InputError: no index, one of another model, another resolution, or the file cannot be written.
    """
    try:
        contents = IndexContents.open(index, model=model)
    except BadIndexError as error:
        raise InputError(str(error)) from error
    stored = contents.manifest.coarse_res
    res = stored if res is None else res
    if not 0 <= res <= stored + 1:
        raise InputError(f"The resolution is {res}; cells of this index can be written at 0 to {stored + 1}.")
    land = _land(contents, res)
    schema = _schema(contents.manifest.dim if encode is not None else None)
    about = {"geo": json.dumps(_geo()), "geoclip-planet": json.dumps({"index": contents.digest, "resolution": res})}
    with (
        written_whole(output) as temporary,
        pa.parquet.ParquetWriter(temporary, schema.with_metadata(about), compression="zstd") as writer,
    ):
        for done, table in _tables(land, schema, encode):
            writer.write_table(table, row_group_size=_ROWS)
            on_rows(done, len(land.cells))
    return len(land.cells)


def _land(contents: IndexContents, res: int) -> _Land:
    """Sum what is known of the coarse cells up to a resolution, or share it among their children."""
    cells, mass = contents.cells, np.exp(contents.prior.coarse_log_mass)
    km2 = areas_km2(cells)
    if res > resolution(cells[:1]):
        below = children(cells, res)
        return _Land(below, np.exp(contents.prior.log_mass(below)), areas_km2(below))
    while resolution(cells[:1]) > res:
        above, rows = distinct_parents(cells)
        sums = [np.bincount(rows, each, len(above)).astype(np.float64) for each in (mass, km2)]
        cells, (mass, km2) = above, sums
    return _Land(cells, mass, km2)


def _schema(dim: int | None) -> pa.Schema:
    columns: dict[str, pa.DataType] = {"cell": pa.uint64(), "h3": pa.string(), "prior": pa.float64()}
    columns |= {"land_km2": pa.float64(), "country": pa.string(), "lat": pa.float64(), "lng": pa.float64()}
    columns |= {"bbox": pa.struct([(name, pa.float64()) for name in _BOX]), "geometry": pa.binary()}
    if dim is not None:
        columns["vector"] = pa.list_(pa.float32(), dim)
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


def _geo() -> dict[str, Any]:
    """Return GeoParquet's metadata; coordinates are WGS 84 with longitude first, which is its default."""
    geometry = {
        "encoding": "WKB",
        "geometry_types": ["Polygon", "MultiPolygon"],
        "covering": {"bbox": {name: ["bbox", name] for name in _BOX}},
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


def _tables(land: _Land, schema: pa.Schema, encode: Encode | None) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows, group by group, and how many there are until then."""
    for at in range(0, len(land.cells), _ROWS):
        own = slice(at, at + _ROWS)
        cells, where = land.cells[own], centres(land.cells[own])
        shapes = _outlines(cells)
        boxes = shapely.bounds(shapes)
        columns: dict[str, Any] = {"cell": cells, "h3": names(cells), "prior": land.prior[own]}
        columns |= {"land_km2": land.km2[own], "country": shared_place_names().codes(where)}
        columns |= {"lat": where[:, 0], "lng": where[:, 1], "geometry": shapely.to_wkb(shapes)}
        columns["bbox"] = pa.StructArray.from_arrays([pa.array(side) for side in boxes.T], names=_BOX)
        if encode is not None:
            vectors = encode(where)
            columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        yield at + len(cells), pa.Table.from_arrays(arrays, schema=schema)


def _outlines(cells: Cells) -> NDArray[np.object_]:
    """Return the cells as polygons, those across the antimeridian or over a pole as what maps can draw."""
    rings = boundaries(cells)
    corners = np.concatenate([np.append(ring, ring[:1], axis=0) for ring in rings])[:, ::-1]
    owners = np.repeat(np.arange(len(rings)), [len(ring) + 1 for ring in rings])
    shapes: NDArray[np.object_] = shapely.polygons(shapely.linearrings(corners, indices=owners))
    boxes = shapely.bounds(shapes)
    for row in np.flatnonzero((boxes[:, 2] - boxes[:, 0] > 180) | (abs(boxes[:, [1, 3]]) > _POLAR_DEG).any(axis=1)):
        parts = [[[(lng, lat) for lat, lng in ring] for ring in polygon] for polygon in outline(rings[row])]
        polygons = [shapely.Polygon(outer, holes) for outer, *holes in parts]
        shapes[row] = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    return shapes


_POLAR_DEG = 80.0  # beyond, a cell may hold the pole
