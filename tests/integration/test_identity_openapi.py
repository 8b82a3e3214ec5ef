"""The description of the identity service's API is valid, and true of a running service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.parts.console import Console, a_console
from tests.parts.identity import TENANT

FUZZ_S_MAX = 120
EXAMPLES = 10  # an operation and phase
# `positive_data_acceptance` is left out: an account that was erased is refused though it has the right shape.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth"
)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with a_console(tmp_path) as running:
        yield running


def _described(console: Console) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{console.url}/openapi.json").json()
    return found


def test_the_description_is_valid(console: Console) -> None:
    """OpenAPI 3.1."""
    described = _described(console)
    assert str(described["openapi"]).startswith("3.1")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_the_service_does_what_the_description_says(console: Console, tmp_path: Path) -> None:
    """schemathesis sends what fits the description and what does not, with a good key and without."""
    described = _described(console)
    paths = described["paths"]
    assert isinstance(paths, dict)
    for operation in (operation for path in paths.values() for operation in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "tenant":
                parameter["schema"]["enum"] = [TENANT]  # any other is a 403 and nothing more
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    key = console.access.api_keys.add(TENANT, "tests")
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", "openapi.json"),
        *("--url", console.url, "--header", f"Authorization: Bearer {key}"),
        *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"),
        *("--seed", "1", "--max-failures", "3", "--no-shrink"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FUZZ_S_MAX, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    metrics = httpx.get(f"{console.url}/metrics").text
    for route in ("/api/v1/accounts/{tenant}/{account:path}", "/dsr/v1/discovery"):
        assert f'route="{route}",status="2' in metrics, route  # some of it was taken
    assert 'status="500"' not in metrics
