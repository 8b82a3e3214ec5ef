"""Settings: one `voile.toml`, every key also as `VOILE_SECTION__KEY`; frozen and checked at start."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from services.runtime.errors import Fatal

__all__ = [
    "ROLES",
    "Identity",
    "Ingest",
    "Login",
    "Oidc",
    "OidcGroup",
    "Retention",
    "Settings",
    "Statistics",
    "load_settings",
    "local_path",
    "settings_file",
]

ENV_PREFIX = "VOILE_"
# What is read elsewhere and is no setting; VOILE_TEST_... belongs to the tests.
_NO_SETTINGS = frozenset({"VOILE_CACHE", "VOILE_CONFIG", "VOILE_TRACEBACK", "VOILE_VENV"})
_NO_SETTINGS_PREFIX = "VOILE_TEST_"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no time zone; give one like Europe/Paris") from error
    return name


def _listen(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("is no address; give one like 127.0.0.1:8080")
    return address


def _network(cidr: str) -> str:
    try:
        ipaddress.ip_network(cidr)
    except ValueError as error:
        raise ValueError("is no network; give one like 10.0.0.0/8, with zeros after the prefix") from error
    return cidr


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError("is no regular expression; give one like [A-Z]+-[0-9]+") from error
    return text


def _issuer(url: str) -> str:
    """A secret and people's names go there: in clear on this machine only."""
    parts = urlsplit(url)
    here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if url and (not parts.hostname or parts.scheme not in ({"https", "http"} if here else {"https"}) or parts.query):
        raise ValueError("is no issuer; give your provider's, like https://login.example.org/realms/staff")
    return url


def _oidc_group(value: Any) -> Any:
    """`GROUP=SERVICE:ROLE@TENANT`, as an environment variable has it."""
    if not isinstance(value, str):
        return value
    group, _, rights = value.rpartition("=")
    service, _, rest = rights.partition(":")
    role, _, tenant = rest.partition("@")
    return {"group": group, "service": service, "role": role, "tenants": [tenant] if tenant else []}


def _syslog_from(value: Any) -> Any:
    """`SOURCE@HOST:PORT` or `SOURCE@HOST:PORT CIDR`, as an environment variable has it."""
    if not isinstance(value, str):
        return value
    source, _, where = value.partition("@")
    listen, _, cidr = where.partition(" ")
    return {"source": source, "listen": listen, "cidr": cidr}


Zone = Annotated[str, AfterValidator(_zone)]
Listen = Annotated[str, AfterValidator(_listen)]
Network = Annotated[str, AfterValidator(_network)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Issuer = Annotated[str, AfterValidator(_issuer)]

# What people of each service's pages can be.
ROLES = {"identity": ("support", "dpo", "operator", "tenant-admin"), "statistics": ("viewer", "admin")}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(_Section):
    """Only read when `events` is kafka://..."""

    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str = ""
    replication: int = Field(1, ge=1, le=9)


class SyslogFrom(_Section):
    """Messages that come to `listen` (UDP and TCP), from a peer in `cidr` (empty: from anybody), are `source`'s."""

    source: str
    listen: Listen = "127.0.0.1:5514"
    cidr: Network | Literal[""] = ""


class Ingest(_Section):
    listen: Listen = "127.0.0.1:8080"
    records: str = "sqlite:///ingest.db"
    keys: str = "file:///keys/ingest"
    trusted_proxies: tuple[Network, ...] = ()
    body_bytes_max: int = Field(16 * 1024 * 1024, ge=1024)
    query_parameters: tuple[str, ...] = ()
    spool: str = "file:///spool"  # where accepted batches wait while Kafka is away
    spool_bytes_max: int = Field(1024**3, ge=1024)
    syslog: tuple[Annotated[SyslogFrom, BeforeValidator(_syslog_from)], ...] = ()


class Identity(_Section):
    listen: Listen = "127.0.0.1:8082"
    hosts: tuple[str, ...] = ()  # the names people reach it by, besides this machine's own
    records: str = "sqlite:///identity.db"
    keys: str = "file:///keys/identity"
    policies: str = ""  # a folder of .cedar files; empty: the ones shipped
    ticket_pattern: Pattern = r"[A-Z][A-Z0-9]{1,9}-[0-9]{1,9}"
    linked_days: int = Field(90, ge=1, le=365)
    phone_region: Annotated[str, StringConstraints(pattern=r"^([A-Z]{2})?$")] = ""  # of numbers without a country code
    rotate_keys_days: int = Field(0, ge=0, le=365)  # after an erasure, at most this often; 0: by hand alone
    keep_old_keys_days: int = Field(2, ge=0, le=31)  # time to make a new backup of person keys and of the key folder


class Statistics(_Section):
    listen: Listen = "127.0.0.1:8081"
    hosts: tuple[str, ...] = ()  # the names people reach it by, besides this machine's own
    records: str = "sqlite:///statistics.db"
    analytics: str = "chdb:///analytics"
    keys: str = "file:///keys/statistics"
    snapshot_minutes: int = Field(15, ge=1, le=120)
    release_public_key: str = ""
    countries: str = ""  # a .mmdb file; empty: the registries' tables that are shipped


class Retention(_Section):
    """How long each type of data is kept at most, in days; tenants may have less of some. Linked activity:
    `identity.linked_days`. Topics, claims and open days have terms of their own."""

    accounts_days: int = Field(1095, ge=1, le=3660)  # after the last that was heard of an account
    isolated_days: int = Field(365, ge=1, le=3660)  # of linked activity that was isolated at its end
    audit_days: int = Field(1825, ge=30, le=3660)  # reasons in the audit log, and grants; its entries stay
    cases_days: int = Field(1095, ge=30, le=3660)  # rights cases, after they were closed
    figures_days: int = Field(1825, ge=35, le=3660)  # published figures; a month must close before
    releases_days: int = Field(1825, ge=35, le=3660)  # noisy figures of releases
    deliveries_days: int = Field(1095, ge=30, le=3660)  # which partner took what, and what was done for partners
    notice_days: int = Field(30, ge=0, le=365)  # before a tenant that leaves is deleted


class OidcGroup(_Section):
    """Who is in `group` has `role` in `service`, for `tenants` (`*`: all of them)."""

    group: str = Field(min_length=1)
    service: Literal["identity", "statistics"]
    role: str
    tenants: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _role_is_known(self) -> Self:
        if self.role not in ROLES[self.service]:
            raise ValueError(f"the {self.service} service knows the roles {', '.join(ROLES[self.service])}")
        return self


class Oidc(_Section):
    """Signing in at an OpenID provider; used when `issuer` is given."""

    issuer: Issuer = ""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    scope: str = "openid profile"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    title: str = ""  # as the button says it: Sign in with ...; empty: your organisation, in the page's language
    groups: tuple[Annotated[OidcGroup, BeforeValidator(_oidc_group)], ...] = ()

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.issuer and not (self.client_id and self.groups):
            raise ValueError("issuer also needs client_id, and groups, without which nobody may do anything")
        if "openid" not in self.scope.split():
            raise ValueError("scope has the word openid in it, like: openid profile")
        return self


class Login(_Section):
    """How people sign in, to the identity and the statistics service alike."""

    second_factor: bool = True  # a password alone opens nothing
    trusted_proxies: tuple[Network, ...] = ()  # whose X-Forwarded-For is believed when tries are counted
    oidc: Oidc = Oidc()


class Settings(_Section):
    """Everything an operator can set. Relative stores lie in `data`."""

    data: Path = Path("voile-data")
    timezone: Zone = "UTC"
    events: str = "sqlite:///events.db"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    kafka: Kafka = Kafka()
    ingest: Ingest = Ingest()
    identity: Identity = Identity()
    statistics: Statistics = Statistics()
    login: Login = Login()
    retention: Retention = Retention()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def url(self, url: str) -> str:
        """A store's URL with its path made absolute: `sqlite:///x.db` lies in `data`,
        `sqlite:////var/x.db` (four slashes) does not. Server URLs come back as they are."""
        scheme, _, rest = url.partition("://")
        if scheme not in {"sqlite", "chdb", "file"} or rest.startswith("//"):
            return url
        return f"{scheme}:///{(self.data.absolute() / rest.lstrip('/'))}"


def local_path(url: str) -> Path:
    """Where a `file:`, `chdb:` or `sqlite:` URL of `Settings.url` lies. Taken as it stands: a data folder may have
    any character in its name, also those that have a meaning in URLs."""
    return Path("/" + url.partition("://")[2].lstrip("/"))


def settings_file(env: Mapping[str, str] | None = None) -> Path | None:
    """$VOILE_CONFIG, or ./voile.toml when it is there."""
    env = os.environ if env is None else env
    if "VOILE_CONFIG" in env:
        return Path(env["VOILE_CONFIG"])
    here = Path("voile.toml")
    return here if here.exists() else None


def load_settings(file: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Reads `file` (default: ./voile.toml when it is there) and the environment over it.

    Raises `Fatal` with every mistake at once, one a line, and never with a secret's value.
    """
    env = os.environ if env is None else env
    chosen = file or settings_file(env)
    values = _read(chosen) if chosen else {}
    lines = _overlay(values, env)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        lines += [_sentence(e) for e in error.errors(include_input=False, include_url=False)]
    if lines:
        raise Fatal("The settings are not usable:\n  " + "\n  ".join(lines))
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
        values["data"] = str(file.parent / values.get("data", "voile-data"))  # relative to the file, not to the caller
        return values
    except FileNotFoundError:
        raise Fatal(f"There is no settings file {file}; write one with: voile init") from None
    except OSError as error:
        raise Fatal(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except tomllib.TOMLDecodeError as error:
        raise Fatal(f"{file} is not TOML: {error}") from None
    except UnicodeDecodeError:
        raise Fatal(f"{file} is not TOML: it is no UTF-8 text.") from None


def _overlay(values: dict[str, Any], env: Mapping[str, str]) -> list[str]:
    """Puts VOILE_* over `values`; a sentence for each name that is no setting."""
    known = _variables()
    wrong = []
    for name, text in env.items():
        if not name.startswith(ENV_PREFIX) or name in _NO_SETTINGS or name.startswith(_NO_SETTINGS_PREFIX):
            continue
        path = known.get(name)
        if path is None:
            close = difflib.get_close_matches(name, list(known), n=1)
            wrong.append(f"{name}: unknown setting" + (f"; did you mean {close[0]}?" if close else ""))
            continue
        target = values
        for part in path[:-1]:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                break  # the file has a value where a section belongs: the check says so
        else:
            target[path[-1]] = _value(text)
    return wrong


def _variables(model: type[BaseModel] = Settings, path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """VOILE_DATA, VOILE_INGEST__LISTEN, VOILE_LOGIN__OIDC__ISSUER, ... -> where it stands in the file."""
    found: dict[str, tuple[str, ...]] = {}
    for name, field in model.model_fields.items():
        section, place = field.annotation, (*path, name)
        if isinstance(section, type) and issubclass(section, _Section):
            found |= _variables(section, place)
        else:
            found[f"{ENV_PREFIX}{'__'.join(place)}".upper()] = place
    return found


def _value(text: str) -> Any:
    return [part.strip() for part in text[1:-1].split(",") if part.strip()] if text.startswith("[") else text


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown setting{_nearest(error['loc'])}"
    if error["type"] == "model_type":
        return f"{where}: is a section of settings, like [{where}]"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _nearest(location: tuple[str | int, ...]) -> str:
    model: Any = Settings
    for part in location[:-1]:
        if isinstance(part, int):  # the place in a list of sections
            continue
        model = model.model_fields[str(part)].annotation
        model = next((a for a in get_args(model) if hasattr(a, "model_fields")), model)
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f"; did you mean {'.'.join([*map(str, location[:-1]), close[0]])}?" if close else ""
