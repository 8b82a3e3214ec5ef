"""The files a page loads: read once, named by their content, cached for good, never from another host."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["SHARED_ASSETS", "Assets"]

SHARED_ASSETS = Path(__file__).parent / "assets"
_SUFFIXES = frozenset({".css", ".js", ".svg"})
_HASH_DIGITS = 12  # 48 bits tell versions of one file apart; nobody gains by a collision
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    media_type: str
    plain: bytes
    packed: bytes


class Assets:
    """`/assets/{hash}/{name}` for every .css, .js and .svg of the folders given."""

    def __init__(self, *folders: Path) -> None:
        self._by_url: dict[str, _Asset] = {}
        self._urls: dict[str, str] = {}
        for file in (file for folder in folders for file in sorted(folder.iterdir())):
            if file.suffix in _SUFFIXES:
                self._add(file)

    def url(self, name: str) -> str:
        """The address of today's content of `name`; `KeyError` when there is no such file."""
        return self._urls[name]

    def answer(self, request: Request) -> Response:
        asset = self._by_url.get(request.url.path)
        if asset is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        headers = {"cache-control": _FOR_GOOD, "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers=headers | {"content-encoding": "gzip"}, media_type=asset.media_type)
        return Response(asset.plain, headers=headers, media_type=asset.media_type)

    def _add(self, file: Path) -> None:
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
        self._urls[file.name] = f"/assets/{digest}/{file.name}"
        media_type = mimetypes.types_map[file.suffix]
        self._by_url[self._urls[file.name]] = _Asset(media_type, content, gzip.compress(content, mtime=0))
