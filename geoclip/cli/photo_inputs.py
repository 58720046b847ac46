"""The photos that a command's arguments name: files, folders, tar files, addresses, lists and tables of these."""

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from geoclip.cli.terminal import say
from geoclip.errors import InputError

if TYPE_CHECKING:
    from geoclip.photos.decode import Photo
    from geoclip.photos.elsewhere import Elsewhere

Tars: TypeAlias = "Callable[[str], Iterable[Elsewhere]] | None"


def photo_inputs(
    inputs: list[str],
    from_list: Path | None,
    exclude: Sequence[str] = (),
    column: str | None = None,
    *,
    tars: Tars = None,
) -> "Iterator[Photo]":
    """Return the photos of a command's arguments; read lazily. What is passed over is said at the end.

    Args:
        inputs: photos, folders, tar files or patterns of such, addresses, tables of photos; `-` is a photo on stdin.
        from_list: a file with a path or address a line, or a table of photos.
        exclude: what is left out in folders.
        column: of tables, with the paths or addresses.
        tars: returns what stands for the photos of a tar file at an address; None lists them.

    Raises:
        InputError: no inputs, one that does not exist, a table without such a column, or stdin asked for twice.
    """
    from geoclip.photos.find import find_photos, listed_photos

    if inputs.count("-") + (str(from_list) == "-") > 1:
        raise InputError("Stdin (-) can be read once only.")
    if not inputs and from_list is None:
        raise InputError("No photos given; name photos or folders, - for stdin, or --from-list FILE.")
    if column is not None and not any(map(_is_table, [*inputs, str(from_list)])):
        raise InputError(f"--column {column} is of a table of photos; name one that ends in .csv or .parquet.")
    listed: Iterator[Photo] = iter(())
    if from_list is not None:
        words = str(from_list)
        listed = _in_table(words, column, tars) if _is_table(words) else _each(listed_photos(from_list), tars)
    plain = [name for name in inputs if not (name == "-" or _is_special(name))]
    found = iter(find_photos(plain, exclude, say))  # all of them are looked at, before the first is read
    special = [
        _in_table(name, column, tars) if _is_table(name) else _at(name, tars) for name in inputs if _is_special(name)
    ]
    on_stdin = (photo_on_stdin() for name in inputs if name == "-")
    return chain(on_stdin, found, chain.from_iterable(special), listed)


def photo_on_stdin(begin: bytes = b"") -> "Photo":
    """Return the photo on stdin, of which this was read already; of a too large one not all is read."""
    from geoclip.photos.decode import DecodeLimits

    photo = io.BytesIO(
        begin + sys.stdin.buffer.read(DecodeLimits.max_bytes + 1)
    )  # one byte more, so that it is refused
    photo.name = "-"  # what answers call it
    return photo


def only_files(photos: "Iterable[Photo]", option: str) -> "list[str]":
    """Return the paths of photos.

    Raises:
        InputError: one is elsewhere.
    """
    from geoclip.photos.elsewhere import Elsewhere

    paths = []
    for photo in photos:
        if isinstance(photo, Elsewhere):
            raise InputError(f"{option} needs photos in files of this machine, and {photo.name} is not one.")
        paths.append(str(photo))
    return paths


def _is_special(name: str) -> bool:
    from geoclip.photos.tar import is_tar
    from geoclip.remote.photo import is_address

    return is_address(name) or is_tar(name) or _is_table(name)


def _is_table(name: str) -> bool:
    from geoclip.remote.photo import is_address
    from geoclip.tables.photo_list import LIST_SUFFIXES

    path = Path(name)
    return path.suffix.lower() in LIST_SUFFIXES and not is_address(name) and not path.is_dir()


def _at(words: str, tars: Tars) -> "Iterator[Photo]":
    """Return the photos of a path or address; tar files of this machine are looked for at once."""
    from geoclip.photos.tar import is_tar, members_of, shards_of
    from geoclip.remote.photo import is_address, is_tar_at, photo_at
    from geoclip.remote.tar import members_at, tars_at

    if is_tar_at(words):
        return chain.from_iterable(map(tars or members_at, tars_at(words)))
    if is_address(words):
        photo = photo_at(words)
        return _at(photo, tars) if isinstance(photo, str) else iter([photo])
    return chain.from_iterable(map(members_of, shards_of(words))) if is_tar(words) else iter([words])


def _each(names: Iterable[str], tars: Tars) -> "Iterator[Photo]":
    """Yield the photos of names in a list, where a tar file that is not there is a row with a reason."""
    from geoclip.photos.elsewhere import Unusable
    from geoclip.remote.address import shown
    from geoclip.remote.photo import is_address

    for name in names:
        try:
            yield from _at(name, tars)
        except InputError as error:
            yield Unusable(shown(name) if is_address(name) else name, str(error))


def _in_table(name: str, column: str | None, tars: Tars) -> "Iterator[Photo]":
    from geoclip.photos.elsewhere import Unusable
    from geoclip.tables.photo_list import listed_in

    rows = listed_in(Path(name), column)

    def photos() -> "Iterator[Photo]":
        for row in rows:
            if row.words is None:
                yield Unusable(f"{name}: row {row.number}", "The row names no photo, or cannot be read.")
            else:
                yield from _each([row.words], tars)

    return photos()
