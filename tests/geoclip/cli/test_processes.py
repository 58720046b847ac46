"""What needs a process of its own: time and memory of a whole command, terminals, pipes, kills and Ctrl-C."""

import contextlib
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from geoclip.encoders.location import LocationEncoder
from tests.helpers.commands import command, geoclip, geoclip_process
from tests.helpers.pictures import make_photo

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_towers")]


@pytest.fixture(scope="module")
def vectors(encoder: LocationEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of three places."""
    path = tmp_path_factory.mktemp("vectors") / "places.npy"
    np.save(path, encoder.embed([(48.85837, 2.29448), (-33.85678, 151.2153), (35.36063, 138.72736)]))
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["locate", "--help"]])
def test_help_answers_within_a_second_of_work(arguments: list[str]) -> None:
    """Of the processor's time: what else runs on the machine does not count."""
    times = []
    for _ in range(3):
        before = os.times()
        done = geoclip_process(*arguments)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert done.exit_code == 0
    assert min(times) < 1


def test_search_stays_below_its_memory(vectors: Path) -> None:
    """Peak resident memory of the whole process, as the kernel counts it."""
    code = (
        "import os, subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "_, status, usage = os.wait4(p.pid, 0); print(status, usage.ru_maxrss // 1024)"
    )
    watched = [sys.executable, "-c", code, *command("search", vectors)]
    status, megabytes = map(int, subprocess.run(watched, capture_output=True, text=True, check=True).stdout.split())
    assert status == 0
    assert megabytes < 1500


def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    folder, output = tmp_path / "photos", tmp_path / "answers.jsonl"
    odd = os.fsdecode(b"odd-\xff-name.png")
    names = [f"{i:02}.png" for i in range(30)] + [odd]
    for i, name in enumerate(names):
        make_photo(folder / name, seed=i, size=(32, 24))
    arguments = ["locate", str(folder), "-k", "2", "-o", str(output), "--device", "cpu"]
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while (not output.exists() or output.stat().st_size == 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = output.read_bytes()
    assert before.count(b"\n") < len(names), "the run was over before it was killed"
    with output.open("ab") as file:
        file.write(b'{"query": "half a li')
    assert geoclip(*arguments).exit_code == 2
    assert output.read_bytes().startswith(before), "refusing must not touch the file"
    done = geoclip(*arguments, "--resume")
    assert done.exit_code == 0, done.stderr
    assert [json.loads(line)["query"] for line in output.read_bytes().splitlines()] == [str(folder / n) for n in names]
    assert output.read_bytes().startswith(before)
    complete = output.read_bytes()
    assert geoclip(*arguments, "--resume").exit_code == 0
    assert output.read_bytes() == complete


def test_on_a_terminal_data_stays_on_stdout(vectors: Path) -> None:
    """With a progress bar on stderr, a terminal here, every answer still goes to stdout."""
    terminal, end = pty.openpty()
    searching = command("search", vectors, "-f", "jsonl")
    process = subprocess.Popen(searching, stdout=subprocess.PIPE, stderr=end, env=os.environ | {"TERM": "xterm"})
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(terminal, 4096):
            shown += part
    assert process.stdout is not None
    assert len(process.stdout.read().splitlines()) == 3
    assert process.wait() == 0
    assert b"Searching" in shown
    assert b"predictions" not in shown


def test_a_closed_pipe_ends_quietly(vectors: Path) -> None:
    searching = shlex.join(command("search", vectors, "-f", "jsonl"))
    piped = subprocess.run(f"{searching} | head -c 10", shell=True, capture_output=True, check=False, text=True)
    assert piped.stderr == ""


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    photos = [make_photo(tmp_path / "photo.png", seed=1, size=(32, 24))] * 1000  # their answers fill the pipe
    process = subprocess.Popen(
        command("locate", *photos, "-f", "csv"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("query,")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and to its workers
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.strip() == "geoclip: stopped."
