"""GPS in EXIF data: hand-made IFDs and files by Pillow, against exact fractions."""

import io
import struct
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from geoclip.photos.decode import DecodeLimits, Photo, Picture, decode, read_photo
from geoclip.photos.exif import LatLng, gps_of
from geoclip.photos.pool import decode_all
from tests.helpers.hostile_files import encoded, picture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # it tells of every damage

BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_RATIONAL, FLOAT, DOUBLE = 1, 2, 3, 4, 5, 10, 11, 12
LETTERS = {BYTE: "B", SHORT: "H", LONG: "L", RATIONAL: "L", SIGNED_RATIONAL: "l", FLOAT: "f", DOUBLE: "d"}
PHOTO = picture("RGB", (60, 40))
PLAIN = encoded(PHOTO, "JPEG")


@dataclass(frozen=True)
class Entry:
    """One tag of a GPS IFD: number, TIFF type, count and stored bytes."""

    tag: int
    kind: int
    count: int
    data: bytes


def text(tag: int, value: bytes, kind: int = ASCII) -> Entry:
    return Entry(tag, kind, len(value), value)


def numbers(tag: int, *values: float, kind: int = RATIONAL, order: str = "<") -> Entry:
    per_value = 2 if kind in (RATIONAL, SIGNED_RATIONAL) else 1
    return Entry(tag, kind, len(values) // per_value, struct.pack(f"{order}{len(values)}{LETTERS[kind]}", *values))


def exif(entries: list[Entry], order: str = "<", gps_offset: int = 26) -> bytes:
    """An EXIF block as the standard lays it out: TIFF header, an IFD with the pointer alone, the GPS IFD, its data."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HL", 42, 8)
    pointer = struct.pack(f"{order}HHHLLL", 1, 0x8825, LONG, 1, gps_offset, 0)
    ifd, data = struct.pack(f"{order}H", len(entries)), b""
    data_at = 26 + 2 + 12 * len(entries) + 4
    for entry in entries:
        value = entry.data.ljust(4, b"\0")
        if len(entry.data) > 4:
            value = struct.pack(f"{order}L", data_at + len(data))
            data += entry.data
        ifd += struct.pack(f"{order}HHL", entry.tag, entry.kind, entry.count) + value
    return b"Exif\0\0" + head + pointer + ifd + bytes(4) + data


def jpeg(block: bytes) -> bytes:
    """The plain photo with an EXIF segment."""
    return PLAIN[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + PLAIN[2:]


def gps_of_block(block: bytes) -> LatLng | None:
    seen = read_photo(jpeg(block))
    assert seen.pixels == decode(PLAIN)
    return seen.gps


LAT_REF, LNG_REF = text(1, b"N\0"), text(3, b"E\0")
LAT, LNG = numbers(2, 48, 1, 51, 1, 2988, 100), numbers(4, 2, 1, 17, 1, 402, 10)
PARIS = (48 + 51 / 60 + 29.88 / 3600, 2 + 17 / 60 + 40.2 / 3600)


def test_degrees_minutes_seconds() -> None:
    assert gps_of_block(exif([LAT_REF, LAT, LNG_REF, LNG])) == pytest.approx(PARIS, abs=1e-12)
    assert pytest.approx((48.858300, 2.294500), abs=1e-9) == PARIS
    assert read_photo(PLAIN) == Picture(decode(PLAIN), None)


@pytest.mark.parametrize(("lat_ref", "lat_sign"), [(b"N", 1), (b"S", -1), (b"s\0", -1), (b"S\0\0\0", -1)])
@pytest.mark.parametrize(("lng_ref", "lng_sign"), [(b"E", 1), (b"W", -1), (b"w\0", -1), (b"W ", -1)])
def test_hemispheres(lat_ref: bytes, lng_ref: bytes, lat_sign: int, lng_sign: int) -> None:
    gps = gps_of_block(exif([text(1, lat_ref), LAT, text(3, lng_ref), LNG]))
    assert gps == pytest.approx((lat_sign * PARIS[0], lng_sign * PARIS[1]), abs=1e-12)


rationals = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1))
parts = st.tuples(st.integers(0, 190).map(lambda degrees: (degrees, 1)) | rationals, rationals, rationals)
small = st.integers(1, 10**6).flatmap(lambda d: st.tuples(st.integers(0, 60 * d), st.just(d)))
likely_parts = st.tuples(st.integers(0, 190).map(lambda degrees: (degrees, 1)), small, small)


def exact(fractions: tuple[tuple[int, int], ...], limit: int) -> Fraction | None:
    degrees, minutes, seconds = (Fraction(*pair) for pair in fractions)
    total = degrees + minutes / 60 + seconds / 3600
    return total if minutes <= 60 and seconds <= 60 and total <= limit else None


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(lat=likely_parts | parts, lng=likely_parts | parts, refs=st.sampled_from(["NE", "NW", "SE", "SW"]))
def test_rationals_are_what_fractions_say(lat: Any, lng: Any, refs: str) -> None:
    for order in "<>":
        entries = [
            text(1, refs[0].encode()),
            numbers(2, *(n for pair in lat for n in pair), order=order),
            text(3, refs[1].encode()),
            numbers(4, *(n for pair in lng for n in pair), order=order),
        ]
        gps, wanted = gps_of_block(exif(entries, order)), (exact(lat, 90), exact(lng, 180))
        if wanted[0] is None or wanted[1] is None or wanted[0] == wanted[1] == 0:
            assert gps is None
        else:
            signs = -1 if refs[0] == "S" else 1, -1 if refs[1] == "W" else 1
            assert gps == pytest.approx((signs[0] * float(wanted[0]), signs[1] * float(wanted[1])), rel=1e-12)


SOUND = {
    "decimal degrees": (numbers(2, 48858300, 10**6, 0, 1, 0, 1), numbers(4, 22945, 10000, 0, 1, 0, 1)),
    "decimal minutes": (numbers(2, 48, 1, 51498, 1000, 0, 1), numbers(4, 2, 1, 1767, 100, 0, 1)),
    "signed rationals": (
        numbers(2, 48, 1, 51, 1, 2988, 100, kind=SIGNED_RATIONAL),
        numbers(4, 2, 1, 17, 1, 402, 10, kind=SIGNED_RATIONAL),
    ),
    "doubles": (numbers(2, 48, 51, 29.88, kind=DOUBLE), numbers(4, 2, 17, 40.2, kind=DOUBLE)),
    "seconds of 60": (numbers(2, 48, 1, 50, 1, 60, 1), LNG),
}


@pytest.mark.parametrize("name", SOUND)
def test_other_ways_to_write_a_place(name: str) -> None:
    gps = gps_of_block(exif([LAT_REF, SOUND[name][0], LNG_REF, SOUND[name][1]]))
    assert gps == pytest.approx(PARIS, abs=0.01 if "60" in name else 1e-9)


def test_the_borders_of_the_ranges() -> None:
    pole, meridian = numbers(2, 90, 1, 0, 1, 0, 1), numbers(4, 180, 1, 0, 1, 0, 1)
    assert gps_of_block(exif([text(1, b"S"), pole, text(3, b"W"), meridian])) == (-90.0, -180.0)
    for degrees in range(90):
        lat, lng = (numbers(tag, most + degrees, 1, 59, 1, 60, 1) for tag, most in ((2, 0), (4, 90)))
        assert gps_of_block(exif([LAT_REF, lat, LNG_REF, lng])) == (degrees + 1, degrees + 91)
    equator, greenwich = numbers(2, *[0, 1] * 3), numbers(4, *[0, 1] * 3)
    gps = gps_of_block(exif([text(1, b"S"), equator, LNG_REF, LNG]))
    assert str(gps).startswith("(0.0, 2.29")  # no -0.0
    assert gps_of_block(exif([LAT_REF, LAT, text(3, b"W"), greenwich])) == (PARIS[0], 0.0)


def replaced(*entries: Entry) -> list[Entry]:
    """A sound IFD with some tags exchanged."""
    return list({entry.tag: entry for entry in (LAT_REF, LAT, LNG_REF, LNG, *entries)}.values())


NAN = float("nan")
CORRUPT = {
    "nothing": exif([]),
    "no latitude reference": exif([LAT, LNG_REF, LNG]),
    "no longitude reference": exif([LAT_REF, LAT, LNG]),
    "no latitude": exif([LAT_REF, LNG_REF, LNG]),
    "no longitude": exif([LAT_REF, LAT, LNG_REF]),
    "unknown place": exif(replaced(numbers(2, *[0, 1] * 3), numbers(4, *[0, 1] * 3))),
    "unknown place, south-west": exif([text(1, b"S"), numbers(2, *[0, 1] * 3), text(3, b"W"), numbers(4, *[0, 1] * 3)]),
    "0/0": exif(replaced(numbers(2, *[0, 0] * 3))),
    "1/0 degrees": exif(replaced(numbers(2, 48, 0, 51, 1, 0, 1))),
    "0/0 seconds": exif(replaced(numbers(4, 2, 1, 17, 1, 0, 0))),
    "latitude above 90": exif(replaced(numbers(2, 90, 1, 0, 1, 1, 100))),
    "longitude above 180": exif(replaced(numbers(4, 180, 1, 1, 1, 0, 1))),
    "minutes above 60": exif(replaced(numbers(2, 48, 1, 61, 1, 0, 1))),
    "seconds above 60": exif(replaced(numbers(2, 48, 1, 0, 1, 6001, 100))),
    "huge": exif(replaced(numbers(2, 2**32 - 1, 1, 0, 1, 0, 1))),
    "negative": exif(replaced(numbers(2, -48, 1, 51, 1, 0, 1, kind=SIGNED_RATIONAL))),
    "negative seconds": exif(replaced(numbers(2, 48, 1, 51, 1, -1, 1, kind=SIGNED_RATIONAL))),
    "two numbers": exif(replaced(numbers(2, 48, 1, 51, 1))),
    "four numbers": exif(replaced(numbers(2, 48, 1, 51, 1, 0, 1, 0, 1))),
    "not a number": exif(replaced(numbers(4, 2, NAN, 0, kind=DOUBLE))),
    "infinite": exif(replaced(numbers(4, 2, 0, float("inf"), kind=FLOAT))),
    "digits": exif(replaced(text(2, b"123"))),
    "text": exif(replaced(text(2, b"48.8583"))),
    "bytes": exif(replaced(text(2, b"\x30\x33\x1d", BYTE))),
    "reference of the other axis": exif(replaced(text(1, b"E"))),
    "empty reference": exif(replaced(text(1, b"\0"))),
    "reference of both sides": exif(replaced(text(1, b"NS"))),
    "numeric reference": exif(replaced(numbers(3, 1, kind=SHORT))),
    "reference in bytes": exif(replaced(text(3, b"E", BYTE))),
    "unknown type": exif(replaced(Entry(2, 99, 3, bytes(24)))),
    "data beyond the end": exif(replaced(Entry(2, RATIONAL, 2**28, bytes(24)))),
    "an IFD beyond the end": exif(replaced(), gps_offset=2**31),
    "an IFD in itself": exif(replaced(), gps_offset=8),
    "cut in the IFD": exif(replaced())[:60],
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_malformed_place_is_none_and_does_not_fail_the_photo(name: str) -> None:
    assert gps_of_block(CORRUPT[name]) is None


@pytest.mark.parametrize(("status", "found"), [(b"A\0", True), (b"", True), (b"V\0", False), (b"v ", False)])
def test_a_receiver_without_a_fix_is_no_position(status: bytes, found: bool) -> None:
    assert (gps_of_block(exif(replaced(text(9, status)))) is not None) is found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"WGS-84\0", ""),
        (b"WGS84", ""),
        (b"wgs 84  ", ""),
        (b"\0", ""),
        (b"TOKYO\0", "TOKYO"),
        (b"NAD27 (CONUS)\xff\x07", "NAD27 (CONUS)"),
        (b"x" * 99, "x" * 32),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_another_datum_is_said(written: bytes, said: str, workers: int) -> None:
    [seen] = decode_all([jpeg(exif(replaced(text(18, written))))], workers=workers)
    assert seen.gps == pytest.approx(PARIS, abs=1e-12)
    assert seen.datum == said


def xmp(*properties: str, elements: bool = False) -> bytes:
    """An XMP packet with EXIF properties, as attributes or as elements."""
    pairs = [each.split("=") for each in properties]
    as_elements = "".join(f"<exif:{name}>{value}</exif:{name}>" for name, value in pairs)
    as_attributes = " ".join(f'exif:{name}="{value}"' for name, value in pairs)
    head, body = ("", as_elements) if elements else (as_attributes, "")
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {head}>{body}</rdf:Description>'.encode()


FROM_XMP = {
    "degrees and minutes": (["GPSLatitude=48,51.498N", "GPSLongitude=2,17.67E"], PARIS),
    "seconds": (["GPSLatitude=33,51,24.5S", "GPSLongitude=151,12,55.1W"], (-33.8568056, -151.2153056)),
    "void": (["GPSStatus=V", "GPSLatitude=48,51.498N", "GPSLongitude=2,17.67E"], None),
    "one alone": (["GPSLatitude=48,51.498N"], None),
    "out of range": (["GPSLatitude=98,51.498N", "GPSLongitude=2,17.67E"], None),
    "exchanged": (["GPSLatitude=2,17.67E", "GPSLongitude=48,51.498N"], None),
    "nowhere": (["GPSLatitude=0,0.0N", "GPSLongitude=0,0.0E"], None),
    "of another time": (["GPSLatitude=48.858", "GPSLongitude=2.29"], None),
    "no numbers": (["GPSLatitude=N", "GPSLongitude=E"], None),
}


@pytest.mark.parametrize("name", FROM_XMP)
@pytest.mark.parametrize("elements", [False, True])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_position_in_xmp_alone_is_read(name: str, elements: bool, form: str) -> None:
    properties, wanted = FROM_XMP[name]
    packet = xmp(*properties, elements=elements)
    options: dict[str, Any] = {"xmp": packet}
    if form == "TIFF":
        options = {"tiffinfo": {700: packet}}
    if form == "PNG":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet.decode())
    seen = read_photo(encoded(PHOTO, form, **options))
    assert seen.gps == (wanted and pytest.approx(wanted, abs=1e-4))


def test_exif_comes_before_xmp_and_xmp_says_its_datum() -> None:
    other = xmp("GPSLatitude=10,0.0N", "GPSLongitude=20,0.0E", "GPSMapDatum=TOKYO")
    block = jpeg(exif(replaced()))
    packet = b"http://ns.adobe.com/xap/1.0/\0" + other
    segment = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet
    assert read_photo(block[:2] + segment + block[2:]).gps == pytest.approx(PARIS, abs=1e-12)
    void = jpeg(exif(replaced(text(9, b"V"))))
    assert read_photo(void[:2] + segment + void[2:])[1:] == ((10.0, 20.0), "TOKYO")


@given(block=st.binary(max_size=300), at=st.integers(0, 200))
def test_no_xmp_fails_a_photo(block: bytes, at: int) -> None:
    packet = xmp("GPSLatitude=10,0.0N", "GPSLongitude=20,0.0E")
    photo = Image.new("L", (1, 1))
    photo.info["xmp"] = packet[:at] + block + packet[at:]
    lat_lng, _ = gps_of(photo)
    assert lat_lng is None or (abs(lat_lng[0]) <= 90 and abs(lat_lng[1]) <= 180)


def test_a_block_too_large_to_take_apart_is_passed() -> None:
    sound, padded = exif(replaced()), exif([*replaced(), numbers(27, *[1] * 10**6)])
    assert read_photo(encoded(PHOTO, "PNG", exif=sound)).gps == pytest.approx(PARIS, abs=1e-12)
    began = time.process_time()
    assert read_photo(encoded(PHOTO, "PNG", exif=padded)) == Picture(decode(encoded(PHOTO, "PNG")), None)
    assert time.process_time() - began < 1  # taken apart, it is half a million fractions: seconds


def checked(block: bytes) -> None:
    gps = gps_of_block(block)  # which compares the pixels
    assert gps is None or (abs(gps[0]) <= 90 and abs(gps[1]) <= 180 and gps != (0, 0))


entries = st.builds(
    Entry,
    tag=st.integers(0, 5),
    kind=st.integers(0, 20),
    count=st.integers(0, 5) | st.integers(0, 2**32 - 1),
    data=st.binary(max_size=32),
)


@settings(max_examples=120, deadline=None)
@given(changed=st.lists(entries, max_size=5), order=st.sampled_from("<>"))
def test_no_ifd_fails_a_photo(changed: list[Entry], order: str) -> None:
    checked(exif(replaced(*changed), order))


@settings(max_examples=120, deadline=None)
@given(position=st.integers(6), value=st.integers(0, 255), length=st.integers(6))
def test_no_damage_to_the_block_fails_a_photo(position: int, value: int, length: int) -> None:
    sound = bytearray(exif(replaced()))
    sound[6 + position % (len(sound) - 6)] = value
    checked(bytes(sound[: max(20, length % (4 * len(sound)))]))


def pillows(lat_lng: LatLng) -> Image.Exif:
    """Degrees as devices write them, with Pillow's own writer."""
    tags: dict[int, Any] = {}
    for tag, degrees, letters in ((1, lat_lng[0], "NS"), (3, lat_lng[1], "EW")):
        seconds = round(abs(degrees) * 3600 * 10**4)
        tags[tag] = letters[degrees < 0]
        tags[tag + 1] = (
            IFDRational(seconds // (3600 * 10**4), 1),
            IFDRational(seconds // (60 * 10**4) % 60, 1),
            IFDRational(seconds % (60 * 10**4), 10**4),
        )
    exif = Image.Exif()
    exif[0x8825] = tags
    return exif


PLACES = [(48.8583, 2.2945), (-33.8568, 151.2153), (40.6892, -74.0445), (-22.9519, -43.2105)]
FORMS = ["JPEG", "TIFF", "PNG", "WEBP", "AVIF", "HEIF", "MPO"]


def photos_of_places(form: str) -> list[bytes]:
    return [encoded(PHOTO, form, exif=pillows(place).tobytes()) for place in PLACES]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_and_hemisphere(form: str) -> None:
    for place, content in zip(PLACES, photos_of_places(form), strict=True):
        seen = read_photo(content)
        assert seen.gps == pytest.approx(place, abs=1e-8)
        assert seen.pixels == decode(encoded(PHOTO, form))
        assert read_photo(content, DecodeLimits(as_released=True)).gps == seen.gps


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG"])
def test_a_photo_that_is_turned_and_converted_keeps_its_place(form: str) -> None:
    tags = pillows(PLACES[2])
    tags[0x0112] = 6
    stored = picture("CMYK" if form == "JPEG" else "RGBA", (60, 40))
    turned = Image.Exif()
    turned[0x0112] = 6
    seen = read_photo(encoded(stored, form, exif=tags.tobytes()))
    assert seen.gps == pytest.approx(PLACES[2], abs=1e-8)
    assert seen.pixels == decode(encoded(stored, form, exif=turned.tobytes())) != decode(encoded(stored, form))


@pytest.mark.parametrize("workers", [0, 2])
def test_places_come_in_order_beside_the_pixels(workers: int, tmp_path: Path) -> None:
    photos: list[Photo] = []
    for form in ("JPEG", "TIFF", "HEIF"):
        for position, content in enumerate(photos_of_places(form)):
            path = tmp_path / f"{position}.{form}"
            path.write_bytes(content)
            photos += [path, content, io.BytesIO(content), Image.open(path), PLAIN, b"text"]
    found = list(decode_all(photos, workers=workers))
    wanted: list[LatLng | None] = [gps for place in PLACES for gps in (*[place] * 4, None, None)] * 3
    assert len(found) == len(wanted)
    for decoded, gps in zip(found, wanted, strict=True):
        assert decoded.gps == (gps and pytest.approx(gps, abs=1e-8))
    assert [decoded.pixels is None for decoded in found] == ([False] * 5 + [True]) * 12
    assert [decoded.gps for decoded in found] == [decoded.gps for decoded in decode_all(photos)]
    for photo in photos:
        if isinstance(photo, Image.Image):
            photo.close()
