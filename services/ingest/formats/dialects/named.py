"""AWS's documented layouts: names in their order, with the quotes and brackets that a line has around them.

Source: "Access logs for your Application Load Balancer", "... Classic Load Balancer", "Amazon S3 server access log
format". Fields were added at the end over the years, so what follows is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.templates import reading_of, tokens_of
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import ANY_TAIL, WORD, Token, Var
from services.ingest.formats.text_format import text_format

__all__ = ["ALB", "ELB", "S3", "named_format"]

ALB = (
    "type time elb client:port target:port request_processing_time target_processing_time response_processing_time "
    'elb_status_code target_status_code received_bytes sent_bytes "request" "user_agent" ssl_cipher ssl_protocol '
    'target_group_arn "trace_id" "domain_name"'
)
ELB = (
    "time elb client:port target:port request_processing_time target_processing_time response_processing_time "
    'elb_status_code target_status_code received_bytes sent_bytes "request" "user_agent"'
)
S3 = (
    'bucket_owner bucket [clf_time] remote_ip requester request_id operation key "request" http_status error_code '
    'bytes_sent object_size total_time turn_around_time "referer" "user_agent"'
)
_ROLES: Mapping[str, str] = {
    **{"client:port": "address", "remote_ip": "address", "requester": "user", "time": "time", "clf_time": "time"},
    **{"request_processing_time": "duration", "target_processing_time": "duration_2"},
    **{"response_processing_time": "duration_3", "total_time": "duration", "request": "request"},
    **{"elb_status_code": "status", "http_status": "status", "sent_bytes": "bytes", "bytes_sent": "bytes"},
    **{"referer": "referrer", "user_agent": "user_agent", "domain_name": "host"},
}
_OWN = frozenset({"status", "bytes"})
_NAME = re.compile(r"[a-z_:0-9]+")


def named_format(text: str, name: str, description: str) -> Format:
    """AWS writes ASCII alone outside of quotes, which the engine reads three times as fast as any text."""
    tokens = tokens_of(text, _NAME, _token)
    return text_format(name, description, tokens, reading_of(tokens, Escape.BACKSLASH), tail=ANY_TAIL)


def _token(match: re.Match[str]) -> Token:
    name = match[0]
    unit_ms = 1 if name == "total_time" else 1000
    time = "clf" if name == "clf_time" else "any"
    role = _ROLES.get(name)
    return Var(name, role, "" if role in _OWN or _stands_marked(match) else WORD, time=time, unit_ms=unit_ms)


def _stands_marked(match: re.Match[str]) -> bool:
    """In quotes or brackets."""
    return match.string[match.start() - 1 : match.start()] in {'"', "["}
