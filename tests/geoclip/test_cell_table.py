"""Tables of cells against the index they are of, read back by GeoPandas and DuckDB."""

import json
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import h3
import numpy as np
import pyarrow.parquet
import pytest

from geoclip.cell_table import write_cells
from geoclip.errors import InputError
from index.grid.cells import centres, parents
from index.grid.region import Region
from index.storage.contents import IndexContents
from tests.helpers.commands import geoclip
from tests.helpers.synthetic import ALPS, FIJI, encode, small_index


@pytest.fixture(params=[ALPS, FIJI], ids=["alps", "fiji"])
def index(request: pytest.FixtureRequest) -> Path:
    region: Region = request.param
    return small_index(region)


def asked(sql: str) -> list[Any]:
    """What DuckDB answers."""
    found = duckdb.sql(sql)
    assert found is not None
    return found.fetchall()


@pytest.mark.parametrize("res", [None, 0, 3, 5, 7])
def test_rows_add_up_to_the_index(index: Path, tmp_path: Path, res: int | None) -> None:
    contents = IndexContents.open(index)
    written = write_cells(index, tmp_path / "cells.parquet", res)
    table = geopandas.read_parquet(tmp_path / "cells.parquet")
    assert len(table) == written
    assert table.prior.sum() == pytest.approx(1, abs=1e-6)
    assert (table.prior > 0).all()
    ids = table.cell.to_numpy(np.uint64)
    assert [h3.int_to_str(int(cell)) for cell in ids] == table.h3.tolist()
    assert {h3.get_resolution(each) for each in table.h3} == {6 if res is None else res}
    if res is not None and res <= 6:
        assert ids.tolist() == sorted(
            {h3.str_to_int(h3.cell_to_parent(f"{c:x}", res)) for c in contents.cells.tolist()}
        )
        up = parents(contents.cells, res)
        for row in (0, len(ids) // 2, len(ids) - 1):
            own = up == ids[row]
            assert table.prior[row] == pytest.approx(np.exp(contents.prior.coarse_log_mass[own]).sum(), rel=1e-5)
            km2 = sum(h3.cell_area(f"{cell:x}", "km^2") for cell in contents.cells[own].tolist())
            assert table.land_km2[row] == pytest.approx(km2, rel=1e-6)
    assert np.allclose(table[["lat", "lng"]].to_numpy(), centres(ids))


def test_outlines_are_the_cells_on_a_map(index: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    write_cells(index, path, 5)
    table = geopandas.read_parquet(path)
    assert table.crs == "OGC:CRS84"
    assert table.is_valid.all()
    west, south, east, north = table.total_bounds
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90
    assert (table.bounds.maxx - table.bounds.minx)[table.geom_type == "Polygon"].max() < 5
    assert (table.geom_type == "MultiPolygon").any() == bool(east - west > 180)  # some are cut at the antimeridian
    km2 = table.to_crs("ESRI:54034").area / 1e6  # equal area
    assert km2.to_numpy() == pytest.approx([h3.cell_area(each, "km^2") for each in table.h3], rel=0.01)
    boxes = np.array([list(each.values()) for each in pyarrow.parquet.read_table(path)["bbox"].to_pylist()])
    assert boxes == pytest.approx(table.bounds.to_numpy())
    about = json.loads(pyarrow.parquet.read_schema(path).metadata[b"geo"])
    assert (about["version"], about["primary_column"]) == ("1.1.0", "geometry")
    assert about["columns"]["geometry"]["covering"]["bbox"]["ymax"] == ["bbox", "ymax"]


def test_duckdb_joins_by_either_id(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    write_cells(small_index(ALPS), path, 4)
    rows = asked(f"select country, sum(prior), count(*) from '{path}' group by country order by 2 desc")
    assert {"CH", "IT", "FR"} <= {code for code, _, _ in rows}
    assert sum(share for _, share, _ in rows) == pytest.approx(1, abs=1e-6)
    zurich = h3.latlng_to_cell(47.0, 8.5, 4)
    by_name, by_number = (
        asked(f"select country, lat from '{path}' where {condition}")
        for condition in (f"h3 = '{zurich}'", f"cell = {h3.str_to_int(zurich)}")
    )
    assert by_name == by_number == [("CH", pytest.approx(h3.cell_to_latlng(zurich)[0]))]


def test_vectors_are_those_of_centres(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    write_cells(small_index(ALPS), path, 5, encode=encode)
    table = pyarrow.parquet.read_table(path)
    vectors = np.stack(table["vector"].to_numpy(zero_copy_only=False))
    assert vectors.dtype == np.float32
    where = np.stack((table["lat"], table["lng"]), axis=1)
    assert np.array_equal(vectors, encode(where))
    with pytest.raises(InputError, match=r"was built with the model .*, the vectors come from 0123; name the index's"):
        write_cells(small_index(ALPS), path, 5, encode=encode, model="0123")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for res in (-1, 8, 16):
        with pytest.raises(InputError, match=f"The resolution is {res}; cells of this index can be written at 0 to 7"):
            write_cells(small_index(ALPS), tmp_path / "cells.parquet", res)
    with pytest.raises(InputError, match="is not an index"):
        write_cells(tmp_path, tmp_path / "cells.parquet")
    assert list(tmp_path.iterdir()) == []
    done = geoclip("cells", small_index(ALPS), "-o", tmp_path / "cells.csv")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "is not called .parquet" in done.stderr


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    for arguments, code in (((), 0), ((), 2), (("--overwrite",), 0)):
        done = geoclip("cells", small_index(ALPS), "--resolution", "3", "-o", path, *arguments)
        assert done.exit_code == code, done.stderr
    assert len(geopandas.read_parquet(path)) == len(np.unique(parents(IndexContents.open(small_index(ALPS)).cells, 3)))
