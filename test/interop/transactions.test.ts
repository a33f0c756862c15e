/**
 * Transactions as Java's and librdkafka's producers make them, under both of the protocol's versions: what is committed is read,
 * what is aborted is not, offsets go with the records, and whoever has been replaced is fenced.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type Client, ClientError, type Isolation, WorkerClient } from './clients/client.ts';
import { freshTopic, withCode } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';

const properties = {
  'broker.session.timeout.ms': '2000', // a node that was killed starts again as soon as that
  'broker.heartbeat.interval.ms': '500',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '200',
};

/** Kafka's error codes. */
const [invalidProducerEpoch, invalidTxnState, producerFenced] = [47, 48, 90];
/** What librdkafka makes of all of them. */
const fenced = -144;

for (const version of [2, 0])
  againstEachTarget(`transaction.version ${version}`, (bench) => declare(bench, version), properties, {
    'transaction.version': version,
  });

function declare(bench: Bench, version: number): void {
  const java = () => bench.client('java');

  for (const library of ['java', 'confluent-python'] as const) {
    const client = () => bench.client(library);
    const isFencedBy = (code: number) => withCode(library === 'java' ? code : fenced);
    /** Names of what a test makes. */
    const named = (what: string) => ({ topic: `${library}-${what}`, transactionalId: `${library}-${what}`, producer: what });
    const values = (topic: string, isolation: Isolation) => client().call('values', { topic, isolation });
    /** When a transaction's end has been agreed it is answered; its markers follow. */
    const assertCommitted = async (topic: string, expected: string[][]) => {
      const isSame = async () => isDeepStrictEqual(await values(topic, 'read_committed'), expected);
      await eventually('what is expected', isSame, { timeoutMs: 60_000 }).catch(() => {});
      assert.deepEqual(await values(topic, 'read_committed'), expected);
    };

    test(`${library}: read_committed waits for an open transaction, and leaves out an aborted one`, async () => {
      const { topic, transactionalId, producer } = named('isolated');
      await freshTopic(java(), topic, 2);
      await client().call('openProducer', { producer, transactionalId });
      for (const [round, end] of ['commitTransaction', 'abortTransaction', 'commitTransaction', 'abortTransaction'].entries()) {
        await client().call('beginTransaction', { producer });
        await send(client(), producer, topic, [`0 in ${round}`, `1 in ${round}`]);
        await java().call('produce', { topic, records: [{ partition: 0, key: null, value: `beside ${round}` }] });
        await client().call(end as 'commitTransaction', { producer });
      }
      await client().call('beginTransaction', { producer });
      await send(client(), producer, topic, ['0 in an open one']);
      await java().call('produce', { topic, records: [{ partition: 0, key: null, value: 'behind it' }] });
      await java().call('produce', { topic, records: [{ partition: 1, key: null, value: 'not behind it' }] });

      const before = ['0 in 0', 'beside 0', 'beside 1', '0 in 2', 'beside 2', 'beside 3'];
      const others = ['1 in 0', '1 in 2', 'not behind it'];
      await assertCommitted(topic, [before, others]);
      assert.deepEqual(await values(topic, 'read_uncommitted'), [
        ['0 in 0', 'beside 0', '0 in 1', 'beside 1', '0 in 2', 'beside 2', '0 in 3', 'beside 3', '0 in an open one', 'behind it'],
        ['1 in 0', '1 in 1', '1 in 2', '1 in 3', 'not behind it'],
      ]);
      await client().call('commitTransaction', { producer });
      await assertCommitted(topic, [[...before, '0 in an open one', 'behind it'], others]);
      await client().call('closeProducer', { producer });
    });

    test(`${library}: a zombie in the middle of a transaction is fenced, and what it wrote is aborted`, async () => {
      const { topic, transactionalId } = named('zombie');
      await freshTopic(java(), topic);
      await client().call('openProducer', { producer: 'zombie', transactionalId });
      await client().call('beginTransaction', { producer: 'zombie' });
      await send(client(), 'zombie', topic, ['0 of the zombie']);
      await client().call('openProducer', { producer: 'next', transactionalId });
      await client().call('beginTransaction', { producer: 'next' });
      await send(client(), 'next', topic, ['0 of the next']);

      await assert.rejects(send(client(), 'zombie', topic, ['0 too late']), isFencedBy(invalidProducerEpoch));
      await assert.rejects(client().call('commitTransaction', { producer: 'zombie' }), isFencedBy(invalidProducerEpoch));

      await client().call('commitTransaction', { producer: 'next' });
      await assertCommitted(topic, [['0 of the next']]);
      assert.deepEqual(await values(topic, 'read_uncommitted'), [['0 of the zombie', '0 of the next']]);
      await client().call('closeProducer', { producer: 'next' });
    });

    test(`${library}: a zombie that wants to commit is fenced`, async () => {
      const { topic, transactionalId } = named('late');
      await freshTopic(java(), topic);
      await client().call('openProducer', { producer: 'late', transactionalId });
      await client().call('beginTransaction', { producer: 'late' });
      await send(client(), 'late', topic, ['0 of the late one']);
      await client().call('openProducer', { producer: 'newer', transactionalId });
      await assert.rejects(client().call('commitTransaction', { producer: 'late' }), isFencedBy(producerFenced));
      await assertCommitted(topic, [[]]);
      await client().call('closeProducer', { producer: 'newer' });
    });

    test(`${library}: offsets go with the transaction`, async () => {
      const { topic, transactionalId, producer } = named('offsets');
      const group = `group of ${topic}`;
      await freshTopic(java(), topic);
      const committed = () => java().call('committed', { group, topic, partition: 0 });
      const offsets = (offset: number) => [{ topic, partition: 0, offset }];
      await client().call('openProducer', { producer, transactionalId });
      await client().call('beginTransaction', { producer });
      await client().call('sendOffsets', { producer, group, offsets: offsets(7) });
      assert.equal(await committed(), null);
      await client().call('commitTransaction', { producer });
      await eventually('the marker is in the group’s partition', async () => (await committed()) === 7);
      await client().call('beginTransaction', { producer });
      await send(client(), producer, topic, ['0 aborted']);
      await client().call('sendOffsets', { producer, group, offsets: offsets(9) });
      await client().call('abortTransaction', { producer });
      await client().call('beginTransaction', { producer });
      await send(client(), producer, topic, ['0 committed']);
      await client().call('commitTransaction', { producer });
      assert.equal(await committed(), 7);
      await assertCommitted(topic, [['0 committed']]);
      await client().call('closeProducer', { producer });
    });

    test(`${library}: a transaction that outlives its timeout is aborted, and its producer fenced`, async () => {
      const { topic, transactionalId, producer } = named('timeout');
      await freshTopic(java(), topic);
      await client().call('openProducer', { producer, transactionalId, timeoutMs: 1500 });
      await client().call('beginTransaction', { producer });
      await send(client(), producer, topic, ['0 too slow']);
      await java().call('produce', { topic, records: [{ partition: 0, key: null, value: 'behind it' }] });
      await eventually('aborted', async () => (await describe(transactionalId)).state === 'CompleteAbort');
      await assertCommitted(topic, [['behind it']]);
      const code = version === 2 ? invalidTxnState : producerFenced;
      await assert.rejects(client().call('commitTransaction', { producer }), isFencedBy(code));
    });

    test(`${library}: an epoch for each transaction, or one for all`, async () => {
      const { topic, transactionalId, producer } = named('epochs');
      await freshTopic(java(), topic, 2);
      await client().call('openProducer', { producer, transactionalId });
      const { producerId, producerEpoch: first } = await describe(transactionalId);
      for (let round = 0; round < 10; round++) {
        await client().call('beginTransaction', { producer });
        await send(client(), producer, topic, [`${round % 2} in ${round}`]);
        await client().call(round % 5 === 3 ? 'abortTransaction' : 'commitTransaction', { producer });
      }
      const found = await eventually('ended', async () => {
        const now = await describe(transactionalId);
        return now.state === 'CompleteCommit' ? now : null;
      });
      const epochs = version === 2 && library === 'java' ? 10 : 0; // librdkafka knows only the old version
      assert.deepEqual(
        { ...found, timeoutMs: 0 },
        { state: 'CompleteCommit', producerId, producerEpoch: first + epochs, timeoutMs: 0, partitions: [] },
      );
      await assertCommitted(topic, [[0, 2, 4, 6].map((round) => `0 in ${round}`), [1, 5, 7, 9].map((round) => `1 in ${round}`)]);
      await client().call('closeProducer', { producer });
    });

    if (library === 'confluent-python' && version !== 2) continue; // a node's start takes its time
    test(`${library}: a transaction goes on when the node is killed`, async () => {
      const { topic, transactionalId, producer } = named('killed');
      await freshTopic(java(), topic, 2);
      await client().call('openProducer', { producer, transactionalId });
      await client().call('beginTransaction', { producer });
      await send(client(), producer, topic, ['0 before', '1 before']);
      await bench.node.kill();
      await bench.node.start();
      await assertCommitted(topic, [[], []]);
      await send(client(), producer, topic, ['0 after']);
      await client().call('commitTransaction', { producer });
      await assertCommitted(topic, [['0 before', '0 after'], ['1 before']]);
      await client().call('closeProducer', { producer });
    });
  }

  test('a member of an earlier generation cannot commit its offsets in a transaction', async () => {
    const topic = await freshTopic(java(), 'stale-member', 2);
    const group = 'with a stale member';
    const producer = 'stale member';
    for (const protocol of ['classic', 'consumer'] as const) {
      await java().call('join', { member: 'a', group, topics: [topic], protocol });
      await eventually('assigned', async () => (await java().call('assignment', { member: 'a' })).length === 2);
      const { generation } = await java().call('membership', { member: 'a' });
      await java().call('openProducer', { producer, transactionalId: 'stale member' });
      await java().call('beginTransaction', { producer });
      const offsets = [{ topic, partition: 0, offset: 3 }];
      const stale = generation - 1;
      await assert.rejects(java().call('sendOffsets', { producer, member: 'a', generation: stale, offsets }), (error) => {
        assert.ok(error instanceof ClientError, `${error}`);
        assert.match(error.message, /CommitFailedException|IllegalGeneration|StaleMemberEpoch/);
        return true;
      });
      await java().call('abortTransaction', { producer });
      await java().call('beginTransaction', { producer });
      await java().call('sendOffsets', { producer, member: 'a', offsets });
      await java().call('commitTransaction', { producer });
      await eventually('committed', async () => (await java().call('committed', { group, topic, partition: 0 })) === 3);
      await java().call('closeProducer', { producer });
      await java().call('leave', { member: 'a' });
      await eventually('empty', async () => (await java().call('groupType', { group }))?.state === 'Empty');
      await java().call('deleteGroup', { group });
    }
  });

  test('what a process that was killed left open is aborted by the next with its name', async () => {
    const topic = await freshTopic(java(), 'left-open');
    const transactionalId = 'left open';
    const killed = new WorkerClient('java', bench.node.bootstrap);
    await killed.call('openProducer', { producer: 'p', transactionalId });
    await killed.call('beginTransaction', { producer: 'p' });
    await send(killed, 'p', topic, ['0 of the one killed']);
    await killed.kill();
    await java().call('openProducer', { producer: 'p', transactionalId });
    await java().call('beginTransaction', { producer: 'p' });
    await send(java(), 'p', topic, ['0 of the next']);
    await java().call('commitTransaction', { producer: 'p' });
    const read = () => java().call('values', { topic, isolation: 'read_committed' });
    await eventually('committed', async () => (await read())[0]!.length > 0);
    assert.deepEqual(await read(), [['0 of the next']]);
    await java().call('closeProducer', { producer: 'p' });
  });

  const describe = (transactionalId: string) => java().call('describeTransaction', { transactionalId });
}

/** Each value begins with its partition. */
function send(client: Client, producer: string, topic: string, values: readonly string[]): Promise<unknown> {
  const records = values.map((value) => ({ partition: Number.parseInt(value, 10), key: null, value }));
  return client.call('send', { producer, topic, records });
}
