"""Which photos are meant: files, folders as people have them, and lists of every kind."""

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from geoclip.errors import InputError
from geoclip.photos.decode import SUFFIXES
from geoclip.photos.find import SYSTEM_FOLDERS, UNREAD_SUFFIXES, find_photos, listed_photos
from geoclip.photos.pool import decode_all
from tests.helpers.commands import command
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import small_release


def write(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_photos_are_found_in_name_order(tmp_path: Path) -> None:
    wanted = [write(tmp_path / name) for name in ("10.JPG", "2.heic", "b/c/1.png", "b/z.webp", "b.jpg")]
    for name in ("notes.txt", "noext", ".hidden.jpg", ".git/a.jpg", "b/.b.png", "a.jpg.bak"):
        write(tmp_path / name)
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "b")
    (tmp_path / "b2.jpg").symlink_to(wanted[0])
    (tmp_path / "c.jpg").symlink_to("nowhere")
    (tmp_path / "d.jpg").mkdir()
    wanted += [str(tmp_path / "b2.jpg"), str(tmp_path / "c.jpg"), write(tmp_path / "d.jpg/e.tif")]
    assert list(find_photos([tmp_path])) == sorted(wanted, key=lambda path: Path(path).parts)


def test_a_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    odd = write(tmp_path / "photo.unknown")
    hidden = write(tmp_path / ".hidden.jpg")
    (tmp_path / "dangling").symlink_to("nowhere")
    inputs: list[str | Path] = [odd, Path(hidden), str(tmp_path / "dangling"), odd]
    assert list(find_photos(inputs)) == [str(path) for path in inputs]
    assert list(find_photos([])) == []
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


def test_a_missing_input_is_an_error_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="absent does not exist; give photos"):
        find_photos([tmp_path / "a.jpg", tmp_path / "absent"])
    with pytest.raises(InputError, match="cannot be opened: File name too long"):
        find_photos(["x" * 5000])


def test_a_folder_that_cannot_be_listed_is_named_and_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = write(tmp_path / "a.jpg"), write(tmp_path / "z.jpg")
    locked = tmp_path / "locked"
    write(locked / "inside.jpg")
    scandir = os.scandir

    def refuse(path: str | Path) -> Any:
        if str(path) == str(locked):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(find_photos([tmp_path])) == [first, str(locked), last]
    with pytest.raises(InputError, match="locked cannot be opened: Permission denied"):
        find_photos([locked])


def test_deep_folders_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    depth = min(1500, (4000 - len(str(tmp_path))) // 2)
    folders = list(itertools.accumulate(["d"] * depth, os.path.join, initial=str(tmp_path)))
    for folder in folders[1:]:
        os.mkdir(folder)  # noqa: PTH102 - Path is slow and recursive here
    deepest = os.path.join(folders[-1], "a.jpg")  # noqa: PTH118
    os.close(os.open(deepest, os.O_CREAT))
    try:
        assert depth > 1000
        assert list(find_photos([tmp_path])) == [deepest]
    finally:
        os.unlink(deepest)  # noqa: PTH108 - pytest's own clean-up recurses
        for folder in reversed(folders[1:]):
            os.rmdir(folder)  # noqa: PTH106


def test_a_link_to_itself_is_named_and_the_rest_is_answered(tmp_path: Path) -> None:
    photo = str(make_photo(tmp_path / "a.png", 1))
    for name in ("loop.jpg", "loop", "z"):
        (tmp_path / name).symlink_to(name)
    (tmp_path / "up").symlink_to(tmp_path)
    found = list(find_photos([tmp_path]))
    assert found == [photo, str(tmp_path / "loop.jpg")]
    good, bad = decode_all(found)
    assert good.error is None
    assert bad.error == "The file cannot be opened: Too many levels of symbolic links."
    assert list(find_photos([tmp_path / "loop"])) == [str(tmp_path / "loop")]


def test_folders_of_systems_and_excluded_ones_are_passed_over_and_said(tmp_path: Path) -> None:
    wanted = [write(tmp_path / name) for name in ("a.jpg", "b/c.jpg", "b/thumbs.jpg")]
    for name in ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "b/#recycle/x.jpg", "$RECYCLE.BIN/y.jpg", "lost+found/z.jpg"):
        write(tmp_path / name)
    for name in ("r.CR2", "s.dng", "b/t.cr2", "u.jxl", "notes.txt", "b.mov", "b/shard.tar"):
        write(tmp_path / name)
    said: list[str] = []
    assert list(find_photos([tmp_path], on_passed_over=said.append)) == wanted
    [sentence] = said
    assert "2 .cr2, 1 .dng, 1 .jxl" in sentence
    assert "#recycle, $RECYCLE.BIN, @eaDir, lost+found" in sentence
    assert "tar files (1): name them" in sentence
    assert "txt" not in sentence
    for name in ("thumbs/a.jpg", "b/d_small.jpg", "b/raw/e.jpg"):
        write(tmp_path / name)
    said.clear()
    patterns = ["thumbs", "*_small.jpg", "b/r?w"]
    assert list(find_photos([tmp_path], patterns, said.append)) == wanted
    assert "3 files and folders that --exclude names" in said[0]
    inside = str(tmp_path / "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg")
    assert list(find_photos([tmp_path / "@eaDir"], on_passed_over=pytest.fail)) == [inside]
    assert list(find_photos([tmp_path / "u.jxl"], ["*"], pytest.fail)) == [str(tmp_path / "u.jxl")]
    assert not SUFFIXES & UNREAD_SUFFIXES
    assert all(name == name.lower() for name in (*SYSTEM_FOLDERS, *UNREAD_SUFFIXES))


NAMES = ["a.jpg", "dir/Zürich 1.jpg", "c\udce9.jpg", "d.jpg"]
TEXT = [name for name in NAMES if name.isprintable()]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"", []),
        (b"a", ["a"]),
        (os.fsencode("\n".join(NAMES)), NAMES),
        (os.fsencode("\r\n".join([*NAMES, "", ""])), NAMES),
        (os.fsencode("\0".join([*NAMES, ""])), NAMES),
        (b"a\0with\nbreak\0", ["a", "with\nbreak"]),
        ("\n".join(TEXT).encode("utf-8-sig"), TEXT),
        ("\n".join(TEXT).encode("utf-16"), TEXT),
        (("\ufeff" + "\r\n".join(TEXT)).encode("utf-16-be"), TEXT),
        (b"x" * 4000 + b"\n", ["x" * 4000]),
        ((b"x" * 400 + b"\n") * 1000, ["x" * 400] * 1000),
    ],
)
def test_lists_of_every_kind(tmp_path: Path, content: bytes, names: list[str]) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert list(listed_photos(tmp_path / "list.txt")) == names


def test_a_list_is_read_from_a_pipe_as_it_comes(tmp_path: Path) -> None:
    fifo = tmp_path / "list"
    os.mkfifo(fifo)
    read_one = threading.Event()

    def write_slowly() -> None:
        with fifo.open("wb", buffering=0) as file:
            file.write(b"first.jpg\nsec")
            assert read_one.wait(30)
            file.write(b"ond.jpg\n")

    writer = threading.Thread(target=write_slowly)
    writer.start()
    names = listed_photos(fifo)
    assert next(names) == "first.jpg"
    read_one.set()
    assert list(names) == ["second.jpg"]
    writer.join()


@pytest.mark.parametrize("stream", [b"x", b"\0", b"\n", b"\r"])
def test_a_stream_that_is_no_list_ends(tmp_path: Path, stream: bytes) -> None:
    (tmp_path / "list").write_bytes(stream * (1 << 18))
    with pytest.raises(InputError, match="longer than any path"):
        list(listed_photos(tmp_path / "list"))


def test_what_is_no_list_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent cannot be read \(No such file.*one path a line"):
        listed_photos(tmp_path / "absent")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        listed_photos(tmp_path)
    (tmp_path / "odd").write_bytes(b"\xff\xfe" + b"\x00\xd8" * 4)
    with pytest.raises(InputError, match="begins like UTF-16 and is not"):
        list(listed_photos(tmp_path / "odd"))


_MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""
"""Runs a command and ends stderr with its largest memory in kB: of this command, not of what ran before."""


@pytest.mark.slow
def test_an_endless_stdin_is_refused_with_little_memory(tmp_path: Path) -> None:
    """In processes of their own."""
    small = small_release(tmp_path / "model")
    endless = "import sys\nwhile True: sys.stdout.buffer.write(b'\\1' * 65536)"
    for arguments, words in (
        (["locate", "-", *small.options, "-f", "jsonl"], "has more than the allowed 512 MB"),
        (["locate", "--from-list", "-", *small.options, "-f", "jsonl"], "longer than any path"),
        (["search", "-", "--index", "none", *small.options, "-f", "jsonl"], "has more than the allowed 512 MB"),
    ):
        with subprocess.Popen(
            [sys.executable, "-c", endless], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as pipe:
            measured = [sys.executable, "-c", _MEASURED, *command(*arguments)]
            done = subprocess.run(measured, stdin=pipe.stdout, capture_output=True, text=True, check=False)
            pipe.kill()
        assert words in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode in (1, 2)
        assert int(done.stderr.splitlines()[-1]) < 3 << 20  # kB
