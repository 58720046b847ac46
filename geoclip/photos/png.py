"""PNG files whose texts or colour profile are larger than Pillow reads: their pixels are read without them."""

import io
import struct
from typing import BinaryIO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESSED = (b"iCCP", b"zTXt", b"iTXt")


def has_large_texts(error: Exception) -> bool:
    """Return whether Pillow refused a PNG for the size of its texts or its profile."""
    return isinstance(error, ValueError) and "MAX_TEXT_" in str(error)


def without_texts(file: BinaryIO) -> BinaryIO:
    """Return a PNG without its colour profile and compressed texts; the EXIF chunk and plain XMP stay."""
    file.seek(0)
    out, head = io.BytesIO(), file.read(len(_SIGNATURE))
    out.write(head)
    while len(begin := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", begin)
        chunk = file.read(length + 4)
        plain = kind == b"iTXt" and length <= 2**20 and chunk.partition(b"\0")[2][:1] == b"\0"
        if kind not in _COMPRESSED or plain:
            out.write(begin + chunk)
    out.seek(0)
    return out
