"""The description of ingest's API is valid, complete, and true of a running service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.ingest.receivers.bodies import MEDIA_TYPES
from services.ingest.receivers.otlp import JSON, PROTOBUF
from services.ingest.receivers.refusals import TITLES
from tests.parts.ingest_site import Site, running

FUZZ_S_MAX = 60
EXAMPLES = 12  # an operation and phase
# `positive_data_acceptance` is left out: what is no access is refused though its JSON has the right shape.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,ignored_auth"
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as found:
        yield found


def test_the_description_is_valid(site: Site) -> None:
    """OpenAPI 3.1."""
    described = site.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_the_description_is_complete(site: Site) -> None:
    """Every media type, every status of the contract, Retry-After where it always is, three ways to send a key."""
    described = site.client.get("/openapi.json").json()
    native, otlp = (described["paths"][path]["post"] for path in ("/api/v1/ingest/{source}", "/v1/logs"))
    assert set(native["requestBody"]["content"]) == set(MEDIA_TYPES)
    assert set(otlp["requestBody"]["content"]) == {JSON, PROTOBUF}
    for operation in (native, otlp):
        assert set(operation["responses"]) == {"200", *map(str, TITLES)}
        assert all(operation["responses"][status]["headers"]["Retry-After"]["required"] for status in ("429", "503"))
        assert len(operation["security"]) == 3
    assert set(described["components"]["securitySchemes"]) == {name for need in native["security"] for name in need}


def test_the_service_does_what_the_description_says(site: Site, tmp_path: Path) -> None:
    """schemathesis sends what fits the description and what does not, with a good key and without."""
    described = site.client.get("/openapi.json").json()
    (source,) = [p for p in described["paths"]["/api/v1/ingest/{source}"]["post"]["parameters"] if p["in"] == "path"]
    source["schema"]["enum"] = ["web"]  # any other name is a 403 and nothing more
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", "openapi.json"),
        *("--url", str(site.client.base_url), "--header", f"Authorization: {site.client.headers['authorization']}"),
        *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"),
        *("--seed", "1", "--max-failures", "3", "--no-shrink"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FUZZ_S_MAX, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    metrics = site.client.get("/metrics").text
    for route in ("/api/v1/ingest/{source}", "/v1/logs"):
        assert f'route="{route}",status="200"' in metrics  # some of it was taken
    assert 'status="500"' not in metrics
