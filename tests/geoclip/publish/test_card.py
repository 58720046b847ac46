"""Cards: true of their index, safe to read, and no hindrance to the index beside which they stand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import RepoCard

from geoclip.release.directory import Release
from geoclip.release.fetch import RELEASED_MODEL
from index.storage.artifact import check_replaceable, verify
from index.storage.directory import read_manifest
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.sealing import resealed
from tests.helpers.synthetic import ALPS, small_index


@pytest.fixture
def index(tmp_path: Path) -> Path:
    shutil.copytree(small_index(ALPS), tmp_path / "alps")
    return tmp_path / "alps"


def measured(index: Path, **changes: Any) -> dict[str, Any]:
    about = read_manifest(index)
    parameters = {
        "table": "effort",
        "effort": "fast",
        "kind": "hard",
        "queries": 200,
        "resolution": 7,
        "simulated": True,
    }
    parameters |= {"index_cells": about.cells, "coarse_resolution": about.coarse_res} | changes
    values = {"found_1": 0.991, "found_10": 0.875, "encodings": 205.4}
    return {"benchmark": "recall", "parameters": parameters, "values": values, "date": "2026-11-27"}


def front(card: str) -> dict[str, Any]:
    """What the hub's own reader finds before the text."""
    return dict(RepoCard(card).data.to_dict())  # type: ignore[no-untyped-call]


def test_it_says_what_the_index_is(index: Path) -> None:
    done = geoclip("card", index)
    assert done.exit_code == 0, done.stderr
    card, about = (index / "README.md").read_text(), read_manifest(index)
    assert front(card)["license"] == "other"  # whose gallery this is nobody knows
    assert front(card)["library_name"] == "geoclip-planet"
    for words in (
        f"{about.cells:,} of [H3]",
        "| region | test |",
        "**say it here**",
        "CC BY 4.0",
        "Nothing was measured",
    ):
        assert words in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert verify(index) == []
    check_replaceable(index, replace=True)
    assert_refused(geoclip("card", index), "README.md exists; replace it with --overwrite")
    assert geoclip("card", index, "--overwrite", "--license", "cc0-1.0").exit_code == 0
    assert front((index / "README.md").read_text())["license"] == "cc0-1.0"


def test_the_released_model_and_gallery_have_their_licences(index: Path) -> None:
    def released(about: dict[str, Any]) -> None:
        about["model"], about["gallery"]["source"], about["region"] = (
            RELEASED_MODEL,
            "released with GeoCLIP 1.3.0",
            None,
        )

    resealed(index, released)
    card = geoclip("card", index, "-o", "-").stdout
    assert front(card)["license"] == "cc-by-4.0"
    assert "say it here" not in card
    assert card.count("| MIT |") == 2
    assert "| region | all land |" in card
    assert not (index / "README.md").exists()


def test_the_digest_of_the_released_model(release: Release) -> None:
    assert release.model_digest == RELEASED_MODEL


def test_measured_recall_stands_in_it(index: Path, tmp_path: Path) -> None:
    results = tmp_path / "recall.jsonl"
    lines = [measured(index), measured(index, kind="place"), measured(index) | {"benchmark": "latency"}]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    card = geoclip("card", index, "--results", results, "-o", "-").stdout
    assert "200 simulated queries of each kind" in card
    assert "| fast | hard | 0.991 | 0.875 | 205 |\n| fast | place | 0.991" in card
    results.write_text(json.dumps(measured(index, index_cells=5)))
    assert_refused(
        geoclip("card", index, "--results", results), "was measured with 5 cells of resolution 6; this index has"
    )
    for content in ("{}", "[", "[]", '{"benchmark": 3}', "\xff", "[" * 100_000, ""):
        results.write_bytes(content.encode("latin-1"))
        done = geoclip("card", index, "--results", results)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done


def test_names_in_an_index_are_words_and_never_markup(index: Path) -> None:
    def hostile(about: dict[str, Any]) -> None:
        about["region"]["name"] = "a|b\n# <script>alert(1)</script> [x](javascript:y)"
        about["gallery"]["source"] = "\n---\nlicense: evil"

    resealed(index, hostile)
    card = geoclip("card", index, "-o", "-").stdout
    assert front(card)["license"] == "other"
    assert "<script>" not in card.replace("\\<", "")
    assert "\n# \\<" not in card
    assert "](javascript" not in card.replace("\\]", "")


def test_what_is_not_an_index(tmp_path: Path) -> None:
    assert_refused(geoclip("card", tmp_path), "is not an index")
    assert list(tmp_path.iterdir()) == []
