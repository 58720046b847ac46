"""Where answers go: files whole or gone on with, FIFOs, devices and stdout; never over what is not ours to replace."""

import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geoclip.writers.output
from geoclip.errors import InputError
from geoclip.writers import Format, Output
from tests.helpers.answers import NAMES, bare, full

FILES = [kind for kind in Format if kind.suffixes]
WHOLE = [kind for kind in FILES if not kind.resumable]
CONTINUED = [kind for kind in FILES if kind.resumable]


def key(name: str) -> tuple[bytes, bytes]:
    return os.fsencode(name), b""


def run(
    path: Path, names: list[str], *, resume: bool = False, overwrite: bool = False, stop: int = 1000, k: int = 2
) -> None:
    """Answer for names as a command does; stop after so many answers as a killed run does."""
    output = Output(path, resume=resume, overwrite=overwrite)
    output.describe({"top": k})
    with output:
        for name in output.remaining(names, key, batch=2):
            if not stop:
                raise KeyboardInterrupt
            output.write(bare(name, k))
            stop -= 1


@pytest.fixture
def saved_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoclip.writers.output, "SAVE_SECONDS", -1.0)


@pytest.mark.parametrize("kind", FILES)
def test_every_format_goes_to_files_pipes_and_stdout_alike(
    tmp_path: Path, kind: Format, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    suffix, answers = kind.suffixes[0], [full(name) for name in NAMES]

    def write(output: Output) -> None:
        with output:
            for answer in answers:
                output.write(answer)

    write(Output(tmp_path / f"new/a{suffix}"))
    whole = (tmp_path / f"new/a{suffix}").read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"a{suffix}"]
    pipe, read = tmp_path / f"pipe{suffix}", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(Output(pipe))
    reader.join(20)
    assert read == [whole]
    assert pipe.is_fifo()
    for path in (None, Path("-"), Path("/dev/stdout")):
        write(Output(path, kind))
        assert capfdbinary.readouterr().out == whole
    assert not Path("-").exists()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, kind: Format) -> None:
    path = tmp_path / f"new/a{kind.suffixes[0]}"
    with Output(path) as output:
        output.write(bare("a.jpg"))
        assert not path.exists()
    whole = path.read_bytes()
    with pytest.raises(ZeroDivisionError), Output(path, overwrite=True) as output:
        output.write(bare("b.jpg"))
        raise ZeroDivisionError
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(InputError, match=r"--resume needs \.jsonl or \.csv"):
        Output(path, resume=True)


@pytest.mark.parametrize("kind", FILES)
def test_a_full_disk_is_one_sentence(kind: Format) -> None:
    link = Path("/dev/full")
    with pytest.raises(InputError, match="No space left while writing /dev/full"), Output(link, kind) as output:
        output.write(full("a.jpg"))
    assert link.is_char_device()


@pytest.mark.parametrize("kind", CONTINUED)
def test_answers_are_there_as_they_come(tmp_path: Path, kind: Format) -> None:
    path = tmp_path / f"a{kind.suffixes[0]}"
    output = Output(path)
    output.describe({})
    with output:
        for done, name in enumerate(output.remaining(NAMES, key)):
            output.write(bare(name, k=1))
            assert len(path.read_bytes().splitlines()) > done


def test_what_would_be_lost_or_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.kml").mkdir()
    (tmp_path / "full.csv").write_text("something")
    (tmp_path / "empty.csv").touch()
    for name, words in (
        ("folder.kml", "is a folder"),
        ("full.csv", "exists; continue it with --resume, or replace it with --overwrite"),
        ("full.csv/a.csv", "Cannot write"),
        ("a.xyz", "has no format"),
    ):
        with pytest.raises(InputError, match=words):
            Output(tmp_path / name)
    with pytest.raises(InputError, match="has no format"):
        Output(tmp_path / "a.csv", Format.TABLE)
    with pytest.raises(InputError, match="--resume needs --output"):
        Output(None, resume=True)
    with pytest.raises(ValueError, match="not described"), Output(tmp_path / "full.csv", resume=True) as output:
        output.write(bare("a.jpg"))
    with Output(tmp_path / "empty.csv") as output:
        output.write(bare("a.jpg"))
    assert (tmp_path / "empty.csv").read_text().count("\n") == 3


def test_nothing_is_touched_before_the_first_answer(tmp_path: Path) -> None:
    path = tmp_path / "new/a.jsonl"
    with pytest.raises(InputError, match="no photos"), Output(path):
        raise InputError("There are no photos.")
    assert not path.parent.exists()


def test_a_closed_stdout_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InputError, match="Cannot write stdout: It is closed"), Output(None) as output:
        output.write(bare("a.jpg"))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(CONTINUED), stop=st.integers(0, 7), cut=st.floats(0, 1), order=st.permutations(NAMES * 2))
def test_a_run_stopped_anywhere_is_completed_without_loss_or_repetition(
    tmp_path_factory: pytest.TempPathFactory, kind: Format, stop: int, cut: float, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path, whole = folder / f"a{kind.suffixes[0]}", folder / f"whole{kind.suffixes[0]}"
    run(whole, order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoclip.writers.output, "SAVE_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            run(path, order, stop=stop)
    if path.exists():
        with path.open("ab") as file:  # what came after the journal was saved last
            file.write(whole.read_bytes()[: int(cut * 1000)])
    run(path, order, resume=True)
    assert path.read_bytes() == whole.read_bytes()
    run(path, [*order, "added.jpg"], resume=True)
    run(whole, [*order, "added.jpg"], overwrite=True)
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("saved_always")
def test_another_run_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, NAMES, stop=4)
    before = path.read_bytes()
    for names, k, words in (
        (NAMES, 3, "was begun with top 2, now it is 3"),
        (NAMES[::-1], 2, "was begun with other inputs"),
        (NAMES[:3], 2, "was begun with other inputs"),
    ):
        with pytest.raises(InputError, match=words):
            run(path, names, k=k, resume=True)
        assert path.read_bytes() == before
    path.write_bytes(before[:-2])
    with pytest.raises(InputError, match="is not as its run left it"):
        run(path, NAMES, resume=True)
    path.write_bytes(before)
    run(path, NAMES, resume=True)
    (tmp_path / ".a.jsonl.journal").unlink()
    with pytest.raises(InputError, match=r"without its \.a\.jsonl\.journal"):
        run(path, NAMES, resume=True)
    run(path, NAMES[:2], overwrite=True)
    run(path, NAMES[:3], resume=True)
    assert path.read_bytes().count(b"\n") == 3


def test_a_resumed_file_that_is_not_there_is_begun(tmp_path: Path) -> None:
    run(tmp_path / "a.jsonl", NAMES, resume=True)
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == len(NAMES)
