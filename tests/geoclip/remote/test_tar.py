"""Tar files at addresses: the same answers as of files here; what cannot be read is a row with a reason."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs

from geoclip.errors import InputError, PhotoError
from geoclip.photos.elsewhere import Elsewhere
from geoclip.photos.tar import members_of
from geoclip.remote import photo as remote
from geoclip.remote import tar as remote_tar
from geoclip.remote.tar import is_tar_address, members_at, shards_at
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.http_files import FileServer, serving
from tests.helpers.s3 import s3_server
from tests.helpers.shards import shard
from tests.helpers.small_release import SmallRelease

TWO = 2
"""Shards that are served."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again without waiting; connections of other tests are not used."""
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    remote.file_system.cache_clear()


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Two tar files of three photos."""
    paths = [tmp_path / "served" / f"{number}.tar" for number in range(TWO)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        shard(path, first=3 * number)
    return paths


@pytest.fixture
def server(shards: list[Path]) -> Iterator[FileServer]:
    with serving(shards[0].parent) as running:
        yield running


def content(photo: Elsewhere, most: int = 1 << 20) -> bytes | str:
    """Return the content of a photo, or the reason why there is none."""
    try:
        return photo.content(most)
    except PhotoError as error:
        return str(error)


@pytest.mark.parametrize("block", [1 << 22, 700, 512])
def test_members_are_those_of_the_file(
    server: FileServer, shards: list[Path], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(remote_tar, "BLOCK_BYTES", block)
    for path in shards:
        here, there = list(members_of(str(path))), list(members_at(f"{server.address}/{path.name}"))
        assert [each.name for each in there] == [each.name.replace(str(path.parent), server.address) for each in here]
        assert [each.key for each in there] == [each.key for each in here]
        assert [content(each) for each in there] == [content(each) for each in here]
        assert str(content(there[0], most=10)).endswith("MB are allowed.")


def test_only_parts_are_fetched(server: FileServer, shards: list[Path]) -> None:
    photo = list(members_at(f"{server.address}/0.tar"))[1]
    server.asked.clear()
    sent = content(photo)
    assert isinstance(sent, bytes)
    ((name, wanted),) = server.asked
    first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
    assert (name, last - first + 1) == ("0.tar", len(sent))
    assert last - first + 1 < shards[0].stat().st_size / TWO


def test_answers_that_end_in_the_middle_are_asked_for_again(server: FileServer, shards: list[Path]) -> None:
    server.cuts = {"0.tar": 2}
    there = list(members_at(f"{server.address}/0.tar"))
    assert len(there) == 3
    server.cuts = {"0.tar": 2}
    assert content(there[0]) == content(next(iter(members_of(str(shards[0])))))
    server.cuts = {"0.tar": 3}
    assert str(content(there[0])).startswith("It cannot be fetched: ")
    server.cuts = {"0.tar": 3}
    ((row),) = members_at(f"{server.address}/0.tar")
    assert str(content(row)).startswith("It cannot be fetched: ")


def no_ranges(server: FileServer, path: Path) -> None:
    del path
    server.ranges = False


def cut(server: FileServer, path: Path) -> None:
    del server
    path.write_bytes(path.read_bytes()[:700])


def gone(server: FileServer, path: Path) -> None:
    del server
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_ranges, "The server does not give parts of a file; copy the tar file to this machine."),
        (cut, "The tar file is damaged and was not read further: "),
        (gone, "There is no such file at this address."),
    ],
)
def test_what_cannot_be_read_is_a_row(
    server: FileServer,
    shards: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[FileServer, Path], None],
    reason: str,
) -> None:
    monkeypatch.setattr(remote_tar, "BLOCK_BYTES", 512)
    spoil(server, shards[0])
    *_, row = members_at(f"{server.address}/0.tar?signature=s3cret")
    assert str(content(row)).startswith(reason)
    assert row.name == f"{server.address}/0.tar"


def test_a_tar_file_that_changes_meanwhile(server: FileServer, shards: list[Path]) -> None:
    *_, last = members_at(f"{server.address}/0.tar")
    cut(server, shards[0])
    assert str(content(last)).startswith("The tar file has no longer ")


def test_which_addresses_are_of_tar_files() -> None:
    assert is_tar_address("https://me:hunter2@host/a/{0..1}.tar?sig=1")
    for other in ("s3://me:key@bucket/a.tar", "ftp://host/a.tar", "/a.tar", "https://host/a.jpg", "https:///a.tar"):
        assert not is_tar_address(other)
    found = shards_at("https://me:hunter2@host/a/{09..10}.tar?sig=1")
    assert found == [f"https://me:hunter2@host/a/{number}.tar?sig=1" for number in ("09", "10")]
    with pytest.raises(InputError, match=r"^https://host/a\.tgz is compressed; unpack it") as refused:
        shards_at("https://me:hunter2@host/a.tgz?sig=1")
    assert "hunter2" not in str(refused.value)


def test_commands_read_them_as_files(
    server: FileServer, shards: list[Path], tmp_path: Path, small_towers: SmallRelease
) -> None:
    models = ("-i", "none", "--clip-checkpoint", small_towers.clip)
    address = server.address.replace("//", "//me:hunter2@") + "/{0..1}.tar?signature=s3cret"

    def answers(text: str, folder: str) -> list[str]:
        rows = [json.loads(line) for line in text.replace(folder, "").splitlines()]
        return [json.dumps(row, sort_keys=True) for row in rows]

    here = geoclip("locate", *shards, *models, "-f", "jsonl")
    there = geoclip("locate", address, *models, "-f", "jsonl")
    assert (here.exit_code, there.exit_code) == (0, 0), there.stderr
    assert answers(there.stdout, server.address) == answers(here.stdout, str(shards[0].parent))
    (tmp_path / "list.txt").write_text(f"{server.address}/0.tar\n{server.address}/none.tar\n{address}\n")
    ways = []
    for part in ("1/1", "2/2", "1/2"):
        work = tmp_path / f"job of {part[-1]}"
        done = geoclip("locate", "--from-list", tmp_path / "list.txt", *models, "--parts", work, "--part", part)
        assert done.exit_code in (0, 1), done.stderr
        ways.append({path.name: path.read_bytes() for path in work.iterdir()})
        assert not any(secret in done.stderr for secret in ("hunter2", "s3cret"))
    assert ways[0] == ways[2]
    rows = pq.read_table(tmp_path / "job of 1").to_pylist()
    assert [row["error"] for row in rows] == [*[None] * 3, "There is no such file at this address.", *[None] * 6]
    assert_refused(geoclip("locate", f"{server.address}/a.tar.gz", *models), "is compressed")
    done = geoclip("embed", address, "-o", tmp_path / "v.parquet", *models[2:])
    assert done.exit_code == 0, done.stderr
    assert pq.read_table(tmp_path / "v.parquet")["photo"].to_pylist() == [row["query"] for row in rows[4:]]


def test_in_a_bucket(shards: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        files.mkdir("shards")
        for path in shards:
            files.put_file(str(path), f"shards/deep/{path.name}")
        there = [photo for each in shards_at("s3://shards/deep/{0..1}.tar") for photo in members_at(each)]
        here = [photo for path in shards for photo in members_of(str(path))]
        names = ["s3://shards/deep/0.tar/000.png", "s3://shards/deep/1.tar/003.png"]
        assert [each.name for each in there[::3]] == names
        assert [content(each) for each in there] == [content(each) for each in here]
        (row,) = members_at("s3://shards/none.tar")
        assert content(row) == "There is no such file at this address."
