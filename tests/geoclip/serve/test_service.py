"""What the service takes and gives: bodies, formats, options and errors. The work is that of the command line."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from geoclip.errors import InputError
from geoclip.serve.formats import OFFERED
from geoclip.serve.settings import KEY_VARIABLE, ServeOptions
from geoclip.writers.answer_schema import answer_schema
from tests.geoclip.serve.conftest import opened
from tests.helpers.commands import geoclip
from tests.helpers.served import ServedWork

IMAGE = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}
LINES = {"Accept": "application/x-ndjson"}


def problem(response: Any, status: int, words: str) -> None:
    """Check that a request was refused in one sentence."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    said = response.json()
    assert (said["status"], said["type"]) == (status, "about:blank")
    assert words in said["detail"], said["detail"]
    assert len(said["detail"].splitlines()) == 1


def files(work: ServedWork, count: int, *others: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """Return photos as httpx takes several files."""
    photos = [("photos", (path.name, path.read_bytes())) for path in work.photos[:count]]
    return [*photos, *(("photos", other) for other in others)]


# -- photos -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_photo_is_answered_as_the_command_line_answers(
    client: TestClient, work: ServedWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work.folder / "photos")
    options = {"k": "3", "country": "CH", "point": "25", "crops": "10", "apart_km": "5"}
    flags = ["-k", "3", "--country", "CH", "--point", "25", "--crops", "10", "--apart", "5"]
    for path in work.photos[:2]:
        own = geoclip("locate", path.name, "-i", work.basel, *flags, "-f", "jsonl", "--workers", "1")
        bodies: dict[str, dict[str, Any]] = {
            "raw": {"content": path.read_bytes(), "headers": IMAGE | LINES, "params": options | {"name": path.name}},
            "multipart": {"files": {"x": (path.name, path.read_bytes())}, "headers": LINES, "params": options},
            "json": {
                "json": {"photos": [{"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()}]},
                "headers": LINES,
                "params": options,
            },
        }
        for kind, request in bodies.items():
            assert client.post("/v1/locate", **request).text == own.stdout, kind


def test_several_photos_of_which_one_is_none(client: TestClient, work: ServedWork) -> None:
    sent = files(work, 2, ("bad.jpg", b"\xff\xd8 not a photo"))
    given = client.post("/v1/locate", files=sent, params={"vector": "true", "k": 1}).json()
    assert [answer["query"] for answer in given["answers"]] == ["0.png", "1.png", "bad.jpg"]
    assert [answer["error"] is None for answer in given["answers"]] == [True, True, False]
    assert [vector and len(vector) for vector in given["vectors"]] == [512, 512, None]
    for answer in given["answers"]:
        jsonschema.validate(answer, answer_schema())
    streamed = client.post("/v1/locate", files=sent, params={"k": 1}, headers=LINES)
    assert [json.loads(line) for line in streamed.text.splitlines()] == given["answers"]
    problem(client.post("/v1/locate", content=b"\xff\xd8 x", headers=IMAGE), 422, "photo 0: ")
    problem(client.post("/v1/locate", content=b"\xff\xd8 x", headers=IMAGE | LINES), 422, "photo 0: ")


def test_a_vector_that_was_given_out_is_searched_again_with_another_constraint(
    client: TestClient, work: ServedWork
) -> None:
    photo: dict[str, Any] = {"content": work.photos[0].read_bytes(), "headers": IMAGE}
    first = client.post("/v1/locate", **photo, params={"vector": True, "crops": 10}).json()
    again: dict[str, Any] = {"vectors": first["vectors"], "names": ["photo 0"], "means": True}
    options: dict[str, Any] = {"not_country": "FR", "near": "47.5,7.6,9"}
    searched = client.post("/v1/search", json=again, params=options).json()
    located = client.post("/v1/locate", **photo, params=options | {"crops": 10}).json()
    assert searched == located
    assert located != first


def test_photos_of_one_place_are_answered_together(client: TestClient, work: ServedWork) -> None:
    given = client.post(
        "/v1/locate", files=files(work, 3, ("bad.jpg", b"no")), params={"together": True, "vector": True}
    )
    joint, bad = given.json()["answers"]
    assert joint["query"] == "0.png and 2 more"
    assert (bad["query"], bad["predictions"]) == ("bad.jpg", [])
    vectors = client.post("/v1/embed", files=files(work, 3)).json()["vectors"]
    np.testing.assert_allclose(given.json()["vectors"][0], np.mean(vectors, axis=0), atol=1e-6)


def test_words_alone_and_beside_photos(client: TestClient, work: ServedWork) -> None:
    alone = client.post("/v1/locate", params={"text": ["a red bus", "a lake"], "k": 1})
    assert [answer["query"] for answer in alone.json()["answers"]] == ["a red bus", "a lake"]
    photo: dict[str, Any] = {"content": work.photos[0].read_bytes(), "headers": IMAGE}
    one = client.post("/v1/locate", params={"text": "a red bus", "k": 1}).json()  # two differ in the last digits
    both = client.post("/v1/locate", **photo, params={"text": "a red bus", "text_weight": 1, "k": 1}).json()
    assert both["answers"][0]["predictions"] == one["answers"][0]["predictions"]
    problem(client.post("/v1/locate", **photo, params={"text": ["a", "b"]}), 422, "2 texts")
    problem(client.post("/v1/locate"), 422, "no photo in the body")


def test_embed_gives_vectors_of_the_model(client: TestClient, work: ServedWork) -> None:
    given = client.post("/v1/embed", files=files(work, 2, ("bad.jpg", b"no"))).json()
    vectors = np.array(given["vectors"][:2])
    assert given["names"] == ["0.png", "1.png", "bad.jpg"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert given["vectors"][2] is None
    assert given["errors"][:2] == [None, None]
    assert "photo" in given["errors"][2]
    assert given["model"] == client.get("/v1/index").json()["indexes"][0]["model"]
    problem(client.post("/v1/embed"), 400, "empty")
    problem(client.post("/v1/embed", content=b"\xff\xd8 x", headers=IMAGE), 422, "photo 0: ")


# -- vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_vectors_are_answered_as_the_command_line_answers(client: TestClient, work: ServedWork) -> None:
    np.save(work.folder / "v.npy", work.vectors)
    own = geoclip("search", work.basel, work.folder / "v.npy", "-k", "2", "-f", "jsonl")
    table = io.BytesIO()
    pq.write_table(pa.table({"vector": list(work.vectors)}), table)
    for kind, content in (
        ("application/x-npy", (work.folder / "v.npy").read_bytes()),
        ("application/json", work.json_vectors()),
        ("application/json", work.json_vectors(names=["0", "1", "2"])),
        ("application/vnd.apache.parquet", table.getvalue()),
        ("application/octet-stream", table.getvalue()),
    ):
        given = client.post("/v1/search", content=content, params={"k": 2}, headers={"Content-Type": kind} | LINES)
        assert given.text == own.stdout, kind


def test_unusable_vectors_are_named_and_the_others_answered(client: TestClient, work: ServedWork) -> None:
    rows = [*work.vectors.tolist(), [0.0] * 512, [1e39] * 512]
    answers = client.post("/v1/search", json={"vectors": rows}).json()["answers"]
    assert [answer["error"] is None for answer in answers] == [True, True, True, False, False]
    npy = io.BytesIO()
    np.save(npy, np.array([*work.vectors, np.full(512, np.nan)], dtype=np.float32))
    answers = client.post("/v1/search", content=npy.getvalue()).json()["answers"]
    assert [answer["error"] is None for answer in answers] == [True, True, True, False]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"vectors": [[1, 2]]}', 422, "2 numbers; 512"),
        (b'{"vectors": []}', 422, "at least 1"),
        (b'{"vectors": [[]]}', 422, "0 numbers; 512"),
        (b'{"vectors": [["x"]]}', 422, "number"),
        (b'{"vectors": [[NaN]]}', 422, "not what is expected"),
        (b'{"vectors": [[1]], "naems": []}', 422, "naems"),
        (b'{"vectors": [[1], [2]], "names": ["a"]}', 422, "1 names and 2 vectors"),
        (b'{"vectors": [[1]], "model": "abc"}', 422, "another model"),
        (b"{", 422, "not what is expected"),
        (b"", 400, "empty"),
    ],
)
def test_json_that_holds_no_vectors(client: TestClient, body: bytes, status: int, words: str) -> None:
    problem(client.post("/v1/search", content=body, headers=JSON), status, words)


def test_files_that_hold_no_vectors(client: TestClient) -> None:
    for content in (b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': 'O'}", b"PAR1 and nothing", b"PAR1" * 9):
        response = client.post("/v1/search", content=content)
        assert response.status_code == 422, response.text
    problem(client.post("/v1/search", content=b"\x00"), 422, "neither JSON nor")
    many = io.BytesIO()
    np.save(many, np.ones((51, 512), np.float16))
    problem(client.post("/v1/search", content=many.getvalue()), 422, "more than 50 vectors")


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_format_is_the_command_lines(client: TestClient, work: ServedWork) -> None:
    np.save(work.folder / "v.npy", work.vectors)
    for kind, name in (("application/geo+json", "geojson"), ("application/vnd.google-earth.kml+xml", "kml"),
                       ("text/csv", "csv"), ("application/x-ndjson", "jsonl")):  # fmt: skip
        geoclip("search", work.basel, work.folder / "v.npy", "-o", work.folder / f"v.{name}", "--overwrite")
        given = client.post("/v1/search", content=work.json_vectors(), headers=JSON | {"Accept": kind})
        assert given.content == (work.folder / f"v.{name}").read_bytes()
        assert given.headers["content-type"].startswith(kind)
    page = client.post("/v1/search", content=work.json_vectors(), headers=JSON | {"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<html" in page.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("application/jsonl", "application/x-ndjson"),
        ("text/csv;q=0.2, application/geo+json;q=0.9", "application/geo+json"),
        ("image/png, application/json;q=0.1", "application/json"),
    ],
)
def test_accept_chooses_the_format(client: TestClient, work: ServedWork, accept: str, kind: str) -> None:
    given = client.post("/v1/search", content=work.json_vectors(), headers=JSON | {"Accept": accept})
    assert given.headers["content-type"].partition(";")[0] == kind
    assert kind in OFFERED


def test_answers_say_how_long_their_stages_took_and_csv_is_csv(client: TestClient, work: ServedWork) -> None:
    photo: dict[str, Any] = {"content": work.photos[0].read_bytes(), "headers": IMAGE | {"Accept": "text/csv"}}
    given = client.post("/v1/locate", **photo, params={"k": 4, "apart_km": 0})
    stages = [part.partition(";")[0].strip() for part in given.headers["server-timing"].split(",")]
    assert stages == ["decode", "clip", "search", "names"]
    assert given.headers["cache-control"] == "no-store"
    assert len(list(csv.DictReader(io.StringIO(given.text)))) == 4


# -- options and errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"k": "abc"}, 422, "k: "),
        ({"k": 0}, 422, "at least 1"),
        ({"k": 100_000}, 422, "1 to 1000"),
        ({"contry": "FR"}, 422, "did you mean country?"),
        ({"country": "Atlantis"}, 422, "Atlantis"),
        ({"bbox": "1,2,3"}, 422, "bbox"),
        ({"region": "/etc/passwd"}, 422, "does not read"),
        ({"region": "x.geojson"}, 422, "does not read"),
        ({"not_region": "a/b"}, 422, "does not read"),
        ({"effort": "exhaustive"}, 422, "may take hours"),
        ({"effort": "lazy"}, 422, "fast"),
        ({"prior_weight": "nan"}, 422, "0 to 2"),
        ({"resolution": 3}, 422, "resolution"),
        ({"index": "mars"}, 404, "basel, all"),
    ],
)
def test_options_that_are_not_allowed(
    client: TestClient, work: ServedWork, options: dict[str, Any], status: int, words: str
) -> None:
    problem(client.post("/v1/search", content=work.json_vectors(), headers=JSON, params=options), status, words)


@pytest.mark.parametrize(
    ("address", "request_", "status", "words"),
    [
        ("locate", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "text/plain"),
        ("locate", {"data": {"a": "b"}}, 415, "urlencoded"),
        ("locate", {"content": b"x", "headers": IMAGE | {"Content-Encoding": "gzip"}}, 415, "packed"),
        ("locate", {"content": b"x", "headers": IMAGE | {"Accept": "image/png"}}, 406, "application/json"),
        ("locate", {"content": b"x" * (1 << 20) + b"x", "headers": IMAGE}, 413, "1 MB"),
        ("locate", {"content": iter([b"x" * 999_999] * 2), "headers": IMAGE}, 413, "1 MB"),
        ("locate", {"files": [("p", ("a.jpg", b"x"))] * 6}, 413, "more photos than 5"),
        ("locate", {"content": b"{}", "headers": JSON}, 400, "photos"),
        ("locate", {"content": b'{"photos": [{"data": "%"}]}', "headers": JSON}, 400, "base64"),
        ("locate", {"content": b"--", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        ("locate", {"content": b"--b", "headers": {"Content-Type": "multipart/form-data; boundary=a"}}, 400, "proper"),
        ("search", {"content": b"x", "headers": IMAGE}, 415, "image/png"),
        ("nothing", {"content": b"x"}, 405, "Method Not Allowed"),
    ],
)
def test_bodies_that_are_refused(
    client: TestClient, address: str, request_: dict[str, Any], status: int, words: str
) -> None:
    problem(client.post(f"/v1/{address}", **request_), status, words)


def test_addresses_without_an_answer(client: TestClient) -> None:
    problem(client.get("/v1/nothing"), 404, "Not Found")
    refused = client.get("/v1/locate")
    problem(refused, 405, "")
    assert refused.headers["allow"] == "POST"


def test_what_is_served_and_counted(client: TestClient, work: ServedWork) -> None:
    said = client.get("/v1/index").json()
    assert said["notice"] == "Random weights."
    assert (said["default"], said["photos"]) == ("basel", True)
    assert said["limits"] == {"upload_mb": 1, "photos": 5, "vectors": 50}
    assert [(each["name"], each["candidates"]) for each in said["indexes"]] == [("basel", "planet"), ("all", "gallery")]
    answer = client.post("/v1/search", content=work.json_vectors(), headers=JSON, params={"index": "all"}).json()
    assert answer["answers"][0]["searched"]["candidates"] == "gallery"
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    counted = client.get("/metrics").text
    assert 'geoclip_requests_total{route="/v1/search",status="200"}' in counted
    assert 'geoclip_batch_size_count{stage="search"}' in counted
    assert 'geoclip_stage_seconds_count{stage="search"}' in counted
    assert "geoclip_queue 0.0" in counted
    assert "geoclip_upload_bytes 0.0" in counted


def test_a_page_of_another_site_cannot_ask_through_its_name(client: TestClient) -> None:
    problem(client.get("/v1/index", headers={"Host": "evil.example"}), 403, "localhost")
    assert client.get("/v1/index", headers={"Host": "127.0.0.1:8000"}).status_code == 200


# -- the key ----------------------------------------------------------------------------------------------------------


def test_a_key_is_needed_where_others_can_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(InputError, match=KEY_VARIABLE):
            ServeOptions(host=host)
        assert ServeOptions(host=host, api_key="secret").key == "secret"
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert ServeOptions(host=host).key == ""
    monkeypatch.setenv(KEY_VARIABLE, "from the environment")
    assert ServeOptions(host="0.0.0.0").key == "from the environment"


def test_who_has_no_key_is_refused(work: ServedWork) -> None:
    for client in opened(work, ServeOptions(host="0.0.0.0", api_key="secret", vectors_only=True)):
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "secret"},
            {"X-API-Key": "Bearer secret"},
        ):
            refused = client.get("/v1/index", headers=headers)
            problem(refused, 401, "Authorization: Bearer")
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert client.get("/metrics", headers=headers).status_code == 401
        for headers in ({"Authorization": "Bearer secret"}, {"X-API-Key": "secret"}):
            assert client.get("/v1/index", headers=headers).json()["photos"] is False
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers={"Host": "any.example"}).status_code == 200
        key = {"X-API-Key": "secret"}
        problem(client.post("/v1/locate", content=b"x", headers=IMAGE | key), 404, "vectors alone")
        assert client.post("/v1/search", content=work.json_vectors(), headers=JSON | key).status_code == 200


def test_two_indexes_need_two_names(work: ServedWork) -> None:
    done = geoclip("serve", "-i", work.basel, "-i", work.basel, "--vectors-only")
    assert done.exit_code == 2
    assert "NAME=DIR" in done.stderr
    assert geoclip("serve", "--host", "0.0.0.0").exit_code == 2
    missing = geoclip("serve", "-i", Path("nowhere"), "--vectors-only")
    assert (missing.exit_code, "nowhere" in missing.stderr) == (2, True)
