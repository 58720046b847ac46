"""gs://: blocks of builds, indexes, photos and tar files, with a server that speaks as Google's storage does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from geoclip.errors import InputError, PhotoError
from geoclip.photos.elsewhere import Elsewhere, TooLargeError
from geoclip.remote import content as remote
from geoclip.remote.blocks import open_blocks
from geoclip.remote.photo import photo_at
from geoclip.remote.tar import members_at, tars_at
from index.building.build import build_part, finish
from index.building.working_folder import working_folder
from index.parts import Part
from tests.helpers.builds import contents, no_report, uninterrupted, wanted
from tests.helpers.commands import geoclip
from tests.helpers.gs import gs_server
from tests.helpers.pictures import make_photo
from tests.helpers.synthetic import begin, encode
from tests.helpers.tars import content, shard

__all__ = ["uninterrupted"]


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[str]:
    """The address of an empty bucket."""
    with gs_server("planets") as environment, pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.setattr(remote, "WAITS_S", (0.0, 0.0))
        remote._file_system.cache_clear()
        yield "gs://planets"
    remote._file_system.cache_clear()


def test_blocks_and_the_index_they_make(bucket: str, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    store = open_blocks(f"{bucket}/deep/blocks")
    for number in (2, 1, 1):  # on machines that share nothing else; one is repeated
        target = tmp_path / f"{number}" / "planet"
        if not target.parent.exists():
            target.parent.mkdir()
            begin(wanted(), target)
        build_part(wanted(), encode, target, Part(number, 2), report=no_report, store=store)
    target = tmp_path / "planet"
    begin(wanted(), target)
    finish(wanted(), encode, target, report=no_report, store=store)
    assert contents(target) == uninterrupted
    assert not working_folder(target).exists()
    names = store.names("blocks")
    some = f"blocks/{min(names)}"
    store.remove(some)
    assert (store.size_of(some), store.names("blocks")) == (None, names - {min(names)})
    assert store.names("nowhere") == set()
    begin(wanted(), tmp_path / "again")
    with pytest.raises(ValueError, match=r"1 of 6 blocks are missing in gs://planets/deep/blocks"):
        finish(wanted(), encode, tmp_path / "again", report=no_report, store=store)
    published = open_blocks(f"{bucket}/published")
    for path in target.iterdir():
        published.send(path, path.name)
    done = geoclip("fetch-index", f"{bucket}/published", tmp_path / "fetched")
    assert (done.exit_code, contents(tmp_path / "fetched")) == (0, uninterrupted), done.stderr
    with pytest.raises(InputError, match="gs://nowhere/blocks cannot be"):
        open_blocks("gs://nowhere/blocks").send(next(target.iterdir()), "file")


def test_photos_and_tar_files(bucket: str, tmp_path: Path) -> None:
    photo, photos = make_photo(tmp_path / "a b.png", seed=1), open_blocks(f"{bucket}/photos")
    contents_ = shard(tmp_path / "s-000.tar", 2)
    for path in (photo, tmp_path / "s-000.tar"):
        photos.send(path, path.name)
    there = photo_at(f"{bucket}/photos/a b.png")
    assert isinstance(there, Elsewhere)
    assert there.content(1 << 20) == photo.read_bytes()
    with pytest.raises(TooLargeError):
        there.content(100)
    for name in (f"{bucket}/none.png", "gs://nowhere/a.png"):
        missing = photo_at(name)
        assert isinstance(missing, Elsewhere)
        with pytest.raises(PhotoError, match=r"There is no such file at this address\."):
            missing.content(1 << 20)
    (address,) = tars_at(f"{bucket}/photos/s-{{000..000}}.tar")
    members = list(members_at(address))
    assert [each.name for each in members] == [f"{address}/00{number}.png" for number in (0, 1)]
    assert [content(each) for each in members] == contents_
    (none,) = members_at(f"{bucket}/none.tar")
    assert content(none) == "There is no such file at this address."
