import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileOperation, IoError } from '@ottla/runtime';
import { TestNode } from './testing-node.ts';

/** A node whose disk obeys `fault.of`, which can change. */
async function withFaults(options: { seed?: number; settings?: Record<string, string>; tornWrites?: boolean } = {}) {
  const fault: { of: (operation: FileOperation) => string | undefined } = { of: () => undefined };
  const machine = { fault: (operation: FileOperation) => fault.of(operation), tornWrites: options.tornWrites };
  const node = await TestNode.start({ ...options, machine });
  return { node, fault };
}

const twoDirectories = { 'log.dirs': '/data,/other', 'metadata.log.dir': '/meta' };

test('a record that the disk does not take is refused, and the broker serves what it can', async () => {
  const { node, fault } = await withFaults({ settings: twoDirectories });
  const client = await node.client();
  await client.createTopic('orders');
  await client.createTopic('others');
  await client.produce('orders', ['before']);
  fault.of = ({ kind, path }) => (kind === 'write' && path.startsWith('/data/orders-0/') ? 'EIO' : undefined);
  assert.equal((await client.produce('orders', ['refused'])).error, 'KAFKA_STORAGE_ERROR');
  assert.equal((await client.produce('others', ['taken'])).error, 'NONE');
  assert.deepEqual(await client.fetch('others'), ['taken']);
  node.machine.kill();
  fault.of = () => undefined;
  await node.start();
  const after = await node.client();
  assert.deepEqual(await after.fetch('orders'), ['before']);
  assert.equal((await after.produce('orders', ['after'])).baseOffset, 1);
  await node.stop();
});

test('a full disk refuses records until there is room again', async () => {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  const isAppend = ({ kind, path }: FileOperation) => kind === 'write' && path.endsWith('.log') && path.includes('orders');
  for (let attempt = 0; attempt < 3; attempt++) {
    fault.of = (operation) => (isAppend(operation) ? 'ENOSPC' : undefined);
    assert.equal((await client.produce('orders', ['refused'])).error, 'KAFKA_STORAGE_ERROR');
    // There may be room for a batch that is smaller.
    fault.of = () => undefined;
    assert.equal((await client.produce('orders', ['small'])).error, 'NONE');
  }
  fault.of = (operation) => (isAppend(operation) ? 'ENOSPC' : undefined);
  assert.equal((await client.produce('orders', ['refused'])).error, 'KAFKA_STORAGE_ERROR');
  const told = node.logs.lines.filter(({ level }) => level === 'warn' || level === 'error');
  assert.deepEqual(
    told.map(({ message }) => message),
    ['a log directory takes no writes for now: producers are told to try again'],
  );
  fault.of = () => undefined;
  await node.restart();
  const after = await node.client();
  assert.equal((await after.produce('orders', ['taken'])).error, 'NONE');
  assert.deepEqual(await after.fetch('orders'), ['small', 'small', 'small', 'taken']);
  await node.stop();
});

test('a metadata log that cannot be written ends the node, and who waits for it is answered', async () => {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  fault.of = ({ kind, path }) =>
    path.includes('__cluster_metadata') && (kind === 'write' || kind === 'sync') ? 'EIO' : undefined;
  assert.notEqual(await client.createTopic('never'), 'NONE');
  assert.ok(node.logs.at('error').includes('fatal'));
  node.machine.kill();
  fault.of = () => undefined;
  await node.start();
  assert.deepEqual(await (await node.client()).topicNames(), ['orders']);
  await node.stop();
});

test('a node whose metadata log failed can still be stopped, and lets go of its directories and ports', async () => {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await client.produce('orders', ['kept']);
  fault.of = ({ kind, path }) => (path.includes('__cluster_metadata') && kind !== 'read' ? 'EIO' : undefined);
  assert.notEqual(await client.createTopic('never'), 'NONE');
  await node.stop().catch(() => {});
  fault.of = () => undefined;
  await node.startAgain();
  assert.deepEqual(await (await node.client()).fetch('orders'), ['kept']);
  await node.stop();
});

test('a stop whose files fail says so, and lets go of directories and ports all the same', async () => {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await client.produce('orders', ['kept']);
  fault.of = ({ kind }) => (kind === 'write' || kind === 'sync' ? 'EIO' : undefined);
  await assert.rejects(node.stop(), /EIO/);
  fault.of = () => undefined;
  await node.startAgain();
  assert.deepEqual(await (await node.client()).fetch('orders'), ['kept']);
  await node.stop();
});

test('after a sync that failed, nothing more is vouched for: its directory is offline, and the node ends with the last', async () => {
  const { node, fault } = await withFaults({ settings: twoDirectories });
  const client = await node.client();
  await client.createTopic('synced', { 'flush.messages': '1' });
  await client.createTopic('later', { 'flush.ms': '3000' });
  const failSyncOf = (topic: string) => {
    fault.of = ({ kind, path }) => (kind === 'sync' && path.includes(`/${topic}-0/`) ? 'EIO' : undefined);
  };
  failSyncOf('synced');
  assert.equal((await client.produce('synced', ['x'])).error, 'KAFKA_STORAGE_ERROR');
  fault.of = () => undefined;
  assert.equal((await client.produce('synced', ['x'])).error, 'KAFKA_STORAGE_ERROR');
  assert.ok(!node.logs.at('error').includes('fatal'));
  failSyncOf('later');
  assert.equal((await client.produce('later', ['x'])).error, 'NONE');
  await node.advance(5_000);
  assert.ok(node.logs.at('error').includes('fatal'));
  fault.of = () => undefined;
  await node.stop();
  for (const directory of ['/data', '/other']) assert.ok(!node.list(directory).includes('.kafka_cleanshutdown'));
  await node.startAgain();
  assert.deepEqual(await (await node.client()).fetch('later'), ['x']);
  await node.stop();
});

test('a start that fails, and then cannot clean up either, tells why it failed', async () => {
  const { node, fault } = await withFaults();
  await node.stop();
  let failing = false;
  fault.of = ({ kind, path }) => {
    if (path.endsWith('quorum-state.tmp')) failing = true;
    return failing && kind !== 'lock' && kind !== 'list' ? 'EIO' : undefined;
  };
  await assert.rejects(node.start(), /quorum-state/);
  fault.of = () => undefined;
  await node.startAgain();
  await node.stop();
});

test('a new replica whose disk fails goes to another, and holds up neither its neighbours nor the metadata', async () => {
  const { node, fault } = await withFaults({ settings: twoDirectories });
  const client = await node.client();
  fault.of = ({ kind, path }) => (path.startsWith('/data/broken-0/') && kind === 'open' ? 'EIO' : undefined);
  await client.createTopic('broken');
  assert.ok(node.logs.at('error').includes('a log directory failed: it is offline until the next start'));
  assert.equal((await client.produce('broken', ['x'])).error, 'NONE');
  assert.equal(await client.createTopic('whole'), 'NONE');
  assert.equal((await client.produce('whole', ['x'])).error, 'NONE');
  fault.of = ({ kind, path }) => (kind === 'rename' && path.startsWith('/other/whole-0') ? 'EIO' : undefined);
  assert.equal(await client.deleteTopic('whole'), 'NONE');
  fault.of = () => undefined;
  await node.restart();
  const after = await node.client();
  assert.deepEqual(await after.topicNames(), ['broken']);
  assert.equal((await after.produce('broken', ['x'])).error, 'NONE');
  assert.ok(!node.list('/other').includes('whole-0'));
  await node.stop();
});

test('a start that fails at any file operation leaves nothing locked or listening, and the next one works', async () => {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await client.produce('orders', ['kept']);
  await node.stop();
  let failures = 0;
  for (let nth = 1; nth < 190; nth += 9) {
    let operations = 0;
    fault.of = ({ kind }) => (kind !== 'list' && ++operations === nth ? 'EIO' : undefined);
    const failure = await node.start().then(
      () => undefined,
      (error: unknown) => error,
    );
    fault.of = () => undefined;
    if (failure === undefined) {
      await node.stop();
      continue;
    }
    failures++;
    assert.ok(failure instanceof Error, String(failure));
    assert.doesNotMatch(failure.message, /still pending/);
    // Still the same process: what the failed start left open or locked would be in the way of this one.
    await node.startAgain();
    assert.deepEqual(await (await node.client()).fetch('orders'), ['kept']);
    await node.stop();
  }
  assert.ok(failures > 5, `${failures} failures`);
});

test('a start whose metadata log fails at any of its writes and syncs ends with that, and waits for no controller', async () => {
  const { node, fault } = await withFaults();
  await node.stop();
  let failures = 0;
  for (let nth = 1, isFailing = true; isFailing; nth++) {
    let operations = 0;
    fault.of = ({ kind, path }) =>
      (kind === 'write' || kind === 'sync') && path.includes('__cluster_metadata') && ++operations === nth ? 'EIO' : undefined;
    isFailing = await node.start().then(
      () => false,
      (error: unknown) => {
        assert.match(String(error), /EIO/);
        return true;
      },
    );
    fault.of = () => undefined;
    if (isFailing) {
      failures++;
      await node.startAgain();
    }
    await node.stop();
  }
  assert.ok(failures >= 6, `${failures} failures`);
});

test('what was flushed before any power failure is there after it, and the log goes on', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const { node, fault } = await withFaults({ seed, tornWrites: true });
    const client = await node.client();
    await client.createTopic('orders', { 'flush.messages': '4', 'internal.segment.bytes': '700' });
    const dieAt = 20 + 11 * seed;
    let operations = 0;
    fault.of = ({ kind }) => (kind !== 'read' && ++operations >= dieAt ? 'EIO' : undefined);
    let acknowledged = 0;
    for (; acknowledged < 100; acknowledged++) if ((await client.produce('orders', [`${acknowledged}`])).error !== 'NONE') break;
    assert.ok(acknowledged < 100);
    node.machine.crash();
    fault.of = () => undefined;
    await node.start();
    const after = await node.client();
    const found: string[] = [];
    for (;;) {
      const more = await after.fetch('orders', { offset: found.length });
      if (more.length === 0) break;
      found.push(...more);
    }
    assert.deepEqual(
      found,
      Array.from({ length: found.length }, (_, index) => `${index}`),
      `seed ${seed}`,
    );
    const flushed = acknowledged - (acknowledged % 4);
    assert.ok(found.length >= flushed, `seed ${seed}: ${found.length} of ${flushed} flushed records`);
    assert.equal((await after.produce('orders', ['on'])).baseOffset, found.length);
    await node.stop();
  }
});

test('a failing disk is told with the file it failed on', async () => {
  const { node, fault } = await withFaults();
  await node.stop();
  fault.of = ({ kind, path }) => (kind === 'open' && path.endsWith('quorum-state') ? 'EACCES' : undefined);
  await assert.rejects(node.start(), (error: unknown) => {
    assert.ok(error instanceof IoError);
    assert.match(error.message, /quorum-state/);
    return true;
  });
});

test('a controller whose metadata log is gone or empty does not start after a clean stop, and does when it is back', async () => {
  const { node } = await withFaults();
  const { files } = node.machine;
  const log = '/data/__cluster_metadata-0/00000000000000000000.log';
  await (await node.client()).createTopic('orders');
  await node.stop();
  const content = files.readFile(log);
  const names = files.list('/data/__cluster_metadata-0');
  for (const spoil of [
    () => files.remove(log),
    () => files.writeFileDurably(log, ''),
    () => files.removeDirectory('/data/__cluster_metadata-0'),
  ]) {
    spoil();
    await assert.rejects(
      node.start(),
      /__cluster_metadata-0 is corrupt: the metadata log ends at offset 0 although it had reached \d+/,
    );
  }
  assert.ok(names.length > 1);
  files.writeFileDurably(log, content);
  await node.start();
  assert.deepEqual(await (await node.client()).topicNames(), ['orders']);
  await node.stop();
});

test('a controller whose metadata log was on another disk, which is gone, may begin anew there', async () => {
  const { node } = await withFaults({ settings: twoDirectories });
  await (await node.client()).createTopic('orders');
  await node.stop();
  const kept = '/meta/__cluster_metadata-0';
  for (const name of node.machine.files.list(kept))
    if (!name.endsWith('.checkpoint')) node.machine.files.remove(`${kept}/${name}`);
  await node.start();
  assert.deepEqual(await (await node.client()).topicNames(), []);
  await node.stop();
});
