import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Controller } from '@ottla/metadata';
import { type Runtime, silentLogger } from '@ottla/runtime';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import { type MetadataLog, QuorumController } from './quorum-controller.ts';

test('a controller that was held up tells so before it judges who has been silent', () => {
  let nowMs = 1_000;
  let wake = (): void => assert.fail('no timer was set');
  const told: string[] = [];
  const controller = {
    tick: () => {
      told.push('tick');
      return { records: [], wakeAtMs: nowMs + 400 };
    },
    activate: () => ({ records: [], response: null }),
    overslept: (ms: number, now: number) => void told.push(`overslept ${ms} at ${now}`),
  } as unknown as Controller;
  const runtime = {
    // Whoever sets the clock of the wall holds nobody up.
    clock: { nowMs: () => 1_000, monotonicMs: () => nowMs },
    logger: silentLogger,
    timers: {
      after: (_ms: number, callback: () => void) => {
        wake = callback;
        return { cancel() {} };
      },
    },
  } as unknown as Runtime;
  const quorumController = new QuorumController({
    controller,
    runtime,
    nodeId: 1,
    log: { nextOffset: 0 } as MetadataLog,
    metadata: {} as ClusterMetadata,
    bootstrap: [],
    hasRegisteredBroker: () => false,
    onFatal: () => assert.fail(),
  });
  quorumController.leaderChanged({ leaderId: 1, leaderEpoch: 1 });
  nowMs += 410;
  wake();
  nowMs += 400 + 11_000;
  wake();
  assert.deepEqual(told, ['tick', 'tick', 'overslept 11000 at 12810', 'tick']);
});
