"""Indexes fetched from servers that are slow, killed, wrong or hostile.

`GEOCLIP_KILLS=50 pytest tests/geoclip/remote -k killed` kills more often than the usual run does.
"""

import datetime
import hashlib
import ipaddress
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from geoclip.errors import InputError
from geoclip.remote import copying
from geoclip.remote.address import PACKAGES
from geoclip.remote.index import fetch_index
from index.search.planet import Planet
from index.storage.artifact import verify
from tests.helpers.builds import contents
from tests.helpers.commands import geoclip, geoclip_process
from tests.helpers.http_files import FileServer, serving
from tests.helpers.s3 import SECRET, s3_server
from tests.helpers.synthetic import ALPS, encode, small_index

KILLS = int(os.environ.get("GEOCLIP_KILLS", "4"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """A server of an index at /planet."""
    shutil.copytree(small_index(ALPS), tmp_path / "served" / "planet")
    with serving(tmp_path / "served") as running:
        yield running


@pytest.fixture
def address(server: FileServer) -> str:
    return f"{server.address}/planet"


def test_an_index_is_fetched_whole(address: str, tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    target = fetch_index(address, tmp_path / "mine", report=lambda *words: said.append(words))
    assert contents(target) == contents(small_index(ALPS))
    assert verify(target) == []
    assert len(Planet.open(target, encode).cells)
    assert list(dict.fromkeys(stage for stage, _, _ in said)) == ["Looking", "Fetching", "Checking"]
    fetched = [(done, total) for stage, done, total in said if stage == "Fetching"]
    assert fetched[-1][0] == fetched[-1][1] == sum(len(c) for n, c in contents(target).items() if n[0] not in "mS")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "served"]


def test_what_is_there_is_not_fetched_again(server: FileServer, address: str, tmp_path: Path) -> None:
    server.change = lambda name, content: content[: len(content) // 2] if name.endswith("slopes.bin") else content
    with pytest.raises(InputError, match=r"slopes.bin of http://127.0.0.1:\d+/planet has [\d,]+ bytes, and should"):
        fetch_index(address, tmp_path / "mine")
    part = tmp_path / "mine.fetching" / "files" / "slopes.bin.part"
    sound = (small_index(ALPS) / "slopes.bin").read_bytes()
    part.write_bytes(sound[:1000])  # of a fetch that was killed
    server.change, server.asked = lambda name, content: content, []
    fetch_index(address, tmp_path / "mine")
    assert {name for name, _ in server.asked} >= {"planet/slopes.bin", "planet/manifest.json"}
    assert "planet/cells.npy" not in {name for name, _ in server.asked}
    assert all(
        not wanted.startswith("bytes=0-") for name, wanted in server.asked if name == "planet/slopes.bin" and wanted
    )
    assert contents(tmp_path / "mine") == contents(small_index(ALPS))


def test_a_server_without_ranges(server: FileServer, address: str, tmp_path: Path) -> None:
    server.ranges = False
    fetch_index(address, tmp_path / "mine")
    assert verify(tmp_path / "mine") == []


@pytest.mark.parametrize("ranges", [True, False])
def test_answers_that_end_in_the_middle_are_asked_for_again(
    server: FileServer, address: str, tmp_path: Path, ranges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "WAITS_S", (0.0, 0.0, 0.0))
    server.ranges, server.cuts = ranges, {"planet/slopes.bin": 3, "planet/cells.npy": 1}
    fetch_index(address, tmp_path / "mine")
    assert set(server.cuts.values()) == {0}
    assert contents(tmp_path / "mine") == contents(small_index(ALPS))
    server.cuts = {"planet/slopes.bin": 10**9}
    server.change = lambda name, content: b"" if name.endswith("slopes.bin") else content
    with pytest.raises(InputError, match=r"slopes.bin of http://127.0.0.1:\d+/planet "):
        fetch_index(address, tmp_path / "other")


@pytest.mark.slow
def test_killed_fetches_go_on(address: str, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["geoclip.remote.index", "aiohttp", "fsspec.implementations.http"])
    rng, target, kills, usual = random.Random(5), tmp_path / "mine", 0, 0.0
    while kills < KILLS or not target.exists():
        shutil.rmtree(target, ignore_errors=True)
        child = processes.Process(target=fetch_index, args=(address, target))
        started = time.monotonic()
        child.start()
        if usual and kills < KILLS:
            child.join(rng.uniform(0, usual))
            if child.is_alive():
                child.kill()
                kills += 1
        child.join()
        usual = usual or time.monotonic() - started
        assert child.exitcode in (0, -9)
    assert contents(target) == contents(small_index(ALPS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "served"]


def flipped(content: bytes) -> bytes:
    return content[:-7] + bytes([content[-7] ^ 1]) + content[-6:]


@pytest.mark.parametrize("name", ["cells.npy", "level-6.lists", "gallery.parquet"])
def test_a_flipped_bit_is_found(server: FileServer, address: str, tmp_path: Path, name: str) -> None:
    server.change = lambda asked, content: flipped(content) if asked.endswith(name) else content
    with pytest.raises(InputError, match=rf"{name} of .* is not the file whose sha256 is listed there; it was"):
        fetch_index(address, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    server.change = lambda asked, content: content
    fetch_index(address, tmp_path / "mine")
    assert verify(tmp_path / "mine") == []


def test_longer_files_are_refused(server: FileServer, address: str, tmp_path: Path) -> None:
    server.change = lambda asked, content: content + b"x" * (2 << 20) if asked.endswith("cells.npy") else content
    with pytest.raises(InputError, match=r"cells.npy of .* has [\d,]+ bytes, and should have [\d,]+"):
        fetch_index(address, tmp_path / "mine")
    server.change = lambda asked, content: content + b" " * (2 << 20) if asked.endswith("manifest.json") else content
    with pytest.raises(InputError, match=r"manifest.json of .* has more than 1,048,576 bytes"):
        fetch_index(address, tmp_path / "mine")


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/b", "..", ".hidden", "x\x00y"])
def test_names_that_leave_the_folder_are_refused(server: FileServer, address: str, tmp_path: Path, name: str) -> None:
    folder = server.folder / "planet"
    about = json.loads((folder / "manifest.json").read_text())
    about["files"][name] = 5
    (folder / "manifest.json").write_text(json.dumps(about))
    sums = (folder / "SHA256SUMS").read_text().splitlines()[1:]
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text("\n".join([f"{digest}  manifest.json", *sums, f"{digest}  {name}"]) + "\n")
    with pytest.raises(InputError, match="has no index that this version reads"):
        fetch_index(address, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/planet/manifest.json"])
def test_redirects_elsewhere_and_without_end_are_refused(
    server: FileServer, address: str, tmp_path: Path, where: str
) -> None:
    server.redirect = where
    with pytest.raises(
        InputError, match=r"^manifest.json of \S+ cannot be read \((NonHttpUrlRedirect|TooManyRedirects)"
    ) as found:
        fetch_index(address, tmp_path / "mine")
    assert "root:" not in str(found.value)
    assert len(server.asked) < 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


@pytest.mark.slow
def test_redirects_from_https_to_http_are_refused(server: FileServer, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with serving(server.folder, tls=(certificate, key)) as encrypted:
        address = f"{encrypted.address}/planet"
        trusting = {"SSL_CERT_FILE": str(certificate)}
        encrypted.redirect = f"{server.address}/planet/manifest.json"
        done = geoclip_process("fetch-index", address, tmp_path / "mine", environment=trusting)
        assert done.exit_code == 2
        assert "(ConnectionError: the server redirects to http://, which is not encrypted)" in done.stderr
        assert server.asked == []
        encrypted.redirect = None
        done = geoclip_process("fetch-index", address, tmp_path / "mine", environment=trusting)
        assert done.exit_code == 0, done.stderr
    assert contents(tmp_path / "mine") == contents(small_index(ALPS))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a certificate of 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"


def test_secrets_of_an_address_are_not_shown(server: FileServer, tmp_path: Path) -> None:
    port = server.address.rpartition(":")[2]
    for path in ("nowhere", "planet"):
        done = geoclip("fetch-index", f"http://me:hunter2@127.0.0.1:{port}/{path}?signature=s3cret", tmp_path / "mine")
        assert done.exit_code == (2 if path == "nowhere" else 0), done.stderr
        assert "hunter2" not in done.stderr + done.stdout
        assert "s3cret" not in done.stderr + done.stdout
    everything = b"".join(path.read_bytes() for path in (tmp_path / "mine").rglob("*"))
    assert b"hunter2" not in everything
    assert b"s3cret" not in everything


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("planet", "is not an address of a folder"),
        ("ftp://host/planet", "is not an address of a folder"),
        ("file:///etc", "is not an address of a folder"),
        ("https://", "is not an address of a folder"),
        ("gs://bucket/planet", "needs not_there"),
        ("https://me:hunter2@[half/planet", r"^https://\[half/planet is not an address of a folder"),
        (
            "s3://me:hunter2@bucket/planet",
            "^s3://bucket/planet was given with a password or a query",
        ),
    ],
)
def test_other_addresses(tmp_path: Path, words: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "gs", "not_there")
    with pytest.raises(InputError, match=complaint):
        fetch_index(words, tmp_path / "mine")


def test_the_target_is_not_replaced_unless_asked(address: str, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    fetch_index(address, target)
    with pytest.raises(InputError, match="exists; choose another name, or replace it with --overwrite"):
        fetch_index(address, target)
    fetch_index(address, target, overwrite=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not an index"):
        fetch_index(address, tmp_path / "notes", overwrite=True)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"


def test_an_index_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An S3 server of moto's, asked over HTTP."""
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket = s3fs.S3FileSystem()
        bucket.mkdir("indexes")
        for path in small_index(ALPS).iterdir():
            bucket.put_file(str(path), f"indexes/alps/{path.name}")
        target = fetch_index("s3://indexes/alps", tmp_path / "mine")
        assert contents(target) == contents(small_index(ALPS))
        with pytest.raises(
            InputError, match=r"^s3://indexes/none has no manifest.json; give the address of the folder"
        ) as no:
            fetch_index("s3://indexes/none", tmp_path / "none")
        assert SECRET not in str(no.value)
