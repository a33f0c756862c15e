import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { IoError, type LogFields, nodeRuntime, silentLogger } from '@ottla/runtime';
import { cleanShutdownName } from './clean-shutdown.ts';
import { append, batchOf, startMs } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';

const owner = { clusterId: 'c', nodeId: 1 };
const MiB = 1024 * 1024;

const segmentOf = (path: string, partition: number): string => join(path, `large-${partition}/00000000000000000000.log`);

/** A directory on a real disk, whose node died with one log that is small and `logs` that are large: by what was allocated in advance. */
async function deadNode(logs: number) {
  const path = mkdtempSync(join(tmpdir(), 'ottla-recovery-'));
  const said: { message: string; fields: LogFields | undefined }[] = [];
  const say = (message: string, fields?: LogFields): void => void said.push({ message, fields });
  const runtime = nodeRuntime({ logger: { ...silentLogger, info: say, warn: say, error: say } });
  writeMetaProperties(runtime.files, path, { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' }, startMs);
  const open = (signal?: AbortSignal) =>
    LogManager.open({ directories: [path], ...owner, runtime, recoveryThreadsPerDirectory: 2, ...(signal ? { signal } : {}) });
  const manager = await open();
  append(manager.create('small', 0), batchOf(['a', 'b']));
  const value = 'x'.repeat(512 * 1024);
  for (let partition = 0; partition < logs; partition++) {
    const log = manager.create('large', partition);
    for (let size = 0, sequence = 0; size < 5 * MiB; size += value.length, sequence++)
      append(
        log,
        batchOf([value], { producerId: 3, producerEpoch: 0, baseSequence: sequence, timestamp: Date.now() }),
        partition,
      );
  }
  const ends = manager.logs.map((log) => [log.name, log.logEndOffset] as const);
  // What a process leaves that is killed: its files as they are, its lock free, and no marker.
  for (const log of manager.logs) log.abandon();
  manager.close();
  rmSync(join(path, cleanShutdownName));
  for (let partition = 0; partition < logs; partition++) truncateSync(segmentOf(path, partition), 600 * MiB);
  return { path, open, said, ends };
}

test('large logs are recovered on other threads, with the same result and each step told', async () => {
  const { path, open, said, ends } = await deadNode(3);
  try {
    truncateSync(segmentOf(path, 1), 5 * MiB - 100);
    truncateSync(segmentOf(path, 1), 600 * MiB);
    said.length = 0;
    const manager = await open();
    for (const [name, end] of ends) {
      const log = manager.logs.find((each) => each.name === name)!;
      assert.equal(log.logEndOffset, name === 'large-1' ? end - 1 : end, name);
      assert.equal(log.recoveryPoint, 0);
      if (name.startsWith('large')) assert.equal(log.activeProducers()[0]!.lastSequence, log.logEndOffset - 1);
    }
    assert.deepEqual(manager.logs.find(({ name }) => name === 'large-2')!.epochs, [{ epoch: 2, startOffset: 0 }]);
    const recovered = said.filter(({ message }) => message === 'a log is recovered');
    assert.deepEqual(recovered.map(({ fields }) => String(fields!['directory']).slice(-7)).sort(), [
      'large-0',
      'large-1',
      'large-2',
    ]);
    assert.match(String(recovered.at(-1)!.fields!['progress']), /^3\/3 logs, 100 %$/);
    const cuts = said.filter(({ message }) => message === 'a segment is cut where it is damaged');
    assert.ok(cuts.some(({ fields }) => String(fields!['file']).includes('large-1')));
    manager.close();
    assert.ok((await open()).wasCleanShutdown);
  } finally {
    rmSync(path, { recursive: true });
  }
});

test('a node that is told to stop while it recovers lets go of everything', async () => {
  const { path, open, ends } = await deadNode(2);
  try {
    const stopping = new AbortController();
    const opening = open(stopping.signal);
    stopping.abort(new Error('told to stop'));
    await assert.rejects(opening, /told to stop/);
    const manager = await open();
    assert.deepEqual(
      manager.logs.map((log) => [log.name, log.logEndOffset]),
      ends.toSorted(([left], [right]) => left.localeCompare(right)),
    );
    manager.close();
  } finally {
    rmSync(path, { recursive: true });
  }
});

test('a directory whose disk fails while threads recover it goes offline alone', async () => {
  const { path, said } = await deadNode(3);
  const other = mkdtempSync(join(tmpdir(), 'ottla-recovery-'));
  const say = (message: string, fields?: LogFields): void => void said.push({ message, fields });
  const runtime = nodeRuntime({ logger: { ...silentLogger, info: say, warn: say, error: say } });
  writeMetaProperties(runtime.files, other, { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAg' }, startMs);
  const directories = [path, other];
  try {
    // The threads of the other logs must have ended: nobody but this one writes there from then on.
    const index = join(path, 'large-1/00000000000000000000.timeindex');
    rmSync(index);
    mkdirSync(index);
    said.length = 0;
    const manager = await LogManager.open({ directories, ...owner, runtime, recoveryThreadsPerDirectory: 2 });
    assert.deepEqual(
      manager.describeDirs().map((each) => [each.path, each.online !== undefined]),
      [
        [path, false],
        [other, true],
      ],
    );
    const told = said.find(({ message }) => message.startsWith('a log directory failed'));
    assert.ok(told!.fields!['error'] instanceof IoError);
    assert.equal((told!.fields!['error'] as IoError).path, index);
    append(manager.create('served', 0), batchOf(['a']));
    manager.close();
    await assert.rejects(LogManager.open({ directories: [path], ...owner, runtime }), {
      name: 'IoError',
      code: 'EISDIR',
      path: index,
    });
  } finally {
    for (const each of directories) rmSync(each, { recursive: true });
  }
});
