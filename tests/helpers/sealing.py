"""Indexes that are changed and sealed again, as a hostile hand would."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from index.files import sha256_of
from index.storage.manifest import MANIFEST, SUMS


def resealed(
    folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None, files: Mapping[str, bytes] = {}
) -> None:
    """Change the manifest and some files, and make sizes and digests right.

    Args:
        folder: of the index.
        change: is given the content of the manifest.
        files: new contents by name.
    """
    content = json.loads((folder / MANIFEST).read_text())
    for name, data in files.items():
        (folder / name).write_bytes(data)
        content["files"][name] = len(data)
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """Make the list of digests right."""
    paths = [path for path in sorted(folder.iterdir()) if path.name != SUMS]
    (folder / SUMS).write_text("".join(f"{sha256_of(path)}  {path.name}\n" for path in paths))
