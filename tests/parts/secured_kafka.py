"""A real broker as production has it: SASL SCRAM over TLS by a throw-away authority, and rights for each user."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.parts.kafka import Broker

__all__ = ["ADMIN", "SecuredBroker"]

ADMIN = "admin"  # the cluster's administrator: may everything

# The controller's own listener is one process's talk with itself: nobody else knows its port in a test.
_SECURED = """\
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="{admin}" password="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin};User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
"""


class SecuredBroker(Broker):
    """`passwords` of every user; the one named `ADMIN` is among them. Nobody else may do anything until told."""

    def __init__(self, folder: Path, jars: Path, passwords: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.passwords = passwords
        self.ca_file = folder / "ca.pem"
        _write_certificates(self.ca_file, folder / "server.pem")
        super().__init__(folder, jars)

    def client(self, user: str = ADMIN) -> dict[str, Any]:
        """How this user connects, in librdkafka's words."""
        own = {"sasl.username": user, "sasl.password": self.passwords[user]}
        login = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
        return {**super().client(), **login, **own, "ssl.ca.location": str(self.ca_file)}

    def settings(self, user: str) -> dict[str, Any]:
        """Voile's `[kafka]` for this user."""
        return {
            "security_protocol": "SASL_SSL",
            "username": user,
            "password": self.passwords[user],
            "ca_file": str(self.ca_file),
        }

    def _more_config(self) -> str:
        return _SECURED.format(
            port=self._port,
            controller=self._controller,
            folder=self._folder,
            admin=ADMIN,
            password=self.passwords[ADMIN],
        )

    def _format_options(self) -> list[str]:
        pairs = self.passwords.items()
        return [part for user, password in pairs
                for part in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]")]  # fmt: skip


def _write_certificates(authority_file: Path, server_file: Path) -> None:
    """An authority, and of it a certificate for 127.0.0.1 with its key (PKCS #8, as Kafka reads it)."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _name("A throw-away authority")
    signed = _certificate(authority, authority, authority_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = _certificate(_name("127.0.0.1"), authority, server_key.public_key()).add_extension(address, critical=False)
    authority_file.write_bytes(_pem(signed.sign(authority_key, hashes.SHA256())))
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server_file.write_bytes(key + _pem(server.sign(authority_key, hashes.SHA256())))


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
