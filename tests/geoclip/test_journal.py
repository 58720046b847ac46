"""What a run has done: inputs given out once, in order, in whole batches; other inputs and damaged journals refused."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoclip.errors import InputError
from geoclip.journal import Journal
from geoclip.photos.key import photo_key


def key(text: str) -> tuple[bytes, bytes]:
    """The name of `a1` is a, its content 1."""
    return text[:1].encode(), text[1:].encode()


def run(
    output: Path, inputs: Iterable[str], *, batch: int = 1, stop: int = 1000, fail: str = "", resume: bool = True
) -> list[str]:
    """Return what was given out; those whose names are in `fail` fail; stop after so many."""
    journal = Journal(output, {"k": 1}, resume=resume)
    seen: list[str] = []
    for one in journal.remaining(inputs, key, batch):
        if len(seen) == stop:
            return seen
        seen.append(one)
        if journal.finished(failed=one[0] in fail):
            journal.save(0)
    journal.complete()
    journal.save(0)
    return seen


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 12), batch=st.integers(1, 4), stops=st.lists(st.integers(0, 12), max_size=3))
def test_every_input_counts_once_and_whole_batches_only(
    tmp_path_factory: pytest.TempPathFactory, count: int, batch: int, stops: list[int]
) -> None:
    output, names = tmp_path_factory.mktemp("journal") / "a", [chr(97 + i) for i in range(count)]
    run(output, [], resume=False)
    done = 0
    for stop in stops:
        assert run(output, names, batch=batch, stop=stop) == names[done : done + stop]
        reached = min(done + stop, count)
        done = count if reached == count else reached - reached % batch
    assert run(output, names, batch=batch) == names[done:]
    assert run(output, names, batch=batch) == []


def test_what_failed_is_tried_again_last_though_its_content_is_another(tmp_path: Path) -> None:
    output = tmp_path / "a"
    run(output, [], resume=False)
    assert run(output, ["a1", "b1", "c1"], fail="ac") == ["a1", "b1", "c1"]
    assert run(output, ["a2", "b1", "c1", "d1"], fail="c") == ["d1", "a2", "c1"]
    assert run(output, ["a2", "b1", "c3", "d1"]) == ["c3"]
    assert run(output, ["a2", "b1", "c3", "d1"]) == []
    for changed in (["a2", "b2", "c3", "d1"], ["a1", "b1", "c3", "d1"], ["b1", "a2", "c3", "d1"], ["a2", "b1", "c3"]):
        with pytest.raises(InputError, match="other inputs: its first 4"):
            run(output, changed)


def test_other_options_are_named(tmp_path: Path) -> None:
    Journal(tmp_path / "a", {"prior_weight": 0.5, "region": None}, resume=False).save(3, "end")
    kept = Journal(tmp_path / "a", {"prior_weight": 0.5, "region": None}, resume=True).kept
    assert (kept.size, kept.end) == (3, "end")
    with pytest.raises(InputError, match=r"begun with prior weight 0\.5, now it is 0\.7"):
        Journal(tmp_path / "a", {"prior_weight": 0.7, "region": None}, resume=True)
    with pytest.raises(InputError, match="begun with crops None, now it is 10"):
        Journal(tmp_path / "a", {"prior_weight": 0.5, "region": None, "crops": 10}, resume=True)


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b'{"options": {}, "done": -1}', b'{"options": {}, "digest": "x"}']
)
def test_a_journal_that_says_nothing_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / ".a.journal").write_bytes(content)
    with pytest.raises(InputError, match="replace it with --overwrite"):
        Journal(tmp_path / "a", {}, resume=True)


@pytest.mark.parametrize("size", [20, 1 << 17, 200_001])
@pytest.mark.parametrize("at", [0, -1])
def test_a_photo_that_was_changed_is_not_the_old_one(tmp_path: Path, size: int, at: int) -> None:
    """Of the same name and size; one that has another time alone is."""
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for photo in photos:
        photo.write_bytes(b"1" * size)
    journal = Journal(tmp_path / "out", {}, resume=False)
    for _ in journal.remaining(photos, photo_key):
        journal.finished()
    journal.save(0)
    os.utime(photos[0], ns=(0, 0))
    assert list(Journal(tmp_path / "out", {}, resume=True).remaining(photos, photo_key)) == []
    changed = bytearray(b"1" * size)
    changed[at] = 0
    photos[0].write_bytes(changed)
    os.utime(photos[0], ns=(0, 0))
    with pytest.raises(InputError, match="other inputs: its first 2"):
        list(Journal(tmp_path / "out", {}, resume=True).remaining(photos, photo_key))


def test_what_is_not_an_ordinary_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert photo_key(tmp_path / "a.jpg") == (os.fsencode(tmp_path / "a.jpg"), b"")
    assert photo_key("no\0path") == (b"no\0path", b"")
