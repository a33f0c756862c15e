/** Answers made comparable: what must differ between two brokers, or between two runs, becomes a word in angle brackets. */
import { type Api, batchesOf, errorName, KafkaError } from '@ottla/protocol';

export type Plain = null | boolean | number | string | Plain[] | { [name: string]: Plain };

/** Facts of one broker that its answers repeat. */
export type Surroundings = {
  readonly port: number;
  readonly controllerPort: number;
  readonly dataDirectory: string;
  /** Names for ids that were handed out in this run. */
  readonly idNames: ReadonlyMap<string | number, string>;
};

const varying = new Set([
  'throttleTimeMs',
  'usableBytes',
  'totalBytes',
  'finalizedFeaturesEpoch',
  'brokerEpoch',
  'incarnationId',
]);
const javaUuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const kafkaUuid = /^(?=.*[A-Z0-9_-])[A-Za-z0-9_-]{22}$/;
const earliestNow = Date.UTC(2025, 0);
const latestNow = Date.UTC(2040, 0);

export function plain(value: unknown, surroundings: Surroundings, name = ''): Plain {
  if (varying.has(name)) return `<${name}>`;
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    const known = name === 'producerId' || name === 'sessionId' ? surroundings.idNames.get(value) : undefined;
    if (known !== undefined) return known;
    if (name === 'sessionId' && value > 0) return '<some session>';
    if (value === surroundings.port) return '<port>';
    if (value === surroundings.controllerPort) return '<controller port>';
    if (name === 'errorCode' || name.endsWith('ErrorCode')) return errorName(value);
    return value > earliestNow && value < latestNow ? '<time>' : value;
  }
  if (typeof value === 'string') return plainText(value, surroundings, name);
  if (value instanceof Uint8Array)
    return name === 'records' ? plainRecords(value, surroundings) : Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return inAnOrder(value.map((element) => plain(element, surroundings, name)));
  const fields = Object.entries(value as object).map(([field, inner]) => [field, plain(inner, surroundings, field)]);
  return Object.fromEntries(fields) as Plain;
}

function plainText(text: string, { idNames, port, controllerPort, dataDirectory }: Surroundings, name: string): Plain {
  if (idNames.has(text)) return idNames.get(text)!;
  if (/id$|^topic$|directory/i.test(name) && kafkaUuid.test(text) && !/^A{21}/.test(text)) return '<uuid>';
  let result = text;
  for (const [id, shown] of idNames) if (typeof id === 'string' && id.length > 8) result = result.replaceAll(id, shown);
  return result
    .replaceAll(dataDirectory, '<data>')
    .replaceAll(`:${port}`, ':<port>')
    .replaceAll(`:${controllerPort}`, ':<controller port>')
    .replace(javaUuid, '<java uuid>')
    .replace(/within \[.*\]/, 'within <times>');
}

/** Kafka hands out most lists in the order of a hash map. */
function inAnOrder(values: Plain[]): Plain[] {
  const keyed = values.map((value) => ({ value, key: JSON.stringify(value) }));
  return keyed.sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0)).map(({ value }) => value);
}

/** Every field of every batch; records decoded. A tail that was cut off is told by its length. */
function plainRecords(bytes: Uint8Array, surroundings: Surroundings): Plain {
  const shown: Plain[] = [];
  let position = 0;
  for (const batch of batchesOf(bytes)) {
    position += batch.length;
    const fields = {
      baseOffset: batch.baseOffset,
      leaderEpoch: batch.leaderEpoch,
      magic: batch.magic,
      attributes: batch.attributes,
      lastOffset: batch.lastOffset,
      baseTimestamp: batch.baseTimestamp,
      maxTimestamp: batch.maxTimestamp,
      producerId: batch.producerId,
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      recordsCount: batch.recordsCount,
      isCrcValid: batch.isCrcValid(),
    };
    const records: string[] = [];
    try {
      for (const record of batch.records()) {
        const [key, value] = [record.key, record.value].map((part) => part && Buffer.from(part).toString('latin1'));
        records.push(`${record.offset}: ${key}=${value && value.length > 40 ? `${value.length} bytes` : value}`);
      }
    } catch (error) {
      records.push(error instanceof Error ? error.message : String(error));
    }
    shown.push(`${JSON.stringify(plain(fields, surroundings))} ${records.join(', ')}`);
  }
  if (position < bytes.length) shown.push(`${bytes.length - position} bytes of a batch that was cut`);
  // An object, because the order of batches must not be lost.
  return Object.fromEntries(shown.map((batch, index) => [`batch ${index}`, batch]));
}

/** A request that its version cannot express is the same for every broker. */
export function isUnwritable(error: unknown): boolean {
  return error instanceof KafkaError && error.name === 'UNSUPPORTED_VERSION';
}

export function versionsOf(api: Api): number[] {
  const last = api.latestVersionUnstable ? api.maxVersion - 1 : api.maxVersion;
  return Array.from({ length: last - api.minVersion + 1 }, (_, index) => api.minVersion + index);
}
