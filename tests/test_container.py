"""The steps of the Dockerfile without a container engine: what it copies makes a whole wheel, and that one serves."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from geoclip.files import cache_dir
from geoclip.release.directory import Release

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
PACKAGES = ("geoclip", "index")

pytestmark = pytest.mark.slow


def lines_of(instruction: str) -> list[str]:
    """What stands behind an instruction of the Dockerfile, each time it is used."""
    return re.findall(rf"^ *{instruction} +(.+)$", DOCKERFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what the Dockerfile copies, and of nothing else."""
    context, built = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("wheel")
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    for line in lines_of("COPY"):
        *names, target = line.split()
        for name in names:
            assert name in allowed
            into = context / target / (name if target.endswith("/") else "")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, into)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(context)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Also pages, base map, schemas, configurations: whatever is beside the code."""
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith(tuple(f"{each}/" for each in PACKAGES))}
        for name in (
            "geoclip/serve/page/index.html",
            "geoclip/serve/ray.yaml",
            "geoclip/map/browser/base.json.gz",
            "geoclip/writers/answer.schema.json",
            "index/data/countries.parquet",
        ):
            assert archive.read(name) == (ROOT / name).read_bytes()
    assert set(listed.stdout.split()) <= held


class Installed(NamedTuple):
    """The wheel in a folder that nobody writes to, and what the Dockerfile says of its environment."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start Python in an empty folder; `geoclip` is the wheel's."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.environment["HOME"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel installed as the Dockerfile does, less its dependencies, which are here already."""
    folder, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home")
    options = ("--quiet", "--no-deps", "--no-compile", "--target", str(folder))
    command = [sys.executable, "-m", "pip", "install", *options, str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    said = dict(pair.split("=") for pair in lines_of("ENV")[0].split())
    assert {"GEOCLIP_CACHE": "/cache", "HOME": "/tmp"}.items() <= said.items()
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
    own = {"GEOCLIP_CACHE": str(cache_dir()), "HF_HOME": str(home / "hub"), "HOME": str(home)}
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    yield Installed(folder, {**kept, **said, **own, "PYTHONPATH": str(folder)})
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def test_the_installed_wheel_serves_until_sigterm_and_is_found_healthy(installed: Installed, release: Release) -> None:
    where = installed.run("-c", "import geoclip, index; print(geoclip.__file__, index.__file__)").communicate()[0]
    assert all(path.startswith(f"{installed.folder}/") for path in where.split())
    command = lines_of("ENTRYPOINT")[0] + lines_of("CMD")[0]
    assert command == '["geoclip"]["serve", "--host", "0.0.0.0"]'
    service = installed.run("-m", "geoclip", "serve", "--port", "0", "--vectors-only", "--index", "none")
    try:
        assert service.stderr is not None
        said = iter(service.stderr.readline, "")
        port = next(int(found[1]) for line in said if (found := re.search(r"http://127\.0\.0\.1:(\d+);", line)))
        threading.Thread(target=service.stderr.read, daemon=True).start()
        assert healthy(installed, port)
        assert not healthy(installed, 1)
        vectors = json.dumps({"vectors": np.eye(1, release.config.dim).tolist()}).encode()
        answer = ask(port, "/v1/search?k=1", vectors)
        assert json.loads(answer)["answers"][0]["error"] is None
        for address, name in (
            ("/", "geoclip/serve/page/index.html"),
            ("/main.js", "geoclip/serve/page/main.js"),
            ("/map/base.json.gz", "geoclip/map/browser/base.json.gz"),
        ):
            assert ask(port, address) == (ROOT / name).read_bytes()
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(timeout=60) == 0
    assert not list(Path(installed.environment["HOME"]).iterdir())


def healthy(installed: Installed, port: int) -> bool:
    """Whether the HEALTHCHECK's own command finds a service well on another port."""
    check = json.loads(lines_of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    assert ":8000/" in check[2]
    return installed.run("-c", check[2].replace(":8000/", f":{port}/")).wait(timeout=60) == 0


def ask(port: int, address: str, body: bytes | None = None) -> bytes:
    """Return the content of an answer; anything but success is an error."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{address}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
        return content
