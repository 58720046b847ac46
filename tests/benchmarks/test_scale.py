"""`benchmarks/scale.md` is what the committed results give, and its arithmetic is right."""

import json
from pathlib import Path

import pytest

from benchmarks.results import ROOT
from benchmarks.scale import PHOTOS, RESULTS, Scale, measured, page
from benchmarks.scale_figures import ASSUMED, MEASURED


@pytest.fixture(scope="module")
def scale() -> Scale:
    known = {key: measured(wanted, RESULTS) for key, wanted in MEASURED.items()}
    return Scale({key: figure.value for key, figure in (known | ASSUMED).items()})


def test_the_page_is_that_of_the_results() -> None:
    written = (ROOT / "benchmarks" / "scale.md").read_text(encoding="utf-8")
    assert written == page(), "run `python -m benchmarks.scale --out benchmarks/scale.md`"


def test_it_follows_the_results(tmp_path: Path) -> None:
    for path in {wanted.file for wanted in MEASURED.values()}:
        lines = [json.loads(line) for line in (RESULTS / path).read_text().splitlines()]
        for line in lines:
            if line["benchmark"] == "side by side" and line["parameters"]["task"] == "tower":
                line["values"]["per_second"] = 1000.0
        (tmp_path / path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "| CLIP on cores, AVX2 | 556 core hours | $25 |" in page(tmp_path)  # 1e9 / 1000 / 3600 * 2 cores; 4.5 cents


def test_a_planet_as_it_was_built(scale: Scale) -> None:
    """Against what `index/README.md` says was measured: 1.71 GB on disk, 29.2 million encodings."""
    cost = scale.planet(6)
    assert cost.index_bytes == pytest.approx(1.71e9, rel=0.05)
    assert cost.encodings == pytest.approx(29.2e6, rel=0.01)
    assert scale.encode_h(6) * 3600 == pytest.approx(29.2e6 / 50_502, rel=0.01)


def test_hours_and_dollars_by_hand(scale: Scale) -> None:
    assert scale.core_h(100.0, 2) == pytest.approx(PHOTOS / 100 * 2 / 3600)
    assert scale.core_price(1000.0) == pytest.approx(45.0)
    assert scale.copy_s(8) == pytest.approx(204_505_910 * (1024 + 12 + 136) / 300e6, rel=0.01)


def test_a_line_that_is_not_there_is_named(tmp_path: Path) -> None:
    wanted = MEASURED["decode"]
    (tmp_path / wanted.file).write_text("")
    with pytest.raises(ValueError, match=r"0 lines of bench-full-2026-11-26.jsonl are side by side .*; 1 should be"):
        measured(wanted, tmp_path)
