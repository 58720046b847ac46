"""Photos in tar files: read where they lie; what is hostile is a row or a sentence."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits, read_photo
from geoclip.photos.pool import decode_all
from geoclip.photos.tar import TarMember, members_of, shards_of
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.small_release import SmallRelease
from tests.helpers.tars import END, GOOD, HOSTILE, NO_END, content, header, shard


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_are_read_where_they_lie(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "shard-000.tar"
    contents = shard(path, kind=kind)
    members = list(members_of(str(path)))
    assert [each.name for each in members] == [f"{path}/{number:03d}.png" for number in range(3)]
    assert [content(each) for each in members] == contents
    for workers in (0, 1):
        decoded = list(decode_all(members, workers=workers))
        assert [each.pixels for each in decoded] == [read_photo(each).pixels for each in contents]
    assert [path.name for path in tmp_path.iterdir()] == ["shard-000.tar"]


def test_long_names_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    (tmp_path / "in").mkdir()
    names = ["é" * 60 + "/" + "x" * 90 + ".jpg", "plain.JPG", "d.jpg/e.webp"]
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(path, "w", format=kind) as tar:
            for number in range(3000):  # headers without content
                folder = tarfile.TarInfo(f"./folder{number}.jpg")
                folder.type = tarfile.DIRTYPE
                tar.addfile(folder)
            for name in names:
                about = tarfile.TarInfo(f"./{name}")
                about.size = 2
                tar.addfile(about, io.BytesIO(b"ab"))
        members = list(members_of(str(path)))
        assert [each.name for each in members] == [f"{path}/{name}" for name in names]
        assert [content(each) for each in members] == [b"ab"] * 3


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / "shard.tar"
    more, reasons = HOSTILE[name]
    path.write_bytes(GOOD + more + (b"" if name in NO_END else END))
    members = list(members_of(str(path)))
    assert content(members[0]) == b"ab"
    said = [content(each) for each in members[1:]]
    if name != "sparse without end":  # it depends on Python's version as what it is seen
        assert len(said) == len(reasons), said
        assert all(isinstance(one, str) and reason in one for one, reason in zip(said, reasons, strict=True)), said
    for each in members:
        assert ".." not in each.name.removeprefix(str(tmp_path)).split("/")
        assert each.name.startswith(str(path))
    decoded = list(decode_all(members, DecodeLimits(max_bytes=1 << 20), workers=1))
    assert all(each.error for each in decoded)


def test_any_changed_byte_of_a_header_is_a_row_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    shard(path, count=2)
    sound = path.read_bytes()
    for at in range(0, 512, 7):
        for value in (0, 0x37, 0x80, 0xFF):
            path.write_bytes(sound[:at] + bytes([value]) + sound[at + 1 :])
            assert all(isinstance(content(each), bytes | str) for each in members_of(str(path)))
    for length in (0, 1, 511, 512, 700, len(sound) // 2):
        path.write_bytes(sound[:length])
        assert all(isinstance(content(each), bytes | str) for each in members_of(str(path)))


def test_what_folders_leave_out_is_left_out(tmp_path: Path) -> None:
    """Files that hold what a Mac knows of others, thumbnails, hidden ones."""
    path = tmp_path / "shard.tar"
    names = ["__MACOSX/a.jpg", "in/._a.jpg", ".hidden/b.jpg", "in/@eaDir/c.jpg", "./in/d.jpg", "a..b.jpg"]
    path.write_bytes(b"".join(header(name, 0) for name in names) + END)
    assert [each.name for each in members_of(str(path))] == [f"{path}/in/d.jpg", f"{path}/a..b.jpg"]


def test_a_member_that_is_gone_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    shard(path)
    (first, *_) = members_of(str(path))
    path.unlink()
    assert content(first) == "The tar file cannot be read: No such file or directory."
    assert isinstance(first, TarMember)


def test_patterns(tmp_path: Path) -> None:
    for number in range(9, 12):
        (tmp_path / f"s-{number:03d}.tar").touch()
    assert shards_of(f"{tmp_path}/s-{{009..011}}.tar") == [f"{tmp_path}/s-{n:03d}.tar" for n in (9, 10, 11)]
    (tmp_path / "s-{1..2}.tar").touch()
    assert shards_of(f"{tmp_path}/s-{{1..2}}.tar") == [f"{tmp_path}/s-{{1..2}}.tar"]
    for pattern, complaint in (
        ("s-{009..012}.tar", "s-012.tar does not exist"),
        ("s-{2..1}.tar", "names 0 tar files"),
        ("s-{0..999999999999}.tar", "tar files; give 1 to 1,000,000"),
        ("s-{0..999}{0..999}{0..999}.tar", "tar files; give 1 to 1,000,000"),
        ("s-009.tar.gz", "is compressed; unpack it"),
        ("s-009.tgz", "is compressed; unpack it"),
    ):
        with pytest.raises(InputError, match=complaint):
            shards_of(f"{tmp_path}/{pattern}")


@pytest.fixture
def asked(small_towers: SmallRelease) -> Callable[..., tuple[int, list[dict[str, object]], str]]:
    def ask(*arguments: str | Path) -> tuple[int, list[dict[str, object]], str]:
        done = geoclip("locate", *arguments, "-i", "none", "--clip-checkpoint", small_towers.clip, "-f", "jsonl")
        return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return ask


def test_shards_on_the_command_line(
    tmp_path: Path, asked: Callable[..., tuple[int, list[dict[str, object]], str]], small_towers: SmallRelease
) -> None:
    contents = shard(tmp_path / "s-0.tar", 2) + shard(tmp_path / "s-1.tar", 3, first=2)
    for number, photo in enumerate(contents):
        (tmp_path / f"{number}.png").write_bytes(photo)
    code, rows, said = asked(f"{tmp_path}/s-{{0..1}}.tar")
    assert code == 0, said
    names = [f"{tmp_path}/s-{n > 1:d}.tar/{n:03d}.png" for n in range(5)]
    assert [row["query"] for row in rows] == names
    _, plain, _ = asked(*(tmp_path / f"{number}.png" for number in range(5)))
    assert [row["predictions"] for row in rows] == [row["predictions"] for row in plain]
    with (tmp_path / "s-0.tar").open("r+b") as file:
        file.truncate(1000)
    (tmp_path / "list.txt").write_text(f"{tmp_path}/s-0.tar\n{tmp_path}/none.tar\n{tmp_path}/s-1.tar\n")
    code, rows, said = asked("--from-list", tmp_path / "list.txt")
    assert code == 1
    assert [row["query"] for row in rows] == names[2:]
    named = [line.partition(": ")[0].rpartition("/")[2] for line in said.splitlines() if ": " in line]
    assert named == ["000.png", "s-0.tar", "none.tar"]
    clip = ("-i", "none", "--clip-checkpoint", small_towers.clip)
    assert_refused(geoclip("locate", tmp_path / "none.tar", *clip), "none.tar does not exist")
    assert_refused(geoclip("locate", tmp_path / "s-1.tar", "--by-time", "5", *clip), "needs photos in files")


def test_resumed_runs_know_members_again(tmp_path: Path, small_towers: SmallRelease) -> None:
    path = tmp_path / "s.tar"
    shard(path, 3)
    run = ("locate", path, "-i", "none", "--clip-checkpoint", small_towers.clip, "-o", tmp_path / "a.jsonl")
    assert geoclip(*run).exit_code == 0
    whole = (tmp_path / "a.jsonl").read_bytes()
    assert geoclip(*run, "--resume").exit_code == 0
    assert (tmp_path / "a.jsonl").read_bytes() == whole
    shard(path, 3, first=1)
    assert_refused(geoclip(*run, "--resume"), "was begun with other inputs")
