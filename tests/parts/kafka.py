"""A real Apache Kafka broker (KRaft, one node) that a test can kill, stop and start on the same data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.parts.processes import die_with_parent, free_ports

__all__ = ["Broker", "find_jars", "why_missing"]

ROOT = Path(__file__).parents[2]
HEAP = "384m"
START_S_MAX = 60  # two starts of a JVM on a machine that runs other tests as well
FETCH_S_MAX = 300  # 100 MB of jars, once a machine

_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
log.cleaner.backoff.ms=500
"""


class Broker:
    """One broker with its own data folder; `url` is what settings call `events`."""

    def __init__(self, folder: Path, jars: Path) -> None:
        self._folder, self._jars = folder, jars
        self._port, self._controller = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "server.properties"
        text = _CONFIG.format(port=self._port, controller=self._controller, folder=folder)
        self._config.write_text(text + self._more_config())

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"kafka://{self.servers}"

    def start(self) -> None:
        """Returns when it answers. A second start finds the data of the first."""
        if not (self._folder / "data").exists():
            self._format()
        output = (self._folder / "broker.log").open("ab")
        with output:
            command = self._java("kafka.Kafka", str(self._config))
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=self._environment(),
                preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call, safe between fork and exec
            )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """kill -9: nothing is flushed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Away without a closed connection: requests hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def client(self) -> dict[str, Any]:
        """How an administrator's client connects, in librdkafka's words."""
        return {"bootstrap.servers": self.servers, "log_level": 0}

    def _more_config(self) -> str:
        """Lines that stand after the common ones and override them."""
        return ""

    def _format_options(self) -> list[str]:
        return []

    def _format(self) -> None:
        # one id in 64 begins with a dash: it must not stand alone, or it is taken for an option
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._config),
                             *self._format_options())  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, env=self._environment(), timeout=START_S_MAX)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be made:\n{done.stderr.decode()[-2000:]}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S_MAX
        admin = AdminClient(self.client())
        while True:
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException as error:
                if not self.running or time.monotonic() > deadline:
                    text = (self._folder / "broker.log").read_text()[-2000:]
                    raise RuntimeError(f"Kafka did not start:\n{text}") from error

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(START_S_MAX)
            self._process = None

    def _java(self, main: str, *arguments: str) -> list[str]:
        options = [f"-Xmx{HEAP}", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return [_java_binary(), *options, "-cp", f"{self._jars}/*", main, *arguments]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(self._folder))}


def why_missing() -> str | None:
    """Why no broker can run here, or None."""
    if not _java_binary():
        return "no java on the PATH (Debian: default-jre-headless)"
    if not _has_jars(_cache()) and not shutil.which("mvn"):
        return f"Kafka's jars are not in {_cache()} and there is no mvn to fetch them (Debian: maven)"
    return None


def find_jars() -> Path:
    """The folder of jars; fetched by Maven the first time."""
    folder = _cache()
    if not _has_jars(folder):
        fresh = folder.with_name(f"kafka-{os.getpid()}")
        subprocess.run(
            ["mvn", "-q", "-B", "-f", str(ROOT / "deploy/kafka-dev/pom.xml"), "dependency:copy-dependencies",
             f"-DoutputDirectory={fresh}"],
            check=True, timeout=FETCH_S_MAX, cwd=ROOT,
        )  # fmt: skip
        try:
            fresh.rename(folder)
        except OSError:
            shutil.rmtree(fresh)
            if not _has_jars(folder):  # or another test process was faster
                raise
    return folder


def _has_jars(folder: Path) -> bool:
    return any(folder.glob("kafka_*.jar"))


def _cache() -> Path:
    return Path(os.environ.get("VOILE_CACHE", ROOT / ".cache")).absolute() / "kafka"


def _java_binary() -> str:
    return shutil.which("java") or ""
