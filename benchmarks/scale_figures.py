"""What `benchmarks/scale.py` computes from: values of lines in `benchmarks/results`, and named assumptions."""

from typing import NamedTuple


class Figure(NamedTuple):
    """A number that something is computed from."""

    name: str
    value: float
    unit: str
    source: str
    """The line that measured it, or why it is assumed."""


class Wanted(NamedTuple):
    """Which value of which line a figure is."""

    name: str
    field: str
    unit: str
    file: str
    benchmark: str
    of: dict[str, object]


MEASURED = {
    "places fp32": Wanted(
        "places encoded by neighbourhood, fp32", "points_per_second", "/s", "neighbourhood-2026-11-27.jsonl",
        "neighbourhood", {"table": "rate", "side": "neighbourhood", "precision": "fp32"},
    ),
    "places bf16": Wanted(
        "the same, bf16 units", "points_per_second", "/s", "neighbourhood-2026-11-27.jsonl",
        "neighbourhood", {"table": "rate", "side": "neighbourhood", "precision": "bf16"},
    ),
    "cells": Wanted(
        "cells of the planet at resolution 6", "index_cells", "", "latency-planet-2026-11-27.jsonl",
        "latency", {"resolution": 9, "effort": "default"},
    ),
    "written cells": Wanted(
        "cells of the index whose writing was timed", "cells", "", "bench-full-2026-11-26.jsonl",
        "build", {"resolution": 6},
    ),
    "written s": Wanted(
        "seconds of writing it", "stages_s/Writing the index", "s", "bench-full-2026-11-26.jsonl",
        "build", {"resolution": 6},
    ),
    "open s": Wanted(
        "seconds to open the planet, digests checked", "warm_open_s", "s", "latency-planet-2026-11-27.jsonl",
        "latency", {"resolution": 9, "effort": "default"},
    ),
    "lookups default": Wanted(
        "lookups to resolution 9, effort default, 512 a call", "per_second", "/s", "latency-planet-2026-11-27.jsonl",
        "latency", {"resolution": 9, "effort": "default"},
    ),
    "lookups fast": Wanted(
        "the same, effort fast", "per_second", "/s", "latency-planet-2026-11-27.jsonl",
        "latency", {"resolution": 9, "effort": "fast"},
    ),
    "tower avx2": Wanted(
        "CLIP's tower, fp32, AVX2", "per_second", "/s", "bench-full-2026-11-26.jsonl",
        "side by side", {"side": "project", "task": "tower"},
    ),
    "tower xeon": Wanted(
        "CLIP's tower, fp32, AVX-512", "per_second", "/s", "bench-quick-2026-11-26.jsonl",
        "side by side", {"side": "project", "task": "tower"},
    ),
    "decode": Wanted(
        "photos decoded, one process, so one core", "per_second", "/s", "bench-full-2026-11-26.jsonl",
        "side by side", {"side": "project", "task": "decode"},
    ),
    "memory": Wanted(
        "memory of a searching process", "rss_gb", "GB", "latency-planet-2026-11-27.jsonl",
        "latency", {"resolution": 9, "effort": "default"},
    ),
}  # fmt: skip

ASSUMED = {
    "core price": Figure("a core an hour, rented on demand", 0.045, "$", "a sixteenth of a 16-core machine's price"),
    "gpu rate": Figure("CLIP ViT-L/14 on one small GPU, bf16", 300, "/s", "50 TFLOP/s of use at 162 GFLOP a photo"),
    "gpu price": Figure("that GPU an hour, with 8 cores", 1.20, "$", "an L4 or A10 of the large clouds, on demand"),
    "store price": Figure("a GB a month in a bucket", 0.023, "$", "S3 standard; other classes cost less"),
    "put price": Figure("1,000 writes to a bucket", 0.005, "$", "S3 standard"),
    "get price": Figure("1,000 reads from a bucket", 0.0004, "$", "S3 standard, in the bucket's own region"),
    "photo bytes": Figure(
        "a photo", 400e3, "bytes", "1,600 pixels wide, JPEG; phones' originals have ten times as many"
    ),
    "row bytes": Figure("a row of answers in Parquet", 1e3, "bytes", "five places with names and shares"),
    "copy rate": Figure(
        "bytes from a bucket to one machine", 300e6, "/s", "four copies at once, on a 10 Gbit/s network"
    ),
    "rows a part": Figure("photos a file of answers", 4096, "", "as `--part-rows`"),
}
"""What nobody here has measured."""
