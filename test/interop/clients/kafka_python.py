"""kafka-python, driven by worker.py."""

import re
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.structs import OffsetAndMetadata

from worker import GroupMember, data, group_operations, serve, text

BOOTSTRAP = sys.argv[1]
ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def cluster():
    answer = admin.describe_cluster()
    brokers = [{"id": b["broker_id"], "host": b["host"], "port": b["port"]} for b in answer["brokers"]]
    return {"clusterId": answer["cluster_id"], "controllerId": answer["controller_id"], "brokers": brokers}


def create_topic(topic, partitions, configs=None):
    admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}})


def partitions(topic):
    return len(admin.describe_topics([topic])[0]["partitions"])


def topic_config(topic, name):
    answer = admin.describe_configs([ConfigResource("TOPIC", topic, None)], config_filter="all")
    entry = answer["topic"][topic][name]
    return {"value": entry["value"], "isDefault": "DYNAMIC_TOPIC" not in str(entry.get("config_source", entry.get("source")))}


def set_topic_config(topic, name, value):
    answer = admin.alter_configs([ConfigResource("TOPIC", topic, {name: value})])["topic"][topic]
    if answer != "OK":
        raise BrokerSaid(answer)


class BrokerSaid(Exception):
    """An error that the library gives as a text, "[Error 40] InvalidConfigurationError: ..." or the name of its class."""

    def __init__(self, said):
        super().__init__(said)
        number = re.match(r"\[Error (\d+)\]", said)
        self.errno = int(number[1]) if number else getattr(errors, said).errno


def delete_group(group):
    answer = admin.delete_groups([group])[group]
    if answer != "OK":
        raise BrokerSaid(answer)


def offsets(topic):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP)
    try:
        places = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        earliest, latest = consumer.beginning_offsets(places), consumer.end_offsets(places)
        return {"earliest": [earliest[p] for p in places], "latest": [latest[p] for p in places]}
    finally:
        consumer.close()


def delete_records(topic, partition, before):
    admin.delete_records({TopicPartition(topic, partition): before})


def produce(topic, records, codec="none", acks="all", idempotent=False):
    producer = KafkaProducer(
        bootstrap_servers=BOOTSTRAP,
        compression_type=None if codec == "none" else codec,
        acks=acks if acks == "all" else int(acks),
        enable_idempotence=idempotent,
        linger_ms=20,
    )
    try:
        sent = [
            producer.send(
                topic,
                key=data(r.get("key")),
                value=data(r.get("value")),
                headers=[(name, data(value)) for name, value in r.get("headers", [])],
                partition=r.get("partition"),
                timestamp_ms=r.get("timestamp"),
            )
            for r in records
        ]
        producer.flush()
        for future in sent:
            future.get(60)
    finally:
        producer.close()


def record(r):
    return {
        "partition": r.partition,
        "offset": r.offset,
        "timestamp": r.timestamp,
        "key": text(r.key),
        "value": text(r.value),
        "headers": [[name, text(value)] for name, value in r.headers],
    }


def read(topic, partition, start, count):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest", consumer_timeout_ms=60000)
    try:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        if start == "earliest":
            consumer.seek_to_beginning(place)
        elif isinstance(start, dict):
            consumer.seek(place, consumer.offsets_for_times({place: start["timestamp"]})[place].offset)
        else:
            consumer.seek(place, start)
        found = []
        for r in consumer:
            found.append(record(r))
            if len(found) >= count:
                break
        return found
    finally:
        consumer.close()


def join(group, topics, assignor="range", clientId="kafka-python"):
    consumer = KafkaConsumer(
        *topics,
        bootstrap_servers=BOOTSTRAP,
        group_id=group,
        client_id=clientId,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        partition_assignment_strategy=[ASSIGNORS[assignor]],
        session_timeout_ms=10000,
        heartbeat_interval_ms=500,
    )

    def poll():
        return [record(r) for batch in consumer.poll(timeout_ms=1000).values() for r in batch]

    def assignment():
        return [[p.topic, p.partition] for p in consumer.assignment()]

    return GroupMember(poll, consumer.commit, assignment, lambda: consumer.close(autocommit=False))


def committed(group, topic, partition):
    found = admin.list_group_offsets({group: None})[group].get(TopicPartition(topic, partition))
    return None if found is None or found.offset < 0 else found.offset


def describe_group(group):
    answer = admin.describe_groups([group])[group]
    return {"state": str(answer.get("group_state", answer.get("state"))), "members": len(answer["members"])}


def set_group_offset(group, topic, partition, offset):
    admin.alter_group_offsets(group, {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)})


def group_names():
    return sorted(g["group_id"] for g in admin.list_groups())


serve(
    {
        "cluster": cluster,
        "createTopic": create_topic,
        "deleteTopic": lambda topic: admin.delete_topics([topic]) and None,
        "topics": lambda: sorted(admin.list_topics()),
        "partitions": partitions,
        "addPartitions": lambda topic, total: admin.create_partitions({topic: total}) and None,
        "topicConfig": topic_config,
        "setTopicConfig": set_topic_config,
        "offsets": offsets,
        "deleteRecords": delete_records,
        "produce": produce,
        "read": read,
        "committed": committed,
        "setGroupOffset": set_group_offset,
        "groups": group_names,
        "describeGroup": describe_group,
        "deleteGroup": delete_group,
        **group_operations(join),
    },
    lambda error: getattr(error, "errno", None),
)
