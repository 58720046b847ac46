"""Files written whole or not at all: beside killed and living writers, over links, pipes and devices."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from index.files import sha256_of, written_whole

WRITER = """
import sys, time
from pathlib import Path
from index.files import written_whole
with written_whole(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    """Start a process that is about to finish a file, and never does."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "new"
    assert sha256_of(path) == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"


def test_what_killed_writers_left_is_removed_and_living_ones_are_let_be(tmp_path: Path) -> None:
    killed, living = writer(tmp_path / "killed.txt"), writer(tmp_path / "living.txt")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (tmp_path / ".notes.tmp").write_text("somebody else's")
    assert len(names(tmp_path)) == 3
    with written_whole(tmp_path / "other.txt") as temporary:
        temporary.write_text("whole")
    left = names(tmp_path)
    assert [name.split(".")[1] for name in left[:2]] == ["living", "notes"]
    assert left[2:] == ["other.txt"]
    living.kill()
    living.wait()


def test_two_writers_of_one_name_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with written_whole(path) as one, written_whole(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # closed last
    assert names(tmp_path) == ["a.txt"]


def test_links_are_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    with written_whole(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_pipes_are_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.kml"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with written_whole(pipe) as temporary:
        temporary.write_text("through")
    reader.join(10)
    assert read == [b"through"]
    assert pipe.is_fifo()


def test_devices_are_written_into() -> None:
    with written_whole(Path("/dev/null")) as temporary:
        temporary.write_text("away")
        assert not temporary.is_relative_to("/dev")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["folder", "a" * 300, "missing/a.txt"])
def test_what_cannot_be_a_file_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"folder|name too long|No such file"), written_whole(tmp_path / name):
        pytest.fail("the body ran")
    assert names(tmp_path) == ["folder"]
