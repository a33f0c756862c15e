/**
 * Groups of Java's consumers under both protocols: every assignor, eager and cooperative, static members, patterns, and a group
 * that goes from one protocol to the other while its members are at work.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type Joining, WorkerClient } from './clients/client.ts';
import { freshTopic, withCode } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';

const codes = { fencedInstanceId: 82, unreleasedInstanceId: 111, unsupportedAssignor: 112, invalidRegularExpression: 128 };

againstEachTarget('groups', declare, {
  'broker.session.timeout.ms': '2000', // a node that was killed starts again as soon as that
  'broker.heartbeat.interval.ms': '500',
  'group.min.session.timeout.ms': '500',
  'group.consumer.min.session.timeout.ms': '1000',
  'group.consumer.session.timeout.ms': '6000',
  'group.consumer.min.heartbeat.interval.ms': '200',
  'group.consumer.heartbeat.interval.ms': '200',
  'group.consumer.assignment.interval.ms': '0',
  'group.consumer.regex.refresh.interval.ms': '10000',
  'offsets.topic.num.partitions': '4',
});

/** Under the new protocol it is the server's to say. */
const sessionOf = (protocol: 'classic' | 'consumer', ms: number): { [name: string]: string } =>
  protocol === 'classic' ? { 'session.timeout.ms': `${ms}` } : {};

type Assignments = { readonly [member: string]: string };

function declare(bench: Bench): void {
  const java = () => bench.client('java');

  const assigned = async (member: string) =>
    (await java().call('assignment', { member })).map(([topic, partition]) => `${topic}-${partition}`).join(' ');
  const events = (member: string) => java().call('events', { member });
  const leave = (...members: string[]) =>
    Promise.all(members.map((member) => java().call('leave', { member, how: 'LEAVE_GROUP' })));

  async function assertAssigned(expected: Assignments): Promise<void> {
    const now = async () =>
      Object.fromEntries(await Promise.all(Object.keys(expected).map(async (member) => [member, await assigned(member)])));
    await eventually('the assignment', async () => isDeepStrictEqual(await now(), expected), { timeoutMs: 60_000 }).catch(
      () => {},
    );
    assert.deepEqual(await now(), expected);
  }

  /** When each partition has exactly one owner, and no member has more than one partition more than another. */
  async function assertBalanced(members: readonly string[], partitions: readonly string[]): Promise<Map<string, string[]>> {
    const now = async () =>
      new Map(
        await Promise.all(
          members.map(async (member): Promise<[string, string[]]> => [member, (await assigned(member)).split(' ')]),
        ),
      );
    let owned = await now();
    const isBalanced = async () => {
      owned = await now();
      const sizes = [...owned.values()].map((list) => list.length);
      const all = [...owned.values()].flat().sort();
      return isDeepStrictEqual(all, [...partitions].sort()) && Math.max(...sizes) - Math.min(...sizes) <= 1;
    };
    await eventually('balanced', isBalanced).catch((late) => {
      throw new Error(`${late.message}: ${JSON.stringify([...owned])}`);
    });
    return owned;
  }

  /** Two topics, and what a member of a test's group joins with. */
  async function given(name: string, partitions: number) {
    const topics = [await freshTopic(java(), `${name}-x`, partitions), await freshTopic(java(), `${name}-y`, partitions)];
    const group = `group ${name}`;
    const join = (member: string, how: Partial<Joining> = {}) =>
      java().call('join', { member: `${name} ${member}`, group, topics, clientId: member, ...how });
    const all = topics.flatMap((topic) => Array.from({ length: partitions }, (_, partition) => `${topic}-${partition}`));
    return { topics, group, join, all, of: (member: string) => `${name} ${member}` };
  }

  const groupType = async (group: string) => (await java().call('groupType', { group }))!;

  test('classic, range: each topic by itself, taken away from all and given anew', async () => {
    const { join, of, group } = await given('range', 3);
    await join('a', { assignor: 'range' });
    await assertAssigned({ [of('a')]: 'range-x-0 range-x-1 range-x-2 range-y-0 range-y-1 range-y-2' });
    await join('b', { assignor: 'range' });
    await assertAssigned({ [of('a')]: 'range-x-0 range-x-1 range-y-0 range-y-1', [of('b')]: 'range-x-2 range-y-2' });
    const all = 'range-x-0 range-x-1 range-x-2 range-y-0 range-y-1 range-y-2';
    assert.deepEqual(await events(of('a')), [
      `assigned ${all}`,
      `revoked ${all}`,
      'assigned range-x-0 range-x-1 range-y-0 range-y-1',
    ]);
    assert.deepEqual(await events(of('b')), ['assigned range-x-2 range-y-2']);
    assert.deepEqual(await groupType(group), { type: 'Classic', protocol: 'consumer', state: 'Stable' });
    await leave(of('a'));
    await assertAssigned({ [of('b')]: all });
    await leave(of('b'));
  });

  test('classic, roundrobin: all partitions dealt out in turn', async () => {
    const { join, of } = await given('roundrobin', 3);
    await join('a', { assignor: 'roundrobin' });
    await join('b', { assignor: 'roundrobin' });
    await assertAssigned({
      [of('a')]: 'roundrobin-x-0 roundrobin-x-2 roundrobin-y-1',
      [of('b')]: 'roundrobin-x-1 roundrobin-y-0 roundrobin-y-2',
    });
    await leave(of('a'), of('b'));
  });

  for (const assignor of ['sticky', 'cooperative-sticky']) {
    test(`classic, ${assignor}: balanced, and who has a partition keeps it when another comes and goes`, async () => {
      const { join, of, all } = await given(assignor, 3);
      await join('a', { assignor });
      await join('b', { assignor });
      const before = await assertBalanced([of('a'), of('b')], all);
      for (const member of ['a', 'b']) await events(of(member));
      await join('c', { assignor });
      const shared = await assertBalanced([of('a'), of('b'), of('c')], all);
      for (const member of ['a', 'b']) {
        const [old, kept] = [before.get(of(member))!, shared.get(of(member))!];
        assert.ok(
          kept.every((partition) => old.includes(partition)),
          `${member} keeps some of what it had`,
        );
        const given = old.filter((partition) => !kept.includes(partition));
        assert.deepEqual(
          await events(of(member)),
          assignor === 'sticky'
            ? [`revoked ${old.join(' ')}`, `assigned ${kept.join(' ')}`] // all stop
            : [`revoked ${given.join(' ')}`], // only what moves stops
        );
      }
      await leave(of('c'));
      const after = await assertBalanced([of('a'), of('b')], all);
      for (const member of [of('a'), of('b')])
        assert.ok(
          shared.get(member)!.every((partition) => after.get(member)!.includes(partition)),
          'all is kept',
        );
      await leave(of('a'), of('b'));
    });
  }

  test('classic: a group changes from an eager assignor to the cooperative one, member by member', async () => {
    const { join, of, all, group } = await given('rolling', 3);
    await join('a', { assignor: 'range' });
    await join('b', { assignor: 'range' });
    await eventually('assigned', async () => (await assigned(of('b'))) !== '');
    for (const member of ['a', 'b']) {
      await leave(of(member));
      await join(member, { assignor: 'cooperative-sticky,range' });
      await eventually('assigned', async () => (await assigned(of(member))) !== '');
    }
    for (const member of ['a', 'b']) {
      await leave(of(member));
      await join(member, { assignor: 'cooperative-sticky' });
    }
    await assertBalanced([of('a'), of('b')], all);
    const { stdout } = await java().call('tool', {
      class: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
      args: ['--bootstrap-server', bench.node.bootstrap, '--describe', '--state', '--group', group],
    });
    assert.match(stdout, /cooperative-sticky +Stable +2/);
    await leave(of('a'), of('b'));
  });

  for (const protocol of ['classic', 'consumer'] as const) {
    test(`${protocol}: a static member goes and comes back, and nobody else notices`, async () => {
      const { join, of, all, group } = await given(`static-${protocol}`, 3);
      const configs = sessionOf(protocol, 30_000);
      await join('a', { protocol, instanceId: 'one', configs });
      await join('b', { protocol, instanceId: 'two', configs });
      const before = await eventually('both', async () => {
        const [a, b] = [await assigned(of('a')), await assigned(of('b'))];
        return `${a} ${b}`.split(' ').length === all.length && a !== '' && b !== '' ? [a, b] : null;
      });
      const { generation } = await java().call('membership', { member: of('a') });
      for (const member of ['a', 'b']) await events(of(member));
      await java().call('leave', { member: of('b') });
      await join('b again', { protocol, instanceId: 'two', configs });
      await assertAssigned({ [of('a')]: before[0]!, [of('b again')]: before[1]! });
      assert.deepEqual(await events(of('a')), []);
      assert.equal((await java().call('membership', { member: of('a') })).generation, generation);

      await join('intruder', { protocol, instanceId: 'two', configs });
      if (protocol === 'classic') {
        // The newer one takes the place of the older one.
        await assert.rejects(java().call('poll', { member: of('b again'), count: 1 }), withCode(codes.fencedInstanceId));
        await assertAssigned({ [of('a')]: before[0]!, [of('intruder')]: before[1]! });
        await leave(of('a'), of('intruder'));
      } else {
        // The older one is at work: the newer one is not let in.
        await assert.rejects(java().call('poll', { member: of('intruder'), count: 1 }), withCode(codes.unreleasedInstanceId));
        await assertAssigned({ [of('a')]: before[0]!, [of('b again')]: before[1]! });
        await leave(of('a'), of('b again'));
      }
      await eventually('empty', async () => (await groupType(group)).state === 'Empty');
    });

    test(`${protocol}: what a member that is killed had goes to the others`, async () => {
      const { join, of, all, topics, group } = await given(`killed-${protocol}`, 2);
      const configs = sessionOf(protocol, 2000);
      await join('a', { protocol, configs });
      const killed = new WorkerClient('java', bench.node.bootstrap);
      await killed.call('join', { member: 'k', group, topics, protocol, clientId: 'k', configs });
      await eventually('shared', async () => (await killed.call('assignment', { member: 'k' })).length === 2);
      await killed.kill();
      await assertAssigned({ [of('a')]: all.join(' ') });
      await leave(of('a'));
    });
  }

  test('members under both protocols go on when the node is killed, and their offsets are kept', async () => {
    const protocols = ['classic', 'consumer'] as const;
    const topic = await freshTopic(java(), 'node-killed', 1);
    const send = (value: string) => java().call('produce', { topic, records: [{ partition: 0, key: null, value }] });
    await send('before');
    for (const protocol of protocols) {
      await java().call('join', { member: protocol, group: `killed ${protocol}`, topics: [topic], protocol });
      assert.equal((await java().call('poll', { member: protocol, count: 1 })).length, 1);
      await java().call('commit', { member: protocol });
    }
    await bench.node.kill();
    await bench.node.start();
    await send('after');
    for (const protocol of protocols) {
      assert.equal((await java().call('poll', { member: protocol, count: 1 }))[0]!.value, 'after');
      await eventually('committed', async () => {
        await java().call('commit', { member: protocol });
        return true;
      });
      assert.equal(await java().call('committed', { group: `killed ${protocol}`, topic, partition: 0 }), 2);
      await leave(protocol);
    }
  });

  test('consumer, uniform: balanced, and only what moves stops', async () => {
    const { join, of, all, group } = await given('uniform', 3);
    await join('a', { protocol: 'consumer' });
    await assertAssigned({ [of('a')]: all.join(' ') });
    await events(of('a'));
    await join('b', { protocol: 'consumer', assignor: 'uniform' });
    const shared = await assertBalanced([of('a'), of('b')], all);
    const given3 = shared.get(of('b'))!;
    assert.deepEqual(await events(of('a')), [`revoked ${given3.join(' ')}`]);
    await join('c', { protocol: 'consumer' });
    const of3 = await assertBalanced([of('a'), of('b'), of('c')], all);
    for (const member of [of('a'), of('b')])
      assert.ok(
        of3.get(member)!.every((partition) => shared.get(member)!.includes(partition)),
        'nothing moves without need',
      );
    assert.deepEqual(await groupType(group), { type: 'Consumer', protocol: 'consumer', state: 'Stable' });
    await leave(of('c'), of('b'));
    await assertAssigned({ [of('a')]: all.join(' ') });
    await leave(of('a'));
    await eventually('empty', async () => (await groupType(group)).state === 'Empty');
  });

  test('consumer, range: the same partitions of each topic go to the same member', async () => {
    const { join, of, all } = await given('server-range', 3);
    const how = { protocol: 'consumer', assignor: 'range' } as const;
    for (const member of ['a', 'b', 'c']) await join(member, how);
    const shared = await assertBalanced([of('a'), of('b'), of('c')], all);
    for (const [x, y] of shared.values()) assert.equal(x!.replace('-x-', '-y-'), y);
    await leave(of('a'), of('b'), of('c'));
  });

  test('consumer: an assignor that the server does not have', async () => {
    const { join, of } = await given('no-assignor', 1);
    await join('a', { protocol: 'consumer', assignor: 'nonsense' });
    await assert.rejects(java().call('poll', { member: of('a'), count: 1 }), withCode(codes.unsupportedAssignor));
  });

  test('consumer: a pattern, and topics that come and go', async () => {
    const group = 'group of a pattern';
    await freshTopic(java(), 'pattern-one', 1);
    await freshTopic(java(), 'no-pattern', 1);
    await java().call('join', { member: 'p', group, topics: [], pattern: 'pattern-.*', protocol: 'consumer' });
    await assertAssigned({ p: 'pattern-one-0' });
    await freshTopic(java(), 'pattern-two', 2);
    await assertAssigned({ p: 'pattern-one-0 pattern-two-0 pattern-two-1' });
    await java().call('deleteTopic', { topic: 'pattern-one' });
    await assertAssigned({ p: 'pattern-two-0 pattern-two-1' });
    await leave('p');
    await java().call('join', { member: 'wrong', group, topics: [], pattern: 'a(b', protocol: 'consumer' });
    await assert.rejects(java().call('poll', { member: 'wrong', count: 1 }), withCode(codes.invalidRegularExpression));
  });

  test('consumer: partitions that are added are given out', async () => {
    const topic = await freshTopic(java(), 'growing', 1);
    await java().call('join', { member: 'g', group: 'group growing', topics: [topic], protocol: 'consumer' });
    await assertAssigned({ g: 'growing-0' });
    await java().call('addPartitions', { topic, total: 3 });
    await assertAssigned({ g: 'growing-0 growing-1 growing-2' });
    await leave('g');
  });

  for (const assignor of ['range', 'cooperative-sticky']) {
    test(`a group with ${assignor} goes live to the new protocol, and back`, async () => {
      const { join, of, all, topics, group } = await given(`live-${assignor}`, 2);
      const [topic] = topics as [string];
      let sent = 0;
      /** Whatever the group is at the moment, each record comes to a member. */
      const assertFlows = async (...members: string[]) => {
        const value = `${sent++}`;
        await java().call('produce', { topic, records: [{ partition: sent % 2, key: null, value }] });
        const seen: (string | null)[] = [];
        await eventually(`${value} comes to ${members}`, async () => {
          for (const member of members)
            seen.push(
              ...(await java().call('poll', { member: of(member), count: 1, timeoutMs: 50 })).map((record) => record.value),
            );
          return seen.includes(value);
        });
      };
      const classic = { protocol: 'classic', assignor } as const;
      const modern = { protocol: 'consumer' } as const;
      const isOfType = (type: string) => eventually(type, async () => (await groupType(group)).type === type);

      await join('a', classic);
      await join('b', classic);
      await eventually('both have some', async () => (await assigned(of('a'))) !== '' && (await assigned(of('b'))) !== '');
      await assertFlows('a', 'b');
      await java().call('commit', { member: of('a') });
      await java().call('commit', { member: of('b') });

      await join('c', modern);
      await isOfType('Consumer');
      await eventually('all three', async () => (await assigned(of('c'))) !== '');
      await assertBalanced([of('a'), of('b'), of('c')], all);
      await assertFlows('a', 'b', 'c');
      await leave(of('a'));
      await join('d', modern);
      await leave(of('b'));
      await assertBalanced([of('c'), of('d')], all);
      await assertFlows('c', 'd');
      for (const member of ['c', 'd']) await java().call('commit', { member: of(member) });

      await join('e', classic);
      await assertBalanced([of('c'), of('d'), of('e')], all);
      assert.equal((await groupType(group)).type, 'Consumer');
      await leave(of('c'));
      await leave(of('d'));
      await isOfType('Classic');
      await assertAssigned({ [of('e')]: all.join(' ') });
      await assertFlows('e');
      await leave(of('e'));
    });
  }
}
