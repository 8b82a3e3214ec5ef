"""The tenants: what the operator agreed with each client organisation, told to every plane on `tenant.v1`.

The compacted topic is the registry itself (docs/adr/0030): there is no second copy to disagree with.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from services.runtime import avro
from services.runtime.errors import Poison, WrongUse
from services.runtime.log.interface import EventLog, Message, Record
from services.runtime.logs import get_logger
from services.runtime.marks import N_
from services.runtime.retention.kinds import KINDS, SETTABLE
from services.runtime.topics import TOPICS

__all__ = ["SIZE_CLASSES", "STATUSES", "Refused", "Registry", "Tenant", "validate"]

STATUSES = ("active", "suspended", "terminating", "terminated")
SIZE_CLASSES = ("small", "medium", "large")
ID_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label: ids stand in URLs and file names
HOST_PATTERN = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)
ROUTE_PATTERN = re.compile(r"/[^\s?#]{0,255}")
NAME_CHARACTERS_MAX = 200
HOSTS_MAX = 1000  # a tenant's record must stay far under one message of the log
ROUTES_MAX = 2000
_TOPIC = TOPICS["tenant"].name

_KINDS = N_("The type of data is one of: {known}.")
_HOSTS = (N_("A tenant has at most {n} hosts."), N_("{value!r} is no host; give one like {example}."))
_ROUTES = (N_("A tenant has at most {n} routes."), N_("{value!r} is no route; give one like {example}."))


class Refused(WrongUse):
    """The tenant cannot be registered like this; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One client organisation. `retention`: days by type of data (SETTABLE), `ends`: what happens then; the operator's
    where one is missing. `terminates_at`: when its data will be deleted, once that is scheduled."""

    tenant: str
    name: str
    updated_at: datetime
    hosts: tuple[str, ...] = ()
    status: str = "active"
    size_class: str = "small"
    releases: bool = False
    platform_releases: bool = False
    campaigns: bool = False
    routes: tuple[str, ...] = ()
    retention: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    terminates_at: datetime | None = None


class Registry:
    """The tenants as followed so far; `follow` from any thread."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._follower = log.follower([_TOPIC])
        self._tenants: dict[str, Tenant] = {}

    def follow(self) -> None:
        """Take in what was registered since the last call. Raises `Transient`."""
        with self._lock:
            for record in self._follower.poll():
                self._apply(record)

    def get(self, tenant: str) -> Tenant | None:
        return self._tenants.get(tenant)

    def all(self) -> Sequence[Tenant]:
        return [self._tenants[name] for name in sorted(self._tenants)]

    def add(self, tenant: Tenant) -> Tenant:
        """Register a tenant, or change it when its id is taken. Raises `Refused`, `Transient`.

        Host names are unique: a host tells whose access it was.
        """
        tenant = replace(tenant, hosts=tuple(dict.fromkeys(host.strip().lower() for host in tenant.hosts)))
        validate(tenant)
        self.follow()
        for other in self.all():
            if other.tenant != tenant.tenant and (shared := set(other.hosts) & set(tenant.hosts)):
                raise Refused(
                    "{host} already belongs to the tenant {tenant}; give another host.",
                    host=min(shared),
                    tenant=other.tenant,
                )
        self._log.send([Message(_TOPIC, tenant.tenant.encode(), _encode(tenant))])
        self.follow()
        return tenant

    def close(self) -> None:
        self._follower.close()

    def _apply(self, record: Record) -> None:
        name = record.key.decode("utf-8", "replace")
        if record.value is None:
            self._tenants.pop(name, None)
            return
        try:
            self._tenants[name] = _decode(record.value)
        except Poison as error:  # the entry before it stays in force; everybody else's are untouched
            get_logger().error("tenant record unreadable", reason=error.reason, first_offset=record.offset)


def validate(tenant: Tenant) -> None:
    """Raises `Refused` with what is wrong."""
    if not ID_PATTERN.fullmatch(tenant.tenant):
        raise Refused("A tenant's id has 1 to 63 lower-case letters, digits and dashes, such as chess-club.")
    if not tenant.name.strip() or len(tenant.name) > NAME_CHARACTERS_MAX or not tenant.name.isprintable():
        raise Refused("A tenant's name is one line of at most {n} characters.", n=NAME_CHARACTERS_MAX)
    _choose(N_("The status is one of: {known}."), tenant.status, STATUSES)
    _choose(N_("The size class is one of: {known}."), tenant.size_class, SIZE_CLASSES)
    _each(_HOSTS, tenant.hosts, HOST_PATTERN, HOSTS_MAX, "www.example.org")
    _each(_ROUTES, tenant.routes, ROUTE_PATTERN, ROUTES_MAX, "/members/{id}")
    for kind, days in tenant.retention.items():
        _choose(_KINDS, kind, SETTABLE)
        if days < 1:
            raise Refused("The retention of {kind} is a number of days, at least 1.", kind=kind)
    for kind, end in tenant.ends.items():
        _choose(_KINDS, kind, SETTABLE)
        ends = [known.value for known in KINDS[kind].ends]
        _choose(N_("The end of this type of data is one of: {known}."), end, ends)


def _choose(refusal: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise Refused(refusal, known=", ".join(known))


def _each(
    refusals: tuple[str, str], values: Sequence[str], pattern: re.Pattern[str], count_max: int, example: str
) -> None:
    too_many, unusable = refusals
    if len(values) > count_max:
        raise Refused(too_many, n=count_max)
    for value in values:
        if not pattern.fullmatch(value):
            raise Refused(unusable, value=value, example=example)


def _encode(tenant: Tenant) -> bytes:
    return avro.encode_record(
        {
            "tenant": tenant.tenant,
            "name": tenant.name,
            "hosts": list(tenant.hosts),
            "status": tenant.status,
            "size_class": tenant.size_class,
            "releases": tenant.releases,
            "platform_releases": tenant.platform_releases,
            "campaigns": tenant.campaigns,
            "routes": list(tenant.routes),
            "retention": orjson.dumps(dict(tenant.retention)).decode(),
            "ends": orjson.dumps(dict(tenant.ends)).decode(),
            "terminates_at": tenant.terminates_at,
            "updated_at": tenant.updated_at,
        },
        "tenant",
    )


def _decode(value: bytes) -> Tenant:
    """Absent fields take their defaults. Raises `Poison`."""
    row = avro.decode_record(value, "tenant")
    given = {name: entry for name, entry in row.items() if entry is not None}
    try:
        return Tenant(
            **{
                "name": given["tenant"],
                **given,
                "hosts": tuple(given.get("hosts", ())),
                "routes": tuple(given.get("routes", ())),
                "retention": orjson.loads(given.get("retention") or "{}"),
                "ends": orjson.loads(given.get("ends") or "{}"),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Poison("undecodable_record") from error
