"""A corpus of several hundred valid, exotic, damaged and malicious photo files, the same on every run.

`write_corpus` is small and quick; `write_large` makes the few files that are hostile by their size.
"""

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw

SEED = 20240611


class Outcome(StrEnum):
    """What must become of a file."""

    ANSWERED = "answered"
    REPORTED = "reported"
    EITHER = "either"
    """One of the two: which one is the decoder's choice."""


class Sample(NamedTuple):
    """One file of the corpus before it is written."""

    name: str
    content: bytes
    outcome: Outcome


class Entry(NamedTuple):
    """One path to give to the decoder."""

    path: str
    outcome: Outcome


Samples = Iterator[Sample]
GOOD, BAD, EITHER = Outcome.ANSWERED, Outcome.REPORTED, Outcome.EITHER


def write_corpus(folder: Path) -> list[Entry]:
    """Write the corpus into an empty folder and return its paths, good and bad ones mixed."""
    pillow_heif.register_heif_opener()
    makers: tuple[Callable[[], Samples], ...] = (
        valid_files,
        _floats,
        _shapes,
        _animations,
        _orientations,
        _damaged_exif,
        _png_headers,
        _png_bombs,
        _jpeg_headers,
        _gif_headers,
        _bmp_headers,
        _tiff_headers,
        _box_headers,
        _ppm_headers,
        _other_content,
        _polyglots,
        _truncated,
        _flipped,
    )
    entries = []
    for maker in makers:
        for name, content, outcome in maker():
            path = folder / name
            if path.exists():
                raise ValueError(f"Two samples are called {name}.")
            path.write_bytes(content)
            entries.append(Entry(str(path), outcome))
    entries += _odd_entries(folder)
    random.Random(SEED).shuffle(entries)
    return entries


def write_large(folder: Path) -> list[Entry]:
    """Write the files that are large when decoded, about 150 megapixels each."""
    width, height = 14142, 10607
    entries = []
    for name, outcome, write in (
        ("large-rgba.png", GOOD, lambda path: _write_png_rows(path, width, height, 6, 4)),
        ("large-bomb.png", GOOD, lambda path: _write_png_rows(path, 13000, 13000, 0, 1)),
        ("large-too-large.png", BAD, lambda path: _write_png_rows(path, 20000, 10000, 0, 1)),
        ("large-turned.jpg", GOOD, lambda path: _large(width, height).save(path, quality=60, exif=_exif(6))),
        ("large-progressive.jpg", GOOD, lambda path: _large(width, height).save(path, quality=30, progressive=True)),
        ("large-screen.gif", GOOD, lambda path: path.write_bytes(_gif(13000, 13000))),
        ("large.webp", EITHER, lambda path: _large(13000, 11500).save(path, lossless=True, quality=0, method=0)),
    ):
        path = folder / name
        write(path)
        entries.append(Entry(str(path), outcome))
    return entries


def write_slow_jpeg(path: Path, *, scans: int = 3000) -> None:
    """Write a valid progressive JPEG of 30 megapixels whose last scan is repeated: minutes of decoding."""
    content = encoded(Image.new("RGB", (6400, 4800), (90, 120, 60)), "JPEG", quality=20, progressive=True)
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:last] + content[last:-2] * scans + b"\xff\xd9")


def picture(mode: str = "RGB", size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Return a picture with gradients, an edge and some noise, different in every corner."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    noise = np.random.default_rng(SEED).normal(0, 6, (height, width, 3))
    planes = np.stack([40 + 180 * x, 200 - 150 * y, 60 + 120 * x * y], axis=-1) + noise
    planes[: height // 3, : width // 4] = (230, 40, 20)
    rgb = Image.fromarray(planes.clip(0, 255).astype(np.uint8))
    if mode in ("I", "F") or mode.startswith("I;16"):
        levels = 65535 * x * (1 - y / 2)
        kind = {"I": "<i4", "F": "<f4", "I;16": "<u2", "I;16B": ">u2"}[mode]
        return Image.fromarray((levels / 65535 if mode == "F" else levels).astype(kind))
    if mode in ("LA", "RGBA", "PA"):
        alpha = Image.fromarray((255 * y).astype(np.uint8))
        if mode == "PA":
            return Image.merge("PA", (rgb.convert("L"), alpha))
        rgb = rgb.convert("L" if mode == "LA" else "RGB")
        rgb.putalpha(alpha)
        return rgb
    if mode == "LAB":
        return Image.merge("LAB", rgb.convert("YCbCr").split())
    return rgb.convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return the bytes of the image's file; `form` is Pillow's name of the format."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_file(
    width: int,
    height: int,
    raw: bytes,
    *,
    depth: int = 8,
    colour: int = 0,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a PNG of these declared sizes and these unfiltered rows, with valid checksums."""
    header = struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, depth, colour, 0, 0, 0)
    idat = png_chunk(b"IDAT", zlib.compress(raw, 9))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before + idat + after + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_MODES: dict[str, tuple[str, ...]] = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("L", "LA", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "I;16B", "F"),
    "PPM": ("1", "L", "RGB", "I", "I;16", "F"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "YCbCr", "I;16"),
    "AVIF": ("L", "LA", "RGB", "RGBA", "P"),
    "HEIF": ("L", "LA", "RGB", "RGBA", "I;16"),
}
_VARIANTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("palette-transparent-index", "P", "PNG", {"transparency": 3}),
    ("palette-transparent-bytes", "P", "PNG", {"transparency": bytes(range(256))}),
    ("grey-transparent", "L", "PNG", {"transparency": 100}),
    ("rgb-transparent", "RGB", "PNG", {"transparency": (230, 40, 20)}),
    ("bits-4", "P", "PNG", {"bits": 4}),
    ("bits-1-transparent", "1", "PNG", {"transparency": 0}),
    ("progressive", "RGB", "JPEG", {"progressive": True}),
    ("quality-1", "RGB", "JPEG", {"quality": 1}),
    ("full-chroma", "RGB", "JPEG", {"subsampling": 0, "quality": 95}),
    ("rgb-components", "RGB", "JPEG", {"keep_rgb": True}),
    ("restarts", "RGB", "JPEG", {"restart_marker_blocks": 1}),
    ("profile", "RGB", "JPEG", {"icc_profile": b"not a profile" * 99}),
    ("comment", "RGB", "JPEG", {"comment": b"x" * 60000}),
    ("cmyk-progressive", "CMYK", "JPEG", {"progressive": True}),
    ("lossless", "RGBA", "WEBP", {"lossless": True}),
    ("alpha-poor", "RGBA", "WEBP", {"quality": 1, "alpha_quality": 0}),
    ("transparent", "P", "GIF", {"transparency": 7}),
    ("interlaced", "P", "GIF", {"interlace": True}),
    ("plain", "L", "GIF", {"interlace": False}),
    ("lzw", "RGB", "TIFF", {"compression": "tiff_lzw"}),
    ("deflate", "RGBA", "TIFF", {"compression": "tiff_adobe_deflate"}),
    ("packbits", "L", "TIFF", {"compression": "packbits"}),
    ("jpeg", "RGB", "TIFF", {"compression": "jpeg"}),
    ("jpeg-ycbcr", "YCbCr", "TIFF", {"compression": "jpeg"}),
    ("zstd", "RGB", "TIFF", {"compression": "zstd"}),
    ("lzma", "RGB", "TIFF", {"compression": "lzma"}),
    ("group3", "1", "TIFF", {"compression": "group3"}),
    ("group4", "1", "TIFF", {"compression": "group4"}),
    ("bigtiff", "RGB", "TIFF", {"big_tiff": True}),
    ("lzw-16", "I;16", "TIFF", {"compression": "tiff_lzw"}),
    ("lzw-float", "F", "TIFF", {"compression": "tiff_lzw"}),
    ("lzw-cmyk", "CMYK", "TIFF", {"compression": "tiff_lzw"}),
    ("codestream", "RGB", "JPEG2000", {"no_jp2": True}),
    ("irreversible", "RGB", "JPEG2000", {"irreversible": True, "quality_layers": [40]}),
    ("tiles", "RGB", "JPEG2000", {"tile_size": (32, 32)}),
    ("resolutions", "L", "JPEG2000", {"num_resolutions": 1}),
    ("grey", "RGB", "AVIF", {"subsampling": "4:0:0"}),
    ("full-chroma", "RGB", "AVIF", {"subsampling": "4:4:4", "quality": 100}),
    ("tiled", "RGB", "AVIF", {"tile_rows": 1, "tile_cols": 1}),
    ("poor", "RGB", "HEIF", {"quality": 1}),
    ("full-chroma", "RGB", "HEIF", {"chroma": 444, "quality": -1}),
    ("thumbnail", "RGB", "HEIF", {"thumbnails": [64]}),
)


def _extension(form: str) -> str:
    return {"JPEG": "jpg", "TIFF": "tif", "JPEG2000": "jp2", "HEIF": "heic"}.get(form, form.lower())


def valid_files() -> Samples:
    """Yield a file of every format in every mode and variant that Pillow and pillow-heif write."""
    pillow_heif.register_heif_opener()
    for form, modes in _MODES.items():
        for mode in modes:
            name = f"mode-{mode.replace(';', '')}.{_extension(form)}"
            yield Sample(name, encoded(picture(mode), form), GOOD)
    for label, mode, form, options in _VARIANTS:
        yield Sample(f"variant-{label}.{_extension(form)}", encoded(picture(mode), form, **options), GOOD)
    row = b"\0" + struct.pack(">48H", *range(0, 65536, 1366))
    for colour, samples in ((0, 1), (2, 3), (4, 2), (6, 4)):
        yield Sample(f"deep-{colour}.png", png_file(48 // samples, 9, row * 9, depth=16, colour=colour), GOOD)
    deep_transparent = png_chunk(b"tRNS", struct.pack(">H", 1366))
    yield Sample("deep-transparent.png", png_file(48, 9, row * 9, depth=16, before=deep_transparent), GOOD)
    for depth in (1, 2, 4):
        yield Sample(f"depth-{depth}.png", png_file(16, 4, (b"\0" + bytes(2 * depth)) * 4, depth=depth), GOOD)
    plain = {"P1": "1 0 1 0", "P2": "255\n0 100 200 255", "P3": "255\n" + "9 8 7 " * 4}
    for kind, values in plain.items():
        yield Sample(f"plain-{kind}.ppm", f"{kind}\n# words\n2 2\n{values}\n".encode(), GOOD)


def _floats() -> Samples:
    ramp = np.linspace(0, 1, 300, dtype=np.float32).reshape(15, 20)
    holes = {"first-nan": (0, np.nan), "later-nan": (77, np.nan), "inf": (5, np.inf), "minus-inf": (299, -np.inf)}
    for label, (index, value) in holes.items():
        samples = ramp.copy()
        samples.flat[index] = value
        yield Sample(f"float-{label}.tif", encoded(Image.fromarray(samples), "TIFF"), BAD)
    for label, scale in (("bytes", 255), ("words", 65535), ("huge", 3e38), ("tiny", 1e-42), ("negative", -5)):
        yield Sample(f"float-{label}.tif", encoded(Image.fromarray(ramp * np.float32(scale)), "TIFF"), GOOD)
    for label, edges in (("negative", (-70000, -3)), ("wide", (-(2**31), 2**31 - 1)), ("flat", (0, 0))):
        samples_i = np.linspace(*edges, 300).astype(np.int32).reshape(15, 20)
        yield Sample(f"int-{label}.tif", encoded(Image.fromarray(samples_i), "TIFF"), GOOD)


def _shapes() -> Samples:
    sizes = [(1, 1), (1, 7), (7, 1), (2, 3), (223, 224), (224, 224), (225, 224), (1, 5000), (5000, 1), (449, 3)]
    for form in _MODES:
        for width, height in sizes if form in ("PNG", "JPEG") else sizes[:3]:
            content = encoded(picture("RGB", (width, height)), form)
            yield Sample(f"shape-{width}x{height}.{_extension(form)}", content, GOOD)
    for width, height in ((60000, 1), (1, 60000), (60000, 3)):
        yield Sample(f"strip-{width}x{height}.png", encoded(Image.new("L", (width, height), 99), "PNG"), GOOD)
        yield Sample(f"strip-{width}x{height}.jpg", encoded(Image.new("L", (width, height), 99), "JPEG"), GOOD)
    yield Sample("strip-100000000x1.png", encoded(Image.new("1", (100_000_000, 1)), "PNG"), GOOD)
    yield Sample("strip-16383x1.webp", encoded(Image.new("RGB", (16383, 1)), "WEBP"), GOOD)


def _animations() -> Samples:
    frames = [picture("RGB", (60, 40)).rotate(angle) for angle in (0, 90, 180)]
    for form in ("GIF", "WEBP", "PNG", "AVIF", "TIFF", "MPO", "HEIF"):
        content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        yield Sample(f"animation.{_extension(form)}", content, GOOD)
    pages = [picture("L", (9, 9)), picture("RGB", (50, 20)), picture("1", (300, 8))]
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression=compression)
        yield Sample(f"pages-{compression}.tif", content, GOOD)
    for disposal in (1, 2, 3):
        content = encoded(
            picture("P", (60, 40)), "GIF", save_all=True, append_images=frames[1:], disposal=disposal, transparency=0
        )
        yield Sample(f"disposal-{disposal}.gif", content, GOOD)
    own = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)
    yield Sample("default-image.png", own, GOOD)
    many = [Image.new("L", (8, 8), i % 256) for i in range(1000)]
    yield Sample("frames-1000.gif", encoded(many[0], "GIF", save_all=True, append_images=many[1:]), GOOD)
    edited = own.replace(b"acTL\0\0\0", b"acTL\x7f\xff\xff", 1)
    yield Sample("frames-two-milliards.png", edited, EITHER)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _orientations() -> Samples:
    for orientation in (*range(10), 65535):
        for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF") if orientation in range(1, 9) else ("JPEG", "PNG"):
            content = encoded(picture("RGB", (90, 60)), form, exif=_exif(orientation).tobytes())
            yield Sample(f"turned-{orientation}.{_extension(form)}", content, GOOD)


def _damaged_exif() -> Samples:
    good = _exif(6).tobytes()
    rng = random.Random(SEED)
    entry = struct.pack(">HHI", 0x0112, 3, 1)
    damaged = {
        "empty": b"Exif\0\0",
        "noise": b"Exif\0\0" + rng.randbytes(500),
        "cut": good[: len(good) // 2],
        "loop": b"Exif\0\0MM\0*" + struct.pack(">IHII", 8, 1, 0x87690004, 1) + struct.pack(">II", 8, 8),
        "far": b"Exif\0\0MM\0*" + struct.pack(">I", 0xFFFFFFF0),
        "many": b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 65535) + entry * 3000,
        "text": b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHI", 0x0112, 2, 4) + b"six\0" + bytes(4),
        "count": b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHII", 0x0112, 3, 2**31, 8) + bytes(4),
        "type": b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0x0112, 99, 1, 6) + bytes(4),
        "bigtiff": b"Exif\0\0MM\0+" + rng.randbytes(40),
    }
    for label, exif in damaged.items():
        for form in ("JPEG", "PNG", "WEBP"):
            content = encoded(picture("RGB", (30, 20)), form, exif=exif)
            yield Sample(f"exif-{label}.{_extension(form)}", content, GOOD)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a>" * 20000
    yield Sample("xmp-deep.jpg", encoded(picture("RGB", (30, 20)), "JPEG", xmp=xmp), GOOD)


def _png_headers() -> Samples:
    row, plain = b"\0" + bytes(8), {"raw": (b"\0" + bytes(8)) * 8}
    for width, height in ((65535, 65535), (50000, 50000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (-1, -1), (0, 0)):
        yield Sample(f"claims-{width}x{height}.png", png_file(width, height, row * 8), BAD)
    yield Sample("claims-13000x13000.png", png_file(13000, 13000, row * 8), BAD)
    for depth, colour in ((3, 0), (8, 7), (16, 3), (0, 0), (255, 255), (1, 6)):
        yield Sample(f"depth-{depth}-colour-{colour}.png", png_file(8, 8, row * 8, depth=depth, colour=colour), EITHER)
    good = png_file(8, 8, plain["raw"])
    yield Sample("palette-missing.png", png_file(8, 8, row * 8, colour=3), EITHER)
    yield Sample("palette-odd.png", png_file(8, 8, row * 8, colour=3, before=png_chunk(b"PLTE", b"12345")), EITHER)
    yield Sample(
        "palette-short.png", png_file(8, 8, b"\0\xff" * 8, colour=3, before=png_chunk(b"PLTE", b"123")), EITHER
    )
    yield Sample("header-checksum.png", good[:29] + b"\0\0\0\0" + good[33:], EITHER)
    yield Sample("header-twice.png", good[:33] + good[8:], EITHER)
    yield Sample("no-data.png", good[:33] + png_chunk(b"IEND", b""), BAD)
    yield Sample("no-end.png", good[:-12], EITHER)
    yield Sample("data-long.png", png_file(8, 8, row * 8000), EITHER)
    yield Sample("data-short.png", png_file(8, 800, row * 8), EITHER)
    yield Sample("data-noise.png", good[:33] + png_chunk(b"IDAT", b"\x78\x9c" + b"noise" * 50), BAD)
    yield Sample("chunk-endless.png", good[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(99), BAD)
    yield Sample("chunk-negative.png", good[:33] + struct.pack(">I", 2**32 - 1) + b"tEXt" + bytes(99), BAD)
    yield Sample("chunks-1000.png", png_file(8, 8, row * 8, before=png_chunk(b"vpAg", b"x") * 1000), EITHER)
    yield Sample("filter-unknown.png", png_file(8, 8, (b"\x09" + bytes(8)) * 8), EITHER)
    yield Sample("transparency-long.png", png_file(8, 8, row * 8, before=png_chunk(b"tRNS", bytes(999))), EITHER)
    yield Sample("transparency-empty.png", png_file(8, 8, row * 8, before=png_chunk(b"tRNS", b"")), EITHER)


def _png_bombs() -> Samples:
    row = (b"\0" + bytes(8)) * 8
    huge = zlib.compress(bytes(100 * 2**20), 9)
    bombs = {
        "ztxt": png_chunk(b"zTXt", b"k\0\0" + huge),
        "itxt": png_chunk(b"iTXt", b"k\0\1\0\0\0" + huge),
        "iccp": png_chunk(b"iCCP", b"k\0\0" + huge),
        "text": png_chunk(b"tEXt", b"k\0" + b"x" * 2**21),
        "texts": png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**20))) * 100,
    }
    for label, chunk in bombs.items():
        yield Sample(f"bomb-{label}.png", png_file(8, 8, row, before=chunk), EITHER)
        yield Sample(f"bomb-{label}-after.png", png_file(8, 8, row, after=chunk), EITHER)


def _jpeg_headers() -> Samples:
    good = encoded(picture("RGB", (64, 48)), "JPEG")
    frame = good.index(b"\xff\xc0")
    tables, scan = good.index(b"\xff\xc4"), good.index(b"\xff\xda")

    def sized(width: int, height: int) -> bytes:
        return good[: frame + 5] + struct.pack(">HH", height, width) + good[frame + 9 :]

    yield Sample("claims-65535.jpg", sized(65535, 65535), BAD)
    yield Sample("claims-0.jpg", sized(0, 0), BAD)
    yield Sample("claims-no-height.jpg", sized(64, 0), BAD)
    yield Sample("claims-13000.jpg", sized(13000, 13000), EITHER)
    yield Sample("no-tables.jpg", good[:tables] + good[scan:], EITHER)
    yield Sample("no-scan.jpg", good[:scan] + b"\xff\xd9", EITHER)
    yield Sample("no-end.jpg", good[:-2], EITHER)
    yield Sample("components-0.jpg", good[: frame + 9] + b"\0" + good[frame + 10 :], BAD)
    yield Sample("components-255.jpg", good[: frame + 9] + b"\xff" + good[frame + 10 :], BAD)
    yield Sample("precision-12.jpg", good[: frame + 4] + b"\x0c" + good[frame + 5 :], EITHER)
    yield Sample("sampling.jpg", good[: frame + 11] + b"\xff" + good[frame + 12 :], EITHER)
    yield Sample("arithmetic.jpg", good[: frame + 1] + b"\xc9" + good[frame + 2 :], EITHER)
    yield Sample("lossless.jpg", good[: frame + 1] + b"\xc3" + good[frame + 2 :], EITHER)
    yield Sample("padding.jpg", good[:2] + b"\xff" * 100000 + good[2:], EITHER)
    yield Sample("segments-1000.jpg", good[:2] + b"\xff\xe5\0\x04ab" * 1000 + good[2:], GOOD)
    yield Sample("segment-short.jpg", good[:2] + b"\xff\xe1\0\0" + good[2:], EITHER)
    yield Sample("twice.jpg", good + good, GOOD)
    progressive = encoded(picture("RGB", (64, 48)), "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    yield Sample("scans-2000.jpg", progressive[:last] + progressive[last:-2] * 2000 + b"\xff\xd9", EITHER)
    mpo = encoded(picture("RGB", (64, 48)), "MPO", save_all=True, append_images=[picture("L", (8, 8))])
    index = mpo.index(b"MPF\0")
    yield Sample("index-noise.mpo", mpo[: index + 4] + b"\xff" * 40 + mpo[index + 44 :], EITHER)
    yield Sample("index-far.mpo", mpo[: index + 12] + b"\xff\xff\xff\x7f" + mpo[index + 16 :], EITHER)


def _gif(width: int, height: int, *, code_size: int = 2, frame: tuple[int, int, int, int] = (0, 0, 1, 1)) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff"
    block = b"\x2c" + struct.pack("<HHHHB", *frame, 0) + bytes([code_size]) + b"\x02\x44\x01\x00"
    return head + block + b"\x3b"


def _gif_headers() -> Samples:
    good = encoded(picture("P", (64, 48)), "GIF")
    yield Sample("dot.gif", _gif(1, 1), GOOD)
    yield Sample("claims-65535.gif", _gif(65535, 65535), BAD)
    yield Sample("claims-0.gif", _gif(0, 0), EITHER)
    yield Sample("frame-outside.gif", _gif(10, 10, frame=(65000, 65000, 535, 535)), BAD)
    yield Sample("frame-larger.gif", _gif(10, 10, frame=(0, 0, 9000, 9000)), EITHER)
    yield Sample("frame-empty.gif", _gif(10, 10, frame=(0, 0, 0, 0)), EITHER)
    for code_size in (0, 1, 9, 12, 255):
        yield Sample(f"code-{code_size}.gif", _gif(4, 4, code_size=code_size, frame=(0, 0, 4, 4)), EITHER)
    yield Sample("no-frame.gif", good[:13] + b"\x3b", BAD)
    yield Sample("no-palette.gif", good[:10] + b"\0" + good[11:], EITHER)
    yield Sample(
        "comments.gif", _gif(1, 1)[:19] + b"\x21\xfe" + (b"\xff" + b"c" * 255) * 4000 + b"\0" + _gif(1, 1)[19:], GOOD
    )
    yield Sample("comment-endless.gif", _gif(1, 1)[:19] + b"\x21\xfe" + b"\xff" * 100000, BAD)
    yield Sample("extensions.gif", _gif(1, 1)[:19] + b"\x21\xf9\x04\1\0\0\0\0" * 20000 + _gif(1, 1)[19:], EITHER)


def _bmp_headers() -> Samples:
    good = encoded(picture("RGB", (20, 10)), "BMP")

    def edited(offset: int, form: str, *values: int) -> bytes:
        data = struct.pack(form, *values)
        return good[:offset] + data + good[offset + len(data) :]

    yield Sample("claims-huge.bmp", edited(18, "<ii", 2**31 - 1, 2**31 - 1), BAD)
    yield Sample("claims-100000.bmp", edited(18, "<ii", 100000, 100000), BAD)
    yield Sample("claims-negative.bmp", edited(18, "<ii", -20, -(2**31)), BAD)
    yield Sample("claims-0.bmp", edited(18, "<ii", 0, 0), EITHER)
    yield Sample("claims-10000.bmp", edited(18, "<ii", 10000, 10000), BAD)
    yield Sample("upside-down.bmp", edited(18, "<ii", 20, -10), GOOD)
    yield Sample("bits-17.bmp", edited(28, "<H", 17), BAD)
    yield Sample("compression-99.bmp", edited(30, "<I", 99), BAD)
    yield Sample("runs.bmp", edited(28, "<HI", 8, 1), EITHER)
    yield Sample("fields.bmp", edited(28, "<HI", 16, 3), EITHER)
    yield Sample("header-3.bmp", edited(14, "<I", 3), BAD)
    yield Sample("header-huge.bmp", edited(14, "<I", 2**32 - 1), BAD)
    yield Sample("offset-far.bmp", edited(10, "<I", 2**32 - 1), EITHER)
    yield Sample("palette-huge.bmp", edited(28, "<HIIIIII", 8, 0, 0, 0, 0, 2**32 - 1, 0), EITHER)


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES, _ROWS, _COUNTS = (
    *(256, 257, 258, 259, 262),
    *(273, 277, 278, 279),
)


def _tiff(*, next_ifd: int = 0, **changes: int) -> bytes:
    """Return a little-endian 8 x 8 grey TIFF; `changes` are tags by number (`t256=...`), -1 removes one."""
    tags = {_WIDTH: 8, _HEIGHT: 8, _BITS: 8, _COMPRESSION: 1, _PHOTOMETRIC: 1, _OFFSETS: 8, _SAMPLES: 1, _ROWS: 8}
    tags |= {_COUNTS: 64} | {int(name[1:]): value for name, value in changes.items()}
    kept = sorted((tag, value) for tag, value in tags.items() if value >= 0)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in kept)
    head = b"II*\0" + struct.pack("<I", 72) + bytes(range(64))
    return head + struct.pack("<H", len(kept)) + entries + struct.pack("<I", next_ifd)


def _tiff_headers() -> Samples:
    yield Sample("hand-made.tif", _tiff(), GOOD)
    yield Sample("loop.tif", _tiff(next_ifd=72), GOOD)
    yield Sample("next-far.tif", _tiff(next_ifd=2**32 - 2), GOOD)
    yield Sample("directory-far.tif", b"II*\0" + struct.pack("<I", 2**31) + bytes(64), BAD)
    yield Sample("directory-self.tif", b"II*\0" + struct.pack("<I", 0) + bytes(64), BAD)
    yield Sample("sub-directory-loop.tif", _tiff(t330=72, t34665=72), GOOD)
    for label, changes in {
        "claims-huge": {"t256": 2**31, "t257": 2**31},
        "claims-65535": {"t256": 65535, "t257": 65535},
        "claims-13000": {"t256": 13000, "t257": 13000},
        "claims-0": {"t256": 0},
        "compression-999": {"t259": 999},
        "samples-65535": {"t277": 65535},
        "bits-77": {"t258": 77},
        "no-width": {"t256": -1},
        "offset-far": {"t273": 2**32 - 1},
    }.items():
        yield Sample(f"{label}.tif", _tiff(**changes), BAD)
    for label, changes in {
        "rows-0": {"t278": 0},
        "rows-huge": {"t278": 2**32 - 1},
        "counts-0": {"t279": 0},
        "counts-huge": {"t279": 2**32 - 1},
        "no-offset": {"t273": -1},
        "photometric-99": {"t262": 99},
        "lzw-noise": {"t259": 5},
        "deflate-noise": {"t259": 8},
        "jpeg-noise": {"t259": 7},
        "old-jpeg-noise": {"t259": 6},
        "packbits-noise": {"t259": 32773},
        "fax-noise": {"t259": 4, "t258": 1},
        "webp-noise": {"t259": 50001},
        "planar-99": {"t284": 99},
        "format-99": {"t339": 99},
        "orientation-99": {"t274": 99},
        "predictor-99": {"t259": 5, "t317": 99},
        "tile-0": {"t322": 0, "t323": 0, "t324": 8, "t325": 64, "t273": -1},
        "tile-huge": {"t322": 2**31, "t323": 2**31, "t324": 8, "t325": 64, "t273": -1},
        "deflate-claims-12000": {"t259": 8, "t256": 12000, "t257": 12000, "t278": 12000},
    }.items():
        yield Sample(f"{label}.tif", _tiff(**changes), EITHER)
    count = _tiff().replace(struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, 2**32 - 1))
    yield Sample("count-huge.tif", count, BAD)
    yield Sample("entries-65535.tif", _tiff()[:72] + b"\xff\xff" + _tiff()[74:], EITHER)
    yield Sample("bigtiff-noise.tif", b"II+\0\x08\0\0\0" + b"\xff" * 99, BAD)


def _box_headers() -> Samples:
    """JPEG 2000, AVIF, HEIF and WebP: formats made of nested boxes."""
    heic, avif = encoded(picture(), "HEIF"), encoded(picture(), "AVIF")
    for name, content in (("heic", heic), ("avif", avif)):
        size = content.index(b"ispe") + 8
        yield Sample(f"brand.{name}", content[:8] + b"mif1" + content[12:], GOOD)
        yield Sample(f"brand-unknown.{name}", content[:8] + b"zzzz" + content[12:], EITHER)
        yield Sample(f"head.{name}", content[:32], BAD)
        for label, claim in (("0", 0), ("65535", 65535), ("huge", 2**31 - 1)):
            claimed = content[:size] + struct.pack(">II", claim, claim) + content[size + 8 :]
            yield Sample(f"claims-{label}.{name}", claimed, EITHER)
        for box in (b"meta", b"iloc", b"iinf", b"iprp", b"mdat"):
            at = content.index(box) - 4
            for label, length in (("0", 0), ("7", 7), ("huge", 2**32 - 1)):
                edited = content[:at] + struct.pack(">I", length) + content[at + 4 :]
                yield Sample(f"{box.decode()}-{label}.{name}", edited, EITHER)
    yield Sample("nested.heic", heic[:28] + (b"\0\0\x10\0moov" * 500), BAD)
    jp2 = encoded(picture(), "JPEG2000")
    siz = jp2.index(b"\xff\x51") + 6
    for label, claim in (("65535", 65535), ("huge", 2**31 - 1), ("0", 0)):
        yield Sample(f"claims-{label}.jp2", jp2[:siz] + struct.pack(">II", claim, claim) + jp2[siz + 8 :], BAD)
    tiles = jp2[: siz + 16] + struct.pack(">II", 1, 1) + jp2[siz + 24 :]
    yield Sample("tiles-many.jp2", tiles, EITHER)
    components = siz + 32
    yield Sample("components-16384.jp2", jp2[:components] + b"\x40\0" + jp2[components + 2 :], BAD)
    yield Sample("head.jp2", jp2[:12], BAD)
    webp = encoded(picture("RGBA"), "WEBP", lossless=True, exif=_exif(1))
    canvas = webp.index(b"VP8X") + 12
    yield Sample("claims-huge.webp", webp[:canvas] + b"\xff" * 6 + webp[canvas + 6 :], BAD)
    yield Sample("claims-other.webp", webp[:canvas] + b"\x01\0\0\x01\0\0" + webp[canvas + 6 :], EITHER)
    yield Sample("size-0.webp", webp[:4] + bytes(4) + webp[8:], EITHER)
    yield Sample("size-huge.webp", webp[:4] + b"\xff\xff\xff\xff" + webp[8:], EITHER)
    yield Sample("animated-without-frames.webp", webp[: canvas - 4] + b"\x02" + webp[canvas - 3 :], EITHER)


def _ppm_headers() -> Samples:
    for label, content in {
        "claims-huge": b"P6 999999999 999999999 255\n",
        "claims-negative": b"P6 -5 -5 255\n" + bytes(75),
        "claims-13000": b"P5 13000 13000 255\n",
        "claims-0": b"P6 0 0 255\n",
        "digits": b"P6 " + b"9" * 100000,
        "words": b"P6 five five 255\n" + bytes(75),
        "maximum-0": b"P5 5 5 0\n" + bytes(25),
        "maximum-huge": b"P5 5 5 70000\n" + bytes(75),
        "head": b"P6",
        "comment-endless": b"P6 #" + b"c" * 100000,
        "plain-noise": b"P3 5 5 255\n" + b"x" * 75,
        "plain-long-token": b"P3 5 5 255\n" + b"1" * 100000,
        "float-scale": b"Pf 5 5 nan\n" + bytes(100),
        "short": b"P6 50 50 255\n" + bytes(75),
    }.items():
        yield Sample(f"{label}.ppm", content, BAD)


def _other_content() -> Samples:
    rng = random.Random(SEED)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) run\n"
    contents = {
        "empty": b"",
        "one-byte": b"\xff",
        "text": b"a photo of a cat\n" * 99,
        "html": b"<!doctype html><title>404</title>" + b"<p>Not found</p>" * 99,
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "xml-bomb": b"<!DOCTYPE l [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]><l>&b;</l>",
        "eps": eps,
        "eps-binary": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(eps)) + bytes(20) + eps,
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
        "zip": b"PK\x03\x04" + rng.randbytes(300),
        "gzip": b"\x1f\x8b\x08" + rng.randbytes(300),
        "program": b"\x7fELF\x02\x01\x01" + rng.randbytes(300),
        "psd": b"8BPS\0\1" + rng.randbytes(300),
        "icon": b"\0\0\1\0\1\0" + rng.randbytes(300),
        "targa": bytes((0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 24, 0)) + bytes(48),
        "film": b"\0\0\0\x18ftypmp42" + rng.randbytes(300),
        "sound": b"RIFF\x99\0\0\0WAVEfmt " + rng.randbytes(300),
        "raw": b"II\x1a\0\0\0HEAPCCDR" + rng.randbytes(300),
        "windows-metafile": b"\xd7\xcd\xc6\x9a" + rng.randbytes(300),
        "noise": rng.randbytes(10000),
        "zeros": bytes(10000),
        "ones": b"\xff" * 10000,
    }
    for label, content in contents.items():
        yield Sample(f"{label}.jpg", content, BAD)
    starts = {
        "jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "png": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a",
        "bmp": b"BM",
        "tif": b"MM\0*\0\0\0\x08",
        "webp": b"RIFF\xff\0\0\0WEBPVP8 ",
        "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
        "j2k": b"\xff\x4f\xff\x51",
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0mif1avif",
        "heic": b"\0\0\0\x1cftypheic\0\0\0\0mif1heic",
        "ppm": b"P6 9 9 255\n"[:3],
    }
    for extension, start in starts.items():
        yield Sample(f"only-start.{extension}", start, BAD)
        for turn in range(3):
            yield Sample(f"start-noise-{turn}.{extension}", start + rng.randbytes(2000), EITHER)


def _polyglots() -> Samples:
    jpeg, png, gif = (encoded(picture("RGB", (40, 30)), form) for form in ("JPEG", "PNG", "GIF"))
    yield Sample("jpeg-and-zip.jpg", jpeg + b"PK\x03\x04" + bytes(500), GOOD)
    yield Sample("jpeg-called-png.png", jpeg, GOOD)
    yield Sample("png-called-heic.heic", png, GOOD)
    yield Sample("png-and-page.png", png + b"<script>alert(1)</script>" * 99, GOOD)
    yield Sample("gif-and-php.gif", gif + b"<?php system($_GET['c']); ?>", GOOD)
    yield Sample("gif-script.gif", b"GIF89a=1;alert(1);//" + bytes(99), EITHER)
    yield Sample("png-and-jpeg.png", png + jpeg, GOOD)
    yield Sample("pdf-and-jpeg.jpg", b"%PDF-1.7\n" + jpeg, BAD)
    yield Sample("space-and-jpeg.jpg", b" " + jpeg, BAD)
    yield Sample("text-mode-png.png", png.replace(b"\r\n", b"\n"), BAD)
    yield Sample("utf8-jpeg.jpg", jpeg.decode("latin-1").encode(), BAD)


def _carriers() -> dict[str, bytes]:
    size = (96, 64)
    rgb, rgba = picture("RGB", size), picture("RGBA", size)
    return {
        "baseline.jpg": encoded(rgb, "JPEG", exif=_exif(6)),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "rgba.png": encoded(rgba, "PNG"),
        "palette.png": encoded(picture("P", size), "PNG", transparency=bytes(range(256))),
        "lossy.webp": encoded(rgb, "WEBP"),
        "lossless.webp": encoded(rgba, "WEBP", lossless=True),
        "palette.gif": encoded(picture("P", size), "GIF", save_all=True, append_images=[picture("L", size)]),
        "rgb.bmp": encoded(rgb, "BMP"),
        "raw.tif": encoded(rgb, "TIFF"),
        "lzw.tif": encoded(rgba, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": encoded(rgb, "TIFF", compression="jpeg"),
        "rgb.jp2": encoded(rgb, "JPEG2000"),
        "rgb.avif": encoded(rgb, "AVIF"),
        "rgb.heic": encoded(rgb, "HEIF"),
        "grey.pgm": encoded(picture("L", size), "PPM"),
        "two.mpo": encoded(rgb, "MPO", save_all=True, append_images=[rgb]),
    }


def _truncated() -> Samples:
    for name, content in _carriers().items():
        for per_mille in (10, 100, 300, 500, 800, 950, 999):
            yield Sample(f"cut-{per_mille}-{name}", content[: len(content) * per_mille // 1000], EITHER)


def _flipped() -> Samples:
    rng = random.Random(SEED)
    for name, content in _carriers().items():
        for turn, (flips, first) in enumerate(((1, 0), (1, 64), (3, 0), (10, 0), (100, 0), (100, 200), (20, 20))):
            damaged = bytearray(content)
            for _ in range(flips):
                # Headers are short: without aiming at them, hardly a flip would meet one.
                end = min(len(damaged), first + 64) if turn < 3 else len(damaged)
                damaged[rng.randrange(min(first, end - 1), end)] ^= 1 << rng.randrange(8)
            yield Sample(f"flip-{turn}-{name}", bytes(damaged), EITHER)


def _odd_entries(folder: Path) -> list[Entry]:
    """Things that are not plain files, and names that are not plain names."""
    good = encoded(picture("RGB", (40, 30)), "JPEG")
    target = folder / "target.jpg"
    target.write_bytes(good)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "socket.jpg"))
    links = {"dangling": "nowhere.jpg", "loop": "loop.jpg", "zero": "/dev/zero", "null": "/dev/null"}
    for label, to in links.items():
        (folder / f"{label}.jpg").symlink_to(to)
    (folder / "link.jpg").symlink_to(target)
    names = ["new\nline.jpg", "-rf.jpg", "quote'\".jpg", "\u202egpj.exe.jpg", "no-suffix", "n" * 251 + ".jpg", " .jpg"]
    for name in names:
        (folder / name).write_bytes(good)
    latin = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")
    Path(latin).write_bytes(good)
    odd = [f"{label}.jpg" for label in ("folder", "pipe", "socket", *links, "absent", "a" * 300, "nul\0byte")]
    return [
        *(Entry(str(folder / name), BAD) for name in odd),
        *(Entry(str(folder / name), GOOD) for name in ("target.jpg", "link.jpg", *names)),
        Entry(latin, GOOD),
        Entry(str(target / "below.jpg"), BAD),
        Entry("", BAD),
        Entry("/proc/self/environ", EITHER),
    ]


def _large(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (60, 110, 170))
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), fill=(200, 150, 60))
    return image


def _write_png_rows(path: Path, width: int, height: int, colour: int, channels: int) -> None:
    """Write a valid 8-bit PNG row by row: the whole image never stands in memory."""
    packer = zlib.compressobj(1)
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8)[:, None], (1, channels)).tobytes()
    parts = [packer.compress((b"\0" + ramp) * 100) for _ in range(height // 100)]
    parts += [packer.compress((b"\0" + ramp) * (height % 100)), packer.flush()]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"".join(parts)) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
