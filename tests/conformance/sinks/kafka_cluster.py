"""A Kafka cluster within librdkafka, and a consumer of one topic; prints what comes, a JSON object a line.

Usage: kafka_cluster.py TOPIC PARTITIONS

Commands on stdin, each answered by a line: `leader PARTITION BROKER`, `down`, `up`, `too_large COUNT` (that many requests fail),
`partition KEY` (where another client puts that key), `replay` (the consumer begins anew).
"""

import ctypes
import glob
import json
import pathlib
import sys
import threading
from typing import Any

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

BROKERS = 3
RD_KAFKA_PRODUCER = 0
PRODUCE_REQUEST = 0
MESSAGE_TOO_LARGE = 10
ERROR_TEXT_MAX = 512

_lock = threading.Lock()


def say(kind: str, **more: Any) -> None:
    with _lock:
        print(json.dumps({"kind": kind, **more}), flush=True)


def library() -> ctypes.CDLL:
    """The library that the package brings: its functions for tests have no Python form."""
    folder = pathlib.Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    (path,) = glob.glob(str(folder / "librdkafka*.so*"))
    found = ctypes.CDLL(path)
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(found, name).restype = ctypes.c_void_p
    found.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return found


class Cluster:
    def __init__(self, topic: str, partitions: int):
        self.rdkafka = library()
        self.topic = topic.encode()
        text = ctypes.create_string_buffer(ERROR_TEXT_MAX)
        handle = self.rdkafka.rd_kafka_new(
            RD_KAFKA_PRODUCER,
            ctypes.c_void_p(self.rdkafka.rd_kafka_conf_new()),
            text,
            ctypes.c_size_t(ERROR_TEXT_MAX),
        )
        assert handle, text.value
        cluster = self.rdkafka.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), BROKERS)
        self.cluster = ctypes.c_void_p(cluster)
        self.call("rd_kafka_mock_topic_create", self.topic, partitions, BROKERS)

    def call(self, name: str, *arguments: Any) -> None:
        error = getattr(self.rdkafka, name)(self.cluster, *arguments)
        assert error == 0, (name, error)

    def bootstraps(self) -> str:
        return self.rdkafka.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()

    def move_leader(self, partition: int, broker: int) -> None:
        self.call("rd_kafka_mock_partition_set_leader", self.topic, partition, broker)

    def set_brokers(self, state: str) -> None:
        for broker in range(1, BROKERS + 1):
            self.call(f"rd_kafka_mock_broker_set_{state}", broker)

    def fail_requests(self, count: int) -> None:
        errors = (ctypes.c_int * count)(*[MESSAGE_TOO_LARGE] * count)
        self.rdkafka.rd_kafka_mock_push_request_errors_array(
            self.cluster,
            ctypes.c_int16(PRODUCE_REQUEST),
            ctypes.c_size_t(count),
            errors,
        )


class Reader(threading.Thread):
    def __init__(self, cluster: Cluster, topic: str, partitions: int):
        super().__init__(daemon=True)
        self.assignment = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)]
        self.consumer = Consumer(
            {
                "bootstrap.servers": cluster.bootstraps(),
                "group.id": "test",
                "enable.auto.commit": False,
                "reconnect.backoff.max.ms": 200,
            }
        )
        self.consumer.assign(self.assignment)
        self.begins_anew = threading.Event()

    def run(self) -> None:
        while True:
            if self.begins_anew.is_set():
                self.begins_anew.clear()
                self.consumer.assign(self.assignment)
                say("done")
            message = self.consumer.poll(0.1)
            if message is None or message.error():
                continue
            say(
                "message",
                partition=message.partition(),
                key=message.key().decode(),
                body=message.value().decode(),
                timestamp=message.timestamp()[1],
                headers={name: value.decode() for name, value in message.headers()},
            )


def partition_of(cluster: Cluster, key: str, partitions: int) -> int:
    """The partition that another client chooses."""
    found: list[int] = []
    cluster.rdkafka.rd_kafka_mock_topic_create(cluster.cluster, b"reference", partitions, 1)
    producer = Producer({"bootstrap.servers": cluster.bootstraps(), "partitioner": "murmur2_random"})
    producer.produce("reference", key=key, on_delivery=lambda _, message: found.append(message.partition()))
    producer.flush(30)
    return found[0]


def main(topic: str, partitions: int) -> None:
    cluster = Cluster(topic, partitions)
    reader = Reader(cluster, topic, partitions)
    reader.start()
    say("ready", brokers=cluster.bootstraps().split(","))
    for line in sys.stdin:
        match line.split():
            case ["leader", partition, broker]:
                cluster.move_leader(int(partition), int(broker))
            case ["down" | "up" as state]:
                cluster.set_brokers(state)
            case ["too_large", count]:
                cluster.fail_requests(int(count))
            case ["partition", key]:
                say("partition", partition=partition_of(cluster, key, partitions))
                continue
            case ["replay"]:
                reader.begins_anew.set()
                continue
        say("done")


main(sys.argv[1], int(sys.argv[2]))
