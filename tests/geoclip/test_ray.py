"""The class for batches of Ray's data sets, called as Ray calls it; Ray is not needed."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from geoclip.locator import Locator
from geoclip.ray import Locate
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease


@pytest.fixture(scope="module")
def locator(small_towers: SmallRelease) -> Locator:
    return Locator.open("none", device="cpu", release=small_towers.release, clip_path=small_towers.clip)


def test_a_row_is_an_answer_whatever_stands_for_the_photo(locator: Locator, tmp_path: Path) -> None:
    paths = [make_photo(tmp_path / f"{number}.png", seed=number) for number in range(3)]
    expected = [answer.best.cell for answer in locator.locate(paths, k=3)]
    values: list[list[Any]] = [
        [None, *(str(path) for path in paths)],
        [None, *(path.as_uri() for path in paths)],
        [None, *(path.read_bytes() for path in paths)],
    ]
    for column in values:
        locate = Locate(column="it", keep=("n",), opened=locator, workers=0, k=3)
        given = {"it": column, "n": list(range(4))}
        for batch in (pa.table(given), {"it": np.array(column, dtype=object), "n": np.arange(4)}):
            answers = locate(batch)
            assert answers["n"].to_pylist() == [0, 1, 2, 3]
            assert answers["error"].to_pylist() == ["The row has no photo.", None, None, None]
            rows = answers["predictions"].to_pylist()
            assert [row[0]["cell"] for row in rows[1:]] == expected
            assert [len(row) for row in rows] == [0, 3, 3, 3]


def test_vectors(locator: Locator, encoder: LocationEncoder) -> None:
    places = np.array([(48.0, 2.0), (-33.0, 18.0), (35.0, 139.0)])
    vectors = encoder.embed(places)
    locate = Locate(column="v", opened=locator)
    listed: list[Any] = [*(3 * vectors).tolist(), None, [0.0] * 512, [float("nan")] * 512]
    for batch in (pa.table({"v": listed}), {"v": np.concatenate([vectors, np.zeros((3, 512), np.float32)])}):
        answers = locate(batch)
        assert answers["error"].to_pylist() == [None] * 3 + ["The row has no vector."] * 3
        expected = locator.search(vectors, k=1)
        best = [row[0]["score"] for row in answers["predictions"].to_pylist()[:3]]
        assert best == pytest.approx(expected.scores[:, 0].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        ("x", ["a"], "The batch has the columns it, and no 'x'"),
        ("it", [1, 2], "holds int; geoclip.ray.Locate needs a column of photos"),
        ("it", [[1.0, 2.0]], r"has the shape \(2,\); 512 numbers are needed"),
    ],
)
def test_other_columns(locator: Locator, column: str, values: list[Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Locate(column=column, opened=locator)(pa.table({"it": values}))
    with pytest.raises(InputError, match="no option 'contry'; did you mean country"):
        Locate(column=column, opened=locator, contry="FR")
    with pytest.raises(InputError, match="holds bytes and str"):
        Locate(column="it", opened=locator)({"it": ["a", b"b"]})


def test_options_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from geoclip import extras

    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    job = ("locate", tmp_path, "--parts", tmp_path / "job")
    done = geoclip(*job, "--on", "ray")
    assert_refused(done, "--on ray needs ray, which this installation lacks; run `pip install 'geoclip-planet[ray]'`")
    for command in ("locate", "embed", "search"):
        asked = (command, tmp_path, "--parts", tmp_path / "job", "--engine", "ray")
        assert_refused(geoclip(*asked), "--on ray needs ray, which this installation lacks")
    assert_refused(geoclip(*job, "--actors", "2"), "add --on ray")
    assert_refused(geoclip(*job, "--on", "ray", "--finish"), "before --finish")
    assert_refused(geoclip("locate", tmp_path, "--engine", "ray"), "given with --parts")
