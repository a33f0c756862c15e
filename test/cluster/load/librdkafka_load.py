"""The load of load-settings.ts by librdkafka (confluent-kafka)."""
import json
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

settings = json.loads(sys.argv[1])
outcomes = open(settings["outcomes"], "w", buffering=1 << 16)
noting = threading.Lock()
is_over = threading.Event()


def note(line):
    with noting:
        outcomes.write(line + "\n")


def one_line(error):
    return str(error).replace("\n", " ")


def value(start):
    return start.ljust(settings["valueBytes"], "x")


def producer(more):
    return Producer({
        "bootstrap.servers": settings["bootstrap"],
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.max.ms": 500,
        "log_level": 2,
        **more,
    })


def plain_streams():
    plain = settings["plain"]
    streams, topic, partitions, rate = plain["streams"], plain["topic"], plain["partitions"], plain["recordsPerSecond"]
    if not streams:
        return
    sent = [0] * len(streams)
    in_flight = 0

    def told(stream, number):
        def hear(error, message):
            nonlocal in_flight
            in_flight -= 1
            note(f"a {stream} {number} {message.offset()}" if error is None else f"f {stream} {number} {one_line(error)}")
        return hear

    client = producer({"message.timeout.ms": 900_000})
    allowance, last, turn = 0.0, time.monotonic(), 0
    while not is_over.is_set():
        now = time.monotonic()
        allowance = min(allowance + (now - last) * rate, rate * 5)
        last = now
        burst = 0
        while allowance >= 1 and in_flight < 20_000 and burst < rate / 20:
            index = turn % len(streams)
            stream, number = streams[index], sent[index]
            client.produce(topic, value(f"{stream}:{number}:"), partition=stream % partitions, on_delivery=told(stream, number))
            turn, allowance, burst, in_flight = turn + 1, allowance - 1, burst + 1, in_flight + 1
            sent[index] += 1
        client.poll(0.005)
    client.flush()
    for stream, count in zip(streams, sent):
        note(f"s {stream} {count}")


def commit(client):
    """Asked again where the client says that it may be."""
    while True:
        try:
            return client.commit_transaction(30)
        except KafkaException as failure:
            if not failure.args[0].retriable():
                raise


def abort(client):
    while True:
        try:
            return client.abort_transaction(30)
        except KafkaException as failure:
            if not failure.args[0].retriable():
                raise


def transactions(writer):
    every = settings["transactional"]
    topic, partitions, at_most = every["topic"], every["partitions"], every["recordsAtMost"]
    period = at_most / 2 * len(every["writers"]) / every["recordsPerSecond"]
    chance = random.Random(settings["seed"] * 1000 + writer)
    configs = {"transactional.id": f"cluster-{writer}", "transaction.timeout.ms": 60_000}
    client, is_initialized = producer(configs), False
    following, due = 0, time.monotonic()
    while not is_over.is_set():
        if not is_initialized:
            try:
                client.init_transactions(60)
                is_initialized = True
            except KafkaException as failure:
                note(f"n writer {writer} init: {one_line(failure)}")
                client = producer(configs)
                time.sleep(0.2)
                continue
        transaction, following = following, following + 1
        count = 1 + chance.randrange(at_most)
        first = chance.randrange(partitions)
        width = 1 + chance.randrange(min(3, partitions))
        is_aborted = chance.random() < 0.1
        commit_asked = False
        failed = []
        try:
            client.begin_transaction()
            for index in range(count):
                client.produce(topic, value(f"{writer}:{transaction}:{index}:"), partition=(first + index % width) % partitions,
                               on_delivery=lambda error, _: failed.append(error) if error is not None else None)
                client.poll(0)
            client.flush()
            if failed:
                raise KafkaException(failed[0])
            if is_aborted:
                abort(client)
                note(f"t {writer} {transaction} aborted {count}")
            else:
                commit_asked = True
                commit(client)
                note(f"t {writer} {transaction} committed {count}")
        except (KafkaException, BufferError) as failure:
            error = failure.args[0]
            must_abort = isinstance(failure, KafkaException) and error.txn_requires_abort()
            note(f"n writer {writer} transaction {transaction}{' (commit)' if commit_asked else ''}: {one_line(failure)}")
            # A commit that says that it must be aborted has not taken effect.
            note(f"t {writer} {transaction} {'unknown' if commit_asked and not must_abort else 'aborted'} {count}")
            try:
                if commit_asked and not must_abort:
                    raise failure
                abort(client)
            except KafkaException as fatal:
                note(f"n writer {writer} abort: {one_line(fatal)}")
                client, is_initialized = producer(configs), False
        due = max(due + period, time.monotonic() - 5)
        time.sleep(max(0, due - time.monotonic()))


def member(group):
    topic = settings["plain"]["topic"]
    client = Consumer({
        "bootstrap.servers": settings["bootstrap"],
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "reconnect.backoff.max.ms": 500,
        "log_level": 2,
    })
    client.subscribe([topic])
    while not is_over.is_set():
        try:
            given = {}
            for record in client.consume(1000, 0.2):
                if record.error() is not None:
                    raise KafkaException(record.error())
                given.setdefault(record.partition(), []).append(record.offset())
            for partition, offsets in given.items():
                note(f"g {group} {partition} {offsets[0]} {offsets[-1] + 1} {len(offsets)}")
            if not given:
                continue
            ends = [TopicPartition(topic, partition, offsets[-1] + 1) for partition, offsets in given.items()]
            for end in client.commit(offsets=ends, asynchronous=False):
                if end.error is not None:
                    raise KafkaException(end.error)
            for end in ends:
                note(f"c {group} {end.partition} {end.offset}")
        except KafkaException as failure:
            note(f"n group {group}: {one_line(failure)}")
            time.sleep(0.1)
    client.close()


threads = [threading.Thread(target=plain_streams)]
threads += [threading.Thread(target=transactions, args=[writer]) for writer in settings["transactional"]["writers"]]
if settings["group"] is not None:
    threads.append(threading.Thread(target=member, args=[settings["group"]]))
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
is_over.set()
for thread in threads:
    thread.join()
outcomes.close()
