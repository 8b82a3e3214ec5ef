"""The request line -> method, target, protocol."""

from __future__ import annotations

import polars as pl

__all__ = ["split_request"]

# One-pass patterns: the Rust engine needs no backtracking and no capture search for them.
_USUAL = r"^(?P<method>[A-Z]+) (?P<target>[^ ]+) (?P<protocol>HTTP/[0-9.]+)$"
# Blanks in the target, HTTP/0.9, lower-case methods, hypercorn's bare version: rare, so only tried on what is left.
_UNUSUAL = r"^(?P<method>[A-Za-z]{1,20}) +(?P<target>[^ ].*?)(?: +(?P<protocol>HTTP/[0-9.]{1,4}|[123]|[12]\.[01]))? *$"


def split_request(request: pl.Series) -> pl.DataFrame:
    """Columns method (upper case), target, protocol; all null where there is no request line, such as the
    empty one of a 400 or a TLS greeting on a plain port."""
    parts = request.str.extract_groups(_USUAL).struct.unnest()
    left = parts["method"].is_null() & request.is_not_null()
    if not left.any():
        return parts
    rare = request.filter(left).str.extract_groups(_UNUSUAL).struct.unnest()
    rare = rare.with_columns(pl.col("method").str.to_uppercase())
    rows = pl.arange(0, request.len(), eager=True).filter(left)
    return parts.with_columns(parts[name].scatter(rows, rare[name]) for name in parts.columns)
