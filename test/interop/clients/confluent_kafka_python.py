"""confluent-kafka (librdkafka), driven by worker.py."""

import sys

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
)

from worker import GroupMember, data, group_operations, serve, text

BOOTSTRAP = sys.argv[1]
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def one(futures):
    return next(iter(futures.values())).result(60)


def cluster():
    answer = admin.describe_cluster().result(60)
    brokers = [{"id": n.id, "host": n.host, "port": n.port} for n in answer.nodes]
    return {"clusterId": answer.cluster_id, "controllerId": answer.controller.id, "brokers": brokers}


def create_topic(topic, partitions, configs=None):
    one(admin.create_topics([NewTopic(topic, partitions, 1, config=configs or {})]))


def topic_config(topic, name):
    entry = one(admin.describe_configs([ConfigResource("topic", topic)]))[name]
    return {"value": entry.value, "isDefault": entry.source != ConfigSource.DYNAMIC_TOPIC_CONFIG.value}


def set_topic_config(topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    one(admin.incremental_alter_configs([ConfigResource("topic", topic, incremental_configs=[entry])]))


def offsets(topic):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused"})
    try:
        count = len(consumer.list_topics(topic, 60).topics[topic].partitions)
        pairs = [consumer.get_watermark_offsets(TopicPartition(topic, p), 60) for p in range(count)]
        return {"earliest": [low for low, _ in pairs], "latest": [high for _, high in pairs]}
    finally:
        consumer.close()


def produce(topic, records, codec="none", acks="all", idempotent=False):
    failures = []
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "compression.type": codec,
            "acks": acks,
            "enable.idempotence": idempotent,
            "linger.ms": 20,
        }
    )
    for r in records:
        options = {name: r[name] for name in ("partition", "timestamp") if name in r}
        while len(producer) > 50_000:
            producer.poll(0.1)
        producer.produce(
            topic,
            key=data(r.get("key")),
            value=data(r.get("value")),
            headers=[(name, data(value)) for name, value in r.get("headers", [])],
            on_delivery=lambda error, _: error and failures.append(error),
            **options,
        )
    if producer.flush(150) > 0:
        raise TimeoutError("flush")
    if failures:
        raise KafkaException(failures[0])


def record(m):
    return {
        "partition": m.partition(),
        "offset": m.offset(),
        "timestamp": m.timestamp()[1],
        "key": text(m.key()),
        "value": text(m.value()),
        "headers": [[name, text(value)] for name, value in m.headers() or []],
    }


def good(message):
    if message.error():
        raise KafkaException(message.error())
    return record(message)


def read(topic, partition, start, count):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False})
    try:
        if start == "earliest":
            start = consumer.get_watermark_offsets(TopicPartition(topic, partition), 60)[0]
        elif isinstance(start, dict):
            start = consumer.offsets_for_times([TopicPartition(topic, partition, start["timestamp"])], 60)[0].offset
        consumer.assign([TopicPartition(topic, partition, start)])
        found = []
        while len(found) < count:
            batch = consumer.consume(count - len(found), 60)
            if not batch:
                break
            found += [good(m) for m in batch]
        return found
    finally:
        consumer.close()


def values(topic, isolation):
    configs = {"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False}
    consumer = Consumer({**configs, "isolation.level": isolation, "enable.partition.eof": True})
    try:
        count = len(consumer.list_topics(topic, 60).topics[topic].partitions)
        found, ended = [[] for _ in range(count)], set()
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(count)])
        while len(ended) < count:
            for m in consumer.consume(500, 1):
                if not m.error():
                    found[m.partition()].append(text(m.value()))
                elif m.error().code() == KafkaError._PARTITION_EOF:
                    ended.add(m.partition())
                else:
                    raise KafkaException(m.error())
        return found
    finally:
        consumer.close()


def join(group, topics, assignor=None, clientId="confluent-kafka", protocol="classic", instanceId=None):
    configs = {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": group,
        "client.id": clientId,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "group.protocol": protocol,
    }
    if protocol == "classic":
        configs["partition.assignment.strategy"] = assignor or "range"
        configs["session.timeout.ms"] = 10000
        configs["heartbeat.interval.ms"] = 500
    elif assignor:
        configs["group.remote.assignor"] = assignor
    if instanceId:
        configs["group.instance.id"] = instanceId
    consumer = Consumer(configs)
    consumer.subscribe(topics)

    def poll():
        return [good(m) for m in consumer.consume(500, 0.1)]

    def commit():
        for place in consumer.commit(asynchronous=False):
            if place.error:
                raise KafkaException(place.error)

    def assignment():
        return [[p.topic, p.partition] for p in consumer.assignment()]

    return GroupMember(poll, commit, assignment, consumer.close)


producers = {}


def open_producer(producer, transactionalId, timeoutMs=600000):
    opened = Producer(
        {"bootstrap.servers": BOOTSTRAP, "transactional.id": transactionalId, "transaction.timeout.ms": timeoutMs, "linger.ms": 0}
    )
    opened.init_transactions(60)
    producers[producer] = opened


def send(producer, topic, records):
    failures = []
    for r in records:
        producers[producer].produce(
            topic,
            partition=r["partition"],
            key=data(r.get("key")),
            value=data(r.get("value")),
            on_delivery=lambda error, _: error and failures.append(error),
        )
    if producers[producer].flush(60) > 0:
        raise TimeoutError("flush")
    if failures:
        raise KafkaException(failures[0])


def send_offsets(producer, offsets, group):
    places = [TopicPartition(o["topic"], o["partition"], o["offset"]) for o in offsets]
    member = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group})  # of nobody: it knows no generation
    try:
        producers[producer].send_offsets_to_transaction(places, member.consumer_group_metadata(), 60)
    finally:
        member.close()


def committed(group, topic, partition):
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
    offset = one(admin.list_consumer_group_offsets([asked])).topic_partitions[0].offset
    return offset if offset >= 0 else None


def set_group_offset(group, topic, partition, offset):
    one(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])]))


def describe_group(group):
    answer = one(admin.describe_consumer_groups([group]))
    return {"state": answer.state.name.title(), "members": len(answer.members)}


def error_code(error):
    cause = error.args[0] if error.args else None
    return cause.code() if isinstance(cause, KafkaError) else None


serve(
    {
        "cluster": cluster,
        "createTopic": create_topic,
        "deleteTopic": lambda topic: one(admin.delete_topics([topic])),
        "topics": lambda: sorted(admin.list_topics(timeout=60).topics),
        "partitions": lambda topic: len(admin.list_topics(topic, 60).topics[topic].partitions),
        "addPartitions": lambda topic, total: one(admin.create_partitions([NewPartitions(topic, total)])),
        "topicConfig": topic_config,
        "setTopicConfig": set_topic_config,
        "offsets": offsets,
        "deleteRecords": lambda topic, partition, before: one(
            admin.delete_records([TopicPartition(topic, partition, before)])
        )
        and None,
        "produce": produce,
        "read": read,
        "values": values,
        "openProducer": open_producer,
        "beginTransaction": lambda producer: producers[producer].begin_transaction(),
        "send": send,
        "sendOffsets": send_offsets,
        "commitTransaction": lambda producer: producers[producer].commit_transaction(60),
        "abortTransaction": lambda producer: producers[producer].abort_transaction(60),
        "closeProducer": lambda producer: producers.pop(producer) and None,
        "committed": committed,
        "setGroupOffset": set_group_offset,
        "groups": lambda: sorted(g.group_id for g in admin.list_consumer_groups().result(60).valid),
        "describeGroup": describe_group,
        "deleteGroup": lambda group: one(admin.delete_consumer_groups([group])),
        **group_operations(join),
    },
    error_code,
)
