"""What tar files at addresses hold, listed once for all processes of a job and kept in a folder that they share.

A process lists what nobody has listed yet, from a place of its own on, so that several share the work. All see the same
photos then, whatever happens to the tar files in between: one that has another size meanwhile is refused.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from geoclip.errors import InputError, PhotoError
from geoclip.files import written_whole
from geoclip.photos.elsewhere import Elsewhere, Unusable
from geoclip.remote.content import size_at
from geoclip.remote.tar import RemoteTarMember, TarAt, Unreachable, members_at

AT_ONCE = 4
OnShard = Callable[[int, int], object]
"""Called with the tar files that are listed, and all."""


def listed(shards: Sequence[TarAt], folder: Path, first: int, on_shard: OnShard) -> Iterator[list[Elsewhere]]:
    """Yield the photos of each tar file, in order.

    Args:
        shards: the tar files.
        folder: where listings are kept; it is made.
        first: the tar file to begin with.
        on_shard: told how it goes.

    Raises:
        InputError: a tar file cannot be read at the moment, has changed since it was listed, or its listing is damaged.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = [*range(first, len(shards)), *range(first)]
    found: dict[int, list[Elsewhere]] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="listing") as threads:
        try:
            for at, photos in zip(order, threads.map(lambda at: _listed(shards[at], folder), order), strict=True):
                found[at] = photos
                on_shard(len(found), len(shards))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    yield from (found[at] for at in range(len(shards)))


def _listed(shard: TarAt, folder: Path) -> list[Elsewhere]:
    path = folder / f"{sha256(shard.name.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    if path.exists():
        return _read(path, shard)
    photos = list(members_at(shard.address))
    if photos and isinstance(photos[-1], Unreachable):
        raise InputError(
            f"{shard.name} cannot be listed at the moment ({photos[-1].reason.rstrip('.')}); the same command goes on."
        )
    content: dict[str, Any] = {"name": shard.name, "size": None, "photos": []}
    for photo in photos:
        if isinstance(photo, RemoteTarMember):
            content["size"] = photo.shard_size
            content["photos"].append([photo.member, photo.offset, photo.size])
        elif isinstance(photo, Unusable):
            content["photos"].append([photo.called.removeprefix(shard.name), photo.reason])
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return photos


def _read(path: Path, shard: TarAt) -> list[Elsewhere]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        size, rows = kept["size"], kept["photos"]
        member = partial(RemoteTarMember, address=shard.address, shard_size=int(size or 0))
        photos = [_photo(shard.name, row, member) for row in rows]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path} is damaged; remove it, and the same command lists {shard.name} again.") from error
    if size is not None and (now := _size_now(shard)) not in (None, size):
        raise InputError(
            f"{shard.name} had {size:,} bytes when this job was begun and has {now:,} now; begin again with another "
            "--parts."
        )
    return photos


def _photo(shard: str, row: list[Any], member: Callable[[str, str, int, int], Elsewhere]) -> Elsewhere:
    if len(row) == 2:
        name, reason = row
        return Unusable(f"{shard}{name}", f"{reason}")
    name, offset, size = row
    return member(shard, f"{name}", int(offset), int(size))


def _size_now(shard: TarAt) -> int | None:
    """Return the bytes of a tar file; None where that cannot be had, which its photos will tell."""
    try:
        return size_at(shard.address)
    except PhotoError:
        return None
