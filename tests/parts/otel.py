"""OTLP log requests, as an exporter makes them: protobuf, and the same in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

SECOND_NS = 1_000_000_000
NOW_NS = 1_795_435_200 * SECOND_NS  # 2026-11-23 12:00 UTC, `NOW` of tests.parts.edge
ACCESS = {
    "client.address": "192.0.2.7",
    "http.request.method": "GET",
    "url.path": "/agenda",
    "http.response.status_code": 200,
    "user_agent.original": "Mozilla/5.0 (X11)",
}

Entry = tuple[Mapping[str, Any], Any]  # (attributes, body)


def access(number: int) -> Entry:
    """Unlike every other number's."""
    return {**ACCESS, "url.path": f"/pages/{number}"}, None


def packed(entries: Sequence[Entry], time_ns: int = NOW_NS) -> bytes:
    records = [
        LogRecord(
            time_unix_nano=time_ns,
            attributes=[KeyValue(key=key, value=_value(value)) for key, value in attributes.items()],
            body=None if body is None else _value(body),
            trace_id=bytes(range(16)),
        )
        for attributes, body in entries
    ]
    scope = ScopeLogs(log_records=records)
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])]).SerializeToString()


def as_json(entries: Sequence[Entry], time_ns: int = NOW_NS) -> bytes:
    records = [
        {
            "timeUnixNano": str(time_ns),
            "attributes": [{"key": key, "value": _json(value)} for key, value in attributes.items()],
            "traceId": bytes(range(16)).hex(),
            **({} if body is None else {"body": _json(body)}),
        }
        for attributes, body in entries
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def _value(value: Any) -> AnyValue:
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    if isinstance(value, dict):
        pairs = [KeyValue(key=key, value=_value(each)) for key, each in value.items()]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=value)


def _json(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_json(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": _json(each)} for key, each in value.items()]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
