"""A server with as much of the Hugging Face hub's API as pushing and fetching use, on this machine alone."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

TOKEN = "hf_secretsecretsecret"


class Repository(NamedTuple):
    """What was pushed."""

    private: bool
    branches: dict[str, dict[str, bytes]]
    """Files by name, by branch."""
    commits: list[str]


class Hub(ThreadingHTTPServer):
    """Its repositories by `models/owner/name` or `datasets/owner/name`, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.repositories, self.stored, self.asked = dict[str, Repository](), dict[str, bytes](), list[str]()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stand_in(self, patched: pytest.MonkeyPatch) -> None:
        """Make the hub's library, which has read its environment already, ask here."""
        urls = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, self.address)
        patched.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", urls)
        patched.setattr(constants, "ENDPOINT", self.address)
        patched.setattr(constants, "HF_HUB_OFFLINE", False)
        patched.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patched.setenv("HF_TOKEN", TOKEN)


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and not path.startswith("/stored/"):
            self._send(401, {"error": "Invalid username or password."})
            return
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, path):
                answer(self, body, *found.groups())
                return
        self._send(404, {"error": "no such thing here"})

    def create(self, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted.get('type') or 'model'}s/{wanted['organization']}/{wanted['name']}"
        code = 409 if name in self.server.repositories else 200
        self.server.repositories.setdefault(name, Repository(wanted.get("visibility") == "private", {"main": {}}, []))
        self._send(code, {"url": f"{self.server.address}/{name.removeprefix('models/')}"})

    def branch(self, body: bytes, name: str, branch: str) -> None:
        branches = self.server.repositories[name].branches
        code = 409 if branch in branches else 200
        branches.setdefault(branch, dict(branches["main"]))
        self._send(code, {})

    def preupload(self, body: bytes, name: str, branch: str) -> None:
        files = json.loads(body)["files"]
        modes = [(each["path"], "lfs" if each["size"] > 5000 else "regular") for each in files]
        self._send(200, {"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes]})

    def batch(self, body: bytes, name: str) -> None:
        del name
        address, wanted = self.server.address, json.loads(body)["objects"]
        objects: list[dict[str, Any]] = [{"oid": each["oid"], "size": each["size"]} for each in wanted]
        for each in objects:
            if each["oid"] not in self.server.stored:
                each["actions"] = {"upload": {"href": f"{address}/stored/{each['oid']}"}}
        self._send(200, {"transfer": "basic", "objects": objects})

    def store(self, body: bytes, digest: str) -> None:
        assert hashlib.sha256(body).hexdigest() == digest
        self.server.stored[digest] = body
        self._send(200, {})

    def commit(self, body: bytes, name: str, branch: str) -> None:
        repository = self.server.repositories[name]
        files = repository.branches[branch]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
            else:
                repository.commits.append(value["summary"])
        url = f"{self.server.address}/{name}/commit/{_commit(files)}"
        self._send(200, {"success": True, "commitOid": _commit(files), "commitUrl": url})

    def about(self, body: bytes, name: str, branch: str = "main") -> None:
        if (files := self._files(name, branch)) is not None:
            self._send(200, {"id": name.partition("/")[2], "sha": _commit(files), "siblings": [], "private": False})

    def tree(self, body: bytes, name: str, branch: str) -> None:
        if (files := self._files(name, branch)) is not None:
            self._send(200, [_described(path, content) for path, content in files.items()])

    def paths(self, body: bytes, name: str, branch: str) -> None:
        if (files := self._files(name, branch)) is not None:
            asked = re.findall(r"paths=([^&]+)", body.decode())
            self._send(200, [_described(path, files[path]) for path in map(unquote, asked) if path in files])

    def resolve(self, body: bytes, kind: str | None, name: str, branch: str, path: str) -> None:
        files = self._files(f"{kind or 'models/'}{name}", branch)
        if files is None or path not in files:
            return
        content, code = files[path], 200
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            content, code = content[int(found[1]) : int(found[2]) + 1], 206
        self._send(code, content)

    def _files(self, name: str, branch: str) -> dict[str, bytes] | None:
        repository = self.server.repositories.get(name)
        branches = {} if repository is None else repository.branches
        files = next((files for key, files in branches.items() if branch in (key, _commit(files))), None)
        if files is None:
            error = "RepoNotFound" if repository is None else "RevisionNotFound"
            self._send(404, {"error": "not found"}, {"X-Error-Code": error})
        return files

    def _send(self, code: int, content: Any, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing of what was asked."""


_NAME = r"((?:models|datasets)/[^/]+/[^/]+)"
_ROUTES: list[tuple[str, Any]] = [
    ("/api/repos/create", _Handler.create),
    ("/api/validate-yaml", lambda self, body: self._send(200, {"errors": [], "warnings": []})),
    (rf"/api/{_NAME}/branch/(.+)", _Handler.branch),
    (rf"/api/{_NAME}/preupload/(.+)", _Handler.preupload),
    (rf"/api/{_NAME}/commit/(.+)", _Handler.commit),
    (rf"/api/{_NAME}/revision/(.+)", _Handler.about),
    (rf"/api/{_NAME}/tree/([^/]+)", _Handler.tree),
    (rf"/api/{_NAME}/paths-info/(.+)", _Handler.paths),
    (rf"/api/{_NAME}", _Handler.about),
    (r"/(.+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"/stored/(.+)", _Handler.store),
    (r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler.resolve),
]


def _commit(files: dict[str, bytes]) -> str:
    return hashlib.sha1(
        b"".join(name.encode() + hashlib.sha1(files[name]).digest() for name in sorted(files))
    ).hexdigest()


def _described(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve an empty hub until the end."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
