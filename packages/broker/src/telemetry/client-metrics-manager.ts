import { type ClientAttribute, type ClientMetricsSubscription, clientMetricsConfigs, matchesClient } from '@ottla/metadata';
import {
  codecOfId,
  compressionCodecs,
  crc32c,
  decompress,
  type GetTelemetrySubscriptionsResponse,
  inJavaHashOrder,
  KafkaError,
  type PushTelemetryRequest,
  type Uuid,
  uuidToBytes,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';

/** Of the client on the other end of a connection. */
export type ClientAttributes = Readonly<Record<Exclude<ClientAttribute, 'client_instance_id'>, string | null>>;

/** What a client instance came with: it is forgotten when that closes. */
export type ClientConnection = { onClosed(callback: () => void): unknown };

export type ClientMetricsSurroundings = {
  readonly subscriptions: readonly ClientMetricsSubscription[];
  readonly telemetryMaxBytes: number;
  readonly randomUuid: () => Uuid;
  /** Takes what a client has pushed, decompressed; the bytes are the request's. What it throws is answered with INVALID_RECORD. */
  readonly receive: (metrics: Uint8Array, attributes: Readonly<Record<ClientAttribute, string | null>>) => void;
};

/** As in Kafka: whoever was not heard of for longest is forgotten first. */
const MAX_INSTANCES = 16_384;
const MIN_EXPIRY_MS = 60_000;
/** Of the instances that were silent for longest, how many are looked at when another one comes. */
const EXPIRY_STEPS = 4;
const ALL_METRICS = '*';
const ONE_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ';
/** The order is the broker's preference. */
const acceptedCompressionTypes = [4, 3, 1, 2];

/** What all clients with the same subscriptions are told. */
type Wanted = { readonly metrics: readonly string[]; readonly pushIntervalMs: number; readonly checksum: number };

type ClientInstance = {
  readonly wanted: Wanted;
  readonly subscriptionId: number;
  /** Of the subscriptions that it was told of. */
  readonly subscriptionVersion: number;
  lastGetMs: number;
  lastPushMs: number;
  /** What it was answered last allows it to ask for its subscription at once. */
  mayAskAgain: boolean;
  isTerminating: boolean;
  expiresAtMs: number;
};

/**
 * Which metrics each client should push and how often, and whether it does so (KIP-714). Clients are known by an instance id that they are
 * given, and that they keep when they reconnect or go to another broker: so what a subscription's id is made of is the same on each.
 */
export class ClientMetricsManager {
  readonly #around: ClientMetricsSurroundings;
  #subscriptions: readonly ClientMetricsSubscription[];
  #subscriptionVersion = 0;
  /** By the names of the subscriptions that match. */
  readonly #wanted = new Map<string, Wanted>();
  /** Whoever was heard of last stands last. */
  readonly #instances = new Map<Uuid, ClientInstance>();
  /** The instance that each connection has brought last. */
  readonly #brought = new WeakMap<ClientConnection, Uuid>();

  constructor(around: ClientMetricsSurroundings) {
    this.#around = around;
    this.#subscriptions = around.subscriptions;
  }

  get instances(): number {
    return this.#instances.size;
  }

  /** Clients are told when they ask next. */
  updateSubscriptions(subscriptions: readonly ClientMetricsSubscription[]): void {
    this.#subscriptions = subscriptions;
    this.#subscriptionVersion++;
    this.#wanted.clear();
  }

  /** Throws THROTTLING_QUOTA_EXCEEDED. */
  getSubscriptions(
    asked: Uuid,
    client: ClientAttributes,
    connection: ClientConnection,
    nowMs: number,
  ): Writable<GetTelemetrySubscriptionsResponse> {
    const clientInstanceId = asked === ZERO_UUID ? this.#around.randomUuid() : asked;
    const instance = this.#instance(clientInstanceId, client, connection, nowMs);
    const { wanted } = instance;
    if (nowMs - Math.max(instance.lastGetMs, instance.lastPushMs) >= wanted.pushIntervalMs) instance.lastGetMs = nowMs;
    else if (!instance.mayAskAgain) throw tooEarly();
    instance.mayAskAgain = false;
    return {
      clientInstanceId,
      subscriptionId: instance.subscriptionId,
      acceptedCompressionTypes,
      pushIntervalMs: wanted.pushIntervalMs,
      telemetryMaxBytes: this.#around.telemetryMaxBytes,
      deltaTemporality: true,
      requestedMetrics: [...wanted.metrics],
    };
  }

  /**
   * Throws INVALID_REQUEST, THROTTLING_QUOTA_EXCEEDED, UNKNOWN_SUBSCRIPTION_ID, UNSUPPORTED_COMPRESSION_TYPE, TELEMETRY_TOO_LARGE, and
   * INVALID_RECORD for what is no metrics, or decompresses to more than telemetry.max.bytes.
   */
  push(request: PushTelemetryRequest, client: ClientAttributes, connection: ClientConnection, nowMs: number): void {
    const { clientInstanceId, metrics } = request;
    if (clientInstanceId === ZERO_UUID || clientInstanceId === ONE_UUID)
      throw new KafkaError('INVALID_REQUEST', `no client has the instance id ${clientInstanceId}: ask for one`);
    const instance = this.#instance(clientInstanceId, client, connection, nowMs);
    const wasTerminating = instance.isTerminating;
    instance.isTerminating = request.terminating;
    instance.mayAskAgain = false;
    if (wasTerminating)
      throw new KafkaError(
        'INVALID_REQUEST',
        `client ${clientInstanceId} has said that it terminates: it cannot push after that`,
      );
    if (instance.lastGetMs > instance.lastPushMs || nowMs - instance.lastPushMs >= instance.wanted.pushIntervalMs)
      instance.lastPushMs = nowMs;
    else if (!request.terminating) throw tooEarly();
    if (request.subscriptionId !== instance.subscriptionId) {
      instance.mayAskAgain = true;
      throw new KafkaError('UNKNOWN_SUBSCRIPTION_ID', `client ${clientInstanceId} has other subscriptions now: ask for them`);
    }
    if (compressionCodecs[request.compressionType] === undefined) {
      instance.mayAskAgain = true;
      throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', `compression type ${request.compressionType} is unknown`);
    }
    const maxBytes = this.#around.telemetryMaxBytes;
    if (metrics.length > maxBytes)
      throw new KafkaError(
        'TELEMETRY_TOO_LARGE',
        `${metrics.length} bytes of metrics are more than telemetry.max.bytes, ${maxBytes}`,
      );
    if (metrics.length === 0) return;
    try {
      const decompressed = decompress(codecOfId(request.compressionType), metrics, { maxBytes });
      this.#around.receive(decompressed, { ...client, client_instance_id: clientInstanceId });
    } catch (error) {
      throw new KafkaError('INVALID_RECORD', `metrics that cannot be read: ${String(error)}`);
    }
  }

  #instance(clientInstanceId: Uuid, client: ClientAttributes, connection: ClientConnection, nowMs: number): ClientInstance {
    let instance = this.#instances.get(clientInstanceId);
    if (instance) this.#instances.delete(clientInstanceId);
    if (!instance || instance.expiresAtMs <= nowMs || instance.subscriptionVersion < this.#subscriptionVersion) {
      instance = this.#newInstance(clientInstanceId, client);
      this.#makeRoom(nowMs);
      this.#bringWith(connection, clientInstanceId);
    }
    instance.expiresAtMs = nowMs + Math.max(MIN_EXPIRY_MS, 3 * instance.wanted.pushIntervalMs);
    this.#instances.set(clientInstanceId, instance);
    return instance;
  }

  #bringWith(connection: ClientConnection, clientInstanceId: Uuid): void {
    if (!this.#brought.has(connection)) connection.onClosed(() => this.#instances.delete(this.#brought.get(connection)!));
    this.#brought.set(connection, clientInstanceId);
  }

  #makeRoom(nowMs: number): void {
    let steps = 0;
    for (const [id, { expiresAtMs }] of this.#instances) {
      if (this.#instances.size >= MAX_INSTANCES || expiresAtMs <= nowMs) this.#instances.delete(id);
      if (++steps >= EXPIRY_STEPS) return;
    }
  }

  #newInstance(clientInstanceId: Uuid, client: ClientAttributes): ClientInstance {
    const wanted = this.#wantedOf({ ...client, client_instance_id: clientInstanceId });
    return {
      wanted,
      subscriptionId: wanted.checksum ^ uuidHash(clientInstanceId),
      subscriptionVersion: this.#subscriptionVersion,
      lastGetMs: Number.NEGATIVE_INFINITY,
      lastPushMs: Number.NEGATIVE_INFINITY,
      mayAskAgain: false,
      isTerminating: false,
      expiresAtMs: 0,
    };
  }

  #wantedOf(attributes: Readonly<Record<ClientAttribute, string | null>>): Wanted {
    const matching = this.#subscriptions.filter(({ patterns }) => matchesClient(patterns, attributes));
    const key = JSON.stringify(matching.map(({ name }) => name));
    let wanted = this.#wanted.get(key);
    if (!wanted) {
      if (this.#wanted.size >= MAX_INSTANCES) this.#wanted.clear();
      this.#wanted.set(key, (wanted = wantedBy(matching)));
    }
    return wanted;
  }
}

function wantedBy(subscriptions: readonly ClientMetricsSubscription[]): Wanted {
  const names = new Set(subscriptions.flatMap(({ metrics }) => metrics));
  const metrics = names.has(ALL_METRICS) ? [ALL_METRICS] : inJavaHashOrder([...names]);
  const pushIntervalMs = subscriptions.reduce(
    (shortest, { intervalMs }) => Math.min(shortest, intervalMs),
    clientMetricsConfigs['interval.ms'].default!,
  );
  const checksum = crc32c(Buffer.from(`[${metrics.join(', ')}]${pushIntervalMs}`));
  return { metrics, pushIntervalMs, checksum };
}

/** Java's hash of an id: its 128 bits folded to 32. */
function uuidHash(uuid: Uuid): number {
  const bytes = uuidToBytes(uuid);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getInt32(0) ^ view.getInt32(4) ^ view.getInt32(8) ^ view.getInt32(12);
}

const tooEarly = (): KafkaError =>
  new KafkaError('THROTTLING_QUOTA_EXCEEDED', 'the push interval has not passed since the last request: wait for it');
