"""Signatures in minisign's format: one key a purpose, and nothing passes that was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.runtime.keys import FileKeyService
from services.runtime.minisign import (
    CERTIFICATE_KEY,
    RELEASE_KEY,
    existing_public_key,
    public_key_file,
    public_key_line,
    read_public_key,
    sign,
    signed_comment,
)


def test_the_public_key_is_read_from_a_file_or_a_line(tmp_path: Path) -> None:
    """Both forms that minisign uses; anything else is refused."""
    keys = FileKeyService(tmp_path / "keys")
    (tmp_path / "voile.pub").write_bytes(public_key_file(keys, RELEASE_KEY))
    from_file = read_public_key(str(tmp_path / "voile.pub"))
    assert from_file == read_public_key(public_key_line(keys, RELEASE_KEY))
    with pytest.raises(Fatal, match="neither"):
        read_public_key("RWnonsense")
    assert existing_public_key(FileKeyService(tmp_path / "none"), RELEASE_KEY) is None


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    """A signature with the key of releases is none of a certificate, and a changed byte is none at all."""
    keys = FileKeyService(tmp_path / "keys")
    signature = sign(keys, CERTIFICATE_KEY, b"text", "case 1", what="certificate")
    certificates, releases = (read_public_key(public_key_line(keys, n)) for n in (CERTIFICATE_KEY, RELEASE_KEY))
    assert signed_comment(certificates, b"text", signature) == "case 1"
    assert signed_comment(certificates, b"texT", signature) is None
    assert signed_comment(releases, b"text", signature) is None
