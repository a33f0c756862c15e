/**
 * A loop that takes records, changes them and writes them elsewhere, all in transactions (clients/Apps.java): its process is
 * killed again and again, or halted until another has taken its place; so is the node. Every record comes out once, in its order.
 */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { SeededRandom } from '@ottla/runtime';
import { WorkerClient } from './clients/client.ts';
import { freshTopic } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';

const partitions = 3;
const seeds = [1, 2] as const;

againstEachTarget('exactly once', declare, {
  'broker.session.timeout.ms': '2000', // a node that was killed starts again as soon as that
  'broker.heartbeat.interval.ms': '500',
  'group.min.session.timeout.ms': '500',
  'group.consumer.min.session.timeout.ms': '1000', // members that were killed are missed as soon as that
  'group.consumer.session.timeout.ms': '3000',
  'group.consumer.min.heartbeat.interval.ms': '200',
  'group.consumer.heartbeat.interval.ms': '200',
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.num.partitions': '4',
});

function declare(bench: Bench): void {
  const lives: WorkerClient[] = [];
  const born = () => {
    const life = new WorkerClient('java', bench.node.bootstrap);
    lives.push(life);
    return life;
  };
  afterEach(async () => {
    for (const life of lives.splice(0)) await life.kill();
  });

  /**
   * Anywhere in the middle of things; but Kafka may lose what was being committed just then: it takes partitions without a leader,
   * which all are while a node starts, for deleted ones, and writes no markers there. So its transaction is open, or has ended.
   */
  async function killNode(life: WorkerClient, transactionalId: string): Promise<boolean> {
    const mustBeQuiet = bench.node.target === 'kafka';
    if (mustBeQuiet) {
      life.pause();
      const state = async () => (await bench.client('java').call('describeTransaction', { transactionalId })).state;
      await eventually('no transaction is ending', async () => !(await state()).startsWith('Prepare'));
    }
    await bench.node.kill();
    return mustBeQuiet;
  }

  for (const seed of seeds) {
    const protocol = seed === 1 ? 'classic' : 'consumer';
    test(`a loop under the ${protocol} protocol that is killed again and again, halted once, on a node that is killed`, async () => {
      // Against Kafka, which is the judge, a few show that what is expected is right.
      const kills = bench.node.target === 'kafka' ? 3 : 10;
      const from = await freshTopic(bench.client('java'), `in-${protocol}`, partitions);
      const to = await freshTopic(bench.client('java'), `out-${protocol}`, partitions);
      const random = new SeededRandom(seed);
      const expected = Array.from({ length: partitions }, (): string[] => []);
      /** More than can be done before the loop's end comes. */
      const feed = async () => {
        const records = Array.from({ length: 120 }, () => {
          const partition = random.below(partitions);
          const value = `${partition}: ${expected[partition]!.length}`;
          expected[partition]!.push(`${value}!`);
          return { partition, key: null, value };
        });
        await bench.client('java').call('produce', { topic: from, records });
      };

      const ends = [...Array(kills).fill('killed'), 'halted', 'node killed'].toSorted(() => random.fraction() - 0.5);
      const halted: WorkerClient[] = [];
      let aborted = 0;
      let life = born();
      for (const [number, end] of ends.entries()) {
        await feed();
        const app = `life ${number}`;
        const joining = { group: `loop-${protocol}`, protocol, transactionalId: `loop-${protocol}`, in: from, out: to } as const;
        // A member that comes back as the same instance need not wait until the one before it is missed.
        await life.call('startLoop', {
          app,
          ...joining,
          seed: seed * 100 + number,
          ...(number % 2 === 0 ? { instanceId: 'i' } : {}),
        });
        const next = born(); // starts while this one is at work
        const goal = random.below(100);
        const state = await eventually(`${app} has written ${goal}`, async () => {
          const now = await life.call('loop', { app });
          if (now.committed < goal && now.ended === null) throw new Error(`it has ${JSON.stringify(now)}`);
          return now;
        });
        assert.equal(state.ended, null, `${app} ended by itself`);
        aborted += state.aborted;
        await new Promise((resolve) => setTimeout(resolve, random.fraction() * 60)); // anywhere in the middle of things
        if (end === 'halted') {
          life.pause();
          halted.push(life);
        } else {
          if (end === 'node killed') {
            const isHalted = await killNode(life, joining.transactionalId);
            await bench.node.start();
            if (isHalted) life.resume();
            const goesOn = await eventually(`${app} goes on`, async () => {
              const now = await life.call('loop', { app });
              return now.committed > state.committed || now.ended !== null ? now : null;
            });
            assert.equal(goesOn.ended, null, `${app} ended by itself`);
          }
          await life.kill();
        }
        life = next;
      }

      const joining = { group: `loop-${protocol}`, protocol, transactionalId: `loop-${protocol}`, in: from, out: to } as const;
      await life.call('startLoop', { app: 'last', ...joining, seed });
      await eventually('the last is at work', async () => (await life.call('loop', { app: 'last' })).committed > 0);
      for (const zombie of halted) zombie.resume();
      const count = () => expected.flat().length;
      const read = () => bench.client('java').call('values', { topic: to, isolation: 'read_committed' });
      await eventually(
        'all came out',
        async () => {
          assert.equal((await life.call('loop', { app: 'last' })).ended, null);
          return (await read()).flat().length >= count();
        },
        { timeoutMs: 180_000 },
      );
      assert.deepEqual(await read(), expected);
      const raw = await bench.client('java').call('values', { topic: to, isolation: 'read_uncommitted' });
      assert.ok(aborted > 0 && raw.flat().length > count(), 'some came out of transactions that were aborted');
      await life.call('stopLoop', { app: 'last' });
    });
  }
}
