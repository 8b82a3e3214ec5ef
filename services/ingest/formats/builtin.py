"""The formats Voile knows by name, each from its vendor's own string or documented fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.apache import apache_format
from services.ingest.formats.dialects.envoy import envoy_format
from services.ingest.formats.dialects.haproxy import haproxy_format
from services.ingest.formats.dialects.named import ALB, ELB, S3, named_format
from services.ingest.formats.dialects.python import python_format
from services.ingest.formats.dialects.w3c import w3c_format
from services.ingest.formats.json_format import FIRST, Path, json_format
from services.ingest.formats.native import NATIVE
from services.ingest.formats.otlp_json import OTLP_JSON
from services.ingest.formats.pattern import ANY_TAIL
from services.ingest.formats.roles import Reading

__all__ = ["builtin_formats"]

_COMMON = '%h %l %u %t "%r" %>s %b'
_COMBINED = f'{_COMMON} "%{{Referer}}i" "%{{User-Agent}}i"'
_TRAEFIK = f'{_COMBINED} %{{requests}}e "%{{router}}e" "%{{server}}e" %{{ms}}Tms'
_HAPROXY = (  # option httplog; a syslog header before it is taken off
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
)
_ENVOY = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
_GUNICORN = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
_UVICORN = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
_IIS = (
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) "
    "sc-status sc-substatus sc-win32-status time-taken"
)
_CLOUDFRONT = (
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes "
    "time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)


def builtin_formats() -> Sequence[Format]:
    """In the order in which `voile formats list` shows them."""
    return [
        apache_format(_COMBINED, "combined", "common with referrer and user agent (nginx's default)", ANY_TAIL),
        apache_format(_COMMON, "common", "Apache and nginx: address, user, time, request, status, bytes"),
        apache_format(f"%v:%p {_COMBINED}", "vhost_combined", "combined after Apache's %v:%p", ANY_TAIL),
        _json("nginx_json", "nginx log_format with escape=json and the usual variable names", _NGINX, 1000),
        NATIVE,
        _json("caddy", "Caddy's access log (JSON)", _CADDY, 1000),
        apache_format(_TRAEFIK, "traefik_clf", "Traefik's access log, format common"),
        _json("traefik_json", "Traefik's access log, format json", _TRAEFIK_JSON, 1e-6),
        haproxy_format(_HAPROXY, "haproxy_http", "HAProxy's option httplog, with or without its syslog header"),
        w3c_format(_IIS, "iis_w3c", "IIS and other W3C logs; #Fields lines are followed wherever they come"),
        named_format(ALB, "aws_alb", "AWS Application Load Balancer"),
        named_format(ELB, "aws_elb", "AWS Classic Load Balancer"),
        w3c_format(_CLOUDFRONT, "cloudfront", "Amazon CloudFront standard logs"),
        named_format(S3, "s3_access", "Amazon S3 server access logs"),
        envoy_format(_ENVOY, "envoy", "Envoy's default access log; the client is the last of X-Forwarded-For"),
        python_format(_GUNICORN, "gunicorn", "gunicorn's and hypercorn's default access log"),
        python_format(_UVICORN, "uvicorn", "uvicorn's access log; it carries no time"),
        _json("ecs_json", "Elastic Common Schema, nested or with dotted names", _ECS, 1e-6),
        OTLP_JSON,
    ]


def _json(name: str, description: str, places: Mapping[str, Sequence[Path | str]], duration_ms: float) -> Format:
    paths = {role: [p if isinstance(p, tuple) else (p,) for p in found] for role, found in places.items()}
    return json_format(name, description, paths, Reading(duration_ms=duration_ms, time_required=True))


def _header(name: str) -> Path:
    """Caddy writes each header as a list."""
    return ("request", "headers", name, FIRST)


def _nested(*names: str) -> list[Path | str]:
    """ECS in both spellings: a dotted key, and objects within objects."""
    return [spelling for name in names for spelling in (tuple(name.split(".")), name)]


# $request_uri is as sent, $uri already rewritten.
_NGINX: Mapping[str, Sequence[Path | str]] = {
    "time": ["msec", "time_iso8601", "time_local", "time", "timestamp", "@timestamp"],
    "address": ["remote_addr", "client_ip", "client"],
    "forwarded": ["http_x_forwarded_for"],
    "forwarded_7239": ["http_forwarded"],
    "real_ip": ["http_x_real_ip"],
    "user": ["remote_user"],
    "request": ["request"],
    "method": ["request_method", "method"],
    "target": ["request_uri", "uri"],
    "protocol": ["server_protocol"],
    "status": ["status"],
    "bytes": ["body_bytes_sent", "bytes_sent"],
    "duration": ["request_time"],
    "referrer": ["http_referer", "http_referrer", "referer"],
    "user_agent": ["http_user_agent", "user_agent"],
    "host": ["host", "http_host", "server_name"],
    "route": ["route"],
    "event": ["event"],
    "gpc": ["http_sec_gpc", "sec_gpc", "gpc"],
    "dnt": ["http_dnt", "dnt"],
}
_CADDY: Mapping[str, Sequence[Path | str]] = {
    "time": ["ts"],
    "address": [("request", "client_ip"), ("request", "remote_ip"), ("request", "remote_addr")],
    "forwarded": [_header("X-Forwarded-For")],
    "forwarded_7239": [_header("Forwarded")],
    "real_ip": [_header("X-Real-Ip")],
    "user": ["user_id"],
    "method": [("request", "method")],
    "target": [("request", "uri")],
    "protocol": [("request", "proto")],
    "status": ["status"],
    "bytes": ["size"],
    "duration": ["duration"],
    "referrer": [_header("Referer")],
    "user_agent": [_header("User-Agent")],
    "host": [("request", "host")],
    "gpc": [_header("Sec-Gpc")],
    "dnt": [_header("Dnt")],
}
_TRAEFIK_JSON: Mapping[str, Sequence[Path | str]] = {
    "time": ["StartUTC", "StartLocal", "time"],
    "address": ["ClientHost", "ClientAddr"],
    "forwarded": ["request_X-Forwarded-For"],
    "forwarded_7239": ["request_Forwarded"],
    "real_ip": ["request_X-Real-Ip"],
    "user": ["ClientUsername"],
    "method": ["RequestMethod"],
    "target": ["RequestPath"],
    "protocol": ["RequestProtocol"],
    "status": ["DownstreamStatus"],
    "bytes": ["DownstreamContentSize"],
    "duration": ["Duration"],
    "referrer": ["request_Referer"],
    "user_agent": ["request_User-Agent"],
    "host": ["RequestHost", "RequestAddr"],
    "gpc": ["request_Sec-Gpc"],
    "dnt": ["request_Dnt"],
}
_ECS: Mapping[str, Sequence[Path | str]] = {
    "time": ["@timestamp"],
    "address": _nested("client.ip", "client.address", "source.ip", "source.address"),
    "user": _nested("user.name", "user.id"),
    "method": _nested("http.request.method"),
    "path": _nested("url.path", "url.original", "url.full"),
    "query": _nested("url.query"),
    "version": _nested("http.version"),
    "status": _nested("http.response.status_code"),
    "bytes": _nested("http.response.body.bytes", "http.response.bytes"),
    "duration": _nested("event.duration"),
    "referrer": _nested("http.request.referrer"),
    "user_agent": _nested("user_agent.original"),
    "host": _nested("url.domain", "destination.domain"),
}
