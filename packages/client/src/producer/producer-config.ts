import { type CompressionCodec, compressionCodecs, KafkaError } from '@ottla/protocol';
import { type ClientConfig, clientRules, withDefaults } from '../client-config.ts';
import { anyInt32, checkOptions, fromOne, fromZero, fromZeroToLong, maxInt32, type OptionRules } from '../option-rules.ts';

export type Acks = 'all' | -1 | 0 | 1;

export type ProducerConfig = ClientConfig & {
  /** Who must have a record before it counts as sent: all in-sync replicas, the leader (1), nobody (0). */
  readonly acks?: Acks;
  /** How long a batch waits for more records. */
  readonly lingerMs?: number;
  /** A batch is sent once it has this many bytes. */
  readonly batchSize?: number;
  readonly compressionType?: CompressionCodec;
  /** The codec's level; its default unless given. */
  readonly compressionLevel?: number;
  /** Retries write no record twice and keep the order. On unless acks say otherwise. */
  readonly enableIdempotence?: boolean;
  /** Requests to one broker that are not answered yet. At most 5 with idempotence. */
  readonly maxInFlightRequestsPerConnection?: number;
  /** From `send` to success or failure, with all retries. At least `lingerMs` and `requestTimeoutMs` together. */
  readonly deliveryTimeoutMs?: number;
  /** Bytes of records that wait to be sent or answered; `send` waits beyond. */
  readonly bufferMemory?: number;
  /** How long `send` may wait for metadata and for memory. */
  readonly maxBlockMs?: number;
  readonly maxRequestSize?: number;
  /** A topic that nothing was sent to for so long is forgotten until something is. */
  readonly metadataMaxIdleMs?: number;
  /** Records and offsets are sent in transactions, and one producer at a time has this id. Needs `initTransactions`. */
  readonly transactionalId?: string;
  /** A transaction that is open for longer is aborted by the coordinator. */
  readonly transactionTimeoutMs?: number;
};

const defaults = {
  acks: 'all',
  lingerMs: 5,
  batchSize: 16_384,
  compressionType: 'none',
  maxInFlightRequestsPerConnection: 5,
  deliveryTimeoutMs: 120_000,
  bufferMemory: 33_554_432,
  maxBlockMs: 60_000,
  maxRequestSize: 1_048_576,
  metadataMaxIdleMs: 300_000,
  transactionalId: '',
  transactionTimeoutMs: 60_000,
} as const satisfies Partial<ProducerConfig>;

const rules: OptionRules<ProducerConfig> = {
  ...clientRules,
  acks: ['all', -1, 0, 1],
  lingerMs: fromZero,
  batchSize: fromZero,
  compressionType: compressionCodecs,
  compressionLevel: anyInt32,
  enableIdempotence: 'flag',
  maxInFlightRequestsPerConnection: fromOne,
  deliveryTimeoutMs: fromZero,
  bufferMemory: fromZeroToLong,
  maxBlockMs: fromZero,
  maxRequestSize: fromZero,
  metadataMaxIdleMs: { min: 5000, max: Number.MAX_SAFE_INTEGER },
  transactionalId: 'text',
  transactionTimeoutMs: fromOne,
};

export type CompleteProducerConfig = Required<Omit<ProducerConfig, 'compressionLevel' | 'acks'>> & {
  readonly compressionLevel?: number;
  /** As in the protocol. */
  readonly acks: -1 | 0 | 1;
  /** '' for none. */
  readonly transactionalId: string;
};

/** Throws INVALID_CONFIG for options that do not exist, for values they cannot have, and for those that do not go together. */
export function completeProducerConfig(config: ProducerConfig): CompleteProducerConfig {
  checkOptions('Producer', config, rules);
  const complete = withDefaults(config, defaults);
  checkLevel(complete.compressionType, complete.compressionLevel);
  const given: Acks = config.acks ?? defaults.acks;
  const acks = given === 'all' ? -1 : given;
  const enableIdempotence = config.enableIdempotence ?? acks === -1;
  if (enableIdempotence && acks !== -1) throw new KafkaError('INVALID_CONFIG', 'enableIdempotence needs acks "all"');
  // Nobody loses what keeps records from being written twice by asking for more speed.
  if (enableIdempotence && complete.maxInFlightRequestsPerConnection > 5) {
    const text = 'maxInFlightRequestsPerConnection must be at most 5, unless enableIdempotence is false';
    throw new KafkaError('INVALID_CONFIG', text);
  }
  if (complete.transactionalId !== '' && !enableIdempotence)
    throw new KafkaError('INVALID_CONFIG', 'transactionalId needs enableIdempotence');
  const attemptMs = Math.min(complete.lingerMs + complete.requestTimeoutMs, maxInt32);
  if (config.deliveryTimeoutMs !== undefined && config.deliveryTimeoutMs < attemptMs) {
    throw new KafkaError('INVALID_CONFIG', 'deliveryTimeoutMs must be at least lingerMs + requestTimeoutMs');
  }
  const deliveryTimeoutMs = Math.max(complete.deliveryTimeoutMs, attemptMs);
  return { ...complete, acks, enableIdempotence, deliveryTimeoutMs } as CompleteProducerConfig;
}

const levels: Readonly<Record<CompressionCodec, { min: number; max: number; also?: number } | undefined>> = {
  none: undefined,
  gzip: { min: 1, max: 9, also: -1 },
  snappy: undefined,
  lz4: { min: 1, max: 17 },
  zstd: { min: -131_072, max: 22 },
};

function checkLevel(codec: CompressionCodec, level: number | undefined): void {
  const range = levels[codec];
  if (level === undefined || !range || level === range.also || (level >= range.min && level <= range.max)) return;
  const also = range.also === undefined ? '' : `, or ${range.also}`;
  throw new KafkaError(
    'INVALID_CONFIG',
    `compressionLevel of ${codec} must be from ${range.min} to ${range.max}${also}, not ${level}`,
  );
}
