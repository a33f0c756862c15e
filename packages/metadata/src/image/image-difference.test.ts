import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetadataRecord, Uuid } from '@ottla/protocol';
import { configRecord, featureLevelRecord } from '../records.ts';
import { imageDifference } from './image-difference.ts';
import { MetadataImage } from './metadata-image.ts';

const uuid = (letter: string): Uuid => `${letter.repeat(21)}A` as Uuid;
const topic = (name: string, topicId: Uuid): MetadataRecord => ({ type: 'TopicRecord', version: 0, value: { name, topicId } });
const partition = (topicId: Uuid, partitionId: number, partitionEpoch: number): MetadataRecord => ({
  type: 'PartitionRecord',
  version: 0,
  value: {
    topicId,
    partitionId,
    replicas: [1],
    isr: [1],
    removingReplicas: [],
    addingReplicas: [],
    leader: 1,
    leaderRecoveryState: 0,
    leaderEpoch: 0,
    partitionEpoch,
    directories: [],
    eligibleLeaderReplicas: null,
    lastKnownElr: null,
  },
});

function imageOf(records: readonly MetadataRecord[]): MetadataImage {
  const image = new MetadataImage();
  for (const record of records) image.replay(record);
  return image;
}

test('of two images it is told what is new, what is other, and what is gone', () => {
  const before = imageOf([
    featureLevelRecord('metadata.version', 20),
    topic('gone', uuid('a')),
    partition(uuid('a'), 0, 0),
    topic('again', uuid('b')),
    partition(uuid('b'), 0, 0),
    topic('same', uuid('c')),
    partition(uuid('c'), 0, 3),
    partition(uuid('c'), 1, 3),
    configRecord(2, 'gone', 'retention.ms', '1'),
  ]);
  const after = imageOf([
    featureLevelRecord('metadata.version', 21),
    topic('again', uuid('d')),
    partition(uuid('d'), 0, 0),
    topic('same', uuid('c')),
    partition(uuid('c'), 0, 3),
    partition(uuid('c'), 1, 4),
    partition(uuid('c'), 2, 0),
  ]);
  const { topics, features, configs } = imageDifference(before, after);
  const told = [...topics.values()].map(({ name, created, deleted, partitions }) => [name, created, deleted, [...partitions]]);
  assert.deepEqual(told, [
    ['gone', false, true, [0]],
    ['again', false, true, [0]],
    ['again', true, false, [0]],
    ['same', false, false, [1, 2]],
  ]);
  assert.deepEqual([...features], ['metadata.version']);
  assert.deepEqual([...configs.values()], [{ type: 2, name: 'gone' }]);
  assert.ok(imageDifference(after, after).topics.size === 0);
});
