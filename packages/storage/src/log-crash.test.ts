import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesOf } from '@ottla/protocol';
import { MemoryFiles, SeededRandom } from '@ottla/runtime';
import { append, batchOf, openLog, startMs, testRuntime, valuesIn } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';

const owner = { clusterId: 'c', nodeId: 1, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' };

/** A node that loses its power every so often, each time keeping an arbitrary part of what it had not synced. */
async function liveThroughCrashes(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const files = new MemoryFiles({ crashes: { random, tornWrites: true } });
  const runtime = testRuntime(files);
  files.makeDirectory('/a');
  writeMetaProperties(files, '/a', owner, startMs);
  files.syncDirectory('/');

  const written: string[] = [];
  let flushed = 0;
  const lives = 4;
  for (let life = 0; life < lives; life++) {
    const manager = await LogManager.open({
      directories: ['/a'],
      ...owner,
      runtime,
      configOf: () => ({ ...openLogConfig, segmentBytes: 3000 }),
    });
    const log = manager.create('t', 0, { config: { ...openLogConfig, segmentBytes: 3000 } });
    const found = valuesIn(log).map(([, value]) => value);
    assert.ok(found.length >= flushed, `seed ${seed}: ${found.length} of ${flushed} flushed records survived`);
    assert.deepEqual(found, written.slice(0, found.length), `seed ${seed}`);
    assert.equal(log.logEndOffset, found.length);
    written.length = found.length;
    const [producer] = log.activeProducers();
    assert.equal(producer?.lastSequence ?? -1, found.length - 1, `seed ${seed}`);

    for (let steps = random.below(60); steps > 0; steps--) {
      runtime.nowMs += 700;
      const value = `${life}/${written.length}`.padEnd(20 + random.below(200), '-');
      append(
        log,
        batchOf([value], { producerId: 4, producerEpoch: 0, baseSequence: written.length, timestamp: runtime.nowMs }),
        life,
      );
      written.push(value);
      if (random.below(6) === 0) {
        log.flush();
        flushed = written.length;
      }
      if (random.below(4) === 0) await manager.runTasks(runtime.nowMs);
    }
    if (random.below(4) === 0) {
      manager.close();
      flushed = written.length;
    }
    flushed = Math.max(flushed, log.recoveryPoint);
    files.crash();
  }
}

const openLogConfig = openLog(testRuntime(), { config: { indexIntervalBytes: 500 } }).config;

test('what was flushed outlives a power loss, and what was not is lost whole or not at all', async () => {
  for (let seed = 1; seed <= 60; seed++) await liveThroughCrashes(seed);
});

test('without a flush only whole, intact batches come back', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const files = new MemoryFiles({ crashes: { random: new SeededRandom(seed), tornWrites: true } });
    const runtime = testRuntime(files);
    const log = openLog(runtime);
    append(log, batchOf(['flushed']));
    log.flush();
    files.syncDirectory('/data');
    files.syncDirectory('/');
    for (let index = 0; index < 20; index++) append(log, batchOf([`${index}`.padEnd(400, 'z')]));
    files.crash();
    const recovered = openLog(runtime, { cleanShutdown: false, recoveryPoint: 1 });
    const { records } = recovered.read({ startOffset: 0, endOffset: recovered.logEndOffset, maxBytes: 1e6, minOneBatch: true });
    for (const batch of batchesOf(records)) assert.ok(batch.isCrcValid());
    const values = valuesIn(recovered).map(([, value]) => value);
    assert.deepEqual(
      values,
      ['flushed', ...Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(400, 'z'))].slice(0, values.length),
    );
    assert.ok(values.length >= 1);
  }
});
