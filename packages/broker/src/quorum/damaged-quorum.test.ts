import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '@ottla/protocol';
import { type LogFields, type Logger, silentLogger } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';
import { defaultMetadataLogConfig } from './metadata-log-config.ts';
import { snapshotName } from './snapshot-files.ts';
import { hostOf, level, type QuorumNode, TestQuorum } from './testing-quorum.ts';

const logPath = ({ metadataDirectory }: QuorumNode): string => `${metadataDirectory}/00000000000000000000.log`;

/** Silent but for what is given, and the same for each part of a node. */
function loggerOf(heard: Partial<Logger>): Logger {
  const logger: Logger = { ...silentLogger, ...heard, child: () => logger };
  return logger;
}

/** Flips a bit of the value of the first record of `test`, on the disk of a node that need not notice. */
function spoil(node: QuorumNode, needle: string): void {
  const { files } = node.machine;
  const bytes = Buffer.from(files.readFile(logPath(node)));
  const position = bytes.indexOf(needle);
  assert.ok(position > 0, `${needle} is in the log`);
  const file = files.open(logPath(node), 'update');
  file.write(Uint8Array.of(bytes[position]! ^ 1), position);
  file.sync();
  file.close();
}

test('damaged batches of a leader are not taken, and somebody is told', async () => {
  const told: [string, LogFields | undefined][] = [];
  const logger = loggerOf({ error: (message, fields) => void told.push([message, fields]) });
  const quorum = await TestQuorum.start({ seed: 1, observers: 1, machine: (id) => (id === 101 ? { logger } : {}) });
  const leader = await quorum.untilLed();
  await quorum.append(level(1, 'needle'));
  await quorum.append(level(2));
  await quorum.untilCaughtUp();
  const broker = quorum.node(101);
  broker.kill();
  broker.machine.files.removeDirectory('/data/__cluster_metadata-0');
  spoil(leader, 'needle');
  await broker.start();
  await quorum.world.advance(5_000);
  assert.equal(broker.listener.levels.size, 0);
  assert.equal(told.length, 1, 'once');
  assert.match(told[0]![0], /damaged batches/);
  assert.deepEqual(broker.failures, []);
  // Another leader has it whole.
  leader.crash();
  await quorum.untilLed();
  await quorum.append(level(3));
  await quorum.untilCaughtUp();
  assert.deepEqual(
    [...broker.listener.levels],
    [
      ['needle', 1],
      ['test', 3],
    ],
  );
});

test('a voter whose log is damaged where it was durable does not start', async () => {
  const quorum = await TestQuorum.start({ seed: 2, voters: 1, joining: 0 });
  const only = await quorum.untilLed();
  await quorum.append(level(1, 'needle'));
  await quorum.world.advance(120_000);
  await quorum.append(level(2));
  only.crash();
  spoil(only, 'needle');
  const isRefused = (error: unknown) =>
    error instanceof CorruptFileError && error.path === logPath(only) && /damaged at byte \d+/.test(error.message);
  await assert.rejects(only.start(), isRefused);
});

test('a record in the snapshot of a leader that cannot be decoded is not taken, somebody is told, and the node can start again', async () => {
  const told: [string, LogFields | undefined][] = [];
  const logger = loggerOf({ error: (message, fields) => void told.push([message, fields]) });
  const config = {
    ...defaultMetadataLogConfig,
    segmentBytes: 1000,
    snapshotBytes: 2000,
    retentionBytes: 3000,
    deleteDelayMs: 1000,
  };
  const machine = (id: number) => (id === 101 ? { logger } : {});
  const quorum = await TestQuorum.start({ seed: 5, observers: 1, machine, options: { config } });
  const leader = await quorum.untilLed();
  await quorum.append(level(1, 'needle'));
  await quorum.untilCaughtUp();
  const broker = quorum.node(101);
  broker.kill();
  for (let value = 2; value <= 200; value++) await quorum.append(level(value), level(value, `name${value % 7}`));
  const { files } = leader.machine;
  const newest = files
    .list(leader.metadataDirectory)
    .filter((name) => name.endsWith('.checkpoint'))
    .sort()
    .at(-1)!;
  const path = `${leader.metadataDirectory}/${newest}`;
  const before = Buffer.from(files.readFile(path));
  files.writeFileDurably(path, ofAnotherVersion(before, 'needle'));
  await broker.start();
  await quorum.world.advance(30_000);
  assert.equal(broker.listener.levels.get('test'), undefined);
  assert.deepEqual(broker.failures, []);
  assert.equal(told.length, 1, 'once');
  assert.match(told[0]![0], /gave a snapshot that cannot be read/);
  const { error } = told[0]![1] as { error: CorruptFileError };
  assert.ok(error.path.startsWith(`${broker.metadataDirectory}/${newest.replace('.checkpoint', '')}`));
  assert.match(error.message, /damaged at byte \d+ of \d+: FeatureLevelRecord has no version 9/);
  const left = broker.machine.files.list(broker.metadataDirectory);
  assert.ok(!left.includes(newest) && !left.some((name) => name.endsWith('.part')), left.join(' '));
  broker.kill();
  await broker.start();
  assert.deepEqual(broker.failures, []);
  // The leader has it whole again.
  files.writeFileDurably(path, before);
  await quorum.append(level(300));
  await quorum.untilCaughtUp();
  assert.equal(broker.listener.levels.get('test'), 300);
});

test('a log that was to give way to a snapshot of the leader when the power failed does so at the next start', async () => {
  for (const [tail, isStatic] of [
    [2, false],
    [25, false],
    [2, true],
    [25, true],
  ] as const) {
    const quorum = await TestQuorum.start({ seed: 6, isStatic });
    const former = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    for (const { id } of quorum.up) if (id !== former.id) quorum.world.wires.cut(hostOf(former.id), hostOf(id));
    for (let value = 0; value < tail; value++) former.quorum.append([level(1000 + value)]).catch(() => {});
    await quorum.until('another leads', () => quorum.leader !== undefined && quorum.leader !== former);
    const next = await quorum.untilLed();
    for (let value = 2; value <= 10; value++) await quorum.append(level(value));
    const snapshot = snapshotName(await quorum.world.runUntil(next.quorum.writeSnapshot(next.listener.toSnapshot())));
    for (let value = 11; value <= 50; value++) await quorum.append(level(value));
    former.crash();
    former.machine.files.writeFileDurably(
      `${former.metadataDirectory}/${snapshot}`,
      next.machine.files.readFile(`${next.metadataDirectory}/${snapshot}`),
    );
    quorum.world.wires.heal();
    await former.start();
    await quorum.untilCaughtUp();
    assert.deepEqual(
      former.listener.values,
      Array.from({ length: 41 }, (_, index) => index + 10),
    );
    assert.deepEqual(former.failures, []);
  }
});

/** The record of that feature has a version that nobody knows, and its batch a checksum that fits. */
function ofAnotherVersion(snapshot: Buffer, feature: string): Buffer {
  const bytes = Buffer.from(snapshot);
  const at = bytes.indexOf(feature);
  assert.ok(at > 0, `${feature} is in the snapshot`);
  bytes[at - 2] = 9; // version, length of the name, name
  let start = 0;
  while (start + 12 + bytes.readInt32BE(start + 8) <= at) start += 12 + bytes.readInt32BE(start + 8);
  const end = start + 12 + bytes.readInt32BE(start + 8);
  bytes.writeUInt32BE(crc32c(bytes.subarray(start + 21, end)) >>> 0, start + 17);
  return bytes;
}

test('a quorum-state that cannot be read is refused, and one that is gone is made anew, with a warning', async () => {
  const warnings: string[] = [];
  const logger = loggerOf({ warn: (message) => void warnings.push(message) });
  const quorum = await TestQuorum.start({ seed: 3, machine: () => ({ logger }) });
  await quorum.untilLed();
  await quorum.append(level(1));
  await quorum.untilCaughtUp();
  const [one, other] = quorum.up as [QuorumNode, QuorumNode];
  one.kill();
  one.machine.files.writeFileDurably(`${one.metadataDirectory}/quorum-state`, '{"leaderEpoch":');
  await assert.rejects(one.start(), CorruptFileError);
  other.kill();
  other.machine.files.remove(`${other.metadataDirectory}/quorum-state`);
  await other.start();
  assert.match(warnings.join(), /quorum-state is gone/);
  await quorum.untilLed();
  await quorum.append(level(2));
  await quorum.untilCaughtUp();
});

test('a node whose log directory is gone stops, and the others go on', async () => {
  let isGone = false;
  const quorum = await TestQuorum.start({
    seed: 4,
    machine: (id) => ({ fault: ({ path }) => (id === 2 && isGone && path.startsWith('/data') ? 'ENOENT' : undefined) }),
  });
  await quorum.untilLed();
  await quorum.append(level(1));
  await quorum.untilCaughtUp();
  isGone = true;
  const lost = quorum.node(2);
  if (quorum.leader === lost) await assert.rejects(quorum.append(level(2)));
  else await quorum.append(level(2));
  await quorum.until('it is noticed', () => lost.failures.length > 0);
  assert.equal(lost.quorum.isLeader, false);
  lost.kill();
  await quorum.untilLed();
  await quorum.append(level(3));
  await quorum.untilCaughtUp();
});
