"""Tar files at addresses: the same photos and answers as where they lie here; what fails is tried again, then a row."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs

from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits
from geoclip.photos.elsewhere import Elsewhere, Unusable
from geoclip.photos.pool import decode_all
from geoclip.photos.tar import members_of
from geoclip.remote import content as remote
from geoclip.remote import tar as remote_tar
from geoclip.remote.listings import listed
from geoclip.remote.tar import RemoteTarMember, TarAt, members_at, tars_at
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.http_files import FileServer, serving
from tests.helpers.hub import Repository, hub
from tests.helpers.s3 import SECRET, s3_server
from tests.helpers.small_release import SmallRelease
from tests.helpers.tars import END, GOOD, HOSTILE, NO_END, content, header, shard


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again without waiting; connections of other tests are not used."""
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    remote._file_system.cache_clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """A server of two shards, s-000.tar and s-001.tar, of two and three photos."""
    (tmp_path / "served").mkdir()
    shard(tmp_path / "served" / "s-000.tar", 2)
    shard(tmp_path / "served" / "s-001.tar", 3, first=2)
    with serving(tmp_path / "served") as running:
        yield running


@pytest.fixture
def located(small_towers: SmallRelease) -> Callable[..., list[dict[str, object]]]:
    """Asks for photos; returns the rows of the answers."""

    def ask(*arguments: str | Path) -> list[dict[str, object]]:
        done = geoclip("locate", *arguments, "-i", "none", "--clip-checkpoint", small_towers.clip, "-f", "jsonl")
        assert done.exit_code == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


Located = Callable[..., list[dict[str, object]]]
NAMES = ["s-000.tar/000.png", "s-000.tar/001.png", *[f"s-001.tar/{number:03d}.png" for number in (2, 3, 4)]]


def reasons(photos: Iterator[Elsewhere]) -> list[str | None]:
    return [said if isinstance(said := content(each), str) else None for each in photos]


def test_answers_are_those_of_the_files_here(server: FileServer, located: Located, small_towers: SmallRelease) -> None:
    here = located(f"{server.folder}/s-{{000..001}}.tar")
    web = located(f"{server.address}/s-{{000..001}}.tar?token=a{{1..2}}")
    wanted = sum(1 for _, asked in server.asked if asked)
    with s3_server() as environment, pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        bucket = s3fs.S3FileSystem(skip_instance_cache=True)
        bucket.mkdir("shards")
        for path in server.folder.iterdir():
            bucket.put_file(str(path), f"shards/deep/{path.name}")
        s3 = located("s3://shards/deep/s-{000..001}.tar")
        missing = reasons(members_at("s3://shards/deep/none.tar")) + reasons(members_at("s3://none/a.tar"))
    for rows, place in ((web, server.address), (s3, "s3://shards/deep")):
        assert [row["query"] for row in rows] == [f"{place}/{name}" for name in NAMES]
        assert [row["predictions"] for row in rows] == [row["predictions"] for row in here]
    assert wanted == len(server.asked) == 2 * (1 + 1) + 5  # a size and a block of headers a shard, a range a photo
    assert missing == ["There is no such file at this address."] * 2


def test_the_hub(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub() as running:
        running.stand_in(monkeypatch)
        files = {path.name: path.read_bytes() for path in server.folder.iterdir()}
        running.repositories["datasets/me/shards"] = Repository(False, {"main": files}, [])
        (address,) = tars_at("hf://datasets/me/shards/s-001.tar")
        found = list(members_at(address))
        assert [each.name for each in found] == [f"{address}/{number:03d}.png" for number in (2, 3, 4)]
        assert [content(each) for each in found] == [
            content(each) for each in members_of(f"{server.folder / 's-001.tar'}")
        ]
        assert sum("resolve" in each for each in running.asked) == 4


@pytest.mark.parametrize("block", [300, 1 << 22])
def test_members_are_those_of_the_file_here(server: FileServer, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(remote_tar, "BLOCK_BYTES", block)
    found = list(members_at(f"{server.address}/s-000.tar"))
    headers = [asked for _, asked in server.asked]
    assert [content(each) for each in found] == [content(each) for each in members_of(f"{server.folder}/s-000.tar")]
    sizes = [int(asked.partition("-")[2]) - int(asked[6:].partition("-")[0]) + 1 for asked in headers]
    assert max(sizes) <= block
    first = found[0]
    assert isinstance(first, RemoteTarMember)
    assert (content(first), server.asked[-1][1]) == (
        content(first),
        f"bytes={first.offset}-{first.offset + first.size - 1}",
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_files_are_what_they_are_here(tmp_path: Path, name: str) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(GOOD + HOSTILE[name][0] + (b"" if name in NO_END else END))
    with serving(tmp_path) as server:
        there = list(members_at(f"{server.address}/shard.tar"))
        said = [content(each) for each in there]
    here = list(members_of(str(path)))
    assert [each.name.removeprefix(server.address) for each in there] == [
        each.name.removeprefix(str(tmp_path)) for each in here
    ]
    for mine, theirs in zip(said, map(content, here), strict=True):  # how far a disk lets one seek is its own matter
        assert str(mine).partition("further")[0] == str(theirs).partition("further")[0]
    assert all(each.error for each in decode_all(there[1:], DecodeLimits(max_bytes=1 << 20), workers=0))


def test_what_fails_is_tried_again(server: FileServer, located: Located) -> None:
    here = located(f"{server.folder}/s-001.tar")
    address = f"{server.address}/s-001.tar"
    server.fails = {"s-001.tar": 2}
    listed = list(members_at(address))
    server.fails = {"s-001.tar": 2}
    assert isinstance(content(listed[0]), bytes)
    server.cuts = {"s-001.tar": 2}
    assert isinstance(content(listed[1]), bytes)
    server.fails, server.cuts = {"s-001.tar": 2}, {"s-001.tar": 0}
    assert [row["predictions"] for row in located(address)] == [row["predictions"] for row in here]
    server.fails = {"s-001.tar": 3}
    assert [said and said[:20] for said in reasons(iter(listed))] == ["It cannot be fetched", None, None]
    server.fails = {"s-001.tar": 3}
    (row,) = members_at(address)
    assert (row.name, str(content(row))[:20]) == (address, "It cannot be fetched")


def test_a_shard_that_cannot_be_read_is_one_row(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    path = server.folder / "s-000.tar"
    path.write_bytes(path.read_bytes()[:2000])
    (server.folder / "empty.tar").touch()
    names = ["s-000.tar", "none.tar", "empty.tar", "s-{3..2}.tar", "s.tar.gz", "s-001.tar"]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(f"{server.address.replace('//', '//me:hunter2@')}/{name}?sig=s3cret" for name in names))
    clip = ("-i", "none", "--clip-checkpoint", small_towers.clip)
    assert geoclip("locate", "--from-list", listed, *clip, "--parts", tmp_path / "job").exit_code == 1
    rows = pq.read_table(tmp_path / "job").to_pylist()
    assert "".join(f"{row}" for row in rows).count("hunter2") == "".join(f"{row}" for row in rows).count("s3cret") == 0
    assert [row["query"].removeprefix(f"{server.address}/") for row in rows] == [
        "s-000.tar/000.png",
        *names[:5],
        *NAMES[2:],
    ]
    said = ["The tar file ends after", "The tar file is damaged", "There is no such file", "The tar file is damaged"]
    for row, words in zip(rows, [*said, "names 0 tar files", "is compressed; unpack it"], strict=False):
        assert words in row["error"]
    assert [row["error"] for row in rows[6:]] == [None] * 3


def test_servers_without_ranges_and_other_refusals(server: FileServer) -> None:
    server.ranges = False
    address = f"{server.address}/s-000.tar"
    assert reasons(members_at(address)) == [remote._NO_RANGES]
    assert remote._NO_RANGES.count(".") == 1
    server.ranges, server.redirect = True, "file:///etc/passwd"
    assert "NonHttpUrlRedirect" in str(reasons(members_at(address)))
    assert_refused(
        geoclip("locate", f"{server.address}/s-{{0..999999999}}.tar?sig=hunter2", "-i", "none"),
        f"{server.address}/s-{{0..999999999}}.tar names 1,000,000,000 tar files",
    )
    with pytest.raises(InputError, match=r"^https://host/a\.tgz is compressed"):
        tars_at("https://me:secret@host/a.tgz?sig=secret")


def test_nothing_secret_is_shown_or_kept(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    address = f"{server.address.replace('//', '//me:hunter2@')}/s-{{000..001}}.tar?signature=s3cret"
    asked = ("locate", address, "-i", "none", "--clip-checkpoint", small_towers.clip)
    done = [geoclip(*asked, "-f", "jsonl"), geoclip(*asked, "-o", tmp_path / "a.jsonl")]
    done += [geoclip(*asked, "--parts", tmp_path / "job", *more) for more in ((), ("--finish",))]
    server.ranges = False
    done.append(geoclip(*asked, "-f", "jsonl"))
    assert [each.exit_code for each in done] == [0, 0, 0, 0, 1], done[-1].stderr
    kept = [path for folder in (tmp_path, tmp_path / "job") for path in folder.iterdir() if path.is_file()]
    assert len(kept) >= 5
    said = [text for each in done for text in (each.stdout, each.stderr)]
    said += [path.read_bytes().decode(errors="replace") for path in kept]
    said += [repr(each) for each in members_at(f"{server.address}/s-000.tar?signature=s3cret")]
    assert not any(secret in text for text in said for secret in ("hunter2", "s3cret", SECRET))


def test_runs_go_on(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    clip = ("-i", "none", "--clip-checkpoint", small_towers.clip)
    run = ("locate", f"{server.address}/s-{{000..001}}.tar?sig=1", *clip, "-o", tmp_path / "a.jsonl")
    assert geoclip(*run).exit_code == 0
    whole = (tmp_path / "a.jsonl").read_bytes()
    server.asked.clear()
    again = (*run[:1], run[1].replace("sig=1", "sig=2"), *run[2:], "--resume")
    assert geoclip(*again).exit_code == 0
    assert (tmp_path / "a.jsonl").read_bytes() == whole
    assert len(server.asked) == 4  # what is done is listed, and not fetched
    shard(server.folder / "s-001.tar", 3, first=3)
    assert_refused(geoclip(*again), "was begun with other inputs")


def test_parts_and_vectors(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    table = tmp_path / "shards.csv"
    table.write_text("id,url\n" + "".join(f"{n},{server.address}/s-00{n}.tar\n" for n in (0, 1)))
    clip = ("--clip-checkpoint", small_towers.clip)
    for command, more in (("locate", ("-i", "none")), ("embed", ())):
        parts = (command, table, "--column", "url", *more, *clip, "--part-rows", "2", "--parts")
        whole, shared = tmp_path / f"{command}-whole", tmp_path / f"{command}-shared"
        codes = [geoclip(*parts, shared, "--part", part).exit_code for part in ("3/3", "2/3", "3/3", "1/3")]
        codes += [geoclip(*parts, whole).exit_code]
        codes += [geoclip(*parts, folder, "--finish").exit_code for folder in (whole, shared)]
        assert codes == [0] * 7
        for inside in ("", "_listings"):
            made = [
                {path.name: path.read_bytes() for path in (folder / inside).iterdir() if path.is_file()}
                for folder in (whole, shared)
            ]
            assert made[0] == made[1]
            assert len(made[0]) == (2 if inside else 5)
        column = "query" if command == "locate" else "photo"
        assert pq.read_table(whole)[column].to_pylist() == [f"{server.address}/{name}" for name in NAMES]
    here = geoclip("embed", f"{server.folder}/s-{{000..001}}.tar", *clip, "-o", tmp_path / "v.parquet")
    assert here.exit_code == 0
    assert pq.read_table(tmp_path / "v.parquet")["vector"] == pq.read_table(tmp_path / "embed-whole")["vector"]


def test_parts_list_each_shard_once(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    pattern, job = f"{server.address.replace('//', '//me:hunter2@')}/s-{{000..001}}.tar?sig=s3cret", tmp_path / "job"
    asked = ("embed", pattern, "--clip-checkpoint", small_towers.clip, "--part-rows", "2", "--parts", job)
    server.fails = {"s-001.tar": 3}
    done = geoclip(*asked, "--part", "1/2")
    assert_refused(done, f"{server.address}/s-001.tar cannot be listed at the moment")
    assert not {"hunter2", "s3cret"} & set(done.stderr.replace("=", " ").replace(":", " ").split())
    assert [path.name for path in job.iterdir()] == ["_listings"]
    counts = []
    for part in ("2/2", "1/2"):
        server.asked.clear()
        assert geoclip(*asked, "--part", part).exit_code == 0
        counts.append(len(server.asked))
    assert counts == [1 + 2 + 2, 1 + 1 + 3]  # sizes, headers of the second shard, photos; sizes, photos
    kept = sorted((job / "_listings").iterdir())
    assert len(kept) == 2
    assert not any(secret in path.read_text() for path in kept for secret in ("hunter2", "s3cret"))
    once = pq.read_table(job)["photo"].to_pylist()
    assert once == [f"{server.address}/{name}" for name in NAMES]
    server.change = lambda name, content: content + bytes(10240)
    assert_refused(geoclip(*asked), "was begun and has")
    server.change = lambda name, content: content
    for damage in ("", "{}", '{"size": 1, "photos": [1]}', '{"size": 1, "photos": [["a"]]}', "[" * 100_000):
        kept[0].write_text(damage)
        assert_refused(geoclip(*asked), "is damaged; remove it")
    assert geoclip("embed", "--parts", job, "--finish").exit_code == 0


def test_listings_keep_what_is_wrong_and_odd_names(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(GOOD + header("\udcff.jpg", 2) + b"cd".ljust(512, b"\0") + HOSTILE["climbing"][0])
    (tmp_path / "job").mkdir()
    with serving(tmp_path) as server:
        shards = [TarAt(f"{server.address}/{name}.tar") for name in ("a", "none")]
        for first in (0, 1):
            found = list(listed(shards, tmp_path / "job", first, lambda done, total: None))
            assert found == [list(members_at(each.address)) for each in shards]
        assert [len(photos) for photos in found] == [5, 1]


def test_one_photo_is_wanted_elsewhere() -> None:
    from geoclip.remote.photo import photo_at

    row = photo_at("https://host/a.tar?sig=secret")
    assert isinstance(row, Unusable)
    assert (row.name, row.reason[:32]) == ("https://host/a.tar", "A tar file holds many photos, an")
