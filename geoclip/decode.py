"""One photo file to the 224 x 224 RGB pixels that CLIP sees. Pillow only: this runs in small worker processes.

Resizing and cropping repeat transformers' Pillow-backed CLIP processor to the last grey level. What happens
before them is what real files need: EXIF orientation, transparency, 16-bit and floating-point samples, and
limits on what a hostile file may ask for.
"""

import io
import os
import stat
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from geoclip.errors import PhotoError

SIZE = 224
Photo = str | Path | bytes | BinaryIO | Image.Image

# Read through Pillow's own decoders. Left out on purpose: EPS (runs Ghostscript) and formats without a signature
# (TGA, PCX, ...), which would "recognise" noise.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".hif"]
)


@dataclass(frozen=True)
class DecodeLimits:
    """What one photo may cost, and whether it is read as the released package reads it."""

    max_bytes: int = 512 * 2**20
    max_pixels: int = 178_000_000
    """Just below the count at which Pillow itself refuses."""
    as_released: bool = False
    """Read as the released package does: EXIF orientation ignored, alpha dropped, 16-bit grey clipped."""


SHRINK_ABOVE_PIXELS = 40_000_000
"""Larger photos are first halved or quartered, which keeps every format below 2 GB of memory."""
MAX_ASPECT = 20
"""Of longer strips only the middle is read; their resized side would be arbitrarily large."""


def name_of(photo: Photo, position: int = 0) -> str:
    """Return what to call a photo in answers and messages: its path, or its position in the input."""
    if isinstance(photo, str | Path):
        return str(photo)
    name = getattr(photo, "filename", None) or getattr(photo, "name", None)
    return str(name) if name else f"photo {position}"


def decode(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> bytes:
    """Return the pixels CLIP sees: 224 x 224 x 3 bytes, row by row, RGB.

    Args:
        photo: a path, the bytes of a file, an open binary file, or a Pillow image.
        limits: bounds on size; see `DecodeLimits`.

    Raises:
        PhotoError: the photo cannot be read, whatever the reason; the message is one sentence without the name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; real trouble raises
            if isinstance(photo, Image.Image):
                return clip_crop(_to_rgb(photo, limits)).tobytes()
            source, size = _source(photo)
            if size > limits.max_bytes:
                raise PhotoError(f"The file has {size / 2**20:.0f} MB; {limits.max_bytes // 2**20} MB are allowed.")
            if size == 0:
                raise PhotoError("The file is empty.")
            with Image.open(source, formats=_formats()) as image:
                return clip_crop(_to_rgb(image, limits)).tobytes()
    except PhotoError:
        raise
    except Image.UnidentifiedImageError as error:
        raise PhotoError("This is not a photo in a known format, or its beginning is damaged.") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"The image is larger than the allowed {limits.max_pixels / 1e6:.0f} megapixels.") from error
    except MemoryError as error:
        raise PhotoError("Reading the image takes more memory than one photo may use.") from error
    except Exception as error:  # decoders raise SyntaxError, struct.error, TypeError, ... on damaged files
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise PhotoError(f"The image cannot be read: {reason[:200]}.") from error


def clip_crop(image: Image.Image) -> Image.Image:
    """Resize the short side to 224 (bicubic) and take the middle: CLIP's preprocessing before normalisation.

    Sizes and offsets are rounded down, as in transformers; torchvision's crop rounds to nearest and differs by
    one pixel where the surplus is odd.
    """
    width, height = image.size
    short, long = sorted((width, height))
    if long > MAX_ASPECT * short:
        image = _centre(image, min(width, MAX_ASPECT * short), min(height, MAX_ASPECT * short))
        width, height = image.size
        long = MAX_ASPECT * short
    scaled = int(SIZE * long / short)
    new_size = (SIZE, scaled) if width <= height else (scaled, SIZE)
    return _centre(image.resize(new_size, Image.Resampling.BICUBIC), SIZE, SIZE)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


@cache
def _formats() -> tuple[str, ...]:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return FORMATS


def _source(photo: str | Path | bytes | BinaryIO) -> tuple[Path | BinaryIO, int]:
    """Return something Pillow opens and its size in bytes; only regular files are opened by path."""
    if isinstance(photo, bytes):
        return io.BytesIO(photo), len(photo)
    if not isinstance(photo, str | Path):
        position = photo.tell() if photo.seekable() else None
        if position is None:  # a pipe: Pillow needs to seek
            content = photo.read()
            return io.BytesIO(content), len(content)
        size = photo.seek(0, os.SEEK_END) - position
        photo.seek(position)
        return photo, size
    path = Path(photo)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(f"The file cannot be opened: {reason}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("This is not a regular file.")
    return path, status.st_size


def _to_rgb(image: Image.Image, limits: DecodeLimits) -> Image.Image:
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise PhotoError(
            f"The image has {pixels / 1e6:.0f} megapixels; {limits.max_pixels / 1e6:.0f} are allowed."
        )
    if limits.as_released:
        return image.convert("RGB")
    factor = 1 if pixels <= SHRINK_ABOVE_PIXELS else 2 if pixels <= 4 * SHRINK_ABOVE_PIXELS else 4
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))  # JPEG decodes smaller at once
    image.load()
    orientation = _orientation(image)
    image = _eight_bits(image)
    if factor > 1 and image.width * image.height > SHRINK_ABOVE_PIXELS:
        image = (image if image.mode in ("L", "RGB", "RGBA", "CMYK") else image.convert("RGBA")).reduce(factor)
    image = _without_alpha(image)
    return image if orientation is None else image.transpose(orientation)


_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return how to turn the image upright by its EXIF tag 0x0112; None where there is nothing to do."""
    try:
        return _ORIENTATIONS.get(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata says nothing about the pixels
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and floating-point grey to 8 bits by the range the samples use."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    grey = image if image.mode == "F" else image.convert("I")
    low, high = (float(v) for v in grey.getextrema())  # type: ignore[arg-type]
    if not (low == low and high == high and abs(high) < float("inf") and abs(low) < float("inf")):
        raise PhotoError("The image holds values that are not finite.")
    full = next((v for v in ((1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)) if high <= v), high)
    if image.mode.startswith("I;16"):
        full = 65535.0
    return grey.point(lambda v: v * (255.0 / full) + 0.0).convert("L")


def _without_alpha(image: Image.Image) -> Image.Image:
    """Return RGB, transparent parts over white as a browser shows them."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    paper = Image.new("RGB", rgba.size, "white")
    paper.paste(rgba, mask=rgba.getchannel("A"))
    return paper
