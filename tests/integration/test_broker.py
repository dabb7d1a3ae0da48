"""The brokers of the suite keep what they promise, each way that can be had here."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.broker import Broker, NoKafka, find_broker
from tests.broker.cluster import Cluster
from tests.broker.discovery import FORCE

pytestmark = pytest.mark.kafka


def create(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=1)])[topic].result(30)


def commit(broker: Broker, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topic, "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(30)


def read(broker: Broker, topic: str, count: int) -> list[bytes | None]:
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topic, "log_level": 0})
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        return [message.value() for message in reader.consume(count, 30)]
    finally:
        reader.close()


def test_the_shared_broker_commits_transactions(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}.change.kotikunta"
    create(broker, topic)
    commit(broker, topic, b"committed")
    assert read(broker, topic, 1) == [b"committed"]


def test_an_own_broker_keeps_its_data_whatever_is_done_to_it(own_broker: Callable[[], Broker], prefix: str) -> None:
    broker = own_broker()
    address = broker.bootstrap
    create(broker, prefix)
    commit(broker, prefix, b"before the restart")
    broker.restart()
    commit(broker, prefix, b"before the kill")
    broker.kill()
    broker.start()
    commit(broker, prefix, b"before the pause")
    broker.pause()
    broker.resume()
    commit(broker, prefix, b"after all")
    assert broker.bootstrap == address
    # Control records take offsets, not messages.
    assert read(broker, prefix, 4) == [
        b"before the restart",
        b"before the kill",
        b"before the pause",
        b"after all",
    ]


def test_without_any_way_the_error_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv(FORCE, "jvm")
    with pytest.raises(NoKafka, match=r"install Java 17 or later and Maven.* or start Docker.* or set KAFKA_B"):
        find_broker()


def test_a_cluster_is_made_here_whatever_is_named_or_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(NoKafka, match=r"^a cluster of 3 brokers .* install Java 17 or later and Maven"):
        Cluster()


def test_an_address_that_was_named_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FORCE, raising=False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("tests.broker.environment.PATIENCE", 1)
    with pytest.raises(NoKafka, match=r"no Kafka answers at KAFKA_BOOTSTRAP_SERVERS=127\.0\.0\.1:1"):
        find_broker()


def test_a_run_that_is_killed_leaves_no_broker_behind() -> None:
    script = (
        "import os, signal\n"
        "from tests.broker import find_broker\n"
        "print(find_broker(own=True).bootstrap, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    host, port = run.stdout.strip().split(":")
    with suppress(ConnectionError), socket.create_connection((host, int(port)), timeout=30) as connection:
        assert connection.recv(1) == b""  # it ended while we were connected
    assert run.returncode == -signal.SIGKILL
