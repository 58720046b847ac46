"""Decoding against independent statements of what the pixels must be, in NumPy and plain Pillow."""

import io
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import CLIP_SIZE, FORMATS, MAX_ASPECT, DecodeLimits, Photo, decode, name_of
from geoclip.photos.pool import AHEAD_PER_WORKER, DecodingPool, decode_all
from tests.helpers.hostile_files import Outcome, encoded, picture, png_chunk, png_file, valid_files

Bytes = NDArray[np.uint8]
RELEASED = DecodeLimits(as_released=True)
ODD_SIZE = (301, 257)


def expected(rgb: Image.Image | Bytes) -> Bytes:
    """CLIP's resize and crop as transformers states them: `int()` of the long side, offsets rounded down."""
    image = rgb if isinstance(rgb, Image.Image) else Image.fromarray(rgb)
    width, height = image.size
    if width <= height:
        size = (224, int(224 * height / width))
    else:
        size = (int(224 * width / height), 224)
    resized = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    top, left = (size[1] - 224) // 2, (size[0] - 224) // 2
    return resized[top : top + 224, left : left + 224]


def pixels(photo: Photo, limits: DecodeLimits | None = None) -> Bytes:
    return np.frombuffer(decode(photo, limits or DecodeLimits()), dtype=np.uint8).reshape(CLIP_SIZE, CLIP_SIZE, 3)


def error_of(photo: Photo, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(PhotoError) as caught:
        decode(photo, limits or DecodeLimits())
    return str(caught.value)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def difference(one: Bytes, other: Bytes) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 700), seed=st.integers(0, 9))
def test_resize_and_crop_are_clips(width: int, height: int, seed: int) -> None:
    rgb = noise(height, width, seed=seed)
    if max(width, height) <= MAX_ASPECT * min(width, height):
        assert np.array_equal(pixels(encoded(Image.fromarray(rgb), "BMP")), expected(rgb))


@pytest.mark.parametrize("size", [(1, 1), (224, 224), (225, 224), (224, 227), (449, 225), (1, 100), (100, 1)])
def test_resize_and_crop_at_the_edges(size: tuple[int, int]) -> None:
    rgb = noise(size[1], size[0])
    assert np.array_equal(pixels(Image.fromarray(rgb)), expected(rgb))


@pytest.mark.parametrize("size", [(3030, 30), (30, 3030), (2021, 17), (17, 2021), (1, 101), (1200, 7)])
def test_of_long_strips_the_same_middle_is_read(size: tuple[int, int]) -> None:
    rgb = noise(size[1], size[0])
    assert max(size) > MAX_ASPECT * min(size)
    apart = np.abs(pixels(Image.fromarray(rgb)).astype(int) - expected(rgb))
    # Pillow resizes tall strips in the other order of axes, which clips noise at other places.
    assert apart.mean() < 1
    assert np.percentile(apart, 97) <= 1


@pytest.mark.slow
def test_a_large_jpeg_is_decoded_in_full() -> None:
    content = encoded(picture("RGB", (900, 500)).resize((9000, 5000)), "JPEG", quality=60)
    assert np.array_equal(pixels(content), expected(Image.open(io.BytesIO(content))))


UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation(form: str, orientation: int) -> None:
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    content = encoded(picture("RGB", ODD_SIZE), form, exif=tagged(orientation), **options)
    stored = picture("RGB", ODD_SIZE)
    if form == "JPEG":
        stored = Image.open(io.BytesIO(encoded(picture("RGB", ODD_SIZE), form)))
    upright = np.ascontiguousarray(UPRIGHT[orientation](np.asarray(stored)))
    assert np.array_equal(pixels(content), expected(upright))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_orientation_of_formats_with_a_rotation_of_their_own(form: str, orientation: int) -> None:
    content = encoded(picture("RGB", ODD_SIZE), form, exif=tagged(orientation).tobytes(), quality=95)
    assert orientation == 1 or b"irot" in content or b"imir" in content
    upright = np.ascontiguousarray(UPRIGHT[orientation](np.asarray(picture("RGB", ODD_SIZE))))
    assert np.abs(pixels(content).astype(int) - expected(upright)).mean() < 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_is_ignored(orientation: int) -> None:
    content = encoded(picture(), "PNG", exif=tagged(orientation))
    assert np.array_equal(pixels(content), expected(picture()))


def grey(levels: NDArray[Any]) -> Bytes:
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("form", "kind"), [("PNG", "<u2"), ("PNG", ">u2"), ("TIFF", "<u2"), ("TIFF", ">u2"), ("PPM", "<u2")]
)
def test_16_bit_grey_keeps_its_high_byte(form: str, kind: str) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    content = encoded(Image.fromarray(levels.astype(kind)), form)
    assert np.array_equal(pixels(content), expected(grey(levels // 256)))


def test_16_bit_grey_and_16_bit_colour_are_read_alike() -> None:
    levels = np.linspace(0, 65535, 250 * 240).astype(">u2").reshape(240, 250)
    as_grey = png_file(250, 240, b"".join(b"\0" + row.tobytes() for row in levels), depth=16)
    rows = (b"\0" + np.repeat(row, 3).tobytes() for row in levels)
    as_colour = png_file(250, 240, b"".join(rows), depth=16, colour=2)
    assert np.array_equal(pixels(as_grey), pixels(as_colour))


def test_8_bit_grey_stored_in_16_bits_is_unchanged() -> None:
    levels = noise(240, 260, 1)[..., 0]
    assert np.array_equal(pixels(Image.fromarray(levels.astype(np.uint16) * 257)), expected(grey(levels)))


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floating_point_grey_is_scaled_to_its_white(white: float) -> None:
    levels = noise(240, 260, 1)[..., 0]
    levels[0, :2] = 0, 255
    samples = levels.astype(np.float32) * np.float32(white / 255)
    assert np.array_equal(pixels(encoded(Image.fromarray(samples), "TIFF")), expected(grey(levels)))


def test_negative_samples_are_black_and_the_largest_is_white() -> None:
    samples = np.linspace(-1e6, 1e6, 224 * 224).astype(np.int32).reshape(224, 224)
    wanted = np.clip(samples, 0, None).astype(np.float64) * 256 // (samples.max() + 1.0)
    assert (wanted.min(), wanted.max()) == (0, 255)
    assert np.array_equal(pixels(Image.fromarray(samples)), grey(wanted))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [0, 777])
def test_samples_that_are_not_finite_are_refused(value: float, index: int) -> None:
    samples = np.linspace(0, 1, 900, dtype=np.float32).reshape(30, 30)
    samples.flat[index] = value
    assert error_of(Image.fromarray(samples)) == "The image holds values that are not finite."


def over_white(rgb: Bytes, alpha: Bytes) -> Bytes:
    share = alpha[..., None] / 255.0
    return np.rint(rgb * share + 255 * (1 - share)).astype(np.uint8)


def test_alpha_is_shown_over_white() -> None:
    rgba = noise(600, 230, 4)  # more rows than one band
    for form, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        content = encoded(Image.fromarray(rgba), form, **options)
        assert np.array_equal(pixels(content), expected(over_white(rgba[..., :3], rgba[..., 3]))), form


def test_grey_with_alpha_is_shown_over_white() -> None:
    la = noise(240, 230, 2)
    content = encoded(Image.fromarray(la), "PNG")
    assert np.array_equal(pixels(content), expected(over_white(grey(la[..., 0]), la[..., 1])))


def paletted(seed: int = 5) -> tuple[Image.Image, Bytes, Bytes]:
    """A palette image, its indices and its colours."""
    indices, colours = noise(240, 230, 1, seed)[..., 0], noise(256, 1, 3, seed + 1)[:, 0]
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colours.tobytes())
    image.frombytes(indices.tobytes())
    return image, indices, colours


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(form: str) -> None:
    image, indices, colours = paletted()
    assert np.array_equal(pixels(encoded(image, form)), expected(colours[indices]))


def test_palette_with_a_transparent_entry() -> None:
    image, indices, colours = paletted()
    wanted = colours.copy()
    wanted[9] = 255
    for form in ("PNG", "GIF"):
        assert np.array_equal(pixels(encoded(image, form, transparency=9)), expected(wanted[indices])), form


def test_palette_with_an_alpha_of_each_entry() -> None:
    image, indices, colours = paletted()
    alpha = np.arange(256, dtype=np.uint8)
    content = encoded(image, "PNG", transparency=alpha.tobytes())
    assert np.array_equal(pixels(content), expected(over_white(colours[indices], alpha[indices])))


def test_a_transparent_colour() -> None:
    rgb = noise(240, 230) // 128 * 255
    wanted = rgb.copy()
    wanted[(rgb == (255, 0, 0)).all(axis=2)] = 255
    assert (wanted != rgb).any()
    content = encoded(Image.fromarray(rgb), "PNG", transparency=(255, 0, 0))
    assert np.array_equal(pixels(content), expected(wanted))


def test_a_transparent_level_of_16_bit_grey_does_not_disturb() -> None:
    rows = (b"\0" + struct.pack(">224H", *range(0, 65536, 293)[:224])) * 224
    transparent = png_chunk(b"tRNS", struct.pack(">H", 293))
    with_it, without = (png_file(224, 224, rows, depth=16, before=chunk) for chunk in (transparent, b""))
    assert np.array_equal(pixels(with_it), pixels(without))


def test_cmyk() -> None:
    cmyk = noise(240, 230, 4)
    ink = cmyk.astype(float) / 255
    rgb = np.rint(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(np.uint8)
    content = encoded(Image.fromarray(cmyk, "CMYK"), "TIFF")
    assert difference(pixels(content), expected(rgb)) <= 2


def test_cmyk_jpeg_is_not_inverted() -> None:
    white_paper = Image.new("CMYK", (64, 64), (0, 0, 0, 0))
    assert pixels(encoded(white_paper, "JPEG")).min() > 250
    assert pixels(encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG"))[100, 100, 0] > 250


@pytest.mark.parametrize("mode", ["1", "L"])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF", "PPM"])
def test_grey_and_black_and_white(form: str, mode: str) -> None:
    image = picture(mode, ODD_SIZE)
    levels = np.asarray(image.convert("L"))
    assert np.array_equal(pixels(encoded(image, form)), expected(grey(levels)))


def test_lab_white_and_black() -> None:
    lab = np.zeros((224, 224, 3), dtype=np.uint8)
    lab[:112, :, 0] = 255
    content = encoded(Image.fromarray(lab, "LAB"), "TIFF")
    assert pixels(content)[:110].min() > 250
    assert pixels(content)[114:].max() < 5


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO", "HEIF"])
def test_of_an_animation_the_first_frame_is_read(form: str) -> None:
    colours = [(200, 30, 10), (10, 200, 30), (30, 10, 200)]
    frames = [Image.new("RGB", (50, 40), colour) for colour in colours]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(content).astype(int) - colours[0]).max() < 8


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_by_content_whatever_its_name(form: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(picture(), form))
    assert np.abs(pixels(path).astype(int) - expected(picture())).mean() < 6


RELEASED_FILES = {sample.name: sample.content for sample in valid_files() if sample.outcome is Outcome.ANSWERED}


@pytest.mark.parametrize("name", RELEASED_FILES)
def test_as_released_reads_what_pillow_converts(name: str) -> None:
    with Image.open(io.BytesIO(RELEASED_FILES[name])) as image:
        try:
            rgb = image.convert("RGB")
        except Exception:  # what the released package cannot read
            error_of(RELEASED_FILES[name], RELEASED)
            return
    assert np.array_equal(pixels(RELEASED_FILES[name], RELEASED), expected(rgb))


def test_as_released_ignores_orientation() -> None:
    content = encoded(picture("RGB", ODD_SIZE), "PNG", exif=tagged(6))
    assert np.array_equal(pixels(content, RELEASED), expected(picture("RGB", ODD_SIZE)))


class Unseekable(io.BytesIO):
    """A pipe's manners."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation


def test_every_source_gives_the_same_pixels(tmp_path: Path) -> None:
    content = encoded(picture("RGBA", (91, 70)), "PNG", exif=tagged(8))
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    just_written = io.BytesIO()
    just_written.write(content)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "photo.png")
    reader, writer = os.pipe()
    assert os.write(writer, content) == len(content)
    os.close(writer)
    wanted = decode(path)
    with (
        path.open("rb") as file,
        zipfile.ZipFile(tmp_path / "photos.zip") as archive,
        archive.open("photo.png") as member,
        os.fdopen(reader, "rb") as pipe,
        Image.open(path) as image,
    ):
        sources = [str(path), content, io.BytesIO(content), just_written, Unseekable(content), file, pipe, image]
        for source in (*sources, cast(BinaryIO, member)):
            assert decode(cast(Photo, source)) == wanted, source
        assert not file.closed
        assert image.getpixel((0, 0))


def test_an_endless_file_is_read_only_up_to_the_limit() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            assert 0 <= size <= 1001
            return bytes(size)

    assert error_of(cast(BinaryIO, Endless()), DecodeLimits(max_bytes=1000)).startswith("The file has more than")


def test_files_that_cannot_be_read_and_things_that_are_no_photos(tmp_path: Path) -> None:
    closed = io.BytesIO(b"x")
    closed.close()
    assert error_of(closed) == "The file cannot be read: I/O operation on closed file."
    assert error_of(cast(BinaryIO, io.StringIO("text"))) == "The file gives text; open it in binary mode."
    with (tmp_path / "new").open("wb") as write_only:
        assert error_of(write_only) == "The file cannot be read: read."
    assert error_of(cast(Any, None)).endswith("or a Pillow image, not NoneType.")
    assert error_of(cast(Any, 7)).endswith("or a Pillow image, not int.")
    assert error_of(tmp_path / "absent.jpg") == "The file cannot be opened: No such file or directory."
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg", "/dev/zero", "/dev/null"):
        assert error_of(path) == "This is not a file but a folder, a pipe or a device."
    assert error_of(b"") == "The file is empty."
    assert error_of(Image.new("RGB", (0, 5))) == "The image has no pixels."


def test_limits_are_said(tmp_path: Path) -> None:
    content = encoded(Image.new("L", (1000, 1000)), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    pixels_allowed = DecodeLimits(max_pixels=999_999)
    for photo in (content, path, Image.new("L", (1000, 1000))):
        assert error_of(photo, pixels_allowed) == "The image has 1 megapixels; 1 are allowed."
    assert decode(content, DecodeLimits(max_pixels=1_000_000))
    small = DecodeLimits(max_bytes=len(content) - 1)
    assert error_of(path, small).startswith("The file has ")
    assert error_of(content, small).startswith("The file has ")
    assert error_of(io.BytesIO(content), small).startswith("The file has more than the allowed ")
    assert decode(content, DecodeLimits(max_bytes=len(content)))


def test_limits_are_checked_on_construction() -> None:
    with pytest.raises(InputError, match="max_bytes is 0"):
        DecodeLimits(max_bytes=0)
    for count in (0, 1_000_000_001):
        with pytest.raises(InputError, match=f"max_pixels is {count}"):
            DecodeLimits(max_pixels=count)
    assert decode(Image.new("1", (5, 5)), DecodeLimits(max_pixels=1_000_000_000))


def test_a_jpeg_above_the_limit_is_decoded_at_half_its_size() -> None:
    content = encoded(picture("RGB", (900, 600)), "JPEG", quality=95, exif=tagged(6).tobytes())
    whole = pixels(content)
    half = pixels(content, DecodeLimits(max_pixels=900 * 600 - 1))
    assert difference(whole, half) < 40
    assert np.abs(whole.astype(int) - half).mean() < 1.5
    assert np.array_equal(pixels(content, DecodeLimits(max_pixels=900 * 600 // 4)), half)
    assert error_of(content, DecodeLimits(max_pixels=900 * 600 // 4 - 1)) == (
        "The image has 0.54 megapixels; 0.135 are allowed."
    )
    assert error_of(encoded(picture("RGB", (900, 600)), "PNG"), DecodeLimits(max_pixels=900 * 600 - 1))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_photos_of_200_megapixels(workers: int) -> None:
    """As phones take them: a JPEG by itself, others where they are allowed."""
    image = Image.linear_gradient("L").resize((20000, 10000))
    jpeg, png = encoded(image, "JPEG"), encoded(image, "PNG", compress_level=1)
    tiff = encoded(image, "TIFF", compression="packbits")
    [small] = [np.asarray(Image.linear_gradient("L").resize((448, 224)).crop((112, 0, 336, 224)))]
    [seen, refused] = decode_all([jpeg, png], workers=workers)
    assert seen.pixels is not None
    assert np.abs(np.frombuffer(seen.pixels, np.uint8).reshape(224, 224, 3)[..., 0].astype(int) - small).max() <= 2
    assert refused.error == "The image has 200 megapixels; 178 are allowed."
    whole, *others = decode_all([jpeg, png, tiff], DecodeLimits(max_pixels=200_000_000), workers=workers)
    if workers == 0:
        assert others.pop().error == "The image is larger than Pillow reads in this process; decode it in workers."
    for decoded in (whole, *others):
        assert decoded.pixels is not None, decoded.error
        assert (
            np.abs(np.frombuffer(decoded.pixels, np.uint8).reshape(224, 224, 3)[..., 0] - small.astype(int)).max() <= 2
        )


def test_running_out_of_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", load)
    assert error_of(Image.new("L", (3, 3))) == "Reading the image takes more memory than one photo may use."


def test_a_librarys_message_becomes_one_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Image.Image) -> None:
        raise SyntaxError("bad\x00 thing.\nSee  \x1b[31m\udc80 there. " + "x" * 999)

    monkeypatch.setattr(Image.Image, "load", load)
    message = error_of(Image.new("L", (3, 3)))
    assert message.startswith("The image cannot be read: bad thing; See [31m there; xxx")
    assert message.isprintable()
    assert len(message) < 300


MODES = (
    *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"),
    *("I;16", "I;16B", "I;16L"),
)


@pytest.mark.parametrize("mode", MODES)
def test_a_pillow_image_of_any_mode_is_read_and_left_alone(mode: str) -> None:
    image = Image.new(mode, (40, 30))
    image.info["exif"] = tagged(6).tobytes()
    before = image.tobytes(), image.size, image.mode, dict(image.info), image.getpalette()
    assert pixels(image).shape == (CLIP_SIZE, CLIP_SIZE, 3)
    assert before == (image.tobytes(), image.size, image.mode, dict(image.info), image.getpalette())


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "GIF", "HEIF"])
def test_an_opened_pillow_image_is_left_alone(form: str) -> None:
    content = encoded(picture("RGB", (640, 480)), form, exif=tagged(3)) if form != "GIF" else encoded(picture(), form)
    with Image.open(io.BytesIO(content)) as image, Image.open(io.BytesIO(content)) as other:
        decode(image)
        assert (image.size, image.mode, image.tobytes()) == (other.size, other.mode, other.tobytes())


def test_of_an_opened_animation_the_current_frame_is_read() -> None:
    frames = [Image.new("L", (9, 9), level) for level in (10, 90, 170)]
    with Image.open(io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))) as image:
        image.seek(2)
        assert (pixels(image) == 170).all()
        assert image.tell() == 2


def test_names() -> None:
    assert name_of("a/b.jpg", 3) == "a/b.jpg"
    assert name_of(Path("a/b.jpg"), 3) == "a/b.jpg"
    assert name_of(b"bytes", 3) == "photo 3"
    assert name_of(io.BytesIO(), 4) == "photo 4"
    assert name_of(Image.new("L", (1, 1)), 5) == "photo 5"
    with Path(__file__).open("rb") as file, os.fdopen(os.dup(file.fileno()), "rb") as nameless:
        assert name_of(file) == __file__
        assert name_of(nameless, 6) == "photo 6"


def mixture(folder: Path) -> list[Photo]:
    content = encoded(picture("RGB", ODD_SIZE), "JPEG")
    path = folder / "photo.jpg"
    path.write_bytes(content)
    return [path, str(path), content, io.BytesIO(content), Unseekable(content), picture("RGBA"), folder, b"", b"text"]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_give_what_this_process_gives(workers: int, tmp_path: Path) -> None:
    here = list(decode_all(mixture(tmp_path)))
    assert [decoded.error is None for decoded in here] == [True] * 6 + [False] * 3
    assert list(decode_all(mixture(tmp_path), workers=workers)) == here
    assert list(decode_all([], workers=workers)) == []


def test_a_shared_pool_reads_each_photo_by_its_own_limits_and_stays_open(tmp_path: Path) -> None:
    pool = DecodingPool(2, DecodeLimits())
    try:
        for limits in (DecodeLimits(), DecodeLimits(crops=10), DecodeLimits(as_released=True), DecodeLimits()):
            here = list(decode_all(mixture(tmp_path), limits))
            assert list(decode_all(mixture(tmp_path), limits, workers=pool)) == here
        stopped = decode_all(mixture(tmp_path), workers=pool)
        next(stopped)
        stopped.close()  # type: ignore[attr-defined]
        assert pool.start(lambda _: "idle").result(timeout=20) == "idle"
    finally:
        pool.close()


def test_limits_reach_the_workers() -> None:
    photos = [encoded(picture("RGBA"), "PNG")] * 2
    limited = list(decode_all(photos, DecodeLimits(max_pixels=100), workers=1))
    assert {decoded.error for decoded in limited} == {"The image has 0.0192 megapixels; 0.0001 are allowed."}
    assert [d.pixels for d in decode_all(photos, RELEASED, workers=1)] == [decode(photos[0], RELEASED)] * 2


@pytest.mark.parametrize("workers", [0, 2])
def test_an_endless_input_is_read_only_a_few_ahead(workers: int) -> None:
    content = encoded(Image.new("L", (4, 4)), "PNG")
    taken = 0

    def endless() -> Iterator[Photo]:
        nonlocal taken
        while True:
            taken += 1
            yield content

    stream = decode_all(endless(), workers=workers)
    for yielded in range(1, 31):
        assert next(stream).name == f"photo {yielded - 1}"
        assert taken - yielded < max(1, AHEAD_PER_WORKER * workers)
    cast(Any, stream).close()


def test_files_may_be_closed_once_they_were_handed_over(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for level, path in enumerate(paths):
        Image.new("L", (4, 4), level).save(path)

    def opened() -> Iterator[Photo]:
        for path in paths:
            with path.open("rb") as file:
                yield file
            with Image.open(path) as image:
                yield image

    levels = [d.pixels[0] if d.pixels else d.error for d in decode_all(opened(), workers=2)]
    assert levels == [level for level in range(9) for _ in range(2)]


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(InputError, match="workers is -1"):
        decode_all([], workers=-1)
    for timeout_s in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"timeout_s is {timeout_s}"):
            decode_all([], workers=1, timeout_s=timeout_s)


def test_an_error_of_the_input_is_the_callers() -> None:
    def failing() -> Iterator[Photo]:
        yield b"text"
        raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"):
        list(decode_all(failing(), workers=1))
