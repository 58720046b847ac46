"""The service is asked what its own description (OpenAPI) allows, and what it does not: it never breaks."""

import os
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.helpers.served import ServedWork

EXAMPLES = int(os.environ.get("GEOCLIP_EXAMPLES", "25"))
"""Of each operation and mode; `schemathesis run http://127.0.0.1:8000/openapi.json -n 1000` asks thousands."""
LOCAL = {"Host": "localhost"}
OPERATIONS = [
    ("POST", "/v1/locate"),
    ("POST", "/v1/search"),
    ("POST", "/v1/embed"),
    ("GET", "/v1/index"),
    ("GET", "/health"),
    ("GET", "/ready"),
]


@pytest.fixture(scope="module")
def described(client: TestClient) -> BaseSchema:
    """The service in this process, as schemathesis asks it."""
    return schemathesis.openapi.from_asgi("/openapi.json", client.app, headers=LOCAL)


def test_every_operation_is_tested(described: BaseSchema) -> None:
    operations: list[Any] = [each.ok() for each in described.get_all_operations()]  # type: ignore[union-attr]
    found = {(each.method.upper(), each.path) for each in operations}
    assert found == set(OPERATIONS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (*operation, mode)
        for operation in OPERATIONS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or operation[0] == "POST"  # the others take nothing that could be wrong
    ],
)
def test_requests_made_of_the_description(
    described: BaseSchema, method: str, path: str, mode: GenerationMode, work: ServedWork
) -> None:
    """No 5xx, documented statuses and types, schemas hold, what contradicts the description is refused.

    Not all that fits the description is answered: it does not say which countries there are.
    """
    assert work.basel.is_dir()
    operation = described[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def asked(case: Any) -> None:
        case.call_and_validate(headers=LOCAL, excluded_checks=[positive_data_acceptance])

    asked()
