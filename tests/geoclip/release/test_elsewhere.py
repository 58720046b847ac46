"""Releases at addresses: the same model as in the folder, kept, and refused where they are not what they say."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from geoclip import LocationEncoder
from geoclip.errors import WeightsError
from geoclip.files import cache_dir
from geoclip.release.directory import CONFIG, GALLERY, WEIGHTS, Release, write_description
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.http_files import FileServer, serving
from tests.helpers.small_release import SmallRelease, small_release


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallRelease:
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "cache"))
    return small_release(tmp_path / "served")


@pytest.fixture
def server(model: SmallRelease) -> Iterator[FileServer]:
    with serving(model.weights.parent) as running:
        yield running


@pytest.fixture
def address(server: FileServer) -> str:
    return f"{server.address}/release"


def asked(server: FileServer) -> set[str]:
    found, server.asked = {name.removeprefix("release/") for name, _ in server.asked}, []
    return found


def test_it_is_the_model_of_the_folder(model: SmallRelease, server: FileServer, address: str) -> None:
    release = Release.open(address)
    assert (release.model_digest, release.config) == (model.release.model_digest, model.release.config)
    assert (release.gallery() == model.release.gallery()).all()
    assert asked(server) == {CONFIG, WEIGHTS, GALLERY}
    assert Release.open(Path(address)) == release  # a path has one slash where the address has two
    assert asked(server) == {CONFIG}
    assert sorted(path.name for path in release.path.parent.iterdir()) == [release.path.name]
    assert LocationEncoder.from_pretrained(address).dim == model.release.config.dim


def test_every_command_takes_it(model: SmallRelease, address: str, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("lat,lng\n47.1,8.2\n")
    vectors = []
    for weights in (model.weights, address):
        done = geoclip(
            "embed", tmp_path / "places.csv", "-o", tmp_path / "v.parquet", "--weights", weights, "--overwrite"
        )
        assert done.exit_code == 0, done.stderr
        vectors.append((tmp_path / "v.parquet").read_bytes())
    assert vectors[0] == vectors[1]


def test_another_release_at_the_address_is_another_copy(server: FileServer, address: str, tmp_path: Path) -> None:
    first = Release.open(address)
    other = small_release(tmp_path / "other", seed=1)
    shutil.copytree(other.weights, server.folder / "release", dirs_exist_ok=True)
    second = Release.open(address)
    assert second.model_digest == other.release.model_digest
    assert {path.name for path in first.path.parent.iterdir()} == {first.path.name, second.path.name}
    assert Release.open(first.path) == first


def test_without_the_server_the_copy_is_named(server: FileServer, address: str) -> None:
    kept = Release.open(address)
    server.shutdown()
    server.server_close()
    with pytest.raises(
        WeightsError, match=rf"cannot be read .*A copy that was fetched earlier is {kept.path}; its path"
    ):
        Release.open(address)


def test_a_damaged_copy_is_fetched_again(address: str) -> None:
    kept = Release.open(address)
    (kept.path / WEIGHTS).write_bytes(b"damaged")
    assert Release.open(address) == kept


def test_many_processes_fetch_it_once(server: FileServer, address: str) -> None:
    opened: list[Release] = []
    threads = [threading.Thread(target=lambda: opened.append(Release.open(address))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert len(set(opened)) == 1
    assert sum(name.endswith(WEIGHTS) and bool(wanted) for name, wanted in server.asked) == 1


def test_what_is_not_what_it_says_is_refused(server: FileServer, address: str) -> None:
    server.change = lambda name, content: content[:-1] + b"?" if name.endswith(WEIGHTS) else content
    with pytest.raises(
        WeightsError, match=rf"{WEIGHTS} of {address} is not the file whose sha256 is listed there; it was"
    ):
        Release.open(address)
    server.change = lambda name, content: content.replace(b"0", b"1", 1) if name.endswith(CONFIG) else content
    with pytest.raises(WeightsError, match=f"{CONFIG} is damaged") as found:
        Release.open(address)
    assert address in str(found.value)
    assert "/tmp" not in str(found.value)
    server.change = lambda name, content: b"[" * (2 << 20)
    with pytest.raises(WeightsError, match="has more than 1,048,576 bytes"):
        Release.open(address)
    assert not list(cache_dir().rglob(WEIGHTS))


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/b", ".."])
def test_names_that_leave_the_folder_are_refused(model: SmallRelease, address: str, name: str) -> None:
    described = json.loads((model.weights / CONFIG).read_text())
    described["sha256"][name] = "0" * 64
    write_description(model.weights, described)
    with pytest.raises(WeightsError, match="it must be the plain name of a file"):
        Release.open(address)


def test_a_release_without_digests_is_refused(model: SmallRelease, address: str) -> None:
    described = json.loads((model.weights / CONFIG).read_text())
    del described["sha256"][GALLERY]
    write_description(model.weights, described)
    with pytest.raises(
        WeightsError, match=f"{CONFIG} of {address} lists no sha256 of {GALLERY}, so it cannot be checked"
    ):
        Release.open(address)


def test_the_command_says_it_in_a_sentence(address: str, tmp_path: Path) -> None:
    done = geoclip("build", tmp_path / "out", "--dry-run", "--weights", f"{address}/nowhere")
    assert_refused(done, f"{address}/nowhere has no {CONFIG}; give the address of the folder that holds it.")
