"""Whether `geoclip serve` gives the bytes that the command line gives.

    python -m benchmarks.serve_equal INDEX [--photos 50] [--vectors 200] [--requests 1000] [--out FILE.jsonl]

Simulated queries as vectors, and made-up pictures as photos, through whatever CLIP `$GEOCLIP_CLIP_CHECKPOINT` names:
where its weights are random, places mean nothing, and bytes are bytes. The command answers for all vectors in one run
and all photos in another. The service is asked for each vector alone, by 32 callers at once, until there were as many
requests as wanted; for all photos in one request; and for each photo alone, by one caller and by 32.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import parser
from benchmarks.results import Results
from benchmarks.serve_load import Connection, body, simulated, started

CALLERS = 32
Answers = list[bytes]


def main() -> None:
    """Compare, print and save; exit code 1 if a byte differs."""
    options = parser(__doc__)
    options.add_argument("--photos", type=int, default=50)
    options.add_argument("--vectors", type=int, default=200)
    options.add_argument("--requests", type=int, default=1000)
    arguments = options.parse_args()
    index = arguments.index.resolve()
    results = Results(arguments.out and arguments.out.absolute())
    vectors = simulated(index, arguments.vectors)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        np.save("v.npy", vectors)
        names = [_picture(number) for number in range(arguments.photos)]
        by_vector = _command("search", str(index), "v.npy")
        by_photo = _command("locate", *names, "-i", str(index))
        process, port = started(index, vectors_only=False)
        try:
            rows = [row % len(vectors) for row in range(arguments.requests)]
            asked = [body(vectors[row : row + 1], [str(row)], lines=True) for row in rows]
            found = asyncio.run(_answers(port, asked, CALLERS))
            single = [_of_photos([name]) for name in names]
            alone, many = (asyncio.run(_answers(port, single, callers)) for callers in (1, CALLERS))
            (together,) = asyncio.run(_answers(port, [_of_photos(names)], 1))
        finally:
            process.terminate()
            process.wait(timeout=200)
    values = {
        "vector_requests": len(rows),
        "vectors_that_differ": sum(a != by_vector[row] for a, row in zip(found, rows, strict=True)),
        "photos": len(names),
        "photos_in_one_request_that_differ": Counter(
            a != b for a, b in zip(together.splitlines(keepends=True), by_photo, strict=True)
        )[True],
        "photos_from_32_callers_that_differ_from_one_caller": sum(a != b for a, b in zip(alone, many, strict=True)),
    }
    results.add("serve-equal", {"callers": CALLERS, "simulated": True, "vectors": len(vectors)}, values)
    sys.exit(any(count for name, count in values.items() if "differ" in name))


def _picture(number: int) -> str:
    pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    name = f"{number}.png"
    Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC).save(name)
    return name


def _command(*arguments: str) -> Answers:
    """Return the lines that a command prints."""
    command = [sys.executable, "-m", "geoclip", *arguments, "-f", "jsonl"]
    return subprocess.run(command, capture_output=True, check=True).stdout.splitlines(keepends=True)


def _of_photos(names: list[str]) -> bytes:
    """Return a request for photos."""
    part = b"--b\r\nContent-Disposition: form-data; name=p; filename=%s\r\n\r\n%s\r\n"
    content = b"".join(part % (name.encode(), Path(name).read_bytes()) for name in names) + b"--b--"
    head = "POST /v1/locate HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}{kind}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def _answers(port: int, requests: list[bytes], callers: int) -> Answers:
    """Return the answers to requests, in their order, asked by so many at once."""
    answers, waiting = [b""] * len(requests), list(enumerate(requests))

    async def caller() -> None:
        connection = Connection(port)
        while waiting:
            at, request = waiting.pop()
            reply = await connection.ask(request)
            if reply.status != 200:
                raise SystemExit(f"{reply.status}: {reply.content!r}")
            answers[at] = reply.content

    await asyncio.gather(*(caller() for _ in range(callers)))
    return answers


if __name__ == "__main__":
    main()
