"""Photos at addresses: fetched within limits, a row with a reason where they cannot be had, nothing secret shown."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from geoclip.errors import PhotoError
from geoclip.photos.decode import DecodeLimits, Photo, read_photo
from geoclip.photos.elsewhere import AHEAD, Elsewhere, TooLargeError, Unusable, ahead
from geoclip.photos.pool import decode_all
from geoclip.remote import content as remote
from geoclip.remote.address import PACKAGES
from geoclip.remote.photo import RemotePhoto, photo_at
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.http_files import FileServer, serving
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again without waiting; connections of other tests are not used."""
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    remote._file_system.cache_clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """A server of six photos, 0.png to 5.png."""
    for number in range(6):
        make_photo(tmp_path / "served" / f"{number}.png", seed=number)
    with serving(tmp_path / "served") as running:
        yield running


def reason(photo: Elsewhere | str, most: int = 1 << 20) -> str:
    assert isinstance(photo, Elsewhere)
    with pytest.raises(PhotoError) as found:
        photo.content(most)
    return str(found.value)


def test_photos_of_a_server_are_those_of_its_files(server: FileServer) -> None:
    paths = sorted(server.folder.iterdir())
    photos: list[Photo] = [photo_at(f"{server.address}/{path.name}") for path in paths]
    mixed: list[Photo] = [photos[0], str(paths[1]), photos[2], paths[3].read_bytes(), *photos[4:]]
    expected = [read_photo(path).pixels for path in paths]
    for given in (photos, mixed):
        for workers in (0, 2):
            decoded = list(decode_all(given, workers=workers))
            assert [each.pixels for each in decoded] == expected
            assert [each.error for each in decoded] == [None] * 6
    assert decoded[0].name == f"{server.address}/0.png"
    asked = [name for name, _ in server.asked]
    assert asked.count("4.png") == 4  # one request a time


def test_what_cannot_be_had_is_a_row_with_a_reason(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "gs", "not_there")
    (server.folder / "page.png").write_text("<html>not found</html>")
    photos = [f"{server.address}/{name}" for name in ("none.png", "page.png", "0.png")]
    addresses = [*photos, "ftp://host/a.jpg", "memory://a.jpg", "https://", f"{server.address}/", "gs://bucket/a.jpg"]
    addresses += ["http://[half/a.jpg", "s3://bucket/a.tar", f"{server.address}/a.tar"]
    decoded = list(decode_all([photo_at(each) for each in addresses], workers=1))
    reasons = [each.error and each.error.split(",")[0].split(";")[0] for each in decoded]
    not_read = "This is not the address of a file that is read"
    assert reasons == [
        "There is no such file at this address.",
        "This is not a photo in a known format",
        None,
        *[not_read] * 4,
        "gs:// needs the package not_there",
        not_read,
        *["A tar file holds many photos"] * 2,
    ]
    assert [each.name for each in decoded] == addresses
    for address in ("s3://me:hunter2@bucket/a.jpg", "https://me:hunter2@[half/a.jpg"):
        refused = photo_at(address)
        assert isinstance(refused, Unusable)
        assert "hunter2" not in refused.name + reason(refused)
    assert "read from the environment" in reason(photo_at("s3://me:hunter2@bucket/a.jpg"))
    assert photo_at("file:/a%20b/c.jpg") == photo_at("file:///a%20b/c.jpg") == "/a b/c.jpg"


def test_a_photo_may_have_so_many_bytes(server: FileServer) -> None:
    there = photo_at(f"{server.address}/0.png")
    assert isinstance(there, RemotePhoto)
    size = (server.folder / "0.png").stat().st_size
    assert len(there.content(size)) == size
    with pytest.raises(TooLargeError, match=r"has .* MB; .* MB are allowed"):
        there.content(size - 1)
    server.change = lambda name, content: content + b"x" * (3 << 20)
    (decoded,) = decode_all([there], DecodeLimits(max_bytes=2 << 20), workers=1)
    assert decoded.error is not None
    assert "2 MB are allowed" in decoded.error


def test_answers_that_end_in_the_middle_are_asked_for_again(server: FileServer) -> None:
    server.cuts = {"0.png": 2}
    content = (server.folder / "0.png").read_bytes()
    there = photo_at(f"{server.address}/0.png")
    assert isinstance(there, RemotePhoto)
    assert there.content(1 << 20) == content
    server.cuts = {"0.png": 3}
    assert reason(there).startswith("It cannot be fetched: ")
    assert len(server.asked) == 6


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/0.png"])
def test_redirects_elsewhere_and_without_end_are_refused(server: FileServer, where: str) -> None:
    server.redirect = where
    said = reason(photo_at(f"{server.address}/0.png"))
    assert "NonHttpUrlRedirect" in said or "TooManyRedirects" in said
    assert "root:" not in said


def test_a_server_that_is_not_there_and_one_that_is_slow(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ConnectionRefusedError" in reason(photo_at("http://127.0.0.1:1/a.jpg"))
    monkeypatch.setattr(remote, "TOTAL_S", 0.5)
    remote._file_system.cache_clear()
    server.change = lambda name, content: content if time.sleep(1.5) is None else b""  # type: ignore[func-returns-value]
    begun = time.monotonic()
    assert reason(photo_at(f"{server.address}/0.png")) == "The server does not answer in time."
    assert time.monotonic() - begun < 10


def test_nothing_secret_is_shown(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    port = server.address.rpartition(":")[2]
    table, job = tmp_path / "photos.csv", tmp_path / "job"
    names = [f"http://me:hunter2@127.0.0.1:{port}/{name}?signature=s3cret" for name in ("0.png", "none.png")]
    table.write_text("\n".join(["id,uri", f"a,{names[0]}", f"b,{names[1]}"]))
    asked = ("locate", table, "-i", "none", "--clip-checkpoint", small_towers.clip)
    done = geoclip(*asked, "-f", "jsonl")
    assert done.exit_code == 1
    queries = [json.loads(line)["query"] for line in done.stdout.splitlines()]
    assert queries == [f"http://127.0.0.1:{port}/0.png"]
    assert f"http://127.0.0.1:{port}/none.png: There is no such file at this address." in done.stderr
    in_parts = geoclip(*asked, "--parts", job)
    table.write_text(table.read_text().replace("s3cret", "renewed"))  # the same job, with new signatures
    finished = geoclip(*asked, "--parts", job, "--finish")
    assert (in_parts.exit_code, finished.exit_code) == (1, 1), finished.stderr
    said = [done.stdout, done.stderr, in_parts.stderr, finished.stderr]
    said += [path.read_bytes().decode(errors="replace") for path in job.iterdir()]
    assert not any(secret in text for text in said for secret in ("hunter2", "s3cret", "renewed"))


def test_lists_and_tables(server: FileServer, tmp_path: Path, small_towers: SmallRelease) -> None:
    local = make_photo(tmp_path / "local photo.png", seed=9)
    words = [
        f"{server.address}/0.png",
        str(local),
        local.as_uri().replace("///", "/"),
        None,
        f"{server.address}/none.png",
    ]
    names = [words[0], str(local), str(local), "{}: row 4", words[4]]
    pq.write_table(pa.table({"name": list("abcde"), "uri": words}), tmp_path / "photos.parquet")
    pq.write_table(pa.table({"name": list("abcde"), "odd": words}), tmp_path / "odd.parquet")
    rows = [json.dumps({"image": word}) for word in words]
    (tmp_path / "photos.jsonl").write_text("\n".join(rows))
    (tmp_path / "photos.csv").write_text("n;url\n" + "\n".join(f"{n};{word or ''}" for n, word in enumerate(words)))
    models = ("-i", "none", "--clip-checkpoint", small_towers.clip)
    results = []
    for path, more in (
        ("photos.parquet", ()),
        ("odd.parquet", ("--column", "odd")),
        ("photos.jsonl", ()),
        ("photos.csv", ()),
    ):
        done = geoclip("locate", tmp_path / path, *more, *models, "--parts", tmp_path / f"of {path}")
        assert done.exit_code == 1, done.stderr
        results.append(pq.read_table(tmp_path / f"of {path}").to_pylist())
        assert [row["query"] for row in results[-1]] == [str(n).format(tmp_path / path) for n in names]
        assert [row["error"] is None for row in results[-1]] == [True, True, True, False, False]
        assert [row["predictions"] for row in results[-1]] == [row["predictions"] for row in results[0]]
    assert results[0][1]["predictions"] == results[0][2]["predictions"] != results[0][0]["predictions"]
    assert_refused(geoclip("locate", tmp_path / "odd.parquet", "--column", "uri", *models), "no column 'uri'")
    (tmp_path / "list.txt").write_text("\n".join(word for word in words if word))
    done = geoclip("embed", "--from-list", tmp_path / "list.txt", "-o", tmp_path / "v.parquet", *models[2:])
    assert "4 embedded" not in done.stderr
    assert pq.read_table(tmp_path / "v.parquet")["photo"].to_pylist() == names[:3]
    done = geoclip("embed", tmp_path / "photos.csv", "--column", "url", "-o", tmp_path / "w.parquet", *models[2:])
    assert pq.read_table(tmp_path / "w.parquet") == pq.read_table(tmp_path / "v.parquet")


def test_photos_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        bucket = s3fs.S3FileSystem(skip_instance_cache=True)
        bucket.mkdir("photos")
        path = make_photo(tmp_path / "a.png", seed=1)
        bucket.put_file(str(path), "photos/deep/a b.png")
        good, none = photo_at("s3://photos/deep/a b.png"), photo_at("s3://photos/none.png")
        assert isinstance(good, Elsewhere)
        assert good.content(1 << 20) == path.read_bytes()
        with pytest.raises(TooLargeError):
            good.content(100)
        assert reason(none) == "There is no such file at this address."
        assert reason(photo_at("s3://nowhere/a.png")) == "There is no such file at this address."
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        remote._file_system.cache_clear()
        assert reason(good).startswith("Access to this address is refused")
    finally:
        server.stop()


class Slow(Elsewhere):
    """A photo that takes a moment; counts how many are under way."""

    running, most, asked = 0, 0, 0
    lock = threading.Lock()

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def name(self) -> str:
        return f"{self.number}"

    def content(self, most: int) -> bytes:
        with Slow.lock:
            Slow.running, Slow.asked = Slow.running + 1, Slow.asked + 1
            Slow.most = max(Slow.most, Slow.running)
        time.sleep(0.02)
        with Slow.lock:
            Slow.running -= 1
        if self.number % 5 == 4:
            raise PhotoError("It is not there.")
        return b"%d" % self.number


def test_photos_are_fetched_ahead_in_order_and_not_too_far() -> None:
    Slow.running = Slow.most = Slow.asked = 0
    coming = ahead((Slow(number) for number in range(1000)), 100)
    for number in range(20):
        photo = next(coming)
        assert photo.name == f"{number}"
        if number % 5 == 4:
            assert reason(photo) == "It is not there."
        else:
            assert photo.content(100) == b"%d" % number
    assert 1 < Slow.most <= 16
    coming.close()  # type: ignore[attr-defined]
    assert Slow.asked <= 20 + AHEAD + 1


def test_nothing_is_taken_behind_an_open_file(tmp_path: Path) -> None:
    taken = []

    def photos() -> Iterator[Photo]:
        given: list[Photo] = [Unusable("a", "no"), "file", Unusable("b", "no")]
        for number, photo in enumerate(given):
            taken.append(number)
            yield photo

    coming = ahead(photos(), 100)
    seen = [(name, list(taken)) for name in (getattr(next(coming), "name", "file") for _ in range(3))]
    assert seen == [("a", [0, 1]), ("file", [0, 1]), ("b", [0, 1, 2])]
