import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeProducerConfig, type ProducerConfig } from './producer-config.ts';

const complete = (config: Partial<ProducerConfig>) => completeProducerConfig({ bootstrapServers: 'broker:9092', ...config });

test('idempotence goes off where acks say so, and never by itself', () => {
  assert.equal(complete({}).enableIdempotence, true);
  assert.equal(complete({ acks: 1 }).enableIdempotence, false);
  assert.equal(complete({ enableIdempotence: false, maxInFlightRequestsPerConnection: 6 }).enableIdempotence, false);
  assert.equal(complete({ acks: 0, maxInFlightRequestsPerConnection: 6 }).enableIdempotence, false);
  for (const wrong of [{ maxInFlightRequestsPerConnection: 6 }, { acks: 1, enableIdempotence: true } as const])
    assert.throws(() => complete(wrong), { name: 'INVALID_CONFIG' });
});

test('a delivery may take as long as one request, unless somebody has said otherwise', () => {
  assert.equal(complete({}).deliveryTimeoutMs, 120_000);
  assert.equal(complete({ requestTimeoutMs: 180_000, lingerMs: 1000 }).deliveryTimeoutMs, 181_000);
  assert.equal(complete({ requestTimeoutMs: 0x7fff_ffff }).deliveryTimeoutMs, 0x7fff_ffff);
  assert.throws(() => complete({ requestTimeoutMs: 180_000, deliveryTimeoutMs: 120_000 }), { name: 'INVALID_CONFIG' });
});
