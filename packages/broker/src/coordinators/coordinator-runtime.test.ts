import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import type { CoordinatorMachine, MachineOutcome } from './coordinator-machine.ts';
import { CoordinatorRuntime } from './coordinator-runtime.ts';
import { MemoryCoordinatorLog } from './memory-coordinator-log.ts';

type Outcome<Response> = MachineOutcome<string, string, Response>;

function outcome<Response>(response: Response, rest: Partial<Outcome<Response>> = {}): Outcome<Response> {
  return { records: [], response, answers: [], atomic: true, ...rest };
}

/** A list of words, which stumbles over some of them. */
class Words implements CoordinatorMachine<string, string> {
  readonly words: string[] = [];
  readonly continued: string[] = [];
  readonly settings: string[] = [];
  rolledBackTo: number | undefined;
  wakeAtMs: number | undefined;
  stumbles: 'wake' | 'activate' | 'effects' | undefined;

  replay(word: string): void {
    if (word === 'unspeakable') throw new TypeError('a bug in replay');
    this.words.push(word);
  }
  continueWith(word: string, error: KafkaError | null): Outcome<undefined> {
    if (word === 'stumble') throw new TypeError('a bug in what follows');
    this.continued.push(`${word} ${error?.name ?? 'committed'}`);
    return outcome(undefined);
  }
  activate(): Outcome<undefined> {
    if (this.stumbles === 'activate') throw new TypeError('a bug in activate');
    return outcome(undefined);
  }
  nextWakeMs(): number | undefined {
    return this.wakeAtMs;
  }
  wake(): Outcome<undefined> | undefined {
    this.wakeAtMs = undefined;
    if (this.stumbles === 'wake') throw new TypeError('a bug in a timer');
    return undefined;
  }
  unload(): Outcome<undefined> {
    return outcome(undefined);
  }
  rollbackTo(offset: number): void {
    this.rolledBackTo = offset;
  }
  replayTransactionEnd(): void {}
  skipTo(): void {}
  commitTo(): void {}
}

async function start() {
  const world = new World({ seed: 1 });
  const log = new MemoryCoordinatorLog();
  const machines: Words[] = [];
  const prepared: { stumbles?: Words['stumbles'] } = {};
  const runtime = new CoordinatorRuntime<Words>({
    topic: 'words',
    createMachine: () => {
      const machine = new Words();
      machine.stumbles = prepared.stumbles;
      machines.push(machine);
      return machine;
    },
    codec: {
      encode: (word) => {
        if (word === 'too long') throw new KafkaError('INVALID_REQUEST', 'a string that no record has room for');
        return { key: Buffer.from('word'), value: Buffer.from(word) };
      },
      decode: (_key, value) => Buffer.from(value!).toString(),
    },
    log: () => log,
    config: { appendLingerMs: 0, commitTimeoutMs: 5_000, compression: 'none', loadStepBytes: 4096 },
    runtime: world.machine('broker').boot(),
    onEffects: (machine) => {
      if (machine.stumbles === 'effects') throw new TypeError('a bug in effects');
    },
  });
  await world.runUntil(runtime.elect(0, 7));
  const say = (word: string, continuation?: string): Promise<string> =>
    runtime.write(0, () => outcome(word, { records: [word], continuation }));
  return { world, log, runtime, machines, prepared, say };
}

const is = (name: string) => (error: unknown) => error instanceof KafkaError && error.name === name;

test('what a timer throws ends nothing: who waits is sent away, and the partition is loaded again', async () => {
  const { world, log, runtime, machines, say } = await start();
  await world.runUntil(say('one'));
  log.holdsCommits = true;
  const waiting = assert.rejects(say('two'), is('NOT_COORDINATOR'));
  const parked = assert.rejects(
    runtime.park(0, (machine) => {
      machine.stumbles = 'wake';
      machine.wakeAtMs = 0;
      return outcome(undefined);
    }),
    is('NOT_COORDINATOR'),
  );
  await world.runUntil(Promise.all([waiting, parked]));
  log.commit();
  log.holdsCommits = false;
  await world.advance(20_000);
  assert.equal(machines.length, 2);
  assert.equal(await world.runUntil(say('three')), 'three');
  assert.deepEqual(machines[1]!.words, ['one', 'two', 'three']);
  assert.equal(runtime.partitions.get(0)?.leaderEpoch, 7);
});

test('what follows from a commit may throw: that operation and the others are answered all the same', async () => {
  const { world, log, machines, say } = await start();
  log.holdsCommits = true;
  const said = [say('one', 'stumble'), say('two', 'goes on'), say('three')];
  log.commit();
  log.holdsCommits = false;
  assert.deepEqual(await world.runUntil(Promise.all(said)), ['one', 'two', 'three']);
  await world.advance(20_000);
  assert.equal(machines.length, 2);
  assert.equal(await world.runUntil(say('four', 'after')), 'four');
  assert.deepEqual(machines[1]!.words, ['one', 'two', 'three', 'four']);
  assert.deepEqual(machines[1]!.continued, ['after committed']);
});

test('what follows from a failure may throw: the failure is told all the same', async () => {
  const { world, log, machines, say } = await start();
  log.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  await assert.rejects(say('one', 'stumble'), is('NOT_ENOUGH_REPLICAS'));
  log.appendError = null;
  await world.advance(20_000);
  assert.equal(await world.runUntil(say('two')), 'two');
  assert.deepEqual(machines.at(-1)!.words, ['two']);
});

test('a record that cannot be replayed is not written, and what it had begun is forgotten', async () => {
  const { world, log, machines, say, runtime } = await start();
  const unspeakable = runtime.write(0, () => outcome('said', { records: ['half', 'unspeakable'] }));
  await assert.rejects(unspeakable, TypeError);
  await world.advance(20_000);
  assert.equal(log.logEndOffset, 0);
  assert.equal(await world.runUntil(say('one')), 'one');
  assert.deepEqual(machines.at(-1)!.words, ['one']);
});

test('a record that cannot be encoded undoes its operation and fails it, and nothing else', async () => {
  const { world, machines, say } = await start();
  await world.runUntil(say('one'));
  await assert.rejects(say('too long', 'it'), is('INVALID_REQUEST'));
  assert.equal(await world.runUntil(say('two')), 'two');
  assert.equal(machines.length, 1);
  assert.deepEqual(machines[0]!.continued, ['it INVALID_REQUEST']);
  assert.equal(machines[0]!.rolledBackTo, 1);
});

test('what the effects throw is not the answer of whoever asked last', async () => {
  const { world, machines, say } = await start();
  machines[0]!.stumbles = 'effects';
  assert.equal(await world.runUntil(say('one')), 'one');
  await world.advance(20_000);
  assert.equal(await world.runUntil(say('two')), 'two');
  assert.deepEqual(machines.at(-1)!.words, ['one', 'two']);
});

test('a partition that stumbles again and again is loaded again now and then, and not all the time', async () => {
  const { world, runtime, machines } = await start();
  for (let second = 0; second < 60; second++) {
    const partition = runtime.partitions.get(0)!;
    if (partition.state === 'active')
      partition.write((machine) => {
        machine.stumbles = 'wake';
        machine.wakeAtMs = 0;
        return outcome(undefined);
      });
    else assert.throws(() => runtime.requireActive(0), is('COORDINATOR_LOAD_IN_PROGRESS'));
    await world.advance(1_000);
  }
  assert.ok(machines.length > 3 && machines.length < 12, `loaded ${machines.length} times in a minute`);
});

test('a partition whose state cannot be taken up is refused', async () => {
  const { world, runtime, prepared, say } = await start();
  prepared.stumbles = 'activate';
  await world.runUntil(runtime.elect(0, 8));
  assert.equal(runtime.partitions.get(0)?.state, 'failed');
  assert.throws(() => say('one'), is('NOT_COORDINATOR'));
});

test('a partition that is being loaded hears of settings, one that is gone does not', async () => {
  const { world, runtime, machines, say } = await start();
  await world.runUntil(say('one'));
  const loading = runtime.elect(0, 8);
  runtime.configureAll((machine) => machine.settings.push('while loading'));
  await world.runUntil(loading);
  runtime.configureAll((machine) => machine.settings.push('when loaded'));
  runtime.resign(0);
  runtime.configureAll((machine) => machine.settings.push('when gone'));
  assert.deepEqual(
    machines.map(({ settings }) => settings),
    [[], ['while loading', 'when loaded']],
  );
});

test('while this broker leads on, what it coordinates goes on: who waits is answered, and nothing is read again', async () => {
  const { world, log, runtime, machines, say } = await start();
  log.holdsCommits = true;
  const waiting = say('one', 'it');
  await world.runUntil(runtime.elect(0, 8, true));
  assert.equal(runtime.partitions.get(0)!.leaderEpoch, 8);
  runtime.resign(0, 7);
  log.commit();
  assert.equal(await world.runUntil(waiting), 'one');
  assert.equal(machines.length, 1);
  assert.deepEqual(machines[0]!.continued, ['it committed']);

  // Somebody else may have led in between.
  log.holdsCommits = false;
  await world.runUntil(runtime.elect(0, 10, true));
  await world.runUntil(runtime.elect(0, 11));
  assert.equal(machines.length, 3);
  assert.deepEqual(machines[2]!.words, ['one']);
});

test('a partition that is being loaded when its epoch grows is loaded once; one that could not be is tried again', async () => {
  const { world, runtime, machines, prepared, say } = await start();
  await world.runUntil(say('one'));
  const loading = runtime.elect(0, 9);
  await world.runUntil(Promise.all([loading, runtime.elect(0, 10, true)]));
  assert.deepEqual([machines.length, runtime.partitions.get(0)!.leaderEpoch], [2, 10]);
  assert.deepEqual(machines[1]!.words, ['one']);
  prepared.stumbles = 'activate';
  await world.runUntil(runtime.elect(0, 11));
  delete prepared.stumbles;
  await world.runUntil(runtime.elect(0, 12, true));
  assert.equal(await world.runUntil(say('two')), 'two');
});
