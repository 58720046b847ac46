"""Photos grouped into scenes by the time and the camera in their EXIF data."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from geoclip.photos.taken import read_taken, scenes

NOON = datetime(2024, 5, 1, 12, 0, 0)


def photo(path: Path, minutes: float | None, model: str = "A") -> str:
    image = Image.new("RGB", (20, 20), "red")
    exif = image.getexif()
    exif[Base.Make], exif[Base.Model] = "Maker", model
    if minutes is not None:
        at = NOON + timedelta(minutes=minutes)
        exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = f"{at:%Y:%m:%d %H:%M:%S}"
    image.save(path, exif=exif)
    return str(path)


def test_scenes_are_of_one_camera_and_without_long_pauses(tmp_path: Path) -> None:
    a = [photo(tmp_path / f"a{i}.jpg", m) for i, m in enumerate((0, 8, 16, 40, 45.5))]
    b = photo(tmp_path / "b.jpg", 4, "B")
    none = photo(tmp_path / "none.jpg", None)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    given = [a[3], b, a[0], none, a[2], a[1], str(broken), a[4]]
    assert scenes(given, 10) == [[a[3], a[4]], [b], [a[0], a[2], a[1]], [none], [str(broken)]]
    assert scenes(given, 30)[0] == [a[3], a[0], a[2], a[1], a[4]]
    assert scenes(given, 1) == [[name] for name in given]
    assert scenes([], 10) == []


@pytest.mark.parametrize("written", ["", "yesterday", "2024:13:01 00:00:00", "0000:00:00 00:00:00"])
def test_a_time_that_is_none_is_not_known(tmp_path: Path, written: str) -> None:
    image = Image.new("RGB", (20, 20))
    exif = image.getexif()
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = written
    image.save(tmp_path / "x.jpg", exif=exif)
    assert read_taken(str(tmp_path / "x.jpg")).pixels == b""
