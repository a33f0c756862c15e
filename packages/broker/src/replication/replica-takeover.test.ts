import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetadataDelta, MetadataImage } from '@ottla/metadata';
import { IoError, World } from '@ottla/runtime';
import { Partitions } from './partitions.ts';
import { ReplicaPublisher } from './replica-publisher.ts';

/** A partition that this broker leads on in a new epoch, which its disk may have no room to write down. */
function leading() {
  const world = new World({ seed: 1 });
  const told: string[] = [];
  const partition = {
    topic: 't',
    index: 0,
    topicId: 'id',
    isLeader: true,
    leaderEpoch: 5,
    reign: 1,
    isDiskFull: true,
    updateState: ({ leaderEpoch }: { leaderEpoch: number }) => {
      Object.assign(partition, { leaderEpoch, isLeader: true });
      if (partition.isDiskFull) throw new IoError('no room', { code: 'ENOSPC', path: 'leader-epoch-checkpoint' });
    },
    resign: () => void (partition.isLeader = false),
  };
  const partitions = new Partitions();
  partitions.add(partition as unknown as Parameters<Partitions['add']>[0]);
  const { timers, clock, logger } = world.machine('broker').boot();
  const surroundings = {
    brokerId: 1,
    partitions,
    timers,
    clock,
    logger,
    settings: { onChange: () => undefined },
    logManager: { onDiskError: () => true, syncDirectories: () => undefined, isClosed: false },
    replication: { follow: () => undefined, unfollow: () => undefined },
    leadership: {
      elected: ({ leaderEpoch }: { leaderEpoch: number }, leadsOn: boolean) =>
        told.push(`elected at ${leaderEpoch}${leadsOn ? ', leads on' : ''}`),
      resigned: () => told.push('resigned'),
      topicsDeleted: () => undefined,
    },
  };
  const publisher = new ReplicaPublisher(surroundings as unknown as ConstructorParameters<typeof ReplicaPublisher>[0]);
  const topic = { id: 'id', name: 't', partition: () => ({ replicas: [1], leader: 1, leaderEpoch: 6 }) };
  const image = { topics: { byId: () => topic } } as unknown as MetadataImage;
  const delta = {
    topics: new Map([['id', { id: 'id', partitions: [0] }]]),
    deletedTopics: [],
    configs: new Map(),
  } as unknown as MetadataDelta;
  return { world, partition, told, publish: () => publisher.publish(delta, image) };
}

test('who leads on in a new epoch says so', () => {
  const { partition, told, publish } = leading();
  partition.isDiskFull = false;
  publish();
  assert.deepEqual(told, ['elected at 6, leads on']);
});

test('who cannot take over a new epoch leads no more: its coordinator hears of it, and again when there is room', async () => {
  const { world, partition, told, publish } = leading();
  publish();
  assert.deepEqual(told, ['resigned']);
  partition.isDiskFull = false;
  await world.advance(2_000);
  assert.deepEqual(told, ['resigned', 'elected at 6']);
});
