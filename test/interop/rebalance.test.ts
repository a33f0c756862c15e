/** Two libraries in one group, under either protocol: they share the partitions, and take over from one another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LibraryName } from './clients/client.ts';
import { freshTopic } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget } from './targets/against.ts';

const partitions = 4;
type Pair = { protocol?: 'consumer'; assignor: string; first: LibraryName; second: LibraryName };
const pairs: readonly Pair[] = [
  { assignor: 'range', first: 'kafka-python', second: 'confluent-python' },
  { assignor: 'range', first: 'java', second: 'kcat' },
  { assignor: 'range', first: 'confluent-javascript', second: 'java' },
  { assignor: 'roundrobin', first: 'platformatic', second: 'java' },
  { assignor: 'roundrobin', first: 'confluent-python', second: 'platformatic' },
  { assignor: 'roundrobin', first: 'java', second: 'kafka-python' },
  { protocol: 'consumer', assignor: 'uniform', first: 'confluent-python', second: 'java' },
  { protocol: 'consumer', assignor: 'range', first: 'java', second: 'confluent-python' },
];

againstEachTarget('rebalancing', (bench) => {
  for (const { protocol, assignor, first, second } of pairs) {
    test(`${first} and ${second} share a ${protocol ?? 'classic'} group by ${assignor}`, async () => {
      const name = `${first}-${second}-${assignor}`;
      const topic = await freshTopic(bench.client('java'), `shared-${name}`, partitions);
      const group = `group-${name}`;
      const all = Array.from({ length: partitions }, (_, p) => p);
      const assigned = async (library: LibraryName) =>
        (await bench.client(library).call('assignment', { member: name })).map(([, partition]) => partition).sort();
      const join = (library: LibraryName) =>
        bench
          .client(library)
          .call('join', { member: name, group, topics: [topic], assignor, clientId: library, ...(protocol ? { protocol } : {}) });

      await join(first);
      await eventually(`${first} alone has all`, async () => (await assigned(first)).length === partitions);

      await join(second);
      await eventually('each has two', async () => (await assigned(first)).length === 2 && (await assigned(second)).length === 2);
      assert.deepEqual([...(await assigned(first)), ...(await assigned(second))].sort(), all);
      const described = () => bench.client('java').call('describeGroup', { group });
      await eventually('stable', async () => (await described()).state === 'Stable');
      assert.equal((await described()).members, 2);

      const records = all.map((partition) => ({ partition, key: null, value: `to ${partition}` }));
      await bench.client('java').call('produce', { topic, records });
      // At least once: what a member had fetched of a partition that it then gave up, it may still give out.
      const received = new Set<string | null>();
      await eventually('every record reaches the member that has its partition', async () => {
        for (const library of [first, second]) {
          const awaited = (await assigned(library)).filter((partition) => !received.has(`to ${partition}`));
          if (awaited.length === 0) continue;
          for (const { value } of await bench.client(library).call('poll', { member: name, count: awaited.length }))
            received.add(value);
        }
        return received.size === partitions;
      });

      await bench.client(first).call('leave', { member: name });
      await eventually(`${second} takes over`, async () => (await assigned(second)).length === partitions);
      await bench.client(second).call('leave', { member: name });
      await eventually('empty', async () => (await described()).state === 'Empty');
    });
  }
});
