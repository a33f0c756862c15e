import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  type Api,
  buildBatch,
  DescribeProducers,
  DescribeTransactions,
  EndTxn,
  Fetch,
  FindCoordinator,
  InitProducerId,
  type InitProducerIdRequest,
  ListOffsets,
  ListTransactions,
  OffsetFetch,
  Produce,
  TxnOffsetCommit,
  type TxnOffsetCommitRequest,
  type Writable,
  WriteTxnMarkers,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { batch } from './batches.ts';
import { coordinatorReady } from './groups.ts';
import { makeTopic, type Scenario } from './scenario.ts';

const COORDINATOR_LOAD_IN_PROGRESS = 14;
const COORDINATOR_NOT_AVAILABLE = 15;
const NOT_COORDINATOR = 16;
const NOT_ENOUGH_REPLICAS = 19;
const CONCURRENT_TRANSACTIONS = 51;

/** What a client retries until it is settled, which is a matter of time. */
const isUnderWay = (errorCode: number): boolean =>
  [COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS].includes(errorCode);

/** Produce tells old clients in another way that a transaction is still being ended. */
const isProduceUnderWay = (errorCode: number): boolean => isUnderWay(errorCode) || errorCode === NOT_ENOUGH_REPLICAS;

type Named = { readonly producerId: number; readonly producerEpoch: number };

/** One producer as a client would be it, and what it does wrong. */
class Transactional {
  readonly transactionalId: string;
  readonly #probe: Probe;
  producerId = -1;
  producerEpoch = -1;
  #ids = 0;

  constructor(probe: Probe, transactionalId: string) {
    this.#probe = probe;
    this.transactionalId = transactionalId;
  }

  get asMe(): { transactionalId: string; producerId: number; producerEpoch: number } {
    const { transactionalId, producerId, producerEpoch } = this;
    return { transactionalId, producerId, producerEpoch };
  }

  /** Ids are handed out: each new one is shown by a name. */
  #become({ producerId, producerEpoch }: Named): void {
    if (producerId >= 0 && producerId !== this.producerId) {
      this.#probe.name(producerId, `${this.#ids++ === 0 ? '' : 'another '}producer of ${this.transactionalId}`);
      this.producerId = producerId;
    }
    if (producerId >= 0) this.producerEpoch = producerEpoch;
  }

  async init(what = 'init', request: Writable<InitProducerIdRequest> = {}, version = 5): Promise<void> {
    await this.#probe.askSettled(
      what,
      InitProducerId,
      version,
      { transactionalId: this.transactionalId, transactionTimeoutMs: 60_000, ...request },
      ({ errorCode }) => isUnderWay(errorCode),
      { look: (answer) => void (answer.errorCode === 0 && this.#become(answer)) },
    );
  }

  async add(what: string, topics: Readonly<Record<string, readonly number[]>>, { version = 3, as = this.asMe as object } = {}) {
    const { transactionalId, producerId, producerEpoch } = { ...this.asMe, ...as };
    const list = Object.entries(topics).map(([name, partitions]) => ({ name, partitions: [...partitions] }));
    await this.#probe.askSettled(
      what,
      AddPartitionsToTxn,
      version,
      {
        v3AndBelowTransactionalId: transactionalId,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: list,
      },
      ({ resultsByTopicV3AndBelow }) =>
        resultsByTopicV3AndBelow.some(({ resultsByPartition }) =>
          resultsByPartition.some(({ partitionErrorCode }) => isUnderWay(partitionErrorCode)),
        ),
    );
  }

  /** As brokers ask, who verify or add for several producers at a time. */
  async verify(
    what: string,
    topics: Readonly<Record<string, readonly number[]>>,
    { version = 5, verifyOnly = true, as = {} as object } = {},
  ) {
    const list = Object.entries(topics).map(([name, partitions]) => ({ name, partitions: [...partitions] }));
    await this.#probe.askSettled(
      what,
      AddPartitionsToTxn,
      version,
      { transactions: [{ ...this.asMe, verifyOnly, topics: list, ...as }] },
      ({ errorCode, resultsByTransaction }) =>
        isUnderWay(errorCode) ||
        resultsByTransaction.some(({ topicResults }) =>
          topicResults.some(({ resultsByPartition }) =>
            resultsByPartition.some(({ partitionErrorCode }) => isUnderWay(partitionErrorCode)),
          ),
        ),
    );
  }

  async addOffsets(what: string, groupId: string, { version = 4, as = {} as object } = {}): Promise<void> {
    const request = { ...this.asMe, groupId, ...as };
    await this.#probe.askSettled(what, AddOffsetsToTxn, version, request, ({ errorCode }) => isUnderWay(errorCode));
  }

  async commitOffsets(
    what: string,
    groupId: string,
    rest: Writable<TxnOffsetCommitRequest> & { version?: number } = {},
  ): Promise<void> {
    const { version = 4, ...request } = rest;
    const partitions = [{ partitionIndex: 0, committedOffset: 5, committedMetadata: 'm' }];
    await this.#probe.askSettled(
      what,
      TxnOffsetCommit,
      version,
      { ...this.asMe, groupId, topics: [{ name: 'tx', partitions }], ...request },
      ({ topics }) => topics.some(({ partitions }) => partitions.some(({ errorCode }) => isUnderWay(errorCode))),
    );
  }

  /** By version 5 each end gives a new epoch, or a new id. */
  async end(what: string, committed: boolean, { version = 4, as = {} as object } = {}): Promise<void> {
    await this.#probe.askSettled(
      what,
      EndTxn,
      version,
      { ...this.asMe, committed, ...as },
      ({ errorCode }) => isUnderWay(errorCode),
      { look: (answer) => void (version >= 5 && answer.errorCode === 0 && this.#become(answer)) },
    );
  }

  async produce(
    what: string,
    values: readonly string[],
    {
      baseSequence = 0,
      version = 11,
      partition = 0,
      topic = 'tx',
      topicId = '',
      as = {} as Partial<Named>,
      transactionalId = this.transactionalId as string | null,
      acks = -1,
    },
  ): Promise<void> {
    const { producerId, producerEpoch } = { ...this.asMe, ...as };
    const records = batch(values, { producerId, producerEpoch, baseSequence, isTransactional: true });
    await this.#probe.askSettled(
      what,
      Produce,
      version,
      {
        transactionalId,
        acks,
        timeoutMs: 5000,
        topicData: [{ ...(version >= 13 ? { topicId } : { name: topic }), partitionData: [{ index: partition, records }] }],
      },
      ({ responses }) =>
        responses.some(({ partitionResponses }) => partitionResponses.some(({ errorCode }) => isProduceUnderWay(errorCode))),
    );
  }

  /** Waits until the coordinator has written the end of the transaction everywhere. */
  async settled(): Promise<void> {
    await eventually(`the transaction of ${this.transactionalId} is over`, async () => {
      const answer = await this.#probe.ask(
        'state',
        DescribeTransactions,
        0,
        { transactionalIds: [this.transactionalId] },
        { quiet: true },
      );
      return !/Prepare|Ongoing/.test(answer!.transactionStates[0]!.transactionState);
    });
  }

  async describe(what: string): Promise<void> {
    await this.#probe.ask(what, DescribeTransactions, 0, { transactionalIds: [this.transactionalId] });
  }
}

async function transactional(probe: Probe, transactionalId: string): Promise<Transactional> {
  const producer = new Transactional(probe, transactionalId);
  await producer.init();
  return producer;
}

/** What readers of both kinds see of a partition, and how much of it. */
async function readBoth(
  probe: Probe,
  what: string,
  topicId: string,
  topic: string,
  partition = 0,
  fetchOffset = 0,
): Promise<void> {
  for (const isolationLevel of [0, 1]) {
    for (const version of [4, 11, 16]) {
      await probe.ask(`${what}, isolation ${isolationLevel}`, Fetch, version, {
        maxWaitMs: 0,
        minBytes: 0,
        isolationLevel,
        topics: [{ topic, topicId, partitions: [{ partition, fetchOffset, partitionMaxBytes: 10_000_000 }] }],
      });
    }
    await probe.ask(`${what}, the end in isolation ${isolationLevel}`, ListOffsets, 7, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: topic, partitions: [-1, -2, -3].map((timestamp) => ({ partitionIndex: partition, timestamp })) }],
    });
  }
}

const producersOf = (probe: Probe, what: string, name: string, ...partitionIndexes: number[]) =>
  probe.ask(what, DescribeProducers, 0, { topics: [{ name, partitionIndexes }] });

async function coordinatorOfTransactions(probe: Probe): Promise<void> {
  await coordinatorReady(probe);
  await eventually('the coordinator of transactions is ready', async () => {
    const found = await probe.ask('find', FindCoordinator, 4, { keyType: 1, coordinatorKeys: ['t'] }, { quiet: true });
    const listed = await probe.ask('list', ListTransactions, 0, { stateFilters: [], producerIdFilters: [] }, { quiet: true });
    return found!.coordinators[0]!.errorCode === 0 && listed!.errorCode === 0;
  });
}

async function everyVersion(api: Api, run: (version: number) => Promise<void>): Promise<void> {
  for (const version of versionsOf(api)) await run(version);
}

export const transactionScenarios: readonly Scenario[] = [
  {
    name: 'transactions: InitProducerId',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      await everyVersion(InitProducerId as Api, async (version) => {
        const producer = new Transactional(probe, `ip-${version}`);
        await producer.init('new', {}, version);
        await producer.init('again', {}, version);
        await producer.describe('is empty');
        if (version >= 3) {
          const { producerId, producerEpoch } = producer;
          await producer.init('with what it has', { producerId, producerEpoch }, version);
          await producer.init('with the epoch before', { producerId, producerEpoch }, version);
          await producer.init('with a wrong id', { producerId: 987_654, producerEpoch }, version);
          await producer.init('with a future epoch', { producerId, producerEpoch: 900 }, version);
          await producer.init('with an id alone', { producerId }, version);
          await producer.init('with an epoch alone', { producerEpoch }, version);
          const unknown = new Transactional(probe, `ip-${version}-unknown`);
          await unknown.init('unknown, with an id', { producerId: 987_654, producerEpoch: 3 }, version);
          await unknown.describe('unknown');
        }
        const other = new Transactional(probe, `ip-${version}-other`);
        for (const transactionTimeoutMs of [0, -1, 900_000, 900_001, 2_147_483_647, 1])
          await other.init(`timeout ${transactionTimeoutMs}`, { transactionTimeoutMs }, version);
        await other.init('an empty id', { transactionalId: '' }, version);
        await other.init('a long id', { transactionalId: 'x'.repeat(300) }, version);
      });
    },
  },
  {
    name: 'transactions: AddPartitionsToTxn',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      await makeTopic(probe, 'tx', { partitions: 3 });
      for (const version of [0, 1, 2, 3]) {
        const producer = await transactional(probe, `ap-${version}`);
        const { producerId, producerEpoch } = producer;
        const add = (what: string, topics: Record<string, number[]>, as: object = {}) =>
          producer.add(what, topics, { version, as });
        await add('one', { tx: [0] });
        await producer.describe('one');
        await add('it again', { tx: [0] });
        await add('two more', { tx: [1, 2] });
        await add('nothing', {});
        await add('no partitions', { tx: [] });
        await add('twice', { tx: [0, 0] });
        await add('an unknown topic', { 'tx-unknown': [0] });
        await add('an unknown partition', { tx: [9] });
        await add('a bad partition', { tx: [-1] });
        await add('one known, one not', { tx: [0], 'tx-unknown': [0] });
        await add('a wrong producer id', { tx: [0] }, { producerId: 987_654 });
        await add('no producer id', { tx: [0] }, { producerId: -1 });
        await add('a future epoch', { tx: [0] }, { producerEpoch: producerEpoch + 5 });
        await add('an unknown transactional id', { tx: [0] }, { transactionalId: 'ap-unknown' });
        await add('an empty transactional id', { tx: [0] }, { transactionalId: '' });
        await add('a wrong producer id, an unknown topic', { 'tx-unknown': [0] }, { producerId: 987_654 });
        await producer.describe('three');
        await producer.init('fences');
        await add('as a zombie', { tx: [0] }, { producerId, producerEpoch });
        await producer.describe('after that');
      }
    },
  },
  {
    name: 'transactions: AddPartitionsToTxn of brokers',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      await makeTopic(probe, 'tx', { partitions: 3 });
      for (const version of [4, 5]) {
        const producer = await transactional(probe, `av-${version}`);
        const { producerEpoch } = producer;
        const verify = (what: string, topics: Record<string, number[]>, options: object = {}) =>
          producer.verify(what, topics, { version, ...options });
        await verify('verify before it began', { tx: [0] });
        await verify('add', { tx: [0] }, { verifyOnly: false });
        await verify('verify', { tx: [0] });
        await verify('verify two, of which one', { tx: [0, 1] });
        await verify('verify an unknown topic', { 'tx-unknown': [0] });
        await verify('add an unknown topic', { 'tx-unknown': [0] }, { verifyOnly: false });
        await verify('verify nothing', {});
        await verify('add nothing', {}, { verifyOnly: false });
        await verify('verify with a wrong id', { tx: [0] }, { as: { producerId: 987_654 } });
        await verify('verify with a future epoch', { tx: [0] }, { as: { producerEpoch: producerEpoch + 5 } });
        await verify('verify an unknown transactional id', { tx: [0] }, { as: { transactionalId: 'av-unknown' } });
        await verify('verify an empty transactional id', { tx: [0] }, { as: { transactionalId: '' } });
        await verify('add with a wrong id', { tx: [0] }, { verifyOnly: false, as: { producerId: 987_654 } });
        await producer.end('ends', true);
        await producer.settled();
        await verify('verify after the end', { tx: [0] });
        await producer.init('fences');
        await verify('verify with an old epoch', { tx: [0] }, { as: { producerEpoch } });
        await verify('add with an old epoch', { tx: [0] }, { verifyOnly: false, as: { producerEpoch } });
        const other = await transactional(probe, `av-${version}-other`);
        const topics = [{ name: 'tx', partitions: [0, 1] }];
        await probe.ask('several', AddPartitionsToTxn, version, {
          transactions: [
            { ...producer.asMe, verifyOnly: false, topics },
            { ...other.asMe, verifyOnly: true, topics },
            { ...other.asMe, transactionalId: 'nobody', verifyOnly: true, topics },
          ],
        });
        // Kafka never answers, nor reads on.
        await probe.ask(
          'none',
          AddPartitionsToTxn,
          version,
          { transactions: [] },
          { on: await probe.connect(), patienceMs: 500 },
        );
        await probe.ask('the same twice', AddPartitionsToTxn, version, {
          transactions: [
            { ...producer.asMe, verifyOnly: true, topics },
            { ...producer.asMe, verifyOnly: true, topics },
          ],
        });
        await producer.end('aborts', false);
      }
    },
  },
  {
    name: 'transactions: EndTxn',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      await makeTopic(probe, 'tx', { partitions: 3 });
      await everyVersion(EndTxn as Api, async (version) => {
        for (const committed of [true, false]) {
          const producer = await transactional(probe, `et-${version}-${committed}`);
          const end = (what: string, as: object = {}, asked = committed) =>
            producer.end(`${what}, committed ${asked}`, asked, { version, as });
          await end('before it began');
          await producer.settled();
          await producer.describe('before it began');
          await producer.add('add', { tx: [0, 2] });
          await end('a wrong id', { producerId: 987_654 });
          await end('a future epoch', { producerEpoch: producer.producerEpoch + 7 });
          await end('an unknown transactional id', { transactionalId: 'et-unknown' });
          await end('an empty transactional id', { transactionalId: '' });
          const before = producer.asMe;
          await end('ends');
          await producer.settled();
          await producer.describe('it is over');
          await end('again, as then', before);
          await end('the other way, as then', before, !committed);
          await end('again, as now');
          await end('the other way, as now', {}, !committed);
          await producer.init('init');
          await end('as a zombie', before);
          await producer.describe('at last');
        }
      });
    },
  },
  {
    name: 'transactions: offsets',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      await makeTopic(probe, 'tx', { partitions: 3 });
      const fetchOffsets = async (what: string, groupId: string) => {
        for (const requireStable of [false, true]) {
          await probe.ask(`${what}, stable ${requireStable}`, OffsetFetch, 7, {
            groupId,
            requireStable,
            topics: [{ name: 'tx', partitionIndexes: [0, 1] }],
          });
        }
      };
      for (const version of versionsOf(AddOffsetsToTxn as Api)) {
        const producer = await transactional(probe, `ao-${version}`);
        const add = (what: string, groupId: string, as: object = {}) => producer.addOffsets(what, groupId, { version, as });
        await add('a group', `ao-g-${version}`);
        await producer.describe('a group');
        await add('it again', `ao-g-${version}`);
        await add('an empty group', '');
        await add('a wrong id', 'g', { producerId: 987_654 });
        await add('a future epoch', 'g', { producerEpoch: 99 });
        await add('an unknown transactional id', 'g', { transactionalId: 'ao-unknown' });
        await add('an empty transactional id', 'g', { transactionalId: '' });
        const { producerId, producerEpoch } = producer;
        await producer.init('fences');
        await add('a zombie', 'g', { producerId, producerEpoch });
      }
      for (const version of versionsOf(TxnOffsetCommit as Api)) {
        const groupId = `toc-${version}`;
        const producer = await transactional(probe, `toc-${version}`);
        const commit = (what: string, request: Writable<TxnOffsetCommitRequest> = {}, group = groupId) =>
          producer.commitOffsets(what, group, { version, ...request });
        if (version < 5) {
          await commit('without a transaction');
          await producer.addOffsets('add', groupId);
        }
        await commit('offsets');
        await fetchOffsets('pending', groupId);
        await commit('other offsets', {
          topics: [{ name: 'tx', partitions: [{ partitionIndex: 1, committedOffset: 7, committedMetadata: null }] }],
        });
        await commit('an unknown topic', {
          topics: [{ name: 'tx-unknown', partitions: [{ partitionIndex: 0, committedOffset: 7 }] }],
        });
        await commit('an unknown partition', {
          topics: [{ name: 'tx', partitions: [{ partitionIndex: 77, committedOffset: 7 }] }],
        });
        await commit('a negative offset', { topics: [{ name: 'tx', partitions: [{ partitionIndex: 2, committedOffset: -1 }] }] });
        await commit('much metadata', {
          topics: [{ name: 'tx', partitions: [{ partitionIndex: 2, committedOffset: 1, committedMetadata: 'x'.repeat(4097) }] }],
        });
        await commit('nothing', { topics: [] });
        await commit('a wrong producer id', { producerId: 987_654 });
        await commit('a future epoch', { producerEpoch: producer.producerEpoch + 3 });
        await commit('an old epoch', { producerEpoch: producer.producerEpoch - 1 });
        await commit('another transactional id', { transactionalId: 'toc-unknown' });
        await commit('an empty group', {}, '');
        if (version >= 3) {
          await commit('an unknown member', { memberId: 'nobody' });
          await commit('a member and a generation', { memberId: 'nobody', generationId: 3 });
          await commit('a generation alone', { generationId: 3 });
          await commit('an instance id', { memberId: 'nobody', groupInstanceId: 'static' });
          await commit('an empty instance id', { groupInstanceId: 'static' });
        }
        await producer.describe('before the end');
        await producer.end('commit', true);
        await producer.settled();
        await fetchOffsets('committed', groupId);
        await producer.init('init');
        await producer.addOffsets('add', groupId);
        await commit('offsets to abort', {
          topics: [{ name: 'tx', partitions: [{ partitionIndex: 0, committedOffset: 99, committedMetadata: 'no' }] }],
        });
        await producer.end('abort', false);
        await producer.settled();
        await fetchOffsets('aborted', groupId);
      }
    },
  },
  {
    name: 'transactions: Produce',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      for (const version of [3, 5, 7, 8, 9, 10, 11, 12, 13]) {
        const topic = `tp-${version}`;
        const topicId = await makeTopic(probe, topic, { partitions: 3 });
        const producer = await transactional(probe, topic);
        const produce = (what: string, values: string[], options: object = {}) =>
          producer.produce(what, values, { version, topic, topicId, ...options });
        if (version < 12) {
          await produce('before it was added', ['x']);
          await producer.add('add', { [topic]: [0] });
        }
        await produce('first', ['a', 'b']);
        await produce('it again', ['a', 'b']);
        await produce('second', ['c'], { baseSequence: 2 });
        await readBoth(probe, 'open', topicId, topic);
        await producersOf(probe, 'open', topic, 0, 1);
        await produce('a gap', ['x'], { baseSequence: 9 });
        await produce('a future epoch', ['x'], { baseSequence: 3, as: { producerEpoch: producer.producerEpoch + 4 } });
        await produce('an old epoch', ['x'], { baseSequence: 3, as: { producerEpoch: producer.producerEpoch - 1 } });
        await produce('another producer id', ['x'], { as: { producerId: 987_654 } });
        await produce('another transactional id', ['x'], { baseSequence: 3, transactionalId: `${topic}-unknown` });
        await produce('no transactional id', ['x'], { baseSequence: 3, transactionalId: null });
        await produce('with acks 1', ['x'], { baseSequence: 3, acks: 1 });
        await produce('a partition that was not added', ['y'], { partition: 1 });
        await producer.describe('open');
        await producer.end('commit', true, { version: version < 12 ? 4 : 5 });
        await producer.settled();
        await readBoth(probe, 'committed', topicId, topic);
        await producersOf(probe, 'committed', topic, 0, 1);
        if (version < 12) await producer.add('add', { [topic]: [0, 2] });
        const baseSequence = version < 12 ? 3 : 0;
        await produce('to be aborted', ['d', 'e'], { baseSequence });
        await produce('to be aborted', ['f'], { partition: 2 });
        await producer.end('abort', false, { version: version < 12 ? 4 : 5 });
        await producer.settled();
        await readBoth(probe, 'aborted', topicId, topic);
        await readBoth(probe, 'aborted', topicId, topic, 2);
        await produce('after the end', ['g'], { baseSequence: baseSequence + 2 });
        await producersOf(probe, 'at last', topic, 0, 1, 2);
      }
    },
  },
  {
    name: 'transactions: interleaved',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      const topicId = await makeTopic(probe, 'ti', { partitions: 1 });
      const producers = [];
      for (const name of ['ti-a', 'ti-b', 'ti-c']) producers.push(await transactional(probe, name));
      const [a, b, c] = producers as [Transactional, Transactional, Transactional];
      const at = { topic: 'ti', topicId, version: 12 };
      await a.produce('a', ['a1'], at);
      await b.produce('b', ['b1'], at);
      await probe.ask('plain', Produce, 12, {
        acks: -1,
        timeoutMs: 1000,
        topicData: [
          {
            name: 'ti',
            partitionData: [{ index: 0, records: buildBatch({ records: [{ timestamp: 5, value: Buffer.from('plain') }] }) }],
          },
        ],
      });
      await c.produce('c', ['c1'], at);
      await readBoth(probe, 'three open', topicId, 'ti');
      await b.end('b aborts', false, { version: 5 });
      await b.settled();
      await readBoth(probe, 'two open', topicId, 'ti');
      await b.produce('b', ['b2'], at);
      await a.produce('a', ['a2'], { ...at, baseSequence: 1 });
      await a.end('a commits', true, { version: 5 });
      await a.settled();
      await readBoth(probe, 'a is committed', topicId, 'ti');
      await readBoth(probe, 'from the middle', topicId, 'ti', 0, 3);
      await b.end('b commits', true, { version: 5 });
      await b.settled();
      await c.end('c aborts', false, { version: 5 });
      await c.settled();
      await readBoth(probe, 'none is open', topicId, 'ti');
      for (const fetchOffset of [1, 4, 7, 9]) await readBoth(probe, `from ${fetchOffset}`, topicId, 'ti', 0, fetchOffset);
    },
  },
  {
    name: 'transactions: sequences',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      const topicId = await makeTopic(probe, 'ts', { partitions: 4 });
      const producer = await transactional(probe, 'ts');
      const produce = (what: string, values: string[], options: object = {}) =>
        producer.produce(what, values, { version: 13, topic: 'ts', topicId, ...options });
      await produce('not from 0', ['x'], { baseSequence: 5 });
      await produce('from 0', ['x']);
      await produce('on', ['x'], { baseSequence: 1 });
      await produce('backwards', ['x', 'y'], { baseSequence: 0 });
      await produce('beyond', ['x'], { baseSequence: 7 });
      await produce('up to the last', ['x'], { partition: 1, baseSequence: 2_147_483_646 });
      await produce('the last, and around', ['x', 'y', 'z'], { partition: 1, baseSequence: 2_147_483_647 });
      await produce('then', ['x'], { partition: 1, baseSequence: 2 });
      await producer.end('commit', true, { version: 5 });
      await producer.settled();
      await produce('the next transaction goes on from 0', ['x']);
      await produce('and not from where it was', ['x'], { partition: 1, baseSequence: 3 });
      await produce('an old epoch', ['x'], { baseSequence: 1, as: { producerEpoch: producer.producerEpoch - 1 } });
      await producer.end('abort', false, { version: 5 });
      await producer.settled();
      await readBoth(probe, 'all', topicId, 'ts', 0);
      await readBoth(probe, 'all', topicId, 'ts', 1);
      const old = await transactional(probe, 'ts-old');
      await old.add('add', { ts: [2] });
      const produceOld = (what: string, values: string[], options: object = {}) =>
        old.produce(what, values, { version: 11, topic: 'ts', topicId, partition: 2, ...options });
      await produceOld('from 0', ['x', 'y']);
      await old.end('commit', true);
      await old.settled();
      await old.add('add', { ts: [2] });
      await produceOld('from 0 again', ['x']);
      await produceOld('on', ['x'], { baseSequence: 2 });
      await old.end('commit', true);
      await old.settled();
      await readBoth(probe, 'all', topicId, 'ts', 2);
    },
  },
  {
    name: 'transactions: zombies',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      const topicId = await makeTopic(probe, 'tz', { partitions: 2 });
      for (const version of [11, 13]) {
        const endVersion = version < 12 ? 4 : 5;
        const first = await transactional(probe, `tz-${version}`);
        const at = { topic: 'tz', topicId, version };
        if (version < 12) await first.add('the first adds', { tz: [0] });
        await first.produce('the first', ['1'], at);
        const second = new Transactional(probe, `tz-${version}`);
        await second.init('the second comes');
        await second.describe('the second has come');
        await first.produce('the first goes on', ['2'], { ...at, baseSequence: 1 });
        await first.produce('the first elsewhere', ['2'], { ...at, partition: 1 });
        await first.add('the first adds', { tz: [1] });
        await first.addOffsets('the first adds offsets', 'tz-group');
        await first.commitOffsets('the first commits offsets', 'tz-group', {
          topics: [{ name: 'tz', partitions: [{ partitionIndex: 0, committedOffset: 1 }] }],
        });
        for (const committed of [true, false])
          await first.end(`the first ends, committed ${committed}`, committed, { version: endVersion });
        const { producerId, producerEpoch } = first;
        await first.init('the first wants to go on', { producerId, producerEpoch });
        if (version < 12) await second.add('the second adds', { tz: [0] });
        await second.produce('the second', ['3'], at);
        await second.end('the second commits', true, { version: endVersion });
        await second.settled();
        await second.describe('the second is done');
        await producersOf(probe, 'producers', 'tz', 0, 1);
        await readBoth(probe, 'what is left', topicId, 'tz');
      }
    },
  },
  {
    name: 'transactions: timeouts',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      const topicId = await makeTopic(probe, 'tt', { partitions: 2 });
      for (const version of [11, 13]) {
        const producer = new Transactional(probe, `tt-${version}`);
        await producer.init('init', { transactionTimeoutMs: 400 });
        const at = { topic: 'tt', topicId, version };
        if (version < 12) await producer.add('add', { tt: [0] });
        await producer.produce('produce', ['1'], at);
        await producer.settled();
        await producer.describe('it was aborted');
        await producer.produce('goes on', ['2'], { ...at, baseSequence: 1 });
        await producer.add('adds', { tt: [0] });
        await producer.end('ends', true, { version: version < 12 ? 4 : 5 });
        await producer.end('ends', false, { version: version < 12 ? 4 : 5 });
        const { producerId, producerEpoch } = producer;
        await producer.init('goes on with its id', { producerId, producerEpoch, transactionTimeoutMs: 60_000 });
        await producer.describe('it goes on');
        await readBoth(probe, 'what is left', topicId, 'tt');
      }
    },
  },
  {
    name: 'transactions: WriteTxnMarkers',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      const topicId = await makeTopic(probe, 'tm', { partitions: 4 });
      for (const [version, partition] of [
        [1, 0],
        [2, 1],
      ] as const) {
        const producer = await transactional(probe, `tm-${version}`);
        const write = (what: string, rest: object = {}) =>
          probe.ask(what, WriteTxnMarkers, version, {
            markers: [
              {
                producerId: producer.producerId,
                producerEpoch: producer.producerEpoch,
                transactionResult: false,
                coordinatorEpoch: 0,
                topics: [{ name: 'tm', partitionIndexes: [partition] }],
                ...rest,
              },
            ],
          });
        await producer.produce('hangs', ['1'], { topic: 'tm', topicId, version: 13, partition });
        await producersOf(probe, 'hangs', 'tm', partition);
        await write('an old epoch', { producerEpoch: producer.producerEpoch - 1 });
        await write('an unknown topic', { topics: [{ name: 'tm-unknown', partitionIndexes: [0] }] });
        await write('an unknown partition', { topics: [{ name: 'tm', partitionIndexes: [partition, 44, -1] }] });
        await producersOf(probe, 'is aborted', 'tm', partition);
        await write('again');
        await write('an old coordinator', { coordinatorEpoch: -1 });
        await write('another coordinator', { coordinatorEpoch: 5 });
        await write('the old one again', { coordinatorEpoch: 4 });
        await write('a producer that nobody knows', { producerId: 987_654 });
        await write('a commit', { transactionResult: true, coordinatorEpoch: 6 });
        await write('a later epoch', { producerEpoch: producer.producerEpoch + 1, coordinatorEpoch: 6 });
        await write('no topics', { topics: [] });
        await write('version 2, an equal epoch', {
          transactionVersion: 2,
          producerEpoch: producer.producerEpoch + 1,
          coordinatorEpoch: 6,
        });
        await write('version 2, a later epoch', {
          transactionVersion: 2,
          producerEpoch: producer.producerEpoch + 2,
          coordinatorEpoch: 6,
        });
        await write('version 99', { transactionVersion: 99, producerEpoch: producer.producerEpoch + 3, coordinatorEpoch: 6 });
        await producersOf(probe, 'at last', 'tm', partition);
        await readBoth(probe, 'at last', topicId, 'tm', partition);
        await probe.ask('none', WriteTxnMarkers, version, { markers: [] });
      }
    },
  },
  {
    name: 'transactions: described and listed',
    async run(probe) {
      await coordinatorOfTransactions(probe);
      await makeTopic(probe, 'tx', { partitions: 3 });
      const open = await transactional(probe, 'tl-open');
      await open.add('add', { tx: [2, 0] });
      await open.addOffsets('add offsets', 'tl-group');
      const empty = await transactional(probe, 'tl-empty');
      const done = await transactional(probe, 'tl-done');
      await done.add('add', { tx: [1] });
      await done.end('commit', true);
      await done.settled();
      const dropped = await transactional(probe, 'tl-dropped');
      await dropped.add('add', { tx: [1] });
      await dropped.end('abort', false);
      await dropped.settled();
      const all = ['tl-open', 'tl-empty', 'tl-done', 'tl-dropped', 'tl-unknown', ''];
      await probe.ask('all', DescribeTransactions, 0, { transactionalIds: all });
      await probe.ask('none', DescribeTransactions, 0, { transactionalIds: [] });
      await probe.ask('twice', DescribeTransactions, 0, { transactionalIds: ['tl-open', 'tl-open'] });
      const mine = [open, empty, done, dropped].map(({ producerId }) => producerId);
      for (const version of versionsOf(ListTransactions as Api)) {
        const list = (what: string, request: object) =>
          probe.ask(what, ListTransactions, version, { stateFilters: [], producerIdFilters: mine, ...request });
        await list('of these producers', {});
        await list('of one', { producerIdFilters: [open.producerId] });
        await list('of nobody', { producerIdFilters: [987_654] });
        for (const state of [
          'Ongoing',
          'Empty',
          'CompleteCommit',
          'CompleteAbort',
          'PrepareCommit',
          'Dead',
          'ongoing',
          '',
          'Nonsense',
        ])
          await list(`in state ${state}`, { stateFilters: [state] });
        await list('in two states', { stateFilters: ['Ongoing', 'Nonsense', 'Empty', 'Nonsense'] });
        if (version >= 1)
          for (const durationFilter of [0, 1, 10_000_000, -1, -5])
            await list(`longer than ${durationFilter}`, { durationFilter });
        if (version >= 2) {
          for (const transactionalIdPattern of ['tl-.*', 'tl-o', '.*open', '', '[', 'tl-(open|done)', '(?=a)', '(a)\\1'])
            await list(`like ${transactionalIdPattern}`, { transactionalIdPattern, producerIdFilters: mine });
        }
      }
      await open.end('commit', true);
    },
  },
];
