import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { randomFrom } from '../seeded-random.ts';
import { StreamsGroup } from './streams-group.ts';
import { durableStreamsGroup, StreamsThread, StreamsWorld, wordCount } from './streams-world.ts';

const SEEDS = Number(process.env['OTTLA_MODEL_SEEDS'] ?? 200);

/**
 * Threads of an application that behave as real ones do: they join, beat, leave, die, lose answers and repeat themselves, while topics
 * change, appends fail and the coordinator moves. Whatever happens, no task is active twice, and a restart knows all; and once they calm
 * down, every task is active somewhere.
 */
test('a streams group keeps its promises under any mix of threads, failures and moves', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      run(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});

function run(seed: number): void {
  const random = randomFrom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const world = new StreamsWorld({ streamsMaxSize: below(5) === 0 ? 3 : 100 });
  const standbys = below(3);
  world.groupConfigs.set('g', {
    'streams.num.standby.replicas': standbys,
    'streams.initial.rebalance.delay.ms': below(2) * 3000,
    'streams.assignment.interval.ms': below(2) * 1000,
  });
  const topology = wordCount({ sources: below(2) === 0 ? ['text'] : ['text', 'more'] });
  let names = 0;
  const processes = 1 + below(3);
  const born = (): StreamsThread => new StreamsThread(world, `m${++names}`, `p${below(processes)}`, topology);
  let threads = Array.from({ length: 1 + below(5) }, born);
  let partitions = 1 + below(4);
  const lastEpoch = new Map<string, number>();

  for (let step = 0; step < 120; step++) {
    const at = below(threads.length);
    const thread = threads[at]!;
    const what = below(100);
    if (what < 50) thread.beat({ isAnswerLost: below(8) === 0 });
    else if (what < 60) world.pass(below(4_000));
    else if (what < 62) world.pass(50_000);
    else if (what < 66) thread.leave();
    else if (what < 70) die(at);
    else if (what < 74 && threads.length < 6) threads.push(born());
    else if (what < 80) changeTopics();
    else if (what < 84) world.createMissingTopics();
    else if (what < 88) failWhile(() => thread.beat());
    else if (what < 89) failWhile(() => thread.leave());
    else if (what < 90) failWhile(() => world.pass(50_000));
    else if (what < 93) world.takeOver();
    else if (what < 96) disturb(thread);
    else world.groupConfigs.set('g', { ...world.groupConfigs.get('g'), 'streams.num.standby.replicas': below(3) });
    check();
  }
  settle();

  /** Its process is gone, and with it what it had; nobody tells the coordinator. */
  function die(at: number): void {
    threads[at]!.forget();
    threads[at] = born();
  }

  /** Requests that no decent thread sends. Whatever they are answered, they change nothing for others. */
  function disturb({ memberId }: StreamsThread): void {
    const group = world.coordinator.groups.get('g');
    if (!(group instanceof StreamsGroup)) return;
    const memberEpoch = group.members.get(memberId)?.memberEpoch ?? 0;
    const tasks = [{ subtopologyId: String(below(3)), partitions: [below(9) - 1] }];
    const answers = [
      world.askStreams({ memberId, memberEpoch: memberEpoch + 1 + below(3) }),
      world.askStreams({ memberId: 'nobody', memberEpoch: 1 + below(9) }),
      world.askStreams({ memberId, memberEpoch: -2 }),
      world.askStreams({ memberId: 'late', memberEpoch: 0, topology: wordCount({ epoch: 1 }) }),
      world.askStreams({ memberId: 'nobody', memberEpoch: 3, activeTasks: tasks, standbyTasks: tasks, warmupTasks: [] }),
    ];
    for (const answer of answers) assert.equal(typeof answer, 'string', JSON.stringify(answer));
  }

  function failWhile(work: () => void): void {
    world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
    work();
    world.appendError = null;
  }

  function changeTopics(): void {
    const what = below(4);
    if (what === 0 && partitions < 8) partitions++;
    if (what < 3) for (const name of ['text', 'more']) world.createTopic(name, partitions);
    else world.deleteTopic('more');
  }

  function check(): void {
    world.coordinator.assertInvariants();
    const activeIn = new Map<string, string>();
    for (const { memberId, active, isMember } of threads) {
      // Who was fenced and has not heard of it may still work: its commits are refused.
      if (!isMember || !isCurrent(memberId)) continue;
      for (const task of active) {
        assert.ok(!activeIn.has(task), `${task} is active in ${activeIn.get(task)} and ${memberId}`);
        activeIn.set(task, memberId);
      }
    }
    const group = world.coordinator.groups.get('g');
    if (!(group instanceof StreamsGroup)) return;
    for (const { memberId, memberEpoch } of group.members.values()) {
      assert.ok(memberEpoch >= (lastEpoch.get(memberId) ?? 0) || memberEpoch === 1, `the epoch of ${memberId} ran backwards`);
      assert.ok(memberEpoch <= group.groupEpoch);
      lastEpoch.set(memberId, memberEpoch);
    }
    for (const memberId of lastEpoch.keys()) if (!group.members.has(memberId)) lastEpoch.delete(memberId);
    if (below(16) > 0) return;
    const again = world.reloaded().groups.get('g') as StreamsGroup;
    assert.deepEqual(durableStreamsGroup(again), durableStreamsGroup(group));
  }

  /** Members that the coordinator takes for such, at the epoch that the thread knows: others have been replaced. */
  function isCurrent(memberId: string): boolean {
    const group = world.coordinator.groups.get('g');
    return group instanceof StreamsGroup && group.members.has(memberId);
  }

  function settle(): void {
    for (const name of ['text', 'more']) world.createTopic(name, partitions);
    threads = threads.slice(0, Math.min(threads.length, world.config.streamsMaxSize));
    for (let round = 0; round < 60; round++) {
      for (const thread of threads) thread.beat();
      for (const { name } of [...world.missing.values()]) world.createTopic(name, partitions);
      // What was made for fewer partitions cannot serve: somebody deletes it, as Kafka's members are told to.
      for (const name of ['words', 'counts-changelog']) {
        const found = world.topics.byName(name);
        if (found !== undefined && found.partitionCount !== partitions) world.deleteTopic(name);
      }
      world.pass(2_000);
      check();
    }
    const group = world.streamsGroup();
    assert.equal(group.committedState, 'Stable', threads.map(String).join('\n'));
    assert.equal(group.members.size, threads.length);
    const active = threads.flatMap((thread) => [...thread.active]).sort();
    const expected = ['0', '1'].flatMap((id) => Array.from({ length: partitions }, (_, index) => `${id}_${index}`));
    assert.deepEqual(active, expected);
    const processCount = new Set(threads.map(({ processId }) => processId)).size;
    const replicas = Math.min(world.groupConfigs.get('g')!['streams.num.standby.replicas']!, processCount - 1);
    assert.equal(
      threads.reduce((sum, { standby }) => sum + standby.size, 0),
      partitions * replicas,
    );
    for (const thread of threads) assert.deepEqual(thread.status, [], String(thread));
  }
}
