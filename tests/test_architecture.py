"""Which room may use which, no circles, sizes that one can read, and one front door for each third-party library."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = {
    "index.ahead": set(),
    "index.compiled": set(),
    "index.encoder": set(),
    "index.files": set(),
    "index.parts": set(),
    "index.schema": set(),
    "index.grid": set(),
    "index.storage": {"index.ahead", "index.files", "index.grid", "index.schema"},
    "index.building": {"index.ahead", "index.encoder", "index.files", "index.grid", "index.parts", "index.storage"},
    "index.search": {"index.compiled", "index.encoder", "index.grid", "index.storage"},
    "geoclip.errors": set(),
    "geoclip.schema": {"index.schema"},
    "geoclip.extras": {"geoclip.errors"},
    "geoclip.files": {"geoclip.errors", "index.files"},
    "geoclip.on_ray": {"geoclip.extras"},
    "geoclip.long_lived": set(),
    "geoclip.distance": {"index.grid"},
    "geoclip.tables": {"geoclip.errors", "geoclip.files", "geoclip.journal"},
    "geoclip.release": {
        "geoclip.errors",
        "geoclip.extras",
        "geoclip.files",
        "geoclip.photos",
        "geoclip.remote",
        "geoclip.schema",
        "geoclip.tables",
    },
    "geoclip.photos": {"geoclip.errors", "geoclip.schema"},
    "geoclip.encoders": {"geoclip.errors", "geoclip.files", "geoclip.photos", "geoclip.release"},
    "geoclip.model": {"geoclip.encoders", "geoclip.errors", "geoclip.photos", "geoclip.release"},
    "geoclip.option_groups": {"geoclip.errors"},
    "geoclip.options": {
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.option_groups",
        "geoclip.photos",
        "index.grid",
        "index.search",
    },
    "geoclip.embedder": {"geoclip.encoders", "geoclip.options", "geoclip.photos", "geoclip.release"},
    "geoclip.answers": {
        "geoclip.distance",
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.files",
        "geoclip.options",
        "geoclip.release",
        "geoclip.schema",
        "index.compiled",
        "index.encoder",
        "index.grid",
        "index.search",
        "index.storage",
    },
    "geoclip.choose": {"geoclip.answers", "geoclip.map"},
    "geoclip.locator": {
        "geoclip.answers",
        "geoclip.distance",
        "geoclip.embedder",
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.options",
        "geoclip.photos",
        "geoclip.release",
        "index.search",
    },
    "geoclip.build_on_ray": {
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.on_ray",
        "geoclip.remote",
        "index.building",
    },
    "geoclip.index_builder": {
        "geoclip.build_on_ray",
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.files",
        "geoclip.on_ray",
        "geoclip.options",
        "geoclip.release",
        "geoclip.remote",
        "geoclip.tables",
        "index.building",
        "index.grid",
        "index.parts",
        "index.storage",
    },
    "geoclip.embed_files": {
        "geoclip.embedder",
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.options",
        "geoclip.photos",
        "geoclip.release",
        "geoclip.tables",
        "geoclip.train",
    },
    "geoclip.cell_table": {
        "geoclip.answers",
        "geoclip.errors",
        "geoclip.files",
        "geoclip.writers",
        "index.encoder",
        "index.grid",
        "index.storage",
    },
    "geoclip.photo_labels": {"geoclip.errors", "geoclip.files", "geoclip.photos"},
    "geoclip.ray": {
        "geoclip.answers",
        "geoclip.errors",
        "geoclip.locator",
        "geoclip.photos",
        "geoclip.remote",
        "geoclip.writers",
    },
    "geoclip.journal": {"geoclip.errors", "geoclip.files", "geoclip.schema"},
    "geoclip.remote": {
        "geoclip.errors",
        "geoclip.files",
        "index.files",
        "geoclip.photos",
        "index.storage",
    },
    "geoclip.publish": {
        "geoclip.errors",
        "geoclip.files",
        "geoclip.release",
        "geoclip.remote",
        "index.schema",
        "index.storage",
    },
    "geoclip.writers": {
        "geoclip.answers",
        "geoclip.errors",
        "geoclip.files",
        "geoclip.journal",
        "geoclip.photos",
        "index.files",
        "index.grid",
        "index.parts",
    },
    "geoclip.map": {
        "geoclip.answers",
        "geoclip.errors",
        "geoclip.files",
        "geoclip.writers",
        "index.grid",
    },
    "geoclip.evaluation": {
        "geoclip.answers",
        "geoclip.distance",
        "geoclip.errors",
        "geoclip.extras",
        "geoclip.files",
        "geoclip.locator",
        "geoclip.option_groups",
        "geoclip.options",
        "geoclip.photos",
        "geoclip.tables",
        "geoclip.writers",
        "index.grid",
        "index.search",
    },
    "geoclip.serve": {
        "geoclip",  # its version
        "geoclip.answers",
        "geoclip.embedder",
        "geoclip.errors",
        "geoclip.locator",
        "geoclip.long_lived",
        "geoclip.map",
        "geoclip.option_groups",
        "geoclip.options",
        "geoclip.photos",
        "geoclip.release",
        "geoclip.schema",
        "geoclip.tables",
        "geoclip.writers",
        "index.grid",
        "index.search",
        "index.storage",
    },
    "geoclip.train": {
        "geoclip.distance",
        "geoclip.encoders",
        "geoclip.errors",
        "geoclip.files",
        "geoclip.map",
        "geoclip.photos",
        "geoclip.release",
        "geoclip.schema",
        "geoclip.tables",
    },
}
"""What each room may import besides itself and third parties. `geoclip.cli` joins everything and is used by nobody."""


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The syntax of a file."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports(path: Path) -> list[str]:
    """Every module a file imports, wherever in the file."""
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.append(node.module or "")
    return found


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def importers(module: str, *folders: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in files(*folders)
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
    }


def test_a_room_uses_only_the_rooms_it_may() -> None:
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in files("index", "geoclip"):
        room = room_of(module_of(path))
        if room in ("index", "geoclip", "geoclip.cli", "geoclip.__main__"):
            continue
        used[room] |= {room_of(name) for name in imports(path) if name.split(".")[0] in ("index", "geoclip")} - {room}
    assert used == ROOMS


def test_rooms_form_no_circle() -> None:
    assert list(TopologicalSorter(ROOMS).static_order())


def test_nobody_uses_the_command_line() -> None:
    outside = {path for path in importers("geoclip.cli", "geoclip", "index") if not path.startswith("geoclip/cli/")}
    assert outside == {"geoclip/__main__.py"}


def test_library_never_imports_scripts_or_tests() -> None:
    for module in ("scripts", "tests", "benchmarks"):
        assert importers(module, "geoclip", "index") == set()


def test_files_and_functions_are_short_enough_to_read() -> None:
    long = []
    for path in files("index", "geoclip"):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        if text.count("\n") > 350:
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                parameters = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
                if lines > 60 or parameters > 12:
                    long.append(f"{name}: {node.name} has {lines} lines, {parameters} parameters")
    assert long == []


def test_tests_share_helpers_and_replace_objects_not_names() -> None:
    wrong = []
    for path in files("tests"):
        wrong += [f"{path} imports {name}" for name in imports(path) if name.split(".")[-1].startswith("test_")]
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
                wrong += [f"{path}:{node.lineno} patches by a string"] * isinstance(node.args[0], ast.Constant)
    assert wrong == []


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        ("open_clip", {"geoclip/encoders/backbone.py"}),
        (
            "faiss",
            {"index/search/engine/all_cells.py", "index/search/engine/flat.py", "index/storage/lists.py"},
        ),
        ("h3", set()),
        ("h3ronpy", {"index/grid/cells.py"}),
        ("global_land_mask", set()),  # its raster is read where it lies, by index/grid/raster.py
        (
            "shapely",
            {
                "index/grid/geojson_polygons.py",
                "index/grid/shapes.py",
                "geoclip/cell_table.py",
                "geoclip/map/outline.py",
            },
        ),
        ("numba", {"index/compiled.py"}),
        ("matplotlib", {"geoclip/evaluation/plots.py", "geoclip/map/picture.py", "geoclip/train/prediction_map.py"}),
        ("pillow_heif", {"geoclip/photos/decode.py"}),
        ("platformdirs", {"geoclip/files.py"}),
        ("uvicorn", {"geoclip/serve/running.py"}),
        ("prometheus_client", {"geoclip/serve/app.py", "geoclip/serve/metrics.py"}),
        ("pyproj", {"geoclip/distance.py", "index/grid/geojson_polygons.py"}),
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
