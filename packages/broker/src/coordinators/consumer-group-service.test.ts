import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GroupCoordinator } from '@ottla/coordinator';
import { ConsumerGroupService } from './consumer-group-service.ts';
import type { GroupPartitions } from './group-partitions.ts';

test('the regular expressions of many groups are resolved one group after the other', async () => {
  const happened: string[] = [];
  const wanted = ['one', 'two', 'three'].map((groupId) => ({ groupId, regexes: ['o.*'] }));
  const done = Promise.withResolvers<void>();
  const regexes = {
    take: () => wanted.shift(),
    resolved: (groupId: string) => happened.push(`${groupId} is resolved`),
    failed: () => assert.fail('it fails'),
  };
  const groups = { consumer: { regexes } } as unknown as GroupCoordinator;
  const partitions = {
    topics: {
      version: 1,
      names: () => {
        happened.push('the topics are looked at');
        return Array.from({ length: 1_000 }, (_, index) => `orders-${index}`);
      },
    },
    coordinators: {
      write: async (_partition: number, decide: (coordinator: GroupCoordinator) => void) => {
        decide(groups);
        if (happened.length === 6) done.resolve();
      },
    },
  } as unknown as GroupPartitions;
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, monotonicMs: () => (nowMs += 3) };
  const timers = { soon: (callback: () => void) => setImmediate(callback) };
  const runtime = { clock, timers } as unknown as ConstructorParameters<typeof ConsumerGroupService>[1];
  new ConsumerGroupService(partitions, runtime).resolveRegexes(0, groups);
  await done.promise;
  const each = ['one', 'two', 'three'].flatMap((groupId) => ['the topics are looked at', `${groupId} is resolved`]);
  assert.deepEqual(happened, each);
});
