"""Colour spaces and depths of samples, against their definitions: matrices and curves in float64, plain arithmetic."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD

from geoclip.photos.decode import CLIP_SIZE, DecodeLimits, decode, read_photo, upright
from tests.helpers.hostile_files import encoded, picture, png_chunk, png_file

Floats = NDArray[np.float64]
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
PRIMARIES = {
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}
GAMMA = {"sRGB": None, "Display P3": None, "Adobe RGB": 563 / 256}


def to_xyz(space: str) -> Floats:
    """Linear RGB to XYZ at D50, from primaries and the white D65 (Lindbloom's formulas)."""
    white = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in PRIMARIES[space]]).T
    at_d65 = columns * np.linalg.solve(columns, white)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: Floats = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ at_d65
    return adapted


def linear(levels: NDArray[Any], space: str) -> Floats:
    x = np.asarray(levels, dtype=np.float64) / 255
    gamma = GAMMA[space]
    result: Floats = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) if gamma is None else x**gamma
    return result


def in_srgb(pixels: NDArray[np.uint8], space: str) -> Floats:
    """What an image in a colour space is in sRGB, in levels of 255."""
    light = linear(pixels, space) @ (np.linalg.inv(to_xyz("sRGB")) @ to_xyz(space)).T
    x = light.clip(0, 1)
    result: Floats = 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return result


def profile(space: str) -> bytes:
    """An ICC profile (version 4) of a space: three primaries and a curve each."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    matrix, gamma = to_xyz(space), GAMMA[space]
    curve = b"para" + bytes(4)
    if gamma is None:
        curve += struct.pack(">HH", 3, 0) + b"".join(map(number, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
    else:
        curve += struct.pack(">HH", 0, 0) + number(gamma)
    text = space.encode("utf-16-be")
    tags = {
        b"desc": b"mluc" + bytes(4) + struct.pack(">LL2s2sLL", 1, 12, b"en", b"US", len(text), 28) + text,
        b"wtpt": b"XYZ " + bytes(4) + b"".join(map(number, D50)),
    }
    for letter, column in zip(b"rgb", matrix.T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(map(number, column))
        tags[bytes([letter]) + b"TRC"] = curve
    table, data = struct.pack(">L", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">LL", 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">L4sL4s4s4s", 128 + len(table) + len(data), b"lcms", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(number, D50))
    return head.ljust(128, b"\0") + table + data


def views(content: bytes | Image.Image, **options: Any) -> NDArray[np.uint8]:
    return np.frombuffer(decode(content, DecodeLimits(**options)), np.uint8).reshape(-1, CLIP_SIZE, CLIP_SIZE, 3)


SQUARE = picture("RGB", (CLIP_SIZE, CLIP_SIZE))


@pytest.mark.parametrize("space", ["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"])
def test_profiles_are_converted_as_their_definition_says(space: str, form: str) -> None:
    lossless: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    content = encoded(SQUARE, form, icc_profile=profile(space), **lossless)
    [stored] = views(content, as_released=True)
    [seen] = views(content)
    assert np.abs(seen - in_srgb(stored, space)).max() <= 1.5
    assert np.abs(seen.astype(int) - stored.astype(int)).max() > 15
    tenfold = views(content, crops=10)
    assert np.abs(tenfold - in_srgb(views(content, crops=10, as_released=True), space)).max() <= 1.5
    turned = Image.Exif()
    turned[0x0112] = 3
    if form in ("PNG", "JPEG"):
        again = encoded(SQUARE, form, icc_profile=profile(space), exif=turned.tobytes(), **lossless)
        assert np.array_equal(views(again)[0], seen[::-1, ::-1])
    whole = upright(content)
    assert np.array_equal(np.asarray(whole.to_srgb(whole.image.copy())), seen)


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_parts_stay_white(mode: str) -> None:
    image = SQUARE.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size).point([0] * 128 + [255] * 128))
    content = encoded(image.quantize(64) if mode == "P" else image, "PNG", icc_profile=profile("Adobe RGB"))
    [plain] = views(encoded(image.quantize(64) if mode == "P" else image, "PNG"))
    [seen] = views(content)
    assert (seen[:100] == 255).all()
    assert np.abs(seen - in_srgb(plain, "Adobe RGB")).max() <= 1.5


def test_srgb_by_any_name_changes_no_level() -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for same in (own, profile("sRGB")):
        assert np.array_equal(views(encoded(SQUARE, "PNG", icc_profile=same)), views(encoded(SQUARE, "PNG")))


@pytest.mark.slow
def test_a_profile_that_is_damaged_or_of_another_kind_is_ignored() -> None:
    sound, plain = profile("Adobe RGB"), views(encoded(SQUARE, "PNG"))
    grey = sound.replace(b"RGB XYZ ", b"GRAYXYZ ")
    rng = np.random.default_rng(0)
    for damaged in (b"profile", sound[:200], grey, rng.bytes(3000)):
        assert np.array_equal(views(encoded(SQUARE, "PNG", icc_profile=damaged)), plain)
    assert np.array_equal(views(encoded(SQUARE, "TIFF", icc_profile=sound + bytes(5 * 2**20))), plain)
    for at in rng.integers(0, len(sound), 60).tolist():
        flipped = bytearray(sound)
        flipped[at] ^= 1 << int(rng.integers(8))
        assert views(encoded(SQUARE, "PNG", icc_profile=bytes(flipped))).shape == plain.shape


@pytest.mark.parametrize("kind", ["iCCP", "zTXt", "iTXt", "iTXt behind the pixels"])
def test_a_profile_or_text_that_is_larger_than_pillow_reads_does_not_cost_the_photo(kind: str) -> None:
    """Half a kilobyte that unpacks to 1.5 MB, and a place in the EXIF chunk, which stays."""
    large = zlib.compress(profile("Display P3") + bytes(3 * 2**19))
    body = {"iCCP": b"p\0\0", "zTXt": b"k\0\0", "iTXt": b"k\0\1\0\0\0"}[kind[:4]] + large
    block = Image.Exif()
    block[IFD.GPSInfo] = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (10.0, 0.0, 0.0)}
    block[IFD.GPSInfo] |= {GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (20.0, 0.0, 0.0)}
    whole = encoded(SQUARE, "PNG", exif=block.tobytes())
    at = len(whole) - 12 if "behind" in kind else 33  # before IEND, or after IHDR
    found = read_photo(whole[:at] + png_chunk(kind[:4].encode(), body) + whole[at:])
    assert found.pixels == read_photo(whole).pixels
    assert found.gps == (10.0, 20.0)


def deep(levels: NDArray[Any], colour: int) -> bytes:
    """A 16-bit PNG of levels (H, W) or (H, W, 3)."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return png_file(levels.shape[1], levels.shape[0], rows, depth=16, colour=colour)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "opened", "I"])
def test_grey_of_fewer_bits_than_its_file_has_is_not_black(bits: int, form: str) -> None:
    wanted = np.asarray(SQUARE.convert("L")).astype(np.uint16)
    levels = (wanted << (bits - 8)) + (1 << (bits - 8)) // 2
    levels[0, 0] = (1 << bits) - 1
    wanted[0, 0] = 255
    image = Image.fromarray(levels.astype(np.int32) if form == "I" else levels)
    seen = views({"PNG": deep(levels, 0), "TIFF": encoded(image, "TIFF")}.get(form, image))[0]
    assert np.array_equal(seen, np.repeat(wanted[..., None], 3, axis=2))


@pytest.mark.parametrize(("bits", "steps"), [(10, 85), (12, 17), (16, 1)])
def test_colour_of_fewer_bits_than_its_file_has_is_not_black(bits: int, steps: int, tmp_path: Path) -> None:
    wanted = np.asarray(SQUARE).astype(np.uint16)
    levels = wanted << (bits - 8)
    levels[0, 0] = (1 << bits) - 1
    [seen] = views(deep(levels, 2))
    assert np.abs(seen.astype(int) - wanted)[1:].max() <= steps
    assert abs(float(seen.mean()) - float(wanted.mean())) <= steps
    [released] = views(deep(levels, 2), as_released=True)
    assert np.array_equal(released[1:], (levels >> 8)[1:])
    assert not views(deep(np.zeros((9, 9, 3), np.uint16), 2)).any()
