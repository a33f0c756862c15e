import {
  BatchBuilder,
  batchesOf,
  type DecodedRecord,
  errorOfCode,
  KafkaError,
  Produce,
  type RecordHeader,
} from '@ottla/protocol';
import type { Clock } from '@ottla/runtime';
import type { BrokerPeers } from '../peers/broker-peers.ts';
import type { Partition } from '../replication/partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { DeadLetterOffice, DeadLetterQueue } from './dead-letter-queue.ts';
import type { DeadLetters } from './state-change.ts';

/** What this broker's configs say about dead letters. */
export type DeadLetterRules = {
  /** errors.deadletterqueue.topic.name.prefix */
  readonly prefix: () => string;
  /** errors.deadletterqueue.auto.create.topics.enable */
  readonly createsTopics: () => boolean;
  /** errors.deadletterqueue.group.enable of a topic. */
  readonly isOpenToGroups: (topic: string) => boolean;
  readonly minInsyncReplicas: (topic: string) => number;
  /** A larger batch the topic would not take. */
  readonly maxBatchBytes: (topic: string) => number;
};

export type DeadLetterTopicOptions = {
  readonly partitions: Partitions;
  readonly partitionCount: (topic: string) => number | undefined;
  /** -1: the partition has no leader; undefined: there is no such partition. */
  readonly leaderOf: (topic: string, partition: number) => number | undefined;
  readonly brokers: Pick<BrokerPeers, 'nodeId' | 'to'>;
  /** With the config that opens it to groups. */
  readonly createTopic: (topic: string) => Promise<void>;
  readonly rules: DeadLetterRules;
  /** For another broker to have a batch committed. */
  readonly timeoutMs: () => number;
  readonly clock: Clock;
};

/** The partition that letters go to. */
type LetterBox = {
  readonly maxBatchBytes: number;
  /** Resolves when the batch is committed. */
  readonly send: (batch: Uint8Array) => Promise<void>;
};

const ACKS_ALL = -1;
const READ_BYTES = 1024 * 1024;
const LAST_VERSION_WITH_NAMES = 12;
/** The other broker gives up first, and says so. */
const ANSWER_GRACE_MS = 5_000;
const encoder = new TextEncoder();

/**
 * Dead letters as records of a topic (KIP-1191, of Kafka 4.4): each bears in headers where it comes from, how often it was delivered, and
 * why it is here; its key and value are those of the record where the group wants a copy. A letter that was written, and whose record could
 * not be archived then, is written again: at least once, never lost.
 */
export class DeadLetterTopic implements DeadLetterQueue {
  readonly #options: DeadLetterTopicOptions;

  constructor(options: DeadLetterTopicOptions) {
    this.#options = options;
  }

  async write(office: DeadLetterOffice, origin: Partition, letters: readonly DeadLetters[]): Promise<void> {
    const mail = new Mail(await this.#boxFor(office, origin), this.#options.clock.nowMs());
    for (const range of letters) {
      const headers = headersFor(office.groupId, origin, range);
      const copies = office.copiesDeadLetters ? recordsBetween(origin, range.firstOffset, range.lastOffset) : [];
      let offset = range.firstOffset;
      for (const record of copies) {
        // What the log has lost leaves a letter without content.
        for (; offset < record.offset; offset++) await mail.add(headers(offset));
        await mail.add(headers(offset), record);
        offset++;
      }
      for (; offset <= range.lastOffset; offset++) await mail.add(headers(offset));
    }
    await mail.send();
  }

  /** Throws where dead letters may not go, or not yet. */
  async #boxFor({ groupId, deadLetterTopic: topic }: DeadLetterOffice, origin: Partition): Promise<LetterBox> {
    const { rules, partitionCount, createTopic } = this.#options;
    const prefix = rules.prefix();
    if (topic.startsWith('__') || !topic.startsWith(prefix))
      throw new KafkaError(
        'INVALID_CONFIG',
        `the dead letters of ${groupId} may not go to ${topic}: its name must begin with ${prefix}`,
      );
    if (partitionCount(topic) === undefined) {
      if (!rules.createsTopics())
        throw new KafkaError(
          'INVALID_CONFIG',
          `the dead-letter topic ${topic} of ${groupId} does not exist: create it, or see errors.deadletterqueue.auto.create.topics.enable`,
        );
      await createTopic(topic);
    }
    if (!rules.isOpenToGroups(topic))
      throw new KafkaError(
        'INVALID_CONFIG',
        `the topic ${topic} does not take the dead letters of ${groupId}: set its errors.deadletterqueue.group.enable to true`,
      );
    const index = origin.index % (partitionCount(topic) ?? 1);
    return { maxBatchBytes: rules.maxBatchBytes(topic), send: (batch) => this.#send(topic, index, batch) };
  }

  /** To the leader of the partition, here or elsewhere. */
  async #send(topic: string, index: number, batch: Uint8Array): Promise<void> {
    const { partitions, leaderOf, brokers, rules } = this.#options;
    const leader = leaderOf(topic, index) ?? -1;
    if (leader >= 0 && leader !== brokers.nodeId) return this.#sendTo(leader, topic, index, batch);
    const partition = partitions.leader(topic, index);
    const { lastOffset } = partition.appendAsLeader(batch, { origin: 'coordinator' }, ACKS_ALL, rules.minInsyncReplicas(topic));
    await partition.whenCommitted(lastOffset + 1);
  }

  async #sendTo(leader: number, topic: string, index: number, records: Uint8Array): Promise<void> {
    const { brokers, timeoutMs } = this.#options;
    const topicData = [{ name: topic, partitionData: [{ index, records }] }];
    const request = { transactionalId: null, acks: ACKS_ALL, timeoutMs: timeoutMs(), topicData };
    const options = { maxVersion: LAST_VERSION_WITH_NAMES, timeoutMs: timeoutMs() + ANSWER_GRACE_MS };
    const { responses } = await brokers.to(leader).send(Produce, request, options);
    const { errorCode, errorMessage } = responses[0]!.partitionResponses[0]!;
    const refusal = errorOfCode(errorCode, errorMessage ?? `broker ${leader} has not taken dead letters for ${topic}-${index}`);
    if (refusal) throw refusal;
  }
}

type Content = Partial<Pick<DecodedRecord, 'key' | 'value'>>;

/** Of a batch with one record, at most, besides key, value and headers. */
const BATCH_OVERHEAD_BYTES = 61 + 26;
/** The lengths of a header's key and value, at most. */
const HEADER_OVERHEAD_BYTES = 10;

/** Letters on their way, in batches as large as their partition takes them. */
class Mail {
  readonly #box: LetterBox;
  readonly #nowMs: number;
  #batch = new BatchBuilder();

  constructor(box: LetterBox, nowMs: number) {
    this.#box = box;
    this.#nowMs = nowMs;
  }

  async add(headers: RecordHeader[], content: Content = {}): Promise<void> {
    const { maxBatchBytes } = this.#box;
    // What the topic does not take would be tried for ever, and everything before it written again each time.
    const { key, value } = fitsAlone(headers, content, maxBatchBytes) ? content : {};
    if (!this.#batch.hasRoomFor(key ?? null, value ?? null, headers, maxBatchBytes)) await this.send();
    this.#batch.append(this.#nowMs, key ?? null, value ?? null, headers);
  }

  async send(): Promise<void> {
    if (this.#batch.isEmpty) return;
    const batch = this.#batch.build();
    this.#batch = new BatchBuilder();
    await this.#box.send(batch);
  }
}

function fitsAlone(headers: readonly RecordHeader[], { key, value }: Content, maxBytes: number): boolean {
  let bytes = BATCH_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += HEADER_OVERHEAD_BYTES + header.key.length + (header.value?.length ?? 0);
  return bytes <= maxBytes;
}

function headersFor(groupId: string, { topic, index }: Partition, { deliveryCount, cause }: DeadLetters) {
  const header = (key: string, text: string | number): RecordHeader => ({
    key: `__dlq.errors.${key}`,
    value: encoder.encode(String(text)),
  });
  const [origin, partition, group] = [header('topic', topic), header('partition', index), header('group', groupId)];
  const rest = [header('delivery.count', deliveryCount), header('message', cause)];
  return (offset: number): RecordHeader[] => [origin, partition, header('offset', offset), group, ...rest];
}

/** The records that the log still has of these offsets. */
function* recordsBetween(partition: Partition, firstOffset: number, lastOffset: number): Generator<DecodedRecord> {
  let offset = Math.max(firstOffset, partition.log.logStartOffset);
  while (offset <= lastOffset && offset < partition.highWatermark) {
    const { records, release } = partition.read(offset, READ_BYTES, 'highWatermark', true);
    let nextOffset = offset;
    try {
      for (const batch of batchesOf(records)) {
        nextOffset = batch.lastOffset + 1;
        if (batch.isControl || batch.baseOffset > lastOffset) continue;
        for (const record of batch.records()) if (record.offset >= offset && record.offset <= lastOffset) yield record;
      }
    } finally {
      release?.();
    }
    if (nextOffset <= offset) return;
    offset = nextOffset;
  }
}
