import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBootstrapServers } from './bootstrap-servers.ts';

test('servers come as one text or as a list', () => {
  const both = [
    { host: 'one', port: 9092 },
    { host: '::1', port: 1 },
  ];
  assert.deepEqual(parseBootstrapServers('one:9092, [::1]:1'), both);
  assert.deepEqual(parseBootstrapServers(['one:9092', 'PLAINTEXT://[::1]:1']), both);
});

test('what is no server is refused', () => {
  for (const wrong of ['', 'one', 'one:', 'one:0', 'one:70000', ':9092', 'a:b:1']) {
    assert.throws(() => parseBootstrapServers(wrong), { name: 'INVALID_CONFIG' }, wrong);
  }
});
