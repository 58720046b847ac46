"""Tar files of photos, sound and hostile ones."""

import io
import tarfile
from pathlib import Path

from geoclip.errors import PhotoError
from geoclip.photos.elsewhere import Elsewhere
from tests.helpers.pictures import make_photo


def shard(path: Path, count: int = 3, first: int = 0, kind: int = tarfile.PAX_FORMAT) -> list[bytes]:
    """Write a shard as webdataset does, `000.jpg` beside `000.json`; return the photos."""
    contents = []
    with tarfile.open(path, "w", format=kind) as tar:
        for number in range(first, first + count):
            contents.append(make_photo(path.parent / "photo.png", seed=number).read_bytes())
            for name, content in ((f"{number:03d}.png", contents[-1]), (f"{number:03d}.json", b"{}")):
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
    (path.parent / "photo.png").unlink()
    return contents


def content(photo: Elsewhere, most: int = 1 << 20) -> bytes | str:
    """Return the content of a photo, or the reason why there is none."""
    try:
        return photo.content(most)
    except PhotoError as error:
        return str(error)


def header(name: str, size: bytes | int, kind: bytes = b"0", link: str = "") -> bytes:
    """Return a header of which everything is as said."""
    field = b"%011o\0" % size if isinstance(size, int) else size
    block = (
        name.encode(errors="surrogateescape").ljust(100, b"\0")
        + b"0000644\0"
        + b"0000000\0" * 2
        + field
        + b"00000000000\0"
        + b" " * 8
    )
    block = (block + kind + link.encode().ljust(100, b"\0") + b"ustar\00000").ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def binary(size: int) -> bytes:
    """Return a size as GNU tar writes what octal digits do not hold."""
    return b"\x80" + size.to_bytes(11) if size >= 0 else b"\xff" + (256**11 + size).to_bytes(11)


GOOD = header("good.jpg", 2) + b"ab".ljust(512, b"\0")
END = b"\0" * 1024
PAX = b"30 path=../../escaped/pax.jpg\n"
NO_END = ("cut", "cut behind a photo", "huge", "half a header")
HOSTILE: dict[str, tuple[bytes, list[str]]] = {
    "links": (header("a.jpg", 0, b"2", "/etc/passwd") + header("b.jpg", 0, b"1", "good.jpg"), ["a link", "a link"]),
    "devices": (
        header("a.jpg", 0, b"3") + header("b.jpg", 0, b"4") + header("c.jpg", 0, b"6"),
        ["not an ordinary file"] * 3,
    ),
    "climbing": (header("../../a.jpg", 0) + header("/etc/b.jpg", 0), ["leads out of its folder"] * 2),
    "climbing in pax": (
        header("x", len(PAX), b"x") + PAX.ljust(512, b"\0") + header("y.jpg", 0),
        ["leads out of its folder"],
    ),
    "huge": (header("a.jpg", binary(1 << 60)), ["1.1e+12 MB; 1 MB are allowed", "damaged"]),
    "cut": (header("a.jpg", 5000) + b"x" * 600, ["ends after 600 of the photo's 5,000 bytes", "damaged"]),
    "backwards": (header("a.jpg", binary(-1024)), ["damaged and was not read further"]),
    "noise": (b"\xa5" * 2048, ["damaged and was not read further"]),
    "cut behind a photo": (b"", ["has no end mark, so it was cut off"]),
    "half a header": (header("a.jpg", 0)[:300], ["damaged and was not read further"]),
    "long name without end": (header("x", binary(1 << 40), b"L"), ["a header has more than 1 MB"]),
    "pax without end": (header("x", binary(1 << 62), b"x"), ["damaged and was not read further"]),
    "long names in a row": (header("x", 0, b"L") * 5000, ["damaged and was not read further"]),
    "sparse without end": (
        header("x", 22, b"x") + b"22 GNU.sparse.major=1\n".ljust(512, b"\0") + header("a.jpg", 512) + b"9" * 512,
        ["not"],
    ),
}
