"""Assets: named by content, unchanged since their release, nothing loaded from elsewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from services.runtime.web.static import SHARED_ASSETS, Assets

_ROW = re.compile(r"^\| (\S+\.(?:js|css)) \| .* \| ([0-9a-f]{64}) \|$", re.MULTILINE)


def test_the_vendored_files_are_those_that_were_noted() -> None:
    """Every file of the list has the noted sum, and every minified file is in the list."""
    noted = dict(_ROW.findall((SHARED_ASSETS / "VENDORED.md").read_text("utf-8")))
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in SHARED_ASSETS.glob("*.min.*")}
    assert noted == found


def test_an_address_changes_with_the_content(tmp_path: Path) -> None:
    """A browser that keeps a file for good never shows an old one."""
    (tmp_path / "a.css").write_text("a {}")
    before = Assets(tmp_path).url("a.css")
    (tmp_path / "a.css").write_text("b {}")
    assert Assets(tmp_path).url("a.css") != before


def test_a_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    """A template that names a file which is not there fails in tests, not in a browser."""
    with pytest.raises(KeyError):
        Assets(tmp_path).url("nothing.css")


def test_own_files_load_nothing_from_elsewhere() -> None:
    """No address of another host in Voile's style, script or icons (XML's namespace is a name, not an address)."""
    for name in ("voile.css", "voile.js", "icons.svg", "logo.svg"):
        text = (SHARED_ASSETS / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9]+\.", text), name
