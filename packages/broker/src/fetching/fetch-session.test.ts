import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, type FetchRequest, type FetchResponse } from '@ottla/protocol';
import { MemoryFiles, SeededRandom, silentLogger, type Timer } from '@ottla/runtime';
import { defaultLogConfig, Log } from '@ottla/storage';
import fc from 'fast-check';
import { fetch } from '../handlers/fetch.ts';
import type { LateAnswer, RequestContext } from '../handlers/handler.ts';
import type { AlterAnswer } from '../replication/alter-partition-manager.ts';
import type { IsrProposal } from '../replication/isr-state.ts';
import { Partition, type PartitionState } from '../replication/partition.ts';
import { Partitions } from '../replication/partitions.ts';
import type { FetchSession } from './fetch-session.ts';
import { FetchSessionCache } from './fetch-session-cache.ts';

const topic = 't';
const topicId = '0001AAAAAAAAAAAAAAAAAA';
const count = 4;
const maxLagMs = 1000;

type Reader = {
  readonly replicaId: number;
  readonly isolationLevel: number;
  readonly positions: number[];
  sessionId: number;
  sessionEpoch: number;
  /** Waits for its answer, or has it. */
  waiting: 'no' | 'yes' | { make: () => FetchResponse };
};

type Asked = {
  readonly named: number[];
  readonly forgotten: number[];
  readonly minBytes: number;
  readonly lastFetchedEpoch?: number;
};

/** A broker's partitions, and who fetches them by the real handler. `isPatient`: nothing is ever quiet, as if there were no such thing. */
class Broker {
  readonly partitions = new Partitions();
  readonly logs: Log[] = [];
  readonly proposals: { partition: Partition; proposal: IsrProposal; onAnswer: (answer: AlterAnswer) => void }[] = [];
  readonly epochs = new Map([1, 2, 3].map((id) => [id, id * 10]));
  readonly timers = new Set<() => void>();
  readonly readers: Reader[];
  readonly sessions: FetchSessionCache;
  readonly states: PartitionState[];
  session: FetchSession | undefined;
  nowMs = 0;

  constructor(isPatient: boolean) {
    const runtime = {
      files: new MemoryFiles(),
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
      random: new SeededRandom(1),
      logger: silentLogger,
      timers: { soon: (callback: () => void) => callback(), after: () => ({ cancel() {} }) },
    };
    this.sessions = new FetchSessionCache({ ...runtime, slots: 10 });
    const { create } = this.sessions;
    this.sessions.create = (...args) => {
      const session = create.apply(this.sessions, args);
      if (session) this.session = session;
      if (session && isPatient) session.quiet = () => {};
      return session;
    };
    this.states = Array.from({ length: count }, () => ({
      ...{ leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1, 2, 3], isr: [1, 2, 3] },
    }));
    for (let index = 0; index < count; index++) {
      const directory = `/data/${topic}-${index}`;
      const config = { ...defaultLogConfig };
      this.logs.push(Log.open({ directory, topic, partition: index, runtime, cleanShutdown: true, config }));
      this.open(index);
    }
    const reader = (replicaId: number, isolationLevel = 0): Reader => ({
      ...{ replicaId, isolationLevel, positions: new Array(count).fill(0), sessionId: 0, sessionEpoch: 0, waiting: 'no' },
    });
    this.readers = [reader(2), reader(3), reader(-1), reader(-1, 1), reader(2)];
  }

  open(index: number): void {
    const cluster = {
      maxLagMs,
      monotonicMs: () => this.nowMs,
      minInsyncReplicas: () => 2,
      isAlive: () => true,
      activeBrokerEpoch: (id: number) => this.epochs.get(id),
      alterPartition: (partition: unknown, proposal: IsrProposal, onAnswer: (answer: AlterAnswer) => void) =>
        void this.proposals.push({ partition: partition as Partition, proposal, onAnswer }),
      onDamaged: () => {},
    };
    const identity = { topic, index, topicId, brokerId: 1 };
    const partition = new Partition(identity, this.logs[index]!, () => assert.fail('the disk failed'), cluster);
    this.partitions.add(partition);
    partition.updateState(this.states[index]!);
  }

  partition(index: number): Partition {
    return this.partitions.get(topic, index)!;
  }

  change(index: number, to: Partial<PartitionState>): void {
    const state = this.states[index]!;
    const { partitionEpoch } = this.partition(index).leading?.isr ?? state;
    this.states[index] = { ...state, ...to, partitionEpoch: Math.max(state.partitionEpoch, partitionEpoch) + 1 };
    this.partition(index).updateState(this.states[index]!);
  }

  /** The answer of the controller to what was proposed first. */
  answer(isGranted: boolean): void {
    const next = this.proposals.shift();
    if (!next) return;
    const { partition, proposal, onAnswer } = next;
    const isr = proposal.isr.map(({ brokerId }) => brokerId);
    const { leaderEpoch, partitionEpoch } = proposal;
    if (!isGranted) onAnswer({ error: 'INELIGIBLE_REPLICA' });
    else onAnswer({ altered: { leaderEpoch, partitionEpoch: partitionEpoch + 1, isr } });
    if (isGranted && partition.leading) this.states[partition.index] = { ...this.states[partition.index]!, isr };
  }

  fetch(reader: Reader, { named, forgotten, minBytes, lastFetchedEpoch = -1 }: Asked): void {
    const isFull = reader.sessionEpoch === 0;
    const partitions = (isFull ? [0, 1, 2, 3] : named).map((partition) => ({
      partition,
      fetchOffset: reader.positions[partition]!,
      partitionMaxBytes: 1000,
      currentLeaderEpoch: this.states[partition]!.leaderEpoch,
      lastFetchedEpoch,
      logStartOffset: 0,
    }));
    const request = {
      ...{ replicaState: { replicaId: reader.replicaId, replicaEpoch: this.epochs.get(reader.replicaId) ?? -1 } },
      ...{ maxWaitMs: 500, minBytes, maxBytes: 250, isolationLevel: reader.isolationLevel, rackId: '' },
      ...{ sessionId: reader.sessionId, sessionEpoch: reader.sessionEpoch },
      topics: [{ topicId, topic: '', partitions }],
      forgottenTopicsData: isFull ? [] : [{ topicId, topic: '', partitions: forgotten }],
    } as unknown as FetchRequest;
    const after = (_ms: number, callback: () => void): Timer => {
      this.timers.add(callback);
      return { cancel: () => void this.timers.delete(callback) };
    };
    const runtime = { clock: { monotonicMs: () => this.nowMs }, timers: { after } };
    const replication = {
      leaderThrottle: () => undefined,
      selectorFor: () => undefined,
      context: { activeBrokerEpoch: (id: number) => this.epochs.get(id) },
    };
    const config = { get: () => 1 << 20 };
    const broker = { partitions: this.partitions, fetchSessions: this.sessions, runtime, replication, config };
    const connection = { queuedByAll: 0, onClosed: () => () => {}, listenerName: 'PLAINTEXT' };
    const context = { broker, connection, apiVersion: 15, releases: [] } as unknown as RequestContext;
    const answer = fetch.handle(request, context) as FetchResponse | Promise<LateAnswer<FetchResponse>>;
    if (answer instanceof Promise) {
      reader.waiting = 'yes';
      void answer.then(({ make }) => {
        reader.waiting = { make: make as () => FetchResponse };
      });
    } else reader.waiting = { make: () => answer };
  }

  /** What a reader that has its answer is told; it goes on behind the records. */
  taken(reader: Reader): object | undefined {
    if (typeof reader.waiting === 'string') return undefined;
    const { errorCode, sessionId, responses } = reader.waiting.make();
    reader.waiting = 'no';
    reader.sessionId = errorCode === 0 ? sessionId : 0;
    reader.sessionEpoch = errorCode === 0 && sessionId !== 0 ? reader.sessionEpoch + 1 : 0;
    return responses.flatMap(({ partitions }) =>
      partitions.map(({ partitionIndex, records, ...told }) => ({ partitionIndex, ...told, bytes: records?.length })),
    );
  }

  get progress(): object {
    return Array.from({ length: count }, (_, index) => {
      const { highWatermark, isr, leading, log } = this.partition(index);
      const others = [...(leading?.others ?? [])].map(({ brokerId, logEndOffset, lastCaughtUpMs, repeats }) => ({
        ...{ brokerId, logEndOffset, lastCaughtUpMs, repeats },
      }));
      return { highWatermark, isr, others, logStartOffset: log.logStartOffset };
    });
  }
}

const index = fc.nat(count - 1);
const indexes = fc.uniqueArray(index, { maxLength: count });
const isrs = fc.constantFrom([1], [1, 2], [1, 3], [1, 2, 3]);
const event = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('append' as const), index }) },
  {
    weight: 10,
    arbitrary: fc.record({
      ...{ what: fc.constant('fetch' as const), reader: fc.nat(4), isBehind: fc.boolean(), named: indexes },
      ...{
        forgotten: fc.oneof({ weight: 8, arbitrary: fc.constant<number[]>([]) }, indexes),
        minBytes: fc.constantFrom(1, 1, 1, 200),
      },
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('wait ends' as const) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('time' as const), ms: fc.constantFrom(1, 100, 600) }) },
  fc.record({ what: fc.constant('shrink' as const), index }),
  { weight: 2, arbitrary: fc.record({ what: fc.constant('answer' as const), isGranted: fc.boolean() }) },
  fc.record({ what: fc.constant('retention' as const), index }),
  fc.record({ what: fc.constant('isr' as const), index, isr: isrs }),
  fc.record({ what: fc.constant('leader' as const), index, leader: fc.constantFrom<number[]>(1, 1, 2) }),
  fc.record({ what: fc.constant('replicas' as const), index, replicas: fc.constantFrom<number[][]>([1, 2], [1, 2, 3]) }),
  fc.record({ what: fc.constant('restart' as const), broker: fc.constantFrom<number[]>(2, 3) }),
  fc.record({ what: fc.constant('fence' as const), broker: fc.constantFrom<number[]>(2, 3), isFenced: fc.boolean() }),
  fc.record({ what: fc.constant('offline' as const), index }),
);
type Event = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

/** Also before a broker's epoch changes: how soon a request that waits is refused then is left open. */
function endWaits(broker: Broker): void {
  for (const end of [...broker.timers]) end();
}

function happens(broker: Broker, event: Event): void {
  switch (event.what) {
    case 'append': {
      const partition = broker.partition(event.index);
      const records = new Uint8Array(buildBatch({ records: [{ timestamp: 1, value: new Uint8Array(50) }] }));
      if (partition.isLeader) partition.appendAsLeader(records, { origin: 'client' }, 1, 1);
      return;
    }
    case 'fetch': {
      const reader = broker.readers[event.reader]!;
      if (reader.waiting !== 'no') return;
      const moved: number[] = [];
      for (let at = 0; at < count; at++) {
        const partition = broker.partition(at);
        const end = partition.endOffsetFor(
          reader.replicaId >= 0 ? 'logEnd' : reader.isolationLevel ? 'lastStableOffset' : 'highWatermark',
        );
        if (event.isBehind || reader.positions[at] === end) continue;
        reader.positions[at] = end;
        moved.push(at);
      }
      const named = [...new Set([...moved, ...event.named])].filter((at) => !event.forgotten.includes(at));
      broker.fetch(reader, { ...event, named });
      return;
    }
    case 'wait ends':
      endWaits(broker);
      return;
    case 'time':
      broker.nowMs += event.ms;
      return;
    case 'shrink':
      broker.partition(event.index).shrinkIsr(broker.nowMs);
      return;
    case 'answer':
      broker.answer(event.isGranted);
      return;
    case 'retention': {
      const { log, highWatermark } = broker.partition(event.index);
      if (highWatermark > 0) log.advanceLogStartOffset(highWatermark - 1);
      return;
    }
    case 'isr':
      broker.change(event.index, { isr: event.isr });
      return;
    case 'leader':
      broker.change(event.index, { leader: event.leader, leaderEpoch: broker.states[event.index]!.leaderEpoch + 1 });
      return;
    case 'replicas':
      broker.change(event.index, {
        replicas: event.replicas,
        isr: broker.states[event.index]!.isr.filter((id) => event.replicas.includes(id)),
      });
      return;
    case 'restart':
      endWaits(broker);
      broker.epochs.set(event.broker, (broker.epochs.get(event.broker) ?? event.broker * 10) + 1);
      return;
    case 'fence':
      endWaits(broker);
      if (event.isFenced) broker.epochs.delete(event.broker);
      else broker.epochs.set(event.broker, event.broker * 10 + 5);
      return;
    case 'offline': {
      const partition = broker.partition(event.index);
      broker.partitions.markOffline(partition);
      partition.resign();
      broker.open(event.index);
    }
  }
}

test('a session answers, waits, and moves offsets and the isr as if each fetch looked at all of its partitions', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 20, maxLength: 120, size: 'max' }), async (events) => {
      const brokers = [new Broker(true), new Broker(false)] as const;
      for (const [at, event] of events.entries()) {
        for (const broker of brokers) happens(broker, event);
        // Answers that are due.
        for (let turn = 0; turn < 3; turn++) await null;
        const [told, expected] = [brokers[1], brokers[0]].map((broker) => ({
          answers: broker.readers.map((reader) => broker.taken(reader)),
          waiting: broker.readers.map(({ waiting }) => waiting),
          progress: broker.progress,
          proposals: broker.proposals.map(({ proposal }) => proposal),
        }));
        assert.deepEqual(told, expected, `after ${at}: ${JSON.stringify(event)}`);
      }
    }),
    { numRuns: 150 },
  );
});

test('of a follower that has everything no partition is looked at until it changes', () => {
  const broker = new Broker(false);
  const [follower] = broker.readers as [Reader];
  const fetched = (minBytes = 1) => {
    broker.fetch(follower, { named: [], forgotten: [], minBytes });
    for (const end of [...broker.timers]) end();
  };
  fetched(0);
  broker.taken(follower);
  assert.equal(broker.session!.size, count);
  // Nothing is in all of them, and the follower has been told the high watermark.
  fetched(0);
  broker.taken(follower);
  assert.equal(broker.session!.stirredCount, 0);
  happens(broker, { what: 'append', index: 2 });
  assert.equal(broker.session!.stirredCount, 1);
});

test('a follower that was told where its log diverges is told the high watermark after it is truncated', () => {
  const broker = new Broker(false);
  const [follower, other] = broker.readers as [Reader, Reader];
  happens(broker, { what: 'append', index: 0 });
  const end = broker.partition(0).log.logEndOffset;
  for (const reader of [follower, other]) {
    reader.positions[0] = end;
    broker.fetch(reader, { named: [], forgotten: [], minBytes: 0 });
    broker.taken(reader);
    reader.sessionEpoch = 0;
  }
  broker.change(0, { leaderEpoch: 1 });
  assert.equal(broker.partition(0).highWatermark, end);
  // It has a record more than the leader, of the epoch in which it led.
  follower.positions[0] = end + 1;
  const told = () => (broker.taken(follower) as { partitionIndex: number; highWatermark: number; divergingEpoch?: object }[])[0];
  broker.fetch(follower, { named: [], forgotten: [], minBytes: 0, lastFetchedEpoch: 0 });
  assert.deepEqual(told()?.divergingEpoch, { epoch: 0, endOffset: end });
  follower.positions[0] = end;
  broker.fetch(follower, { named: [0], forgotten: [], minBytes: 0, lastFetchedEpoch: 0 });
  assert.equal(told()?.highWatermark, end);
});

test('a follower that asks in another epoch is told the high watermark again', () => {
  const broker = new Broker(false);
  const [follower] = broker.readers as [Reader];
  const fetched = (named: number[]) => {
    broker.fetch(follower, { named, forgotten: [], minBytes: 0 });
    return (broker.taken(follower) as { partitionIndex: number }[]).map(({ partitionIndex }) => partitionIndex);
  };
  fetched([]);
  assert.deepEqual(fetched([]), []);
  broker.change(2, { leaderEpoch: 1 });
  assert.deepEqual(fetched([2]), [2]);
  assert.deepEqual(fetched([]), []);
});
