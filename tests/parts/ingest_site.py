"""A running ingest on a real socket, with the log behind it as a switch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from services.ingest.committer import Committer
from services.ingest.plane import missing, open_receiver
from services.ingest.publisher import Publisher
from services.ingest.receivers.http import ingest_app
from services.ingest.service import Ingest
from services.runtime.web.server import serving
from tests.parts.edge import AwayLog, opened


@dataclass
class Site:
    """A running ingest and a client that has the key of `web`."""

    ingest: Ingest
    log: AwayLog
    client: httpx.Client
    app: FastAPI

    def send(self, body: bytes, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/api/v1/ingest/web", content=body, headers={"content-type": "text/plain"} | names)

    def send_json(self, value: object) -> httpx.Response:
        return self.send(json.dumps(value).encode(), content_type="application/json")


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Site]:
    with opened(folder, **settings) as ingest:
        key = ingest.sources.add_key("web", ingest.clock.now()).key
        log = AwayLog(ingest.log)
        committer = Committer(ingest.request_claims, Publisher(log), ingest.clock)
        app = ingest_app(open_receiver(ingest, committer), lambda: missing(ingest))
        try:
            with serving(app, "127.0.0.1:0") as (host, port):
                base, auth = f"http://{host}:{port}", {"authorization": f"Bearer {key}"}
                with httpx.Client(base_url=base, headers=auth) as client:
                    yield Site(ingest, log, client, app)
        finally:
            committer.close()
