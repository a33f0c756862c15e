import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featureLevelRecord, parseBrokerConfig } from '@ottla/metadata';
import { KafkaError, type MetadataRecord } from '@ottla/protocol';
import { type Machine, type Runtime, World } from '@ottla/runtime';
import { readMetaProperties } from '@ottla/storage';
import { type FormatOptions, formatDirectories } from '../format.ts';
import { defaultMetadataLogConfig, type MetadataLogConfig } from './metadata-log-config.ts';
import { MetadataQuorum, type MetadataQuorumOptions } from './metadata-quorum.ts';
import { LevelListener, level } from './testing-quorum.ts';

const settings = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  listeners: 'PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.bootstrap.servers': 'localhost:9093',
  'log.dirs': '/data',
};
const metadataDirectory = '/data/__cluster_metadata-0';

function format(runtime: Runtime, options: Partial<FormatOptions> = {}): void {
  const { config, properties } = parseBrokerConfig(settings);
  const { files, random } = runtime;
  formatDirectories({
    files,
    random,
    nowMs: runtime.clock.nowMs(),
    config,
    properties,
    clusterId: 'cluster',
    standalone: true,
    ...options,
  });
}

type Opened = { quorum: MetadataQuorum; failures: unknown[] };

async function open(world: World, runtime: Runtime, options: Partial<MetadataQuorumOptions> = {}): Promise<Opened> {
  const failures: unknown[] = [];
  const quorum = await world.runUntil(
    MetadataQuorum.open({
      runtime,
      directory: '/data',
      directoryId: readMetaProperties(runtime.files, '/data')!.directoryId!,
      nodeId: 1,
      controllerEndpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 9093 }],
      onFailure: (error) => failures.push(error),
      ...options,
    }),
  );
  return { quorum, failures };
}

const begin: MetadataRecord = { type: 'BeginTransactionRecord', version: 0, value: { name: 'test' } };
const end: MetadataRecord = { type: 'EndTransactionRecord', version: 0, value: {} };
const abort: MetadataRecord = { type: 'AbortTransactionRecord', version: 0, value: { reason: 'test' } };

function formatted(options: { seed?: number; machine?: ConstructorParameters<typeof World>[0] } = {}): {
  world: World;
  machine: Machine;
} {
  const world = new World({ seed: options.seed ?? 1 });
  const machine = world.machine('node1');
  format(machine.boot());
  return { world, machine };
}

test('a fresh node leads in epoch 1, and its log begins with the voters', async () => {
  const { world, machine } = formatted();
  const { quorum } = await open(world, machine.boot());
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  assert.deepEqual(listener.story, ['0-2']);
  assert.deepEqual(listener.leaders, [{ leaderId: 1, leaderEpoch: 1 }]);
  assert.equal(quorum.kRaftVersion, 1);
  assert.equal(quorum.nextOffset, 3);
  assert.equal(quorum.highWatermark, 3);
  const state = new TextDecoder().decode(machine.files.readFile(`${metadataDirectory}/quorum-state`));
  assert.equal(state, '{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}');
});

test('a static quorum keeps the older quorum-state and no voters in the log', async () => {
  const world = new World({ seed: 1 });
  const machine = world.machine('node1');
  const runtime = machine.boot();
  const { config, properties } = parseBrokerConfig({
    ...settings,
    'controller.quorum.bootstrap.servers': 'localhost:1',
    'controller.quorum.voters': '1@localhost:9093',
  });
  format(runtime, { config, properties, standalone: false });
  const staticVoters = [{ id: 1, host: 'localhost', port: 9093 }];
  const { quorum } = await open(world, runtime, { staticVoters });
  assert.equal(quorum.kRaftVersion, 0);
  assert.equal(quorum.nextOffset, 1);
  const state = new TextDecoder().decode(machine.files.readFile(`${metadataDirectory}/quorum-state`));
  assert.equal(
    state,
    '{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}',
  );
  await world.runUntil(quorum.close());
  assert.equal((await open(world, machine.boot(), { staticVoters })).quorum.leaderAndEpoch.leaderEpoch, 2);
});

test('appends take consecutive offsets at once, commit in order, and a restart hears the same', async () => {
  const { world, machine } = formatted();
  const { quorum } = await open(world, machine.boot());
  const live = new LevelListener();
  await quorum.subscribe(live);
  const first = quorum.append([level(1), level(2)]);
  assert.equal(quorum.nextOffset, 5);
  const second = quorum.append([level(3)]);
  assert.deepEqual(live.story, ['0-2'], 'nothing is heard before it is committed');
  assert.deepEqual(await world.runUntil(first), { baseOffset: 3, lastOffset: 4, endOffset: 5 });
  assert.deepEqual(await world.runUntil(second), { baseOffset: 5, lastOffset: 5, endOffset: 6 });
  assert.deepEqual(live.story, ['0-2', '3-4 FeatureLevelRecord FeatureLevelRecord', '5-5 FeatureLevelRecord']);
  await world.runUntil(quorum.close());

  const again = new LevelListener();
  const reopened = await open(world, machine.boot());
  await reopened.quorum.subscribe(again);
  assert.deepEqual(again.batches.slice(0, 3), live.batches);
  assert.deepEqual(again.story.slice(3), ['6-6'], 'the new epoch');
  assert.equal(reopened.quorum.leaderAndEpoch.leaderEpoch, 2);
});

test('appends of one turn, and those that come while the disk is busy, share a sync', async () => {
  const world = new World({ seed: 1 });
  let syncs = 0;
  const machine = world.machine('node1', {
    syncMs: () => 10,
    fault: ({ kind, path }) => {
      if (kind === 'sync' && path.endsWith('.log')) syncs++;
      return undefined;
    },
  });
  format(machine.boot());
  const { quorum } = await open(world, machine.boot());
  syncs = 0;
  const early = [quorum.append([level(1)]), quorum.append([level(2)])];
  await world.advance(5);
  const late = Array.from({ length: 20 }, (_, index) => quorum.append([level(index)]));
  await world.runUntil(Promise.all([...early, ...late]));
  assert.ok(syncs <= 2, `${syncs} syncs`);
});

test('what was acknowledged outlives a power failure, and what was not is never half there', async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const world = new World({ seed });
    const machine = world.machine('node1', { tornWrites: true, syncMs: () => world.random.below(4) });
    format(machine.boot());
    let acknowledged = -1;
    for (let round = 0; round < 4; round++) {
      const { quorum } = await open(world, machine.boot());
      const listener = new LevelListener();
      await quorum.subscribe(listener);
      const seen = listener.levels.get('test') ?? -1;
      assert.ok(seen >= acknowledged, `seed ${seed}: acknowledged ${acknowledged}, found ${seen}`);
      assert.equal(listener.levels.get('pair') ?? -1, seen, `seed ${seed}: a batch is whole or absent`);
      acknowledged = seen;
      const next = seen + 1;
      for (let offset = 0; offset < 8; offset++) {
        const value = next + offset;
        quorum.append([level(value), featureLevelRecord('pair', value)]).then(
          () => {
            acknowledged = Math.max(acknowledged, value);
          },
          () => {},
        );
        await world.advance(world.random.below(3));
      }
      machine.crash();
    }
  }
});

test('what a killed process had only written is on the disk before its successor counts for it', async () => {
  const { world, machine } = formatted();
  const { quorum } = await open(world, machine.boot());
  machine.disk.syncMs = () => 3_600_000;
  quorum.append([level(1)]).catch(() => {});
  await world.advance(10);
  const log = `${metadataDirectory}/00000000000000000000.log`;
  const written = machine.files.peek(log)!;
  assert.ok(machine.files.peekDurable(log)!.length < written.length);

  // Its own first write would take the rest along, and is not done yet.
  open(world, machine.boot()).catch(() => {});
  assert.equal(machine.files.peekDurable(log)!.length, written.length);
});

test('a disk that fails ends the leadership: pending appends fail, and none is taken any more', async () => {
  const world = new World({ seed: 1 });
  let isBroken = false;
  const machine = world.machine('node1', {
    fault: ({ kind, path }) => (isBroken && kind === 'sync' && path.endsWith('.log') ? 'EIO' : undefined),
  });
  format(machine.boot());
  const { quorum, failures } = await open(world, machine.boot());
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  isBroken = true;
  await assert.rejects(world.runUntil(quorum.append([level(1)])), { code: 'EIO' });
  assert.equal(failures.length, 1);
  assert.equal(quorum.isLeader, false);
  assert.deepEqual(listener.story, ['0-2']);
  await assert.rejects(quorum.append([level(2)]), (error) => error instanceof KafkaError && error.code === 41);
  await world.runUntil(quorum.close());
});

test('what a full disk does not take is refused when all that it has taken was heard', async () => {
  const world = new World({ seed: 1 });
  let writes = Number.POSITIVE_INFINITY;
  const machine = world.machine('node1', {
    fault: ({ kind, path }) => (kind === 'write' && path.endsWith('.log') && writes-- <= 0 ? 'ENOSPC' : undefined),
  });
  format(machine.boot());
  const { quorum, failures } = await open(world, machine.boot());
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  writes = 4;
  // More than is told in one turn.
  const padding = Array.from({ length: 20 }, (_, index) => level(1, `${index}`.padEnd(30_000)));
  const taken = [1, 2, 3, 4].map((value) => quorum.append([level(value), ...padding]));
  const refused = quorum.append([level(5)]).then(
    () => assert.fail('there was no room'),
    (error: KafkaError) => {
      assert.equal(error.name, 'KAFKA_STORAGE_ERROR');
      return [...listener.values];
    },
  );
  assert.deepEqual(await world.runUntil(refused), [1, 2, 3, 4]);
  await world.runUntil(Promise.all(taken));
  writes = Number.POSITIVE_INFINITY;
  await world.advance(1000);
  await world.runUntil(quorum.append([level(6)]));
  assert.deepEqual(listener.values, [1, 2, 3, 4, 6]);
  listener.check();
  assert.deepEqual(failures, []);
});

test('who closes at any moment while the disk is full comes to an end', async () => {
  for (let turns = 0; turns < 12; turns++) {
    const world = new World({ seed: 1 });
    let writes = Number.POSITIVE_INFINITY;
    const machine = world.machine('node1', {
      fault: ({ kind, path }) => (kind === 'write' && path.endsWith('.log') && writes-- <= 0 ? 'ENOSPC' : undefined),
    });
    format(machine.boot());
    const { quorum } = await open(world, machine.boot());
    writes = 1;
    const padding = Array.from({ length: 20 }, (_, index) => level(1, `${index}`.padEnd(30_000)));
    const appends = Promise.allSettled([1, 2, 3].map((value) => quorum.append([level(value), ...padding])));
    for (let turn = 0; turn < turns; turn++) await world.runUntil(Promise.resolve());
    await world.runUntil(quorum.close());
    await world.runUntil(appends);
  }
});

test('an operation larger than a batch may be is refused, and nothing is appended', async () => {
  const { world, machine } = formatted();
  const { quorum } = await open(world, machine.boot(), { config: { ...defaultMetadataLogConfig, maxBatchBytes: 1000 } });
  await assert.rejects(quorum.append(Array.from({ length: 50 }, () => level(1))), /more than the 1000 of one batch/);
  assert.equal(quorum.nextOffset, 3);
});

test('what need not be atomic is divided into batches that follow each other', async () => {
  const { world, machine } = formatted();
  const config = { ...defaultMetadataLogConfig, maxBatchBytes: 1000, maxDividedRecords: 4 };
  const { quorum } = await open(world, machine.boot(), { config });
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  const large = level(5, 'x'.repeat(880));
  const batches = quorum.divide([...[1, 2, 3, 4].map((value) => level(value)), large, level(6)]);
  assert.deepEqual(
    batches.map(({ length }) => length),
    [4, 1, 1],
  );
  await world.runUntil(Promise.all(batches.map((batch) => quorum.append(batch))));
  assert.deepEqual([quorum.nextOffset, listener.values.at(-1)], [9, 6]);
  assert.throws(() => quorum.divide([level(1, 'x'.repeat(1000))]), { name: 'RECORD_LIST_TOO_LARGE' });
  await world.runUntil(quorum.close());
  assert.throws(() => quorum.divide([level(1)]), { name: 'NOT_CONTROLLER' });
});

test('records of an open metadata transaction are hidden until its end, and gone when it is aborted', async () => {
  const { world, machine } = formatted();
  const { quorum } = await open(world, machine.boot());
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  const append = (...records: MetadataRecord[]): Promise<unknown> => world.runUntil(quorum.append(records));
  await append(begin, level(1));
  await append(level(2));
  assert.deepEqual(listener.story, ['0-2']);
  assert.equal(quorum.hasOpenTransaction, true);
  await append(end);
  assert.equal(listener.levels.get('test'), 2);
  assert.equal(quorum.hasOpenTransaction, false);
  await append(begin, level(3));
  await append(level(4), abort, level(5));
  assert.equal(listener.levels.get('test'), 5);
  assert.deepEqual(listener.story.slice(-2), ['7-8', '9-11 FeatureLevelRecord']);
  await append(begin, level(6));
  await world.runUntil(quorum.close());
  const reopened = await open(world, machine.boot());
  assert.equal(reopened.quorum.hasOpenTransaction, true);
  const again = new LevelListener();
  await reopened.quorum.subscribe(again);
  assert.equal(again.levels.get('test'), 5);
});

const smallLogs: MetadataLogConfig = {
  ...defaultMetadataLogConfig,
  segmentBytes: 1000,
  snapshotBytes: 2000,
  retentionBytes: 3000,
  deleteDelayMs: 1000,
};

test('snapshots come by bytes, make old log and old snapshots go, and a start loads the newest', async () => {
  const { world, machine } = formatted();
  const { quorum, failures } = await open(world, machine.boot(), { config: smallLogs });
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  for (let value = 1; value <= 200; value++) await world.runUntil(quorum.append([level(value)]));
  await world.runUntil(quorum.close());
  assert.deepEqual(failures, []);
  const files = machine.files.list(metadataDirectory);
  const snapshots = files.filter((name) => name.endsWith('.checkpoint'));
  assert.ok(snapshots.length >= 1 && snapshots.length <= 3, files.join(' '));
  assert.ok(!files.includes('00000000000000000000.log'), 'the first segment is retired');
  assert.ok(!files.includes('00000000000000000000-0000000000.checkpoint'), 'the bootstrap snapshot has served');

  const runtime = machine.boot();
  const reopened = await open(world, runtime, { config: smallLogs });
  const again = new LevelListener();
  await reopened.quorum.subscribe(again);
  assert.equal(again.snapshots.length, 1);
  assert.equal(again.batches[0]?.baseOffset, again.snapshots[0]?.endOffset);
  assert.equal(again.levels.get('test'), 200);
  assert.equal(reopened.quorum.kRaftVersion, 1);
  assert.equal(reopened.quorum.leaderAndEpoch.leaderEpoch, 2);
  assert.ok(
    !machine.files.list(metadataDirectory).some((name) => name.endsWith('.checkpoint.deleted')),
    'leftovers go at the start',
  );
});

test('snapshots come by time, and a half-written one is removed at the next start', async () => {
  const { world, machine } = formatted();
  const config = { ...defaultMetadataLogConfig, snapshotIntervalMs: 60_000 };
  const { quorum } = await open(world, machine.boot(), { config });
  await quorum.subscribe(new LevelListener());
  await world.runUntil(quorum.append([level(1)]));
  await world.advance(60_000);
  const { lastOffset } = await world.runUntil(quorum.append([level(2)]));
  await world.runUntil(quorum.close());
  const name = `${String(lastOffset + 1).padStart(20, '0')}-0000000001.checkpoint`;
  assert.ok(machine.files.list(metadataDirectory).includes(name));

  const part = `${metadataDirectory}/00000000000000000009-0000000001-ff.checkpoint.part`;
  machine.files.writeFileDurably(part, 'half');
  await open(world, machine.boot(), { config });
  assert.equal(machine.files.stat(part), undefined);
});

test('a log that ends before the newest snapshot starts again behind it', async () => {
  const { world, machine } = formatted();
  const { quorum } = await open(world, machine.boot());
  const listener = new LevelListener();
  await quorum.subscribe(listener);
  await world.runUntil(quorum.append([level(7)]));
  const { endOffset } = await world.runUntil(quorum.writeSnapshot(listener.toSnapshot()));
  await world.runUntil(quorum.close());
  for (const name of machine.files.list(metadataDirectory))
    if (!name.endsWith('.checkpoint')) machine.files.remove(`${metadataDirectory}/${name}`);
  const reopened = await open(world, machine.boot());
  const again = new LevelListener();
  await reopened.quorum.subscribe(again);
  assert.equal(again.levels.get('test'), 7);
  assert.equal(again.batches[0]?.baseOffset, endOffset);
  assert.equal(reopened.quorum.leaderAndEpoch.leaderEpoch, 2, 'the snapshot remembers the epoch that quorum-state has lost');
});
