import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBrokerConfig } from '@ottla/metadata';
import { batchesOf } from '@ottla/protocol';
import { MemoryFiles, SeededRandom } from '@ottla/runtime';
import { readMetaProperties } from '@ottla/storage';
import {
  FormatError,
  type FormatOptions,
  formatDirectories,
  formatForDevelopment,
  isFormatted,
  randomUuid,
  readBootstrapCheckpoint,
  storageInfo,
} from './format.ts';
import { readSnapshotContent } from './quorum/snapshot-content.ts';

const clusterId = 'MkU3OEVBNTcwNTJENDM2Qg';

/** By Kafka: storage format --initial-controllers 1@localhost:9093:AQAAAAAAAAAAAAAAAAAAAQ,2@h:9094:AgAAAAAAAAAAAAAAAAAAAg */
const kafkaBootstrap =
  '000000000000000000000047000000000287744d6e002000000000000001a1fe732f6b000001a1fe732f6bffffffffffffffffffffffffffff000000012a0000000800000003160000000000000000000000000000000000000001000000f100000000024fe0e054000000000005000001a1fe732f7a000001a1fe732f7affffffffffffffffffffffffffff000000063a000000012e010c00116d657461646174612e76657273696f6e001e00005a000002014e010c0021656c696769626c652e6c65616465722e7265706c696361732e76657273696f6e00010000340000040128010c000e67726f75702e76657273696f6e00010000340000060128010c000e73686172652e76657273696f6e0001000038000008012c010c001073747265616d732e76657273696f6e000100004000000a0134010c00147472616e73616374696f6e2e76657273696f6e0002000000000000000000070000003f0000000002175e4a0d002000000000000001a1fe732f7d000001a1fe732f7dffffffffffffffffffffffffffff000000011a00000008000000040600000000';
const kafkaFirstVoters =
  '0000000000000000000000c60000000002b52bf535002000000002000001a1fe732fa8000001a1fe732fa8ffffffffffffffffffffffffffff000000032a0000000800000003160000000001a1fe732f9100001e00000208000000050a000000010000da010000040800000006c4010000030000000101000000000000000000000000000001020b434f4e54524f4c4c45520a6c6f63616c686f73742385000000000100000000000202000000000000000000000000000002020b434f4e54524f4c4c45520268238600000000010000000000000000000000030000003f000000000270efd04b002000000000000001a1fe732fae000001a1fe732faeffffffffffffffffffffffffffff000000011a00000008000000040600000000';

const settings = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  listeners: 'PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.bootstrap.servers': 'localhost:9093',
  'log.dirs': '/data',
};
const staticQuorum = { 'controller.quorum.bootstrap.servers': '', 'controller.quorum.voters': '1@localhost:9093' };

function run(files: MemoryFiles, options: Partial<FormatOptions> = {}, changed: Record<string, string> = {}): string[] {
  const set = Object.fromEntries(Object.entries({ ...settings, ...changed }).filter(([, value]) => value !== ''));
  const { config, properties } = parseBrokerConfig(set);
  return formatDirectories({ files, random: new SeededRandom(1), nowMs: 5000, config, properties, clusterId, ...options });
}

const refused = (action: () => unknown, words: string): void =>
  assert.throws(action, (error) => error instanceof FormatError && error.message === words, words);

test('what a variable that is not set leaves is no cluster id', () => {
  for (const given of ['', '  ', '--no-initial-controllers'])
    refused(
      () => run(new MemoryFiles(), { clusterId: given }),
      `"${given}" is no cluster id: give --cluster-id that of the cluster's other nodes, or for a new cluster what "ottla storage random-uuid" prints`,
    );
});

test('a bootstrap.checkpoint that cannot be read is named', () => {
  const files = new MemoryFiles();
  run(files, { standalone: true });
  files.writeFileDurably('/data/bootstrap.checkpoint', 'garbage'.repeat(50));
  assert.throws(
    () => readBootstrapCheckpoint(files, '/data'),
    /^CorruptFileError: \/data\/bootstrap.checkpoint is corrupt: .*remove it$/,
  );
});

test("the files equal Kafka's byte for byte, the times of their batches aside", () => {
  const files = new MemoryFiles();
  const theirs = Buffer.from(kafkaFirstVoters, 'hex');
  const nowMs = readSnapshotContent(theirs).lastContainedLogTimestampMs;
  run(files, { nowMs, initialControllers: '1@localhost:9093:AQAAAAAAAAAAAAAAAAAAAQ,2@h:9094:AgAAAAAAAAAAAAAAAAAAAg' });
  assert.equal(timeless(files.readFile('/data/bootstrap.checkpoint')), timeless(Buffer.from(kafkaBootstrap, 'hex')));
  const firstVoters = files.readFile('/data/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint');
  assert.equal(timeless(firstVoters), timeless(theirs));
  assert.deepEqual(readMetaProperties(files, '/data'), { clusterId, nodeId: 1, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' });
});

/** Hex, without the crc and the timestamps of each batch. */
function timeless(bytes: Uint8Array): string {
  const copy = bytes.slice();
  for (const batch of batchesOf(copy)) {
    assert.ok(batch.isCrcValid());
    copy.fill(0, batch.start + 17, batch.start + 21);
    copy.fill(0, batch.start + 27, batch.start + 43);
  }
  return Buffer.from(copy).toString('hex');
}

test('a standalone controller: what is said, and who votes', () => {
  const files = new MemoryFiles();
  const lines = run(files, { standalone: true });
  assert.deepEqual(lines, [
    "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel=30) at version 0), " +
      "ApiMessageAndVersion(FeatureLevelRecord(name='eligible.leader.replicas.version', featureLevel=1) at version 0), " +
      "ApiMessageAndVersion(FeatureLevelRecord(name='group.version', featureLevel=1) at version 0), " +
      "ApiMessageAndVersion(FeatureLevelRecord(name='share.version', featureLevel=1) at version 0), " +
      "ApiMessageAndVersion(FeatureLevelRecord(name='streams.version', featureLevel=1) at version 0), " +
      "ApiMessageAndVersion(FeatureLevelRecord(name='transaction.version', featureLevel=2) at version 0)], metadataVersionLevel=30, source=format command)",
    'Formatting dynamic metadata voter directory /data with metadata.version 4.3-IV0.',
  ]);
  const { voters, kRaftVersion } = readSnapshotContent(
    files.readFile('/data/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint'),
  );
  assert.equal(kRaftVersion, 1);
  assert.deepEqual(voters?.voters, [
    {
      id: 1,
      directoryId: readMetaProperties(files, '/data')?.directoryId,
      endpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 9093 }],
      minKRaftVersion: 0,
      maxKRaftVersion: 1,
    },
  ]);
});

test('what is formatted is left alone, or refused', () => {
  const files = new MemoryFiles();
  run(files, { standalone: true });
  refused(
    () => run(files, { standalone: true }),
    'Log directory /data is already formatted. Use --ignore-formatted to ignore this directory and format the others.',
  );
  assert.deepEqual(run(files, { standalone: true, ignoreFormatted: true }), [
    'All of the log directories are already formatted.',
  ]);
  refused(
    () => run(files, { standalone: true, clusterId: 'xx' }),
    `Invalid cluster.id in: /data/meta.properties. Expected xx, but read ${clusterId}`,
  );
  const lines = run(files, { standalone: true, ignoreFormatted: true }, { 'log.dirs': '/data,/more' });
  assert.equal(lines[1], 'Formatting data directory /more with metadata.version 4.3-IV0.');
  assert.ok(isFormatted(files, ['/data', '/more']));
});

test('the kind of quorum must be said, and fit the configuration and the role', () => {
  const files = new MemoryFiles();
  refused(
    () => run(files),
    'Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers.',
  );
  refused(
    () => run(files, { standalone: true }, staticQuorum),
    'You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.',
  );
  const broker = { 'process.roles': 'broker', listeners: 'PLAINTEXT://localhost:9092' };
  refused(() => run(files, { standalone: true }, broker), 'You can only use --standalone on a controller.');
  refused(() => run(files, { initialControllers: 'garbage' }), 'No @ found in dynamic voter string.');
  refused(() => run(files, { initialControllers: '1@localhost:9093' }), 'No colon following port could be found.');
  assert.equal(run(files, {}, staticQuorum)[1], 'Formatting metadata directory /data with metadata.version 4.3-IV0.');
  assert.deepEqual(files.list('/data'), ['bootstrap.checkpoint', 'meta.properties']);
  assert.equal(
    run(files, {}, { ...broker, 'log.dirs': '/b' })[1],
    'Formatting metadata directory /b with metadata.version 4.3-IV0.',
  );
  const others = run(files, { initialControllers: '2@h:9094:AgAAAAAAAAAAAAAAAAAAAg' }, { 'log.dirs': '/c' });
  assert.equal(others[1], 'Formatting dynamic metadata directory /c with metadata.version 4.3-IV0.');
});

test('feature levels follow the release, unless chosen', () => {
  const levels = (options: Partial<FormatOptions>): unknown => {
    const files = new MemoryFiles();
    run(files, options, staticQuorum);
    return readBootstrapCheckpoint(files, '/data')?.map(({ value }) => Object.values(value).join(' '));
  };
  assert.deepEqual(levels({ releaseVersion: '3.9' }), ['metadata.version 21']);
  assert.deepEqual(levels({ releaseVersion: '3.9-IV0', features: ['share.version=1'] }), [
    'metadata.version 21',
    'share.version 1',
  ]);
  assert.deepEqual(levels({ features: ['share.version=0', 'group.version=0'] }), [
    'metadata.version 30',
    'eligible.leader.replicas.version 1',
    'streams.version 1',
    'transaction.version 2',
  ]);
  const refusedFor = (options: Partial<FormatOptions>, words: string): void => refused(() => levels(options), words);
  refusedFor(
    { releaseVersion: '9.9' },
    "Unknown metadata.version '9.9'. Supported metadata.version are: 3.3-IV3, 3.4-IV0, 3.5-IV0, 3.5-IV1, 3.5-IV2, 3.6-IV0, 3.6-IV1, 3.6-IV2, 3.7-IV0, 3.7-IV1, 3.7-IV2, 3.7-IV3, 3.7-IV4, 3.8-IV0, 3.9-IV0, 4.0-IV0, 4.0-IV1, 4.0-IV2, 4.0-IV3, 4.1-IV0, 4.1-IV1, 4.2-IV0, 4.2-IV1, 4.3-IV0",
  );
  refusedFor(
    { features: ['foo.version=1'] },
    'Unsupported feature: foo.version. Supported features are: eligible.leader.replicas.version, group.version, kraft.version, share.version, streams.version, transaction.version',
  );
  refusedFor({ features: ['share.version=9'] }, 'No feature:share.version with feature level 9');
  refusedFor({ features: ['garbage'] }, "Can't parse feature=level string garbage: equals sign not found.");
  refusedFor(
    { features: ['metadata.version=99'] },
    'No MetadataVersion with feature level 99. Valid feature levels are from 7 to 31.',
  );
  refusedFor(
    { features: ['metadata.version=30'], releaseVersion: '4.3' },
    'Use --release-version instead of --feature metadata.version=X to avoid ambiguity.',
  );
  refusedFor(
    { releaseVersion: '3.9', features: ['eligible.leader.replicas.version=1'] },
    'eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23',
  );
});

test('SCRAM credentials go into the bootstrap records', () => {
  const files = new MemoryFiles();
  const salted =
    'SCRAM-SHA-512=[name=bob,iterations=8192,salt="MWx2NHBkbnc0ZndxN25vdGN4bTB5eTFrN3E=",saltedpassword="mT0yyUUxnlJaC99HXgRTSYlbuqa4FSGtJCJfTMvjYCE="]';
  run(files, { addScram: ['SCRAM-SHA-256=[name=alice,password=alice-secret]', salted] }, staticQuorum);
  const credentials = readBootstrapCheckpoint(files, '/data')?.filter(({ type }) => type === 'UserScramCredentialRecord');
  assert.equal(credentials?.length, 2);
  const bob = credentials?.[1]?.value as unknown as { storedKey: Uint8Array; serverKey: Uint8Array; iterations: number };
  // From Kafka's own format of the same argument.
  assert.equal(
    Buffer.from(bob.storedKey).toString('base64'),
    'OTJaI0xrVVArw2MNM35eGNVvo7ZObfdmB6j25TPoky/3TryBqVyDO+xwZ9ayp2b8vlAyTuh3zIGiJpXG5PlNBQ==',
  );
  assert.equal(
    Buffer.from(bob.serverKey).toString('base64'),
    'SAFtavLze+JBSMhVmVxQOuH5mRkdsrE4CjtIl/LA+59pwoSC4fkJx8n+JnF+LKedPZWTai2bvkCoctFtn9zZxw==',
  );
  const refusedFor = (argument: string, words: string, options: Partial<FormatOptions> = {}): void =>
    refused(() => run(new MemoryFiles(), { addScram: [argument], ...options }, staticQuorum), words);
  refusedFor('SCRAM-SHA-256=[name=alice]', "You must supply one of 'password' or 'saltedpassword' to add-scram");
  refusedFor('SCRAM-SHA-1=[name=alice,password=x]', 'The add-scram mechanism SCRAM-SHA-1 is not supported.');
  refusedFor('garbage', "Failed to find equals sign in SCRAM argument 'garbage'");
  refusedFor('SCRAM-SHA-256=[password=x]', "You must supply 'name' to add-scram");
  refusedFor('SCRAM-SHA-256=[name=a,password=x,foo=1]', 'Unknown SCRAM configurations: foo');
  refusedFor('SCRAM-SHA-256=[name=a,password=x', 'Expected configuration string to end with ]');
  refusedFor(
    'SCRAM-SHA-256=[name=a,password=x,iterations=10]',
    "The 'iterations' value must be >= 4096 for add-scram using SCRAM_SHA_256",
  );
  refusedFor('SCRAM-SHA-256=[name=a,password=x]', 'SCRAM is only supported in metadata.version 3.5-IV2 or later.', {
    releaseVersion: '3.3',
  });
});

test('info says what is found and what is wrong', () => {
  const files = new MemoryFiles();
  const { config } = parseBrokerConfig({ ...settings, 'log.dirs': '/data,/more' });
  assert.deepEqual(storageInfo(files, config), {
    lines: ['Found problems:', '  /data does not exist', '  /more does not exist', ''],
    hasProblems: true,
  });
  run(files, { initialControllers: '1@localhost:9093:AQAAAAAAAAAAAAAAAAAAAQ' });
  files.makeDirectory('/more');
  assert.deepEqual(storageInfo(files, config).lines, [
    'Found log directories:',
    '  /data',
    '  /more',
    '',
    'Found metadata: {cluster.id=MkU3OEVBNTcwNTJENDM2Qg, directory.id=AQAAAAAAAAAAAAAAAAAAAQ, node.id=1, version=1}',
    '',
    'Found problem:',
    '  /more is not formatted.',
    '',
  ]);
});

test('random uuids never begin with a dash', () => {
  const random = new SeededRandom(3);
  for (let count = 0; count < 200; count++) assert.match(randomUuid(random), /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
});

test("a developer's node without a word about the quorum gets one of its own", () => {
  const files = new MemoryFiles();
  const { 'controller.quorum.bootstrap.servers': _, ...plain } = settings;
  formatForDevelopment({ files, random: new SeededRandom(1), clock: { nowMs: () => 5, monotonicMs: () => 5 } }, plain);
  assert.ok(isFormatted(files, ['/data']));
});

test('a node whose settings tell of others is not made a cluster of its own', () => {
  const machine = { files: new MemoryFiles(), random: new SeededRandom(1), clock: { nowMs: () => 5, monotonicMs: () => 5 } };
  const { 'controller.quorum.bootstrap.servers': _, ...plain } = settings;
  for (const others of [
    { ...settings, 'controller.quorum.bootstrap.servers': 'localhost:9093,elsewhere:9093' },
    { ...plain, 'controller.quorum.voters': '1@localhost:9093,2@elsewhere:9093' },
    { ...settings, 'process.roles': 'broker', listeners: 'PLAINTEXT://localhost:9092' },
  ]) {
    assert.throws(
      () => formatForDevelopment(machine, others),
      /^FormatError: .*the settings tell of other nodes.*docs\/cluster\.md/,
    );
    assert.ok(!isFormatted(machine.files, ['/data']));
  }
});

test('a directory that has records but no meta.properties is not formatted by itself', () => {
  const files = new MemoryFiles();
  files.makeDirectory('/data/orders-0');
  const machine = { files, random: new SeededRandom(1), clock: { nowMs: () => 5, monotonicMs: () => 5 } };
  assert.throws(() => formatForDevelopment(machine, settings), {
    name: 'FormatError',
    message: '/data has records (orders-0) but no meta.properties: bring that file back, or give this node another directory',
  });
  assert.deepEqual(files.list('/data'), ['orders-0']);
});

test('beside directories that are formatted a new one joins their cluster, and one that cannot be used is named', () => {
  const files = new MemoryFiles();
  const runtime = { files, random: new SeededRandom(2), clock: { nowMs: () => 5000, monotonicMs: () => 5000 } };
  run(files, { standalone: true }, { 'log.dirs': '/data/b' });
  formatForDevelopment(runtime, { ...settings, 'log.dirs': '/data/a,/data/b,/data/c', 'metadata.log.dir': '/data/b' });
  for (const directory of ['/data/a', '/data/c']) assert.equal(readMetaProperties(files, directory)!.clusterId, clusterId);
  files.writeFileDurably('/data/d', new Uint8Array(1));
  refused(
    () => formatForDevelopment(runtime, { ...settings, 'log.dirs': '/data/a,/data/b,/data/d', 'metadata.log.dir': '/data/b' }),
    'I/O error trying to read log directory /data/d: it is not a directory.',
  );
});

test('records keep their metadata: no empty metadata log is formatted beside them', () => {
  const files = new MemoryFiles();
  const runtime = { files, random: new SeededRandom(2), clock: { nowMs: () => 5000, monotonicMs: () => 5000 } };
  const both = { ...settings, 'log.dirs': '/data/a,/data/b', 'metadata.log.dir': '/data/b' };
  formatForDevelopment(runtime, both);
  files.remove('/data/b/meta.properties');
  files.makeDirectory('/data/a/orders-0');
  for (const left of ['bootstrap.checkpoint', '__cluster_metadata-0/00000000000000000000-0000000000.checkpoint'])
    files.remove(`/data/b/${left}`);
  files.removeDirectory('/data/b/__cluster_metadata-0');
  refused(
    () => formatForDevelopment(runtime, both),
    '/data/a has records (orders-0), but /data/b, where the metadata log lies, is not formatted: bring it back, or give this node other directories',
  );
  // Formatting that was cut short goes on.
  files.removeDirectory('/data/a/orders-0');
  formatForDevelopment(runtime, both);
  assert.equal(readMetaProperties(files, '/data/b')!.clusterId, readMetaProperties(files, '/data/a')!.clusterId);
});
