"""Tar files of photos, as webdataset writes them."""

import io
import tarfile
from pathlib import Path

from tests.helpers.pictures import make_photo


def shard(path: Path, count: int = 3, first: int = 0, kind: int = tarfile.PAX_FORMAT) -> list[bytes]:
    """Write a shard as webdataset does, `000.jpg` beside `000.json`; return the photos."""
    contents = []
    with tarfile.open(path, "w", format=kind) as tar:
        for number in range(first, first + count):
            contents.append(make_photo(path.parent / "photo.png", seed=number).read_bytes())
            for name, content in ((f"{number:03d}.png", contents[-1]), (f"{number:03d}.json", b"{}")):
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
    (path.parent / "photo.png").unlink()
    return contents
