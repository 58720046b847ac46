"""XMP sidecars and tables for exiftool: what exiftool itself makes of them, and what they never touch."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geoclip.answers.answer import Answer, Prediction
from geoclip.photos.decode import read_photo
from geoclip.photos.exif import ESTIMATE
from geoclip.photos.sidecars import position_beside
from geoclip.writers import Format, Output
from geoclip.writers.sidecars import BESIDE, Sidecars, sidecar
from tests.helpers.answers import CELL, bare, full
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import small_release

exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
FOREIGN = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
FOREIGN += '<r:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></r:RDF></x:xmpmeta>'


def at(photo: Path, lat: float, lng: float, radius_km: float = 12.3456) -> Answer:
    return Answer(str(photo), (Prediction(lat, lng, 0.5, 0.3, CELL),), radius_50_km=radius_km)


def told(*arguments: str | Path) -> dict[str, Any]:
    """What exiftool says of a file, numbers as numbers."""
    done = subprocess.run(["exiftool", "-j", "-n", "-G1", *arguments], capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    return dict(found)


@pytest.mark.parametrize(
    ("lat", "lng", "angles"),
    [
        (48.8584, 2.2945, ("48,51.504000N", "2,17.670000E")),
        (-17.99999999999, -179.5, ("18,0.000000S", "179,30.000000W")),
        (0.0, -0.0001, ("0,0.000000N", "0,0.006000W")),
    ],
)
def test_a_sidecar_is_an_estimate_with_its_radius(lat: float, lng: float, angles: tuple[str, str]) -> None:
    text = sidecar(at(Path("a.jpg"), lat, lng)).decode()
    for name, value in {
        "GPSLatitude": angles[0],
        "GPSLongitude": angles[1],
        "GPSProcessingMethod": ESTIMATE,
        "GPSHPositioningError": "12346/1",
        "GPSMapDatum": "WGS-84",
    }.items():
        assert f"<exif:{name}>{value}</exif:{name}>" in text
    assert "GPSHPositioningError" not in sidecar(bare("a.jpg")).decode()


def test_another_programs_sidecar_is_left_and_ours_is_replaced(tmp_path: Path) -> None:
    photos = [make_photo(tmp_path / f"{name}.jpg", 1) for name in "abcd"]
    (tmp_path / "b.jpg.xmp").write_text(FOREIGN)
    (tmp_path / "c.jpg.xmp").write_text("damaged")
    ours = sidecar(at(photos[3], 1, 2))
    end = b"</rdf:Description>"
    (tmp_path / "d.jpg.xmp").write_bytes(ours.replace(end, b"<xmp:Rating>5</xmp:Rating>" + end))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    said: list[str] = []
    for place in ((10.0, 20.0), (11.0, 21.0)):
        sidecars = Sidecars(BESIDE, said.append)
        for photo in photos:
            sidecars.add(at(photo, *place))
        assert (sidecars.written, sidecars.left) == (1, 3)
    assert len(said) == 6
    assert (
        said[0]
        == f"{tmp_path}/b.jpg.xmp is a sidecar of another program and was left as it is; name a folder with --xmp."
    )
    assert b"11,0.000000N" in (tmp_path / "a.jpg.xmp").read_bytes()
    assert {path: path.read_bytes() for path in before} == before
    assert position_beside(str(photos[0]), pytest.fail) is None  # an estimate is no label


def test_what_is_no_photo_or_has_a_position_gets_none(tmp_path: Path) -> None:
    photo = make_photo(tmp_path / "a.jpg", 1)
    long = make_photo(tmp_path / f"{'l' * 250}.jpg", 1)
    said: list[str] = []
    sidecars = Sidecars(tmp_path / "out", said.append)
    sidecars.add(replace(full("x"), query=str(photo)))
    sidecars.add(bare("some words"))
    sidecars.add(Answer(str(photo), error="No."))
    assert not (tmp_path / "out").exists()
    sidecars.add(bare(str(long)))
    assert said == [f"{long} has no sidecar: its name would be too long."]


def test_in_a_folder_photos_keep_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for path in ("one/a.jpg", "two/a.jpg", "../a.jpg"):
        make_photo(Path(path), 1)
    sidecars = Sidecars(Path("out"), pytest.fail)
    for path in ("one/a.jpg", "two/a.jpg", "../a.jpg"):
        sidecars.add(bare(path))
    assert sorted(str(path) for path in Path("out").rglob("*.xmp")) == [
        "out/a.jpg.xmp", "out/one/a.jpg.xmp", "out/two/a.jpg.xmp"
    ]  # fmt: skip


@exiftool
@pytest.mark.slow
def test_exiftool_reads_a_sidecar_and_copies_it_into_a_photo(tmp_path: Path) -> None:
    photo = make_photo(tmp_path / "a.jpg", 1)
    Sidecars(BESIDE, pytest.fail).add(at(photo, -48.8584, 2.2945))
    beside = told(f"{photo}.xmp")
    assert beside["XMP-exif:GPSLatitude"] == pytest.approx(-48.8584, abs=1e-6)
    assert beside["XMP-exif:GPSLongitude"] == pytest.approx(2.2945, abs=1e-6)
    assert beside["XMP-exif:GPSHPositioningError"] == 12346
    subprocess.run(["exiftool", "-q", "-tagsfromfile", "%d%f.%e.xmp", "-xmp:all", photo], check=True)
    inside = told(photo)
    assert {name: inside[name] for name in inside if name.startswith("XMP-exif:")} == {
        name: beside[name] for name in beside if name.startswith("XMP-exif:")
    }
    assert inside["XMP-exif:GPSProcessingMethod"] == ESTIMATE
    assert read_photo(photo).gps is None


@exiftool
@pytest.mark.slow
def test_exiftool_writes_the_table_into_photos_as_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos = {"photos/a, b.jpg": (48.8584, -2.2945), "photos/東京.jpg": (-35.6895, 139.6917)}
    with Output(Path("answers.exiftool.csv"), Format.EXIFTOOL) as output:
        for name, place in photos.items():
            output.write(at(make_photo(Path(name), 1), *place))
    subprocess.run(["exiftool", "-q", "-r", "-csv=answers.exiftool.csv", "photos/"], check=True)
    for name, (lat, lng) in photos.items():
        found = told(name)
        signs = {"N": 1, "E": 1, "S": -1, "W": -1}
        assert found["GPS:GPSLatitude"] * signs[found["GPS:GPSLatitudeRef"]] == pytest.approx(lat, abs=1e-5)
        assert found["GPS:GPSLongitude"] * signs[found["GPS:GPSLongitudeRef"]] == pytest.approx(lng, abs=1e-5)
        assert found["GPS:GPSHPositioningError"] == 12346
        assert found["GPS:GPSProcessingMethod"] == ESTIMATE
        assert read_photo(Path(name)).gps is None


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    small = small_release(tmp_path / "model")
    photos = [make_photo(tmp_path / f"photos/{name}.jpg", number) for number, name in enumerate("ab")]
    (tmp_path / "photos/b.jpg.xmp").write_text(FOREIGN)
    before = [photo.read_bytes() for photo in photos]
    asked: list[str | Path] = [
        "locate",
        tmp_path / "photos",
        "-i",
        "none",
        "-f",
        "csv",
        "--workers",
        "1",
        *small.options,
    ]
    done = geoclip(*asked, "--xmp", "beside")
    assert done.exit_code == 1
    assert "b.jpg.xmp is a sidecar of another program" in done.stderr
    assert (tmp_path / "photos/a.jpg.xmp").is_file()
    assert (tmp_path / "photos/b.jpg.xmp").read_text() == FOREIGN
    assert geoclip(*asked, "--xmp", tmp_path / "out").exit_code == 0
    assert len(list((tmp_path / "out").rglob("*.xmp"))) == 2
    assert [photo.read_bytes() for photo in photos] == before
    assert_refused(geoclip(*asked, "--xmp", photos[0]), "is a file")
    assert_refused(geoclip(*asked, "--xmp", "--overwrite"), "it was given --overwrite")
    assert_refused(geoclip(*asked, "--together", "--xmp", "beside"), "an answer for each of them")
