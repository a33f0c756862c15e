import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admin } from './admin/admin.ts';
import { Consumer } from './consumer/consumer.ts';
import { Producer } from './producer/producer.ts';

const bootstrapServers = '127.0.0.1:1';

/** As from JavaScript, where no compiler looks. */
function refuses(client: new (config: never) => unknown, options: object, message: RegExp): void {
  assert.throws(() => new client({ bootstrapServers, ...options } as never), { name: 'INVALID_CONFIG', message });
}

test('an option that does not exist is refused, and the one that is meant is named', () => {
  refuses(Producer, { linger: 4 }, /^Producer has no option linger: do you mean lingerMs\?$/);
  refuses(Producer, { 'linger.ms': 4 }, /do you mean lingerMs/);
  refuses(Producer, { ssl: true }, /^Producer has no option ssl; those there are: docs\/client\.md$/);
  refuses(Producer, { groupId: 'g' }, /Producer has no option groupId/);
  refuses(Consumer, { acks: 1 }, /Consumer has no option acks/);
  refuses(Admin, { acks: 1 }, /Admin has no option acks/);
});

test('a value that an option cannot have is refused by the constructor', () => {
  refuses(Producer, { compressionType: 'brotli' }, /^compressionType must be one of "none", "gzip", .*, not "brotli"$/);
  refuses(Producer, { acks: 2 }, /^acks must be one of "all", -1, 0, 1, not 2$/);
  refuses(Producer, { acks: '1' }, /^acks must be one of "all", -1, 0, 1, not "1"$/);
  refuses(Producer, { lingerMs: -1 }, /^lingerMs must be a whole number from 0 to 2147483647, not -1$/);
  refuses(Producer, { batchSize: '16384' }, /batchSize must be a whole number .*, not "16384"/);
  refuses(Producer, { enableIdempotence: 'false' }, /enableIdempotence must be true or false, not "false"/);
  refuses(Producer, { maxInFlightRequestsPerConnection: 0 }, /maxInFlightRequestsPerConnection/);
  refuses(Producer, { clientId: 7 }, /clientId must be text, not 7/);
  refuses(Producer, { bootstrapServers: undefined }, /bootstrapServers/);
  refuses(Consumer, { isolationLevel: 'serializable' }, /isolationLevel must be one of "read_uncommitted", "read_committed"/);
  refuses(Consumer, { maxPollRecords: 0 }, /maxPollRecords must be a whole number from 1/);
  refuses(Consumer, { valueDeserializer: 'string' }, /valueDeserializer must be a function/);
  refuses(Consumer, { autoOffsetReset: 'first' }, /autoOffsetReset is latest, earliest/);
  refuses(Admin, { requestTimeoutMs: Number.NaN }, /requestTimeoutMs must be a whole number .*, not NaN/);
  refuses(Admin, { bootstrapServers: 9092 }, /bootstrapServers must be text or a list of texts/);
});

test('a compression level that the codec does not have is refused by the constructor', () => {
  refuses(
    Producer,
    { compressionType: 'gzip', compressionLevel: 10 },
    /^compressionLevel of gzip must be from 1 to 9, or -1, not 10$/,
  );
  refuses(Producer, { compressionType: 'gzip', compressionLevel: 0 }, /compressionLevel of gzip/);
  refuses(
    Producer,
    { compressionType: 'zstd', compressionLevel: 23 },
    /^compressionLevel of zstd must be from -131072 to 22, not 23$/,
  );
  refuses(Producer, { compressionType: 'lz4', compressionLevel: 18 }, /^compressionLevel of lz4 must be from 1 to 17, not 18$/);
  for (const [compressionType, compressionLevel] of [
    ['gzip', -1],
    ['zstd', -5],
    ['lz4', 9],
    ['none', 3],
  ] as const)
    new Producer({ bootstrapServers, compressionType, compressionLevel });
});

test('options that are undefined have their defaults', () => {
  new Producer({ bootstrapServers, acks: undefined, lingerMs: undefined, compressionType: undefined });
  new Consumer({ bootstrapServers, groupId: undefined });
});
