"""Rights on Kafka: `deploy/kafka/acls.toml` as values, and as lines for kafka-acls.sh."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.runtime.errors import Fatal
from services.runtime.log.kafka_reading import FOLLOWERS
from services.runtime.topics import TOPICS

__all__ = ["SHIPPED", "Grantee", "Right", "load_grantees", "rights_of", "shell_line"]

SHIPPED = Path(__file__).parents[3] / "deploy" / "kafka" / "acls.toml"  # Voile runs from its checkout
_FIELDS = {"plane", "user", "writes", "reads", "groups"}


@dataclass(frozen=True, slots=True)
class Grantee:
    """One section of the file. `plane` is empty for who is no service of ours."""

    name: str
    user: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    groups: tuple[str, ...]
    plane: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One rule of Kafka: `user` may `operation` the topic or group `name`, from any host."""

    user: str
    kind: str  # "topic" or "group"
    name: str
    operation: str  # as kafka-acls.sh names it


def load_grantees(file: Path = SHIPPED) -> list[Grantee]:
    """Raises `Fatal` with the section that is wrong."""
    try:
        sections = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise Fatal(f"There is no file {file}; name one like deploy/kafka/acls.toml.") from None
    except tomllib.TOMLDecodeError as error:
        raise Fatal(f"{file} is not TOML: {error}") from None
    return [_grantee(name, section) for name, section in sections.items()]


def _grantee(name: str, section: Mapping[str, object]) -> Grantee:
    if not isinstance(section, dict) or not section.get("user") or set(section) - _FIELDS:
        raise Fatal(f"[{name}] has a user, and of {', '.join(sorted(_FIELDS))} what applies; nothing else.")
    lists = {key: tuple(section.get(key, ())) for key in ("writes", "reads", "groups")}
    if unknown := sorted({*lists["writes"], *lists["reads"]} - set(TOPICS)):
        raise Fatal(f"[{name}] names the topic {unknown[0]!r}; schemas/topics.toml has: {', '.join(TOPICS)}.")
    return Grantee(name, str(section["user"]), **lists, plane=str(section.get("plane", "")))


def rights_of(grantee: Grantee) -> Sequence[Right]:
    """The fewest that Kafka asks for; to read or to write a topic lets it be described too. Who uses a topic may see
    its settings: promises about time rest on them, so each service checks them at its start."""
    return sorted(set(_rights(grantee)))


def _rights(grantee: Grantee) -> Iterator[Right]:
    for kind, names in (("Read", grantee.reads), ("Write", grantee.writes)):
        for topic in names:
            yield Right(grantee.user, "topic", TOPICS[topic].name, kind)
            yield Right(grantee.user, "topic", TOPICS[topic].name, "DescribeConfigs")
    for group in grantee.groups:
        yield Right(grantee.user, "group", group, "Read")
    if grantee.reads:
        yield Right(grantee.user, "group", FOLLOWERS, "Describe")


def shell_line(right: Right, servers: str) -> str:
    """For Kafka's own tool; `admin.properties` has the administrator's login."""
    command = ["kafka-acls.sh", "--bootstrap-server", servers, "--command-config", "admin.properties", "--add",
               "--allow-principal", f"User:{right.user}", "--operation", right.operation,
               f"--{right.kind}", right.name]  # fmt: skip
    return shlex.join(command)
