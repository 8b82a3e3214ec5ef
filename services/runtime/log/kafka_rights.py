"""Gives and takes rights on Kafka, with the login of the cluster's administrator."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package's stubs forget to export some
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from services.runtime.log.kafka_access import Right
from services.runtime.log.kafka_connection import ANSWER_S_MAX, QUESTION_S_MAX, Connection
from services.runtime.settings import Kafka

__all__ = ["KafkaRights"]

_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
_NAMES = {operation: name for name, operation in _OPERATIONS.items()}
_KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
_FROM_ANYWHERE = "*"
_ANY: Any = None  # what the package takes for "whatever", and its stubs do not know of


class KafkaRights:
    """The rights on the brokers at `servers` ("host:port[,host:port]"). Each question raises `Fatal` for who is not the
    administrator, `Transient` for brokers that are away."""

    def __init__(self, servers: str, kafka: Kafka) -> None:
        self._connection = Connection(servers, kafka)
        with self._connection.in_our_words():
            self._admin = AdminClient(self._connection.config())

    def of(self, users: Collection[str]) -> set[Right]:
        """What these users are given by name, of any kind; a right that Voile never gives has Kafka's words."""

        def asked() -> list[AclBinding]:
            everything = AclBindingFilter(
                ResourceType.ANY, _ANY, ResourcePatternType.ANY, _ANY, _ANY, AclOperation.ANY, AclPermissionType.ALLOW
            )
            found: list[AclBinding] = self._admin.describe_acls(everything, request_timeout=ANSWER_S_MAX).result(
                QUESTION_S_MAX
            )
            return found

        return {right for right in map(_right, self._connection.asked(asked, hear=self._hear)) if right.user in users}

    def give(self, rights: Collection[Right]) -> None:
        """Each of them; one that is there already stays."""
        if not rights:
            return

        def given() -> None:
            answers = self._admin.create_acls([_binding(right) for right in rights], request_timeout=ANSWER_S_MAX)
            for answer in answers.values():
                answer.result(QUESTION_S_MAX)

        self._connection.asked(given, hear=self._hear)

    def _hear(self) -> None:
        self._admin.poll(0)


def _right(binding: Any) -> Right:
    pattern = "" if binding.resource_pattern_type is ResourcePatternType.LITERAL else " (prefix)"
    return Right(
        binding.principal.removeprefix("User:"),
        binding.restype.name.lower(),
        f"{binding.name}{pattern}",
        _NAMES.get(binding.operation, binding.operation.name),
    )


def _binding(right: Right) -> AclBinding:
    return AclBinding(
        _KINDS[right.kind], right.name, ResourcePatternType.LITERAL, f"User:{right.user}", _FROM_ANYWHERE,
        _OPERATIONS[right.operation], AclPermissionType.ALLOW,
    )  # fmt: skip
