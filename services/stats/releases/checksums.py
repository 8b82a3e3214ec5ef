"""SHA256SUMS, as `sha256sum -c` reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

__all__ = ["NAME", "SIGNATURE", "parse", "render"]

NAME = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.minisig"
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)")  # plain names: nothing leads out of the folder


def render(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files)).encode()


def parse(data: bytes) -> dict[str, str] | None:
    """File name -> hex digest; None when a line is not one, or a name comes twice."""
    lines = data.decode("utf-8", "replace").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    sums = {match[2]: match[1] for match in found if match}
    return sums if sums and len(sums) == len(lines) else None
