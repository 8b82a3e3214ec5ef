"""What a collector or syslog puts before a server's own line, taken off again.

Kubernetes (CRI) writes `2026-11-02T10:00:00.000000001Z stdout F LINE`; syslog
`<134>Nov  2 10:00:00 host haproxy[7]: LINE` without year and zone, which is why the inner time counts, or
RFC 5424's and rsyslog's ISO times.
"""

from __future__ import annotations

import polars as pl

__all__ = ["unwrap"]

_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})"
_CRI = rf"{_ISO} std(?:out|err) [FP] "
_PRIORITY = r"(?:<[0-9]{1,3}>)"
_TAG = r"(?:[!-9;-Z\\-~]+ )?[!-9;-Z\\-~]+(?:\[[0-9]*\])?: "  # host and tag hold neither ":" nor "["
_RFC3164 = rf"{_PRIORITY}?(?:[A-Z][a-z]{{2}} [ 0-9][0-9] [0-9:]{{8}}|{_ISO}) {_TAG}"
_STRUCTURED = r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+)'
_RFC5424 = rf"{_PRIORITY}?1 {_ISO} (?:[!-~]+ ){{4}}{_STRUCTURED} (?:\x{{FEFF}})?"
_ENVELOPE = rf"^\x00*(?:{_CRI}|{_RFC3164}|{_RFC5424}|{_PRIORITY})"  # the last: HAProxy's `format short`
_STARTS = r"^\x00*(?:<[0-9]|[A-Z][a-z]{2} [ 0-9][0-9] |1 [0-9]{4}-|[0-9]{4}-[0-9]{2}-[0-9]{2}T)"


def unwrap(lines: pl.Series) -> pl.Series:
    """The servers' own lines; what stands in no envelope is left as it is."""
    wrapped = lines.str.contains(_STARTS)
    if not wrapped.any():
        return lines
    bare = lines.filter(wrapped).str.replace(_ENVELOPE, "")
    return lines.clone().scatter(pl.arange(0, lines.len(), eager=True).filter(wrapped), bare)
