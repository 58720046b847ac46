"""Indexes and models pushed to a server that speaks as the hub does, and fetched from it by others."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.storage.artifact import verify
from tests.helpers.builds import contents
from tests.helpers.commands import Done, assert_refused, geoclip
from tests.helpers.hub import TOKEN, Hub, hub
from tests.helpers.small_release import small_release
from tests.helpers.synthetic import ALPS, small_index


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "cache"))
    with hub() as running:
        running.stand_in(monkeypatch)
        yield running


def run(*arguments: str | Path, **environment: str) -> Done:
    done = geoclip(*arguments, environment=environment)
    assert TOKEN not in done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_an_index_is_pushed_and_fetched(server: Hub, tmp_path: Path) -> None:
    index = tmp_path / "alps"
    shutil.copytree(small_index(ALPS), index)
    done = run("push", index, "hf://datasets/me/alps")
    assert done.exit_code == 0, done.stderr
    repository = server.repositories["datasets/me/alps"]
    assert repository.private
    assert len(repository.commits) == 1
    pushed = repository.branches["main"]
    assert {name: pushed[name] for name in contents(index)} == contents(index)
    assert pushed.keys() - contents(index) == {"README.md"}
    assert pushed["README.md"].startswith(b"---\nlicense: ")
    done = run("fetch-index", "hf://datasets/me/alps@main", tmp_path / "mine")
    assert done.exit_code == 0, done.stderr
    assert contents(tmp_path / "mine") == contents(index)
    assert verify(tmp_path / "mine") == []
    missing = run("fetch-index", "hf://datasets/me/alps@v9", tmp_path / "none")
    assert missing.exit_code == 2
    assert missing.stderr.startswith(
        "Looking ...\ngeoclip: hf://datasets/me/alps@v9 has no manifest.json; give the address"
    )


@pytest.mark.slow
def test_a_model_is_pushed_and_used(server: Hub, tmp_path: Path) -> None:
    model = small_release(tmp_path)
    done = run("push", model.weights, "hf://me/small@v1", "--public")
    assert done.exit_code == 0, done.stderr
    repository = server.repositories["models/me/small"]
    assert not repository.private
    assert repository.branches["v1"] == contents(model.weights)
    assert repository.branches["main"] == {}
    (tmp_path / "places.csv").write_text("lat,lng\n47.1,8.2\n")
    commit = done.stderr.rpartition("/commit/")[2].strip().rstrip(".")
    for number, weights in enumerate((str(model.weights), "hf://me/small@v1", f"hf://me/small@{commit}")):
        where = tmp_path / f"{number}.parquet"
        done = run("embed", tmp_path / "places.csv", "-o", where, "--weights", weights)
        assert done.exit_code == 0, done.stderr
        assert where.read_bytes() == (tmp_path / "0.parquet").read_bytes()
    server.asked = []
    again: list[str | Path] = [
        tmp_path / "places.csv",
        "-o",
        tmp_path / "again.parquet",
        "--weights",
        f"hf://me/small@{commit}",
    ]
    assert run("embed", *again).exit_code == 0
    assert server.asked == []  # a commit does not change


def test_what_is_damaged_or_not_allowed_is_not_pushed(server: Hub, tmp_path: Path) -> None:
    index = tmp_path / "alps"
    shutil.copytree(small_index(ALPS), index)
    assert_refused(run("push", index, "hf://datasets/me/alps", HF_TOKEN="hf_wrong"), "log in with `hf auth login`")
    assert_refused(run("push", index, "https://example.org/alps"), "is not a repository of the hub; give hf://")
    assert_refused(run("push", tmp_path, "hf://me/alps"), "is neither an index nor a model; give the folder of")
    content = (index / "cells.npy").read_bytes()
    (index / "cells.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert_refused(run("push", index, "hf://datasets/me/alps"), "cells.npy is damaged: its sha256 is not the one")
    assert server.repositories == {}
