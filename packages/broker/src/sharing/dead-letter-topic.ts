import { BatchBuilder, batchesOf, type DecodedRecord, KafkaError, type RecordHeader } from '@ottla/protocol';
import type { Clock } from '@ottla/runtime';
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
};

export type DeadLetterTopicOptions = {
  readonly partitions: Partitions;
  readonly partitionCount: (topic: string) => number | undefined;
  /** With the config that opens it to groups. */
  readonly createTopic: (topic: string) => Promise<void>;
  readonly rules: DeadLetterRules;
  readonly clock: Clock;
};

const ACKS_ALL = -1;
const READ_BYTES = 1024 * 1024;
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
    const target = await this.#partitionFor(office, origin);
    const mail = new Mail(target, this.#options.clock.nowMs(), (batch) =>
      target.appendAsLeader(batch, { origin: 'coordinator' }, ACKS_ALL, this.#options.rules.minInsyncReplicas(target.topic)),
    );
    for (const range of letters) {
      const headers = headersFor(office.groupId, origin, range);
      const copies = office.copiesDeadLetters ? recordsBetween(origin, range.firstOffset, range.lastOffset) : [];
      let offset = range.firstOffset;
      for (const record of copies) {
        // What the log has lost leaves a letter without content.
        for (; offset < record.offset; offset++) mail.add(headers(offset));
        mail.add(headers(offset), record);
        offset++;
      }
      for (; offset <= range.lastOffset; offset++) mail.add(headers(offset));
    }
    mail.send();
    await target.whenCommitted(mail.endOffset);
  }

  /** Throws where dead letters may not go, or not yet. */
  async #partitionFor({ groupId, deadLetterTopic: topic }: DeadLetterOffice, origin: Partition): Promise<Partition> {
    const { rules, partitionCount, partitions, createTopic } = this.#options;
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
    return partitions.leader(topic, origin.index % (partitionCount(topic) ?? 1));
  }
}

type Content = Partial<Pick<DecodedRecord, 'key' | 'value'>>;

/** Of a batch with one record, at most, besides key, value and headers. */
const BATCH_OVERHEAD_BYTES = 61 + 26;
/** The lengths of a header's key and value, at most. */
const HEADER_OVERHEAD_BYTES = 10;

/** Letters on their way, in batches as large as their partition takes them. */
class Mail {
  readonly #partition: Partition;
  readonly #nowMs: number;
  readonly #append: (batch: Uint8Array) => { lastOffset: number };
  #batch = new BatchBuilder();
  endOffset = 0;

  constructor(partition: Partition, nowMs: number, append: (batch: Uint8Array) => { lastOffset: number }) {
    this.#partition = partition;
    this.#nowMs = nowMs;
    this.#append = append;
  }

  add(headers: RecordHeader[], content: Content = {}): void {
    const { maxMessageBytes, segmentBytes } = this.#partition.log.config;
    const maxBytes = Math.min(maxMessageBytes, segmentBytes);
    // What the topic does not take would be tried for ever, and everything before it written again each time.
    const { key, value } = fitsAlone(headers, content, maxBytes) ? content : {};
    const hasRoom = this.#batch.hasRoomFor(key ?? null, value ?? null, headers, maxBytes);
    if (!hasRoom) this.send();
    this.#batch.append(this.#nowMs, key ?? null, value ?? null, headers);
  }

  send(): void {
    if (this.#batch.isEmpty) return;
    this.endOffset = this.#append(this.#batch.build()).lastOffset + 1;
    this.#batch = new BatchBuilder();
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
    for (const batch of batchesOf(records)) {
      nextOffset = batch.lastOffset + 1;
      if (batch.isControl || batch.baseOffset > lastOffset) continue;
      for (const record of batch.records()) if (record.offset >= offset && record.offset <= lastOffset) yield record;
    }
    release?.();
    if (nextOffset <= offset) return;
    offset = nextOffset;
  }
}
