import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryRuntime } from '@ottla/runtime';
import { MetadataQuorum, type MetadataQuorumOptions } from './metadata-quorum.ts';
import { loneVoter } from './testing-quorum.ts';

/** What is said of the search for a leader by a controller whose log knows nothing of a quorum. */
async function searchOf(options: Partial<MetadataQuorumOptions>): Promise<string> {
  const runtime = memoryRuntime({ seed: 1 });
  const quorum = await runtime.runUntil(MetadataQuorum.open({ runtime, ...loneVoter, staticVoters: [], ...options }));
  const { search } = quorum;
  await runtime.runUntil(quorum.close());
  return search;
}

test('a controller that knows no voters and has only itself to ask says what to do about it', async () => {
  const itself = { host: 'localhost', port: 9093 };
  const other = { host: 'elsewhere', port: 9093 };
  assert.match(
    await searchOf({ bootstrapServers: [itself] }),
    /names this node alone: name the controllers of its cluster there/,
  );
  assert.equal(await searchOf({ bootstrapServers: [itself, other] }), '(epoch 0, voters unknown)');
  assert.equal(await searchOf({ bootstrapServers: [itself], staticVoters: [{ id: 1, ...itself }] }), '(epoch 1, voters 1)');
});
