/**
 * Kafka Streams (clients/Apps.java): words are counted by instances that come, go and are killed, under both protocols of groups.
 * With exactly_once_v2 each word is counted exactly once, whatever happens.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { WorkerClient } from './clients/client.ts';
import { freshTopic } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';

const partitions = 2;
const words = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox', 'gnu'];

againstEachTarget('Kafka Streams', declare, {
  'broker.session.timeout.ms': '2000', // a node that was killed starts again as soon as that
  'broker.heartbeat.interval.ms': '500',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '500',
  'group.streams.initial.rebalance.delay.ms': '0',
  'group.streams.min.session.timeout.ms': '1000',
  'group.streams.session.timeout.ms': '2000',
  'group.streams.min.heartbeat.interval.ms': '200',
  'group.streams.heartbeat.interval.ms': '200',
  'group.streams.assignment.interval.ms': '0',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '200',
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.num.partitions': '4',
});

function declare(bench: Bench): void {
  const java = () => bench.client('java');
  const lives: WorkerClient[] = [];
  const born = () => {
    const life = new WorkerClient('java', bench.node.bootstrap);
    lives.push(life);
    return life;
  };
  afterEach(async () => {
    for (const life of lives.splice(0)) await life.kill();
  });

  for (const protocol of ['streams', 'classic'] as const) {
    test(`words are counted exactly once under the ${protocol} protocol, by instances that are killed, on a node that is killed`, async () => {
      const from = await freshTopic(java(), `lines-${protocol}`, partitions);
      const to = await freshTopic(java(), `counts-${protocol}`, partitions);
      const application = `word-count-${protocol}`;
      const start = (life: WorkerClient, app: string) =>
        life.call('startStreams', {
          app,
          application,
          protocol,
          guarantee: 'exactly_once_v2',
          in: from,
          out: to,
          directory: join(bench.node.directory, `state-${app}`),
          configs:
            protocol === 'classic'
              ? {
                  'consumer.session.timeout.ms': '2000',
                  'consumer.heartbeat.interval.ms': '300',
                  'producer.transaction.timeout.ms': '3000',
                }
              : { 'producer.transaction.timeout.ms': '3000' },
        });
      const isRunning = (life: WorkerClient, app: string) =>
        eventually(`${app} runs`, async () => (await life.call('streamsState', { app })) === 'RUNNING');

      const expected = new Map<string, number>();
      let line = 0;
      const feed = async () => {
        const records = Array.from({ length: 60 }, () => {
          const of = [line, line * 3 + 1, line * 5 + 2].map((number) => words[number % words.length]!);
          for (const word of of) expected.set(word, (expected.get(word) ?? 0) + 1);
          return { partition: line++ % partitions, key: null, value: of.join(' ') };
        });
        await java().call('produce', { topic: from, records });
      };
      /** The counts of each word, as they came. */
      const counts = async () => {
        const found = new Map<string, number[]>();
        for (const value of (await java().call('values', { topic: to, isolation: 'read_committed' })).flat()) {
          const [word, count] = value.split(' ');
          found.set(word!, [...(found.get(word!) ?? []), Number(count)]);
        }
        return found;
      };
      const total = (found: ReadonlyMap<string, readonly number[]>) => [...found.values()].flat().length;
      const awaited = () => [...expected.values()].reduce((sum, count) => sum + count, 0);
      const allCounted = () => eventually('all are counted', async () => total(await counts()) >= awaited());

      await feed();
      const [first, second] = [born(), born()];
      await start(first, 'first');
      await isRunning(first, 'first');
      await allCounted();
      await start(second, 'second');
      await feed();
      await isRunning(second, 'second');
      await eventually('they share the work', async () => {
        const tasks = await Promise.all([
          first.call('streamsTasks', { app: 'first' }),
          second.call('streamsTasks', { app: 'second' }),
        ]);
        return tasks.every(({ active }) => active.length === 2);
      });
      await first.kill();
      await feed();
      await allCounted();

      const third = born();
      await start(third, 'third');
      await feed();
      await bench.node.kill();
      await bench.node.start();
      await feed();
      await allCounted();
      await second.kill();
      await feed();
      await allCounted();
      await third.call('stopStreams', { app: 'third' });
      const fourth = born();
      await start(fourth, 'fourth');
      await feed();
      await allCounted();
      await fourth.call('stopStreams', { app: 'fourth' });

      assert.deepEqual(
        new Map([...(await counts())].sort()),
        new Map([...expected].sort().map(([word, count]) => [word, Array.from({ length: count }, (_, index) => index + 1)])),
      );
      const type = await java().call('groupType', { group: application });
      assert.equal(type?.type, protocol === 'streams' ? 'Streams' : 'Classic');
      const topics = await java().call('topics', {});
      assert.deepEqual(
        topics.filter((topic) => topic.startsWith(application)),
        [`${application}-counts-changelog`, `${application}-words-repartition`],
      );
    });
  }

  test('standby tasks take over', async () => {
    const from = await freshTopic(java(), 'lines-standby', partitions);
    const to = await freshTopic(java(), 'counts-standby', partitions);
    const application = 'word-count-standby';
    await java().call('setGroupConfig', { group: application, name: 'streams.num.standby.replicas', value: '1' });
    await bench.node.settled();
    const [first, second] = [born(), born()];
    const how = { application, protocol: 'streams', guarantee: 'at_least_once', in: from, out: to } as const;
    await java().call('produce', { topic: from, records: [{ partition: 0, key: null, value: 'ant bee ant' }] });
    await first.call('startStreams', { app: 'first', ...how, directory: join(bench.node.directory, 'standby-first') });
    await second.call('startStreams', { app: 'second', ...how, directory: join(bench.node.directory, 'standby-second') });
    const tasksOf = (life: WorkerClient, app: string) => life.call('streamsTasks', { app });
    await eventually('each stands by for the other', async () => {
      const tasks = await Promise.all([tasksOf(first, 'first'), tasksOf(second, 'second')]);
      return tasks.every(({ active, standby }) => active.length === 2 && standby.length === 1);
    });
    const counted = async () => (await java().call('values', { topic: to, isolation: 'read_committed' })).flat();
    await eventually('counted', async () => (await counted()).includes('ant 2'));
    await first.kill();
    await eventually('the other has all', async () => (await tasksOf(second, 'second')).active.length === 4);
    await java().call('produce', { topic: from, records: [{ partition: 1, key: null, value: 'ant' }] });
    await eventually('it counts on', async () => (await counted()).includes('ant 3'));
    await second.call('stopStreams', { app: 'second' });
  });
}
