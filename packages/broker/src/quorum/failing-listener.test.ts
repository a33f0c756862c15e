import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featureLevelRecord, parseBrokerConfig } from '@ottla/metadata';
import { World } from '@ottla/runtime';
import { readMetaProperties } from '@ottla/storage';
import { formatForDevelopment } from '../format.ts';
import { testSettings } from '../testing-node.ts';
import { metadataLogConfig } from './metadata-log-config.ts';
import { MetadataQuorum } from './metadata-quorum.ts';

test('a listener that throws ends the quorum, and whoever appended is told', async () => {
  const world = new World({ seed: 1 });
  const runtime = world.machine('node').boot();
  formatForDevelopment(runtime, testSettings);
  const failures: unknown[] = [];
  const quorum = await world.runUntil(
    MetadataQuorum.open({
      runtime,
      directory: '/data',
      directoryId: readMetaProperties(runtime.files, '/data')!.directoryId!,
      nodeId: 1,
      controllerEndpoints: [{ name: 'CONTROLLER', host: 'node', port: 9093 }],
      config: metadataLogConfig(parseBrokerConfig(testSettings).config),
      onFailure: (error) => failures.push(error),
    }),
  );
  await quorum.subscribe({
    snapshot: () => ({ records: () => {}, end: () => {} }),
    batch: ({ records }) => {
      if (records.some(({ type }) => type === 'FeatureLevelRecord')) throw new Error('cannot apply this');
    },
  });
  const records = [featureLevelRecord('group.version', 1)];
  await assert.rejects(world.runUntil(quorum.append(records)), /cannot apply this/);
  assert.equal(failures.length, 1);
  await assert.rejects(world.runUntil(quorum.append(records)));
  await world.runUntil(quorum.close());
});
