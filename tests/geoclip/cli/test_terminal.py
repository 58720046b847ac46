"""What commands say at their end: one sentence and an exit code, also where stdout takes nothing."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from geoclip.answers.answer import Answer
from geoclip.cli.map_file import MapFile
from geoclip.cli.terminal import with_exit_codes
from geoclip.errors import InputError
from geoclip.options import MachineOptions, PhotoOptions
from tests.helpers.answers import bare


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("command", "exit_code", "said"),
    [
        (raising(InputError("It is [/red] wrong.")), 2, "geoclip: It is [/red] wrong.\n"),
        (raising(KeyboardInterrupt()), 130, "geoclip: stopped.\n"),
        (raising(BrokenPipeError()), 0, ""),
        (raising(PermissionError(13, "Permission denied", "a.txt")), 2, "Cannot write a.txt: Permission denied"),
        (lambda: sys.stdout.write("answer\n"), 2, "geoclip: No space left while writing stdout"),
        (lambda: sys.stdout.write("answer\n" * 100_000), 2, "geoclip: No space left while writing stdout"),
    ],
)
def test_a_command_ends_with_a_sentence(
    command: Callable[[], None],
    exit_code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails too
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(SystemExit) as end:
        with_exit_codes(command)()
    assert end.value.code == exit_code
    assert said in capsys.readouterr().err
    with suppress(OSError):
        full.close()


def test_a_query_with_a_long_name_is_on_the_map(tmp_path: Path) -> None:
    drawn = MapFile(tmp_path / "map.html", PhotoOptions(), MachineOptions(workers=1))
    names = ["a" * 300 + ".jpg", "nul\0.jpg", "[/red].jpg"]
    for name in names:
        drawn.add(bare(name))
    drawn.add(Answer("broken.jpg", error="It is broken."))
    drawn.finish()
    assert "a" * 300 in (tmp_path / "map.html").read_text()
