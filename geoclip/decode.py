"""One photo file to the 224 x 224 RGB pixels that CLIP sees. Pillow at heart: this runs in small worker processes.

Resizing and cropping repeat transformers' Pillow-backed CLIP processor to the last grey level. What happens
before them is what real files need: EXIF orientation, transparency, 16-bit and floating-point samples, and
limits on what a hostile file may ask for.
"""

import io
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from geoclip.errors import InputError, PhotoError

SIZE = 224
Photo = str | Path | bytes | BinaryIO | Image.Image

# Read through Pillow's own decoders; MPO is read as JPEG. Left out on purpose: EPS (runs Ghostscript) and formats
# without a signature (TGA, PCX, ...), which would "recognise" noise. AVIF stands before HEIF because pillow-heif
# claims AVIF files of the brand mif1 and cannot decode them.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".hif",
))  # fmt: skip

PILLOW_MAX_PIXELS = 178_956_970
"""Above this Pillow refuses a file before we see its size."""
MAX_ASPECT = 100
"""Of longer strips only the part that is shown is resized: the whole could be arbitrarily large."""
BAND_ROWS = 256


@dataclass(frozen=True)
class DecodeLimits:
    """What one photo may cost, and whether it is read as the released package reads it.

    Raises:
        InputError: a limit is not positive, or above what Pillow itself accepts.
    """

    max_bytes: int = 512 * 2**20
    max_pixels: int = 178_000_000
    as_released: bool = False
    """Read as the released package does: EXIF orientation ignored, alpha dropped, 16-bit grey clipped."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise InputError(f"max_bytes is {self.max_bytes}; allow at least 1.")
        if not 1 <= self.max_pixels <= PILLOW_MAX_PIXELS:
            raise InputError(f"max_pixels is {self.max_pixels}; it must be between 1 and {PILLOW_MAX_PIXELS}.")


def name_of(photo: Photo, position: int = 0) -> str:
    """Return what to call a photo in answers and messages: its path, or its position in the input."""
    if isinstance(photo, str | Path):
        return str(photo)
    name = getattr(photo, "filename", None) or getattr(photo, "name", None)
    return str(name) if isinstance(name, str | Path) else f"photo {position}"


def decode(photo: Photo, limits: DecodeLimits = DecodeLimits()) -> bytes:
    """Return the pixels CLIP sees: 224 x 224 x 3 bytes, row by row, RGB.

    Args:
        photo: a path; the bytes of a file; an open binary file (see `content_of`); or a Pillow image, whose current
            frame is read and which stays as it was, apart from being loaded.
        limits: bounds on size; see `DecodeLimits`.

    Raises:
        PhotoError: the photo cannot be read, whatever the reason; the message is one sentence without the name.
    """
    try:
        if isinstance(photo, Image.Image):
            return clip_crop(_to_rgb(photo, limits)).tobytes()
        with Image.open(_source(photo, limits), formats=_formats()) as image:
            return clip_crop(_to_rgb(image, limits)).tobytes()
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError("This is not a photo in a known format, or its beginning is damaged.") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"The image is larger than the allowed {limits.max_pixels / 1e6:.4g} megapixels.") from error
    except MemoryError as error:
        raise PhotoError("Reading the image takes more memory than one photo may use.") from error
    except Exception as error:  # decoders raise SyntaxError, struct.error, TypeError, ... on damaged files
        raise PhotoError(f"The image cannot be read: {_reason(error)}.") from error


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


def clip_crop(image: Image.Image) -> Image.Image:
    """Resize the short side to 224 (bicubic) and take the middle: CLIP's preprocessing before normalisation.

    Sizes and offsets are rounded down, as in transformers; torchvision's crop rounds to nearest and differs by
    one pixel where the surplus is odd.
    """
    width, height = image.size
    short, long = sorted(image.size)
    scaled = int(SIZE * long / short)
    new_width, new_height = (SIZE, scaled) if width <= height else (scaled, SIZE)
    left, top = (new_width - SIZE) // 2, (new_height - SIZE) // 2
    if long > MAX_ASPECT * short:
        x, y = width / new_width, height / new_height
        box = (left * x, top * y, min((left + SIZE) * x, width), min((top + SIZE) * y, height))
        return image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
    resized = image.resize((new_width, new_height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + SIZE, top + SIZE))


@cache
def _formats() -> tuple[str, ...]:
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # a Pillow built without AVIF reads the others


def _source(photo: str | Path | bytes | BinaryIO, limits: DecodeLimits) -> Path | BinaryIO:
    """Return something Pillow opens, within the limit on bytes; only regular files are opened by path."""
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


def _to_rgb(image: Image.Image, limits: DecodeLimits) -> Image.Image:
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise PhotoError(f"The image has {pixels / 1e6:.4g} megapixels; {limits.max_pixels / 1e6:.4g} are allowed.")
    if pixels == 0:
        raise PhotoError("The image has no pixels.")
    image.load()
    if limits.as_released:
        return image if image.mode == "RGB" else image.convert("RGB")
    orientation = _orientation(image)
    image = _over_white(_eight_bits(image))
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
    """Return how to turn the loaded image upright by its EXIF tag 0x0112; None where there is nothing to do.

    Pillow turns TIFF, and libheif HEIC, while loading; the tag then says so.
    """
    try:
        return _ORIENTATIONS.get(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata says nothing about the pixels
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and floating-point grey to 8 bits; return other images as they are.

    16-bit samples keep their high byte, as Pillow reads 16-bit colour. The others do not say what white is: it is
    the first of 1 (floating point only), 255 and 65535 that no sample exceeds, else the largest sample.

    Raises:
        PhotoError: a sample is infinite or not a number.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    import numpy as np  # not at the top: hardly a photo needs it, and every worker would load it

    samples = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((samples >> 8).astype(np.uint8))
    if not np.isfinite(samples).all():
        raise PhotoError("The image holds values that are not finite.")
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    high = float(samples.max())
    white = next((white for white in whites if high <= white), high)
    levels = samples.clip(0, white)
    scaled = np.rint(levels * (255 / white)) if image.mode == "F" else levels * (256 / (white + 1))
    return Image.fromarray(scaled.astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    """Return RGB, transparent parts over white as a browser shows them."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    paper = Image.new("RGB", image.size, "white")
    for top in range(0, image.height, BAND_ROWS):  # in bands: another whole copy might exceed a worker's memory
        band = image.crop((0, top, image.width, min(top + BAND_ROWS, image.height))).convert("RGBA")
        paper.paste(band, (0, top), band)
    return paper
