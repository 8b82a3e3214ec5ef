"""Settings: one `voile.toml`, every key also as `VOILE_SECTION__KEY`; frozen and checked at start."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from services.runtime.errors import Fatal

__all__ = ["Identity", "Ingest", "Settings", "Statistics", "load_settings"]

ENV_PREFIX = "VOILE_"


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


Zone = Annotated[str, AfterValidator(_zone)]
Listen = Annotated[str, AfterValidator(_listen)]


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


class Ingest(_Section):
    listen: Listen = "127.0.0.1:8080"
    records: str = "sqlite:///ingest.db"
    keys: str = "file:///keys/ingest"
    trusted_proxies: tuple[str, ...] = ()
    body_bytes_max: int = Field(16 * 1024 * 1024, ge=1024)
    query_parameters: tuple[str, ...] = ()


class Identity(_Section):
    listen: Listen = "127.0.0.1:8082"
    hosts: tuple[str, ...] = ()  # the names people reach it by, besides this machine's own
    records: str = "sqlite:///identity.db"
    keys: str = "file:///keys/identity"
    policies: str = ""  # a folder of .cedar files; empty: the ones shipped
    ticket_pattern: str = r"[A-Z][A-Z0-9]{1,9}-[0-9]{1,9}"
    linked_days: int = Field(90, ge=1, le=365)


class Statistics(_Section):
    listen: Listen = "127.0.0.1:8081"
    hosts: tuple[str, ...] = ()  # the names people reach it by, besides this machine's own
    records: str = "sqlite:///statistics.db"
    analytics: str = "chdb:///analytics"
    keys: str = "file:///keys/statistics"
    snapshot_minutes: int = Field(15, ge=1, le=120)
    release_public_key: str = ""


class Settings(_Section):
    """Everything an operator can set. Relative stores lie in `data`."""

    data: Path = Path("voile-data")
    timezone: Zone = "UTC"
    events: str = "sqlite:///events.db"
    log_level: str = "info"
    kafka: Kafka = Kafka()
    ingest: Ingest = Ingest()
    identity: Identity = Identity()
    statistics: Statistics = Statistics()

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


def load_settings(file: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Reads `file` (default: ./voile.toml when it is there) and the environment over it.

    Raises `Fatal` with every mistake at once, one a line, and never with a secret's value.
    """
    env = os.environ if env is None else env
    explicit = file or (Path(env["VOILE_CONFIG"]) if "VOILE_CONFIG" in env else None)
    values = _read(explicit) if explicit else (_read(Path("voile.toml")) if Path("voile.toml").exists() else {})
    _overlay(values, env)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [_sentence(e) for e in error.errors(include_input=False, include_url=False)]
        raise Fatal("The settings are not usable:\n  " + "\n  ".join(lines)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
        values["data"] = str(file.parent / values.get("data", "voile-data"))  # relative to the file, not to the caller
        return values
    except FileNotFoundError:
        raise Fatal(f"There is no settings file {file}; write one with: voile init") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Fatal(f"{file} is not TOML: {error}") from None


def _overlay(values: dict[str, Any], env: Mapping[str, str]) -> None:
    known_singles = set(Settings.model_fields)
    for name, text in env.items():
        if not name.startswith(ENV_PREFIX):
            continue
        path = name.removeprefix(ENV_PREFIX).lower().split("__")
        if len(path) == 1 and path[0] not in known_singles:
            continue  # VOILE_CONFIG, VOILE_TEST_REQUIRE and the like are no settings
        target = values
        for part in path[:-1]:
            target = target.setdefault(part, {})
        target[path[-1]] = _value(text)


def _value(text: str) -> Any:
    return [part.strip() for part in text[1:-1].split(",") if part.strip()] if text.startswith("[") else text


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown setting{_nearest(error['loc'])}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _nearest(location: tuple[str | int, ...]) -> str:
    model: Any = Settings
    for part in location[:-1]:
        model = model.model_fields[str(part)].annotation
        model = next((a for a in get_args(model) if hasattr(a, "model_fields")), model)
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f"; did you mean {'.'.join([*map(str, location[:-1]), close[0]])}?" if close else ""
