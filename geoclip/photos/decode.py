"""One photo file to the square of RGB pixels that CLIP sees, and to the place in its EXIF data.

Pillow at heart: this runs in small worker processes.

Resizing and cropping repeat transformers' Pillow-backed CLIP processor to the last grey level. What happens
before them is what real files need: EXIF orientation, transparency, 16-bit and floating-point samples, and
limits on what a hostile file may ask for.
"""

import io
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from geoclip.errors import InputError, PhotoError
from geoclip.photos.colour import Conversion, as_it_is, eight_bits, over_white, srgb_conversion, srgb_of
from geoclip.photos.elsewhere import Elsewhere
from geoclip.photos.exif import LatLng, gps_of, orientation_of, positions_in
from geoclip.photos.png import has_large_texts, without_texts

T = TypeVar("T")

CLIP_SIZE = 224
"""Width and height of what CLIP sees, in pixels, unless a model says otherwise."""
Photo = str | Path | bytes | BinaryIO | Image.Image | Elsewhere

# Read through Pillow's own decoders; MPO is read as JPEG. Left out on purpose: EPS (runs Ghostscript) and formats
# without a signature (TGA, PCX, ...), which would "recognise" noise. AVIF stands before HEIF because pillow-heif
# claims AVIF files of the brand mif1 and cannot decode them.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".hif",
))  # fmt: skip

MAX_PIXELS = 1_000_000_000
"""The most that `DecodeLimits.max_pixels` may allow."""
JPEG_FACTOR = 4
"""A JPEG may have so many times the pixels that are allowed: it is decoded at half its size."""
MAX_ASPECT = 100
"""Of longer strips only the part that is shown is resized: the whole could be arbitrarily large."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one photo may cost, and how it is read.

    Raises:
        InputError: a limit is not positive, or above `MAX_PIXELS`; or `crops` is neither 1 nor 10.
    """

    max_bytes: int = 512 * 2**20
    max_pixels: int = 178_000_000
    """Of what is decoded; see `JPEG_FACTOR`."""
    as_released: bool = False
    """Read as the released package does: EXIF orientation and colour profile ignored, alpha dropped, 16-bit grey
    clipped."""
    crops: int = 1
    """Views of each photo: 1, CLIP's own, or 10; see `clip_crop` and `ten_crops`."""
    size: int = CLIP_SIZE
    """Width and height of a view, in pixels."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise InputError(f"max_bytes is {self.max_bytes}; allow at least 1.")
        if not 1 <= self.max_pixels <= MAX_PIXELS:
            raise InputError(f"max_pixels is {self.max_pixels}; it must be between 1 and {MAX_PIXELS}.")
        if self.crops not in (1, 10):
            raise InputError(f"crops is {self.crops}; give 1 for CLIP's crop or 10 for ten-crop.")
        if self.size < 1:
            raise InputError(f"size is {self.size}; give at least 1 pixel.")


class Picture(NamedTuple):
    """What one photo gives."""

    pixels: bytes
    """size x size x 3 RGB, row by row; with `crops=10`, ten of these one after another."""
    gps: LatLng | None
    """Where its metadata say it was taken, (lat, lng) in degrees; see `gps_of`."""
    datum: str = ""
    """Of the position, where it is said and is not WGS 84."""


def name_of(photo: Photo, position: int = 0) -> str:
    """Return what to call a photo in answers and messages: its path, or its position in the input."""
    if isinstance(photo, str | Path):
        return str(photo)
    if isinstance(photo, Elsewhere):
        return photo.name
    name = getattr(photo, "filename", None) or getattr(photo, "name", None)
    return str(name) if isinstance(name, str | Path) else f"photo {position}"


def decode(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> bytes:
    """Return the pixels of a photo alone; see `read_photo`."""
    return read_photo(photo, limits).pixels


def read_photo(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> Picture:
    """Return the pixels CLIP sees, and where the photo's EXIF data says it was taken.

    Args:
        photo: a path; the bytes of a file; an open binary file (see `content_of`); or a Pillow image, whose current
            frame is read and which stays as it was, apart from being loaded.
        limits: bounds on size, and how to read; see `DecodeLimits`.

    Raises:
        PhotoError: the photo cannot be read, whatever the reason; the message is one sentence without the name.
    """
    return opened(photo, limits, _read)


def read_gps(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> Picture:
    """Return the position in a photo's metadata with the name of its `GpsSource` for pixels, empty where there is none.

    Pixels are decoded only of PNG, whose metadata may stand behind them. Arguments and errors as for `read_photo`.
    """
    return opened(photo, limits, _gps_alone)


class Upright(NamedTuple):
    """A whole photo, turned as its EXIF data says."""

    image: Image.Image
    """RGB, in the photo's own colour space."""
    to_srgb: Conversion
    """For whatever is made of it: a conversion of the whole takes as long as decoding it."""


def upright(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> Upright:
    """Return a whole photo; arguments and errors as for `read_photo`."""
    return opened(photo, limits, _to_rgb)


def opened(photo: Photo, limits: DecodeLimits, read: Callable[[Image.Image, DecodeLimits], T]) -> T:
    """Open a photo and read it; whatever goes wrong becomes a PhotoError."""
    try:
        if isinstance(photo, Image.Image):
            return read(photo, limits)
        source = _source(photo, limits)
        with source.open("rb") if isinstance(source, Path) else source as file:
            try:
                with _image_in(file) as image:
                    return read(image, limits)
            except ValueError as error:
                if not has_large_texts(error):
                    raise
            with _image_in(without_texts(file)) as image:
                return read(image, limits)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError("This is not a photo in a known format, or its beginning is damaged.") from error
    except Image.DecompressionBombError as error:
        raise PhotoError("The image is larger than Pillow reads in this process; decode it in workers.") from error
    except MemoryError as error:
        raise PhotoError("Reading the image takes more memory than one photo may use.") from error
    except Exception as error:  # decoders raise SyntaxError, struct.error, TypeError, ... on damaged files
        raise PhotoError(f"The image cannot be read: {_reason(error)}.") from error


def _image_in(file: BinaryIO) -> Image.Image:
    """Open an image as `Image.open` does, except that its size is judged here, and an MPO is its first picture."""
    begin = file.read(16)
    for name in _formats():
        factory, accept = Image.OPEN[name]
        if accept is not None and not isinstance(accepted := accept(begin), str) and accepted:
            file.seek(0)
            try:
                return JpegImageFile(file) if name == "JPEG" else factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # as in `Image.open`: the next may know it
                continue
    raise UnidentifiedImageError


def content_of(file: BinaryIO, limits: DecodeLimits) -> bytes:
    """Return the bytes of an open file: from its start where it can seek, as Pillow reads it, else from here.

    The file is not closed.

    Raises:
        PhotoError: the file cannot be read, is not binary, or holds more than the limit.
    """
    try:
        if file.seekable():
            file.seek(0)
        content = file.read(limits.max_bytes + 1)
    except Exception as error:  # whatever the caller's object raises
        raise PhotoError(f"The file cannot be read: {_reason(error)}.") from error
    if not isinstance(content, bytes):
        raise PhotoError("The file gives text; open it in binary mode.")
    if len(content) > limits.max_bytes:
        raise PhotoError(f"The file has more than the allowed {limits.max_bytes / 2**20:.4g} MB.")
    return content


def clip_crop(image: Image.Image, side: int = CLIP_SIZE) -> Image.Image:
    """Resize the short side to `side` (bicubic) and take the middle: CLIP's preprocessing before normalisation.

    Sizes and offsets are rounded down, as in transformers; torchvision's crop rounds to nearest and differs by
    one pixel where the surplus is odd.
    """
    width, height = size = _scaled(image.size, side)
    return _windows(image, size, [((width - side) // 2, (height - side) // 2)], side)[0]


def ten_crops(image: Image.Image, side: int = CLIP_SIZE) -> list[Image.Image]:
    """Resize the short side to 8/7 of `side` (bicubic), take ten views: four corners, the middle, the same mirrored.

    Order and offsets are those of torchvision's `TenCrop`: top left, top right, bottom left, bottom right,
    centre; then these five of the mirrored photo. GeoCLIP's paper (arXiv 2309.16020) is evaluated on ten crops whose
    logits are averaged (the authors in their issue 9). The size before cropping is not known from there: 256 for 224
    is torchvision's usual convention, and our choice.
    """
    width, height = size = _scaled(image.size, side * 8 // 7)
    right, bottom = width - side, height - side
    # torchvision rounds halves to even, in the mirrored photo from its own left
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (round(right / 2), round(bottom / 2))]
    views = _windows(image, size, corners + [(right - left, top) for left, top in corners], side)
    return views[:5] + [view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for view in views[5:]]


def _scaled(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return (width, height) with the given short side; the long one is rounded down."""
    width, height = size
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def _windows(image: Image.Image, size: tuple[int, int], corners: list[tuple[int, int]], side: int) -> list[Image.Image]:
    """Resize an image and take square windows with the given (left, top)."""
    if max(image.size) <= MAX_ASPECT * min(image.size):
        resized = image.resize(size, Image.Resampling.BICUBIC)
        return [resized.crop((left, top, left + side, top + side)) for left, top in corners]
    x, y = image.width / size[0], image.height / size[1]
    boxes = [
        (left * x, top * y, min((left + side) * x, image.width), min((top + side) * y, image.height))
        for left, top in corners
    ]
    return [image.resize((side, side), Image.Resampling.BICUBIC, box=box) for box in boxes]


@cache
def _formats() -> tuple[str, ...]:
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # a Pillow built without AVIF reads the others


def _source(photo: str | Path | bytes | BinaryIO | Elsewhere, limits: DecodeLimits) -> Path | BinaryIO:
    """Return something Pillow opens, within the limit on bytes; only regular files are opened by path."""
    if isinstance(photo, Elsewhere):
        photo = photo.content(limits.max_bytes)
    if isinstance(photo, str | Path):
        path = Path(photo)
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise PhotoError(f"The file cannot be opened: {_reason(error)}.") from error
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError("This is not a file but a folder, a pipe or a device.")
        size = status.st_size
    elif isinstance(photo, bytes):
        size = len(photo)
    elif hasattr(photo, "read"):
        photo = content_of(photo, limits)
        size = len(photo)
    else:
        raise PhotoError(f"A photo is a path, bytes, a binary file or a Pillow image, not {type(photo).__name__}.")
    if size > limits.max_bytes:
        raise PhotoError(f"The file has {size / 2**20:.4g} MB; {limits.max_bytes / 2**20:.4g} MB are allowed.")
    if size == 0:
        raise PhotoError("The file is empty.")
    return io.BytesIO(photo) if isinstance(photo, bytes) else Path(photo)


def _reason(error: Exception) -> str:
    """Return a library's message as part of a sentence: one printable line without a full stop."""
    text = getattr(error, "strerror", None) or str(error)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:200].rstrip(". ").replace(". ", "; ") or type(error).__name__


def _read(image: Image.Image, limits: DecodeLimits) -> Picture:
    rgb, to_srgb = _to_rgb(image, limits)
    views = [clip_crop(rgb, limits.size)] if limits.crops == 1 else ten_crops(rgb, limits.size)
    return Picture(b"".join(to_srgb(view).tobytes() for view in views), *gps_of(image))


def _gps_alone(image: Image.Image, limits: DecodeLimits) -> Picture:
    if isinstance(image, PngImageFile):
        _check_pixels(image.width * image.height, limits)
        image.load()
    found = next(positions_in(image), None)
    return Picture(b"", None) if found is None else Picture(found.source.encode(), found.gps, found.datum)


def _to_rgb(image: Image.Image, limits: DecodeLimits) -> Upright:
    pixels = image.width * image.height
    if isinstance(image, JpegImageFile) and limits.max_pixels < pixels <= JPEG_FACTOR * limits.max_pixels:
        image.draft(None, (max(1, image.width // 2), max(1, image.height // 2)))
        pixels = image.width * image.height
    _check_pixels(pixels, limits)
    deep = ";16" in str(getattr(image, "tile", [])[:1])
    image.load()
    if limits.as_released:
        return Upright(image if image.mode == "RGB" else image.convert("RGB"), as_it_is)
    orientation, to_srgb = orientation_of(image), srgb_conversion(image)
    image = over_white(srgb_of(eight_bits(image, deep=deep)))
    return Upright(image if orientation is None else image.transpose(orientation), to_srgb)


def _check_pixels(pixels: int, limits: DecodeLimits) -> None:
    if pixels > limits.max_pixels:
        raise PhotoError(f"The image has {pixels / 1e6:.4g} megapixels; {limits.max_pixels / 1e6:.4g} are allowed.")
    if pixels == 0:
        raise PhotoError("The image has no pixels.")
