"""The gallery is embedded once, kept, renewed when anything changed, and never trusted when damaged."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from geoclip.encoders.embedded_gallery import distinct_rows, embedded_gallery
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError

PLACES = np.array([[1, 2], [3, 4], [1, 2], [-5, 6], [3, 4], [0.0, 0.0], [-0.0, -0.0]], dtype=np.float32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path))
    return tmp_path / "gallery"


@pytest.fixture
def random_encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(from_pretrained=False, precision="fp32").eval()


def test_distinct_rows_keep_first_order_and_map_back() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(-3, 3, (200, 2)).astype(np.float32)
    distinct, row_of = distinct_rows(rows)
    assert np.array_equal(distinct[row_of], rows)
    seen = list(dict.fromkeys(map(tuple, rows.tolist())))
    assert [tuple(row) for row in distinct.tolist()] == seen


def test_vectors_are_those_of_the_encoder(cache: Path, random_encoder: LocationEncoder) -> None:
    gallery = embedded_gallery(random_encoder, PLACES)
    assert gallery.lat_lng.tolist() == [[1, 2], [3, 4], [-5, 6], [0, 0]]
    assert gallery.row_of.tolist() == [0, 1, 0, 2, 1, 3, 3]
    np.testing.assert_allclose(gallery.vectors.numpy(), random_encoder.embed(gallery.lat_lng), atol=1e-6)


def test_a_second_time_reads_the_file(cache: Path, random_encoder: LocationEncoder) -> None:
    calls: list[int] = []
    first = embedded_gallery(random_encoder, PLACES, on_progress=lambda done, _: calls.append(done))
    again = embedded_gallery(random_encoder, PLACES, on_progress=lambda done, _: calls.append(-done))
    assert calls == [4]
    assert torch.equal(first.vectors, again.vectors)
    assert len(list(cache.iterdir())) == 1


def test_other_weights_or_places_are_other_files(cache: Path, random_encoder: LocationEncoder) -> None:
    embedded_gallery(random_encoder, PLACES)
    embedded_gallery(random_encoder, PLACES[:3])
    with torch.no_grad():
        next(random_encoder.parameters()).mul_(1.5)
    changed = embedded_gallery(random_encoder, PLACES)
    assert len(list(cache.iterdir())) == 3
    np.testing.assert_allclose(changed.vectors.numpy(), random_encoder.embed(changed.lat_lng), atol=1e-6)


def test_a_cache_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_encoder: LocationEncoder
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match=r"Cannot write .*Not a directory"):
        embedded_gallery(random_encoder, PLACES, on_progress=lambda *_: pytest.fail("it was embedded"))


def test_a_full_disk_is_said_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, random_encoder: LocationEncoder
) -> None:
    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(InputError, match=r"No space left while writing .*\.safetensors"):
        embedded_gallery(random_encoder, PLACES)
    assert list(cache.iterdir()) == []


def no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("damage", ["truncate", "zero", "empty"])
def test_a_damaged_file_is_made_again(cache: Path, random_encoder: LocationEncoder, damage: str) -> None:
    expected = embedded_gallery(random_encoder, PLACES).vectors.clone()
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "zero":
        content[-2048:] = bytes(2048)
    file.write_bytes(content[:-1] if damage == "truncate" else b"" if damage == "empty" else content)
    assert torch.equal(embedded_gallery(random_encoder, PLACES).vectors, expected)
