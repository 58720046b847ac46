"""One service for each module of tests, in this process."""

import os
from collections.abc import Iterator

import pytest

from geoclip.encoders.location import LocationEncoder
from tests.helpers.served import ServedWork, served_work
from tests.helpers.small_release import SmallRelease

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from fastapi.testclient import TestClient

from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions
from geoclip.serve.app import create_app
from geoclip.serve.service import Service
from geoclip.serve.settings import KEY_VARIABLE, ServedOptions, ServeOptions


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, encoder: LocationEncoder, small_towers: SmallRelease) -> ServedWork:
    """A small index, photos and vectors."""
    return served_work(tmp_path_factory.mktemp("work"), encoder, small_towers)


@pytest.fixture(scope="module")
def client(work: ServedWork) -> Iterator[TestClient]:
    """The service of the index and of the released gallery."""
    assert KEY_VARIABLE not in os.environ
    yield from opened(work, ServeOptions(photos=5, vectors=50, upload_mb=1, notice="Random weights."))


def opened(work: ServedWork, settings: ServeOptions) -> Iterator[TestClient]:
    """Yield a client of a service in this process."""
    service = Service.open(
        ServedOptions(index=(str(work.basel), "all=none")),
        IndexOptions(),
        PhotoOptions(),
        ModelOptions(),
        MachineOptions(device="cpu", workers=1),
        settings,
    )
    with TestClient(create_app(service), base_url="http://localhost") as client:
        yield client
    service.close()
