"""Checks a package with its public key alone.

1. Only plain files, no links or folders. 2. `SHA256SUMS` carries the key's signature, in the form in which it is
written. 3. Every listed file is there with its checksum, and no other file is. 4. The signature's comment names the
release that `datapackage.json` says it is, so that no package passes for another.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from minisign import PublicKey

from services.runtime.errors import Fatal
from services.runtime.minisign import is_as_written, signed_comment
from services.stats.releases import checksums

__all__ = ["verify"]

FILE_BYTES_MAX = 1 << 30  # far more than a year of releases; a larger file is an attack on the reader


def verify(folder: Path, key: PublicKey) -> list[str]:
    """What is wrong with the package, one sentence each; empty when it is whole. Raises `Fatal` on no package."""
    if not (folder / checksums.NAME).is_file() or not (folder / checksums.SIGNATURE).is_file():
        raise Fatal(f"{folder} is no release: it has no {checksums.NAME} with a {checksums.SIGNATURE}.")
    if problems := _not_plain(folder):  # 1
        return problems
    listing = (folder / checksums.NAME).read_bytes()
    signature = (folder / checksums.SIGNATURE).read_bytes()
    comment = signed_comment(key, listing, signature)
    if comment is None:  # 2: nothing the folder says of itself can be believed
        return [f"{checksums.NAME} is not signed by this key, or was changed after it was signed."]
    if not is_as_written(signature, "release"):
        return [f"{checksums.SIGNATURE} was changed where no signature covers it."]
    return _against_listing(folder, listing) or _against_comment(folder, comment)  # 3, 4


def _not_plain(folder: Path) -> list[str]:
    return [
        f"{path.name} is no plain file, or too large."
        for path in sorted(folder.iterdir())
        if path.is_symlink() or not path.is_file() or path.stat().st_size > FILE_BYTES_MAX
    ]


def _against_listing(folder: Path, listing: bytes) -> list[str]:
    expected = checksums.parse(listing)
    if expected is None:
        return [f"{checksums.NAME} is not in the form that sha256sum writes."]
    there = {p.name for p in folder.iterdir()} - {checksums.NAME, checksums.SIGNATURE}
    missing = [f"{name} is missing." for name in sorted(expected.keys() - there)]
    added = [f"{name} does not belong to the release." for name in sorted(there - expected.keys())]
    changed = [
        f"{name} was changed."
        for name in sorted(there & expected.keys())
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected[name]
    ]
    return missing + added + changed


def _against_comment(folder: Path, comment: str) -> list[str]:
    package = json.loads((folder / "datapackage.json").read_bytes())
    if comment.startswith(f"voile release {package['name']} {package['version']} "):
        return []
    return ["The signature is of another release than datapackage.json says."]
