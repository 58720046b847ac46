"""`geoclip labels`: positions in photos and beside them, as a table that the other commands read."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD
from PIL.PngImagePlugin import PngInfo

from geoclip import label_photos
from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import DecodeLimits, read_gps, read_photo
from geoclip.photos.exif import GpsSource
from geoclip.photos.find import find_photos
from geoclip.photos.sidecars import MAX_SIDECAR_BYTES, position_beside
from geoclip.tables.labels import Labels
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.hostile_files import encoded, picture

PHOTO = picture("RGB", (60, 40))
HEAD = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
TAIL = "</r:RDF></x:xmpmeta>"
EXIF = 'xmlns:exif="http://ns.adobe.com/exif/1.0/"'
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


def exif(lat: float, lng: float, **more: Any) -> bytes:
    """EXIF of a place in the north east."""
    tags = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (lat, 0.0, 0.0), GPS.GPSLongitudeRef: "E"}
    block = Image.Exif()
    block[IFD.GPSInfo] = {
        **tags,
        GPS.GPSLongitude: (lng, 0.0, 0.0),
        **{GPS[name]: value for name, value in more.items()},
    }
    return block.tobytes()


def xmp(lat: int, lng: int, *, prefix: str = "exif", elements: bool = False, more: str = "") -> str:
    """XMP of a place in the south west, whose properties have a prefix."""
    names = {"GPSLatitude": f"{lat},30.0S", "GPSLongitude": f"{lng},15,0W"}
    space = EXIF.replace("exif=", f"{prefix}=", 1)
    if elements:
        body = "".join(f"<{prefix}:{name}>\n {value}\n</{prefix}:{name}>" for name, value in names.items())
        return f"{HEAD}<r:Description {space}>{body}</r:Description>{TAIL}"
    body = " ".join(f'{prefix}:{name}="{value}"' for name, value in names.items())
    return f"{HEAD}<r:Description {space} {body} {more}/>{TAIL}"


def takeout(lat: float, lng: float, **more: Any) -> str:
    altitude = {"altitude": 0.0, "latitudeSpan": 0.0}
    return json.dumps(
        {"title": "a.jpg", "geoData": {"latitude": lat, "longitude": lng, **altitude}, "url": "x", **more}
    )


def photo(path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(PHOTO, "JPEG", **options))
    return path


def beside(folder: Path, name: str, sidecar: str, content: str | bytes) -> tuple[object, list[str]]:
    """The position of a photo and the sentences said, with one file beside it."""
    folder.mkdir(exist_ok=True)
    path = folder / sidecar
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said: list[str] = []
    found = position_beside(str(folder / name), said.append)
    path.unlink()
    return found and (found.gps, found.source), said


def test_each_photo_is_labelled_by_its_first_source(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photo(folder / "1.jpg", exif=exif(10, 20), xmp=xmp(1, 2).encode())
    photo(folder / "2.jpg", exif=exif(0, 0), xmp=xmp(1, 2).encode())
    photo(folder / "3.jpg", exif=exif(10, 20, GPSStatus="V"))
    photo(folder / "deep/4, b.jpg", exif=exif(10, 20, GPSProcessingMethod=b"ASCII\0\0\0ESTIMATED geoclip-planet"))
    photo(folder / "5.jpg", exif=exif(11, 21, GPSMapDatum="TOKYO"))
    photo(folder / "6.jpg")
    (folder / "7.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    for name, place in {"1": (3, 4), "2": (3, 4), "3": (3, 4)}.items():
        (folder / f"{name}.xmp").write_text(xmp(*place))
        (folder / f"{name}.jpg.json").write_text(takeout(50, 60))
    (folder / "deep/4, b.jpg.supplemental-metadata.json").write_text(takeout(50.5, -60.25))
    (folder / "6.xmp").write_text("<x:xmpmeta")
    (folder / "7.jpg.json").write_text(takeout(50, 60))
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    said: list[str] = []
    output = tmp_path / "new/labels.csv"
    counts = label_photos([*find_photos([folder]), str(folder / "1.jpg")], output, on_problem=said.append)
    assert output.read_text().splitlines() == [
        "photo,lat,lng",
        f"{folder}/1.jpg,10.0000000,20.0000000",
        f"{folder}/2.jpg,-1.5000000,-2.2500000",
        f"{folder}/3.jpg,-3.5000000,-4.2500000",
        f"{folder}/5.jpg,11.0000000,21.0000000",
        f'"{folder}/deep/4, b.jpg",50.5000000,-60.2500000',
    ]
    assert counts.found == Counter(
        {GpsSource.EXIF: 2, GpsSource.XMP: 1, GpsSource.SIDECAR: 1, GpsSource.TAKEOUT: 1},
    )
    assert (counts.without, counts.unreadable, counts.damaged_beside, counts.other_datum) == (1, 1, 1, 1)
    assert len(said) == 2
    assert "6.xmp cannot be read: it is not XML" in said[0]
    assert "7.jpg: " in said[1]
    labels = Labels.read(output)
    assert labels.rows([str(folder / "3.jpg")], 1).tolist() == [2]
    assert labels.lat_lng[4].tolist() == [50.5, -60.25]
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_metadata_alone_say_what_the_whole_photo_says(form: str) -> None:
    packet = xmp(1, 2).encode()
    options: dict[str, Any] = {"tiffinfo": {700: packet}} if form == "TIFF" else {"xmp": packet}
    if form == "PNG":
        options = {"pnginfo": PngInfo(), "exif": exif(0, 0)}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet.decode())
    with_xmp = encoded(PHOTO, form, **options)
    if form == "PNG":  # behind the pixels, where the standard allows it
        begin, end = (at := with_xmp.index(b"iTXt") - 4), at + 12 + int.from_bytes(with_xmp[at : at + 4])
        with_xmp = with_xmp[:begin] + with_xmp[end:-12] + with_xmp[begin:end] + with_xmp[-12:]
    for content, source in (
        (with_xmp, "XMP"),
        (encoded(PHOTO, form, exif=exif(10, 20)), "EXIF"),
        (encoded(PHOTO, form), ""),
    ):
        found = read_gps(content)
        assert found.pixels == source.encode()
        assert found[1:] == read_photo(content)[1:]
        assert (found.gps is not None) == bool(source)
    with pytest.raises(PhotoError, match="megapixels"):
        read_gps(encoded(PHOTO, "PNG"), DecodeLimits(max_pixels=100))


@pytest.mark.parametrize("sidecar", ["IMG.xmp", "IMG.jpg.xmp", "IMG.jpg.XMP"])
@pytest.mark.parametrize("elements", [False, True])
def test_sidecars_are_xmp_whatever_the_prefix(tmp_path: Path, sidecar: str, elements: bool) -> None:
    wanted = (((-10.5, -20.25), GpsSource.SIDECAR), list[str]())
    for prefix in ("exif", "e"):
        text = xmp(10, 20, prefix=prefix, elements=elements)
        for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
            assert beside(tmp_path, "IMG.jpg", sidecar, content) == wanted
    estimate = xmp(10, 20, more='exif:GPSProcessingMethod="ESTIMATED geoclip-planet"')
    for text in (xmp(99, 20), xmp(10, 20).replace("exif/1.0", "other"), f"{HEAD}{TAIL}", estimate):
        assert beside(tmp_path, "IMG.jpg", sidecar, text) == (None, [])
    assert beside(tmp_path, "IMG.jpg", "OTHER.xmp", xmp(10, 20)) == (None, [])


LONG = "PXL_20230101_123456789.MOTION-01.COVER.PORTRAIT.jpg"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg.json"),
        ("a.jpg", "a.jpg.supplemental-metadata.json"),
        ("IMG_20230101_123456789.jpg", "IMG_20230101_123456789.jpg.supplemental-metada.json"),
        ("a.jpg", "a.jpg.s.json"),
        ("a(1).jpg", "a.jpg(1).json"),
        ("a(1).jpg", "a.jpg.supplemental-metadata(1).json"),
        (LONG, f"{LONG[:46]}.json"),
        ("a.jpg", "a.jpg..json"),
        (f"{LONG[:47]}.jpg", f"{LONG[:46]}.json"),
        (f"{LONG[:47]}(2).jpg", f"{LONG[:46]}(2).json"),
        ("IMG_1234-edited.jpg", "IMG_1234.jpg.json"),
        ("IMG_1234-edited.jpg", "IMG_1234.jpg.supplemental-metadata.json"),
        ("IMG_1234-edited.jpg", "IMG_1234.jpg.supplemental-meta.json"),
        ("IMG_1234-edited.jpg", "IMG_1234.HEIC.supplemental-metadata.json"),
        ("IMG_1234-bearbeitet.jpg", "IMG_1234.jpg.json"),
        ("IMG_1234-edited(1).jpg", "IMG_1234.jpg(1).json"),
        ("IMG_1234-edited(1).jpg", "IMG_1234.jpg.supplemental-metadata(1).json"),
        (f"{LONG[:43]}-edi.jpg", f"{LONG[:43]}.jpg"[:46] + ".json"),
    ],
)
def test_takeout_names_its_files_in_many_ways(tmp_path: Path, name: str, file: str) -> None:
    wanted = (((1.5, -2.5), GpsSource.TAKEOUT), list[str]())
    title = LONG if name.startswith(LONG[:43]) else name
    assert beside(tmp_path, name, file, takeout(1.5, -2.5, title=title)) == wanted
    exif_only = takeout(0, 0, title=title, geoDataExif={"latitude": 1.5, "longitude": -2.5})
    assert beside(tmp_path, name, file, exif_only) == wanted
    assert beside(tmp_path, name, file, takeout(0, 0)) == (None, [])
    assert beside(tmp_path, f"b{name}", file, takeout(1.5, -2.5)) == (None, [])
    if name.startswith(LONG[:46]):  # the photo of another end was cut to the same name
        assert beside(tmp_path, name, file, takeout(1.5, -2.5, title=f"{LONG[:45]}X.jpg")) == (None, [])


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("a.xmp", BOMB + xmp(1, 2), "declares a document type"),
        ("a.xmp", (BOMB + xmp(1, 2)).encode("utf-16"), "declares a document type"),
        ("a.xmp", xmp(1, 2)[:-5], "not XML"),
        ("a.xmp", b"\xff" * 50, "not XML"),
        ("a.xmp", '<?xml version="1.0" encoding="no-such"?>' + xmp(1, 2), "not XML"),
        ("a.xmp", "", "not XML"),
        ("a.xmp", xmp(1, 2) + " " * MAX_SIDECAR_BYTES, "more than 1 MB"),
        ("a.jpg.json", takeout(1, 2) + " " * MAX_SIDECAR_BYTES, "at most 1 MB"),
        ("a.jpg.json", takeout(91, 2), "less than or equal to 90"),
        ("a.jpg.json", takeout(1, 2).replace("1", '"1"', 1), "geoData.latitude: "),
        ("a.jpg.json", '{"geoData": {"latitude": NaN, "longitude": 2}}', "a.jpg.json cannot be read"),
        ("a.jpg.json", "[]", "a.jpg.json cannot be read"),
        ("a.jpg.json", "[" * 100_000, "a.jpg.json cannot be read"),
        ("a.jpg.json", b"\xff\xfe", "a.jpg.json cannot be read"),
    ],
)
def test_what_is_damaged_beside_a_photo_is_one_sentence(
    tmp_path: Path, file: str, content: str | bytes, words: str
) -> None:
    found, said = beside(tmp_path, "a.jpg", file, content)
    assert found is None
    assert len(said) == 1
    assert words in said[0]
    assert "\n" not in said[0]
    (tmp_path / "a.jpg.supplemental-metadata.json").write_text(takeout(5, 6))
    assert beside(tmp_path, "a.jpg", file, content)[0] == ((5.0, 6.0), GpsSource.TAKEOUT)


def test_a_photo_that_was_not_edited_takes_no_json_of_another(tmp_path: Path) -> None:
    for name in ("IMG_1234-ed.jpg", "IMG_1234-copy.jpg", "IMG_1234.jpg-edited", "-edited.jpg"):
        assert beside(tmp_path, name, "IMG_1234.jpg.json", takeout(1, 2)) == (None, [])
    (tmp_path / "IMG_1-edited.jpg.json").write_text(takeout(3, 4))
    assert beside(tmp_path, "IMG_1-edited.jpg", "IMG_1.jpg.json", takeout(1, 2))[0] == ((3, 4), GpsSource.TAKEOUT)


def test_names_that_no_system_takes_have_nothing_beside_them(tmp_path: Path) -> None:
    for name in ("a" * 300 + ".jpg", "a\0.jpg", "\udcff.jpg", "-"):
        assert position_beside(str(tmp_path / name), pytest.fail) is None


def test_nothing_is_written_where_no_photo_has_a_position(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    output = tmp_path / "labels.csv"
    output.write_text("of another run")
    with pytest.raises(InputError, match="nothing was written: 0 labels; 1 photos without a position; 0 unreadable"):
        label_photos([tmp_path / "a.jpg"], output)
    assert output.read_text() == "of another run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "labels.csv"]


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "labels.csv"
    photo(photos / "a.jpg")
    assert_refused(geoclip("labels", photos, "-o", tmp_path / "labels.txt"), "is not called .csv")
    assert_refused(geoclip("labels", photos, "-o", output, "--workers", "1"), "nothing was written")
    photo(photos / "b.jpg", exif=exif(10, 20))
    photo(photos / "thumbs/c.jpg", exif=exif(10, 20))
    done = geoclip("labels", photos, "-o", output, "--exclude", "thumbs", "--workers", "1")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1 labels (1 from EXIF); 1 photos without a position; 0 unreadable." in done.stderr
    assert output.read_text() == f"photo,lat,lng\n{photos}/b.jpg,10.0000000,20.0000000\n"
    assert_refused(geoclip("labels", photos, "-o", output), "--overwrite")
    (photos / "a.xmp").write_text("damaged")
    done = geoclip("labels", photos, "-o", "-", "--workers", "1")
    assert (done.exit_code, done.stdout.count("\n")) == (1, 3)
    assert "a.xmp cannot be read: it is not XML" in done.stderr
