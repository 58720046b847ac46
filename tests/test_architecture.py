"""The arrows between packages, and one front door for each third-party library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def importers(module: str, *folders: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in files(*folders)
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
    }


def test_index_never_imports_geoclip() -> None:
    assert files("index")
    assert importers("geoclip", "index") == set()


ENCODERS = [
    "backbone",
    "clip_checkpoint",
    "coordinates",
    "decode",
    "exif",
    "fleet",
    "fourier",
    "image_encoder",
    "location_encoder",
    "model",
    "photos",
    "preprocess",
    "projection",
    "release",
    "text",
    "workers",
]


JOINING = [
    "calibrating",
    "calibration",
    "evaluate/located",
    "evaluate/places",
    "locator",
    "place_names",
    "reading",
    "search",
]


def test_encoders_know_nothing_of_the_search() -> None:
    encoders = {f"geoclip/{name}.py" for name in ENCODERS}
    assert all((ROOT / path).is_file() for path in encoders)
    assert not encoders & importers("index", "geoclip")


def test_what_searches_joins_encoders_and_index_in_few_places() -> None:
    joining = importers("index", "geoclip")
    outside = {path for path in joining if not path.startswith(("geoclip/cli/", "geoclip/map/"))}
    assert outside == {f"geoclip/{name}.py" for name in JOINING}


def test_library_never_imports_scripts_or_tests() -> None:
    for module in ("scripts", "tests", "benchmarks"):
        assert importers(module, "geoclip", "index") == set()


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        ("open_clip", {"geoclip/encoders/backbone.py"}),
        ("faiss", {"index/search/engine/flat.py", "index/storage/lists.py", "index/search/engine/all_cells.py"}),
        ("h3", set()),
        ("h3ronpy", {"index/grid/cells.py"}),
        ("global_land_mask", {"index/grid/land.py"}),
        ("shapely", {"index/grid/shapes.py", "geoclip/map/outline.py"}),
        ("bokeh", {"geoclip/map/canvas.py", "geoclip/map/contents.py", "geoclip/map/page.py"}),
        ("matplotlib", {"geoclip/evaluate/plots.py", "geoclip/map/picture.py", "geoclip/train/prediction_map.py"}),
        ("pillow_heif", {"geoclip/photos/decode.py"}),
        ("platformdirs", {"geoclip/files.py"}),
        ("pyproj", {"geoclip/distance.py"}),
    ],
)
def test_a_library_has_one_front_door(library: str, doors: set[str]) -> None:
    assert importers(library, "geoclip", "index") == doors


def test_decoding_workers_load_neither_torch_nor_numpy() -> None:
    code = "import sys, geoclip.photos.decode; print(sorted({'torch', 'numpy', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_packages_loads_nothing_heavy() -> None:
    code = "import sys, geoclip, geoclip.cli.app; print(sorted({'torch', 'numpy', 'faiss', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
