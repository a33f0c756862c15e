import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Controller } from '@ottla/metadata';
import type { Runtime } from '@ottla/runtime';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import { ActiveController, type MetadataLog } from './active-controller.ts';

test('a controller that was held up tells so before it judges who has been silent', () => {
  let nowMs = 1_000;
  let wake = (): void => assert.fail('no timer was set');
  const told: string[] = [];
  const controller = {
    tick: () => {
      told.push('tick');
      return { records: [], wakeAtMs: nowMs + 400 };
    },
    overslept: (ms: number, now: number) => void told.push(`overslept ${ms} at ${now}`),
  } as unknown as Controller;
  const runtime = {
    clock: { nowMs: () => nowMs },
    timers: {
      after: (_ms: number, callback: () => void) => {
        wake = callback;
        return { cancel() {} };
      },
    },
  } as unknown as Runtime;
  const around = { log: { nextOffset: 0 } as MetadataLog, metadata: {} as ClusterMetadata, onFatal: () => assert.fail() };
  new ActiveController({ controller, runtime, ...around }).start();
  nowMs += 410;
  wake();
  nowMs += 400 + 11_000;
  wake();
  assert.deepEqual(told, ['tick', 'tick', 'overslept 11000 at 12810', 'tick']);
});
