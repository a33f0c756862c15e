import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FetchRequest, FetchResponse } from '@ottla/protocol';
import { silentLogger } from '@ottla/runtime';
import type { Partition } from './partition.ts';
import { ReplicaFetcher, type ReplicaFetcherOptions } from './replica-fetcher.ts';

type Answered = Partial<FetchResponse['responses'][number]['partitions'][number]>;

/** A log of which only the ends are known, and a leader that answers when the test says so. */
class Scene {
  readonly partition = {
    topic: 't',
    topicId: 'topic',
    index: 0,
    name: 't-0',
    leaderEpoch: 1,
    isLeader: false,
    highWatermark: 5,
    log: { logEndOffset: 10, latestEpoch: 1, logStartOffset: 0, config: { segmentBytes: 1000 }, epochs: [] as never[] },
    truncateTo: (offset: number) => void (this.partition.log.logEndOffset = offset),
    appendAsFollower: (records: Uint8Array) => void (this.partition.log.logEndOffset += records.length),
    followOffsets: ({ highWatermark }: { highWatermark: number }) => void (this.partition.highWatermark = highWatermark),
  };
  /** Of each connection, in the order in which they were made. */
  readonly asked: { request: FetchRequest; answer: (response: FetchResponse) => void }[] = [];
  readonly timers: (() => void)[] = [];
  readonly fetcher: ReplicaFetcher;
  #connections = 0;

  constructor() {
    Object.assign(this.partition.log, {
      endOffsetForEpoch: () => ({ leaderEpoch: 1, endOffset: this.partition.log.logEndOffset }),
    });
    const connect = () => {
      const connection = this.#connections++;
      const send = (_: unknown, request: FetchRequest) =>
        new Promise<FetchResponse>((answer) => void (this.asked[connection] = { request, answer }));
      return { lookAt: () => {}, close: () => {}, send };
    };
    const after = (_ms: number, callback: () => void) => {
      this.timers.push(callback);
      return { cancel: () => void this.timers.splice(this.timers.indexOf(callback) >>> 0, 1) };
    };
    this.fetcher = new ReplicaFetcher({
      brokerId: 2,
      leaderId: 1,
      brokerEpoch: () => 1,
      addressOf: () => ({ host: 'leader', port: 9092 }),
      connect,
      versions: () => ({ fetch: 17, listOffsets: 10 }),
      config: {
        maxBytesOfPartition: 1000,
        maxBytesOfAnswer: 1000,
        maxWaitMs: 500,
        minBytes: 1,
        backoffMs: 1000,
        requestTimeoutMs: 30_000,
      },
      throttle: { isActive: false, onFetched: () => {} },
      clock: { monotonicMs: () => 0, nowMs: () => 0 },
      timers: { after, soon: (callback: () => void) => callback() },
      logger: silentLogger,
      onTruncated: () => {},
    } as unknown as ReplicaFetcherOptions);
    this.follow();
  }

  follow(): void {
    this.fetcher.follow(this.partition as unknown as Partition);
  }

  async answer(connection: number, answered: Answered): Promise<void> {
    const nothing = {
      divergingEpoch: { epoch: -1, endOffset: -1 },
      highWatermark: 5,
      logStartOffset: 0,
      records: null,
      errorCode: 0,
    };
    const partitions = [{ partitionIndex: 0, ...nothing, ...answered }];
    const response = { errorCode: 0, sessionId: connection === 0 ? 7 : 0, responses: [{ topicId: 'topic', partitions }] };
    this.asked[connection]!.answer(response as unknown as FetchResponse);
    await new Promise(setImmediate);
  }
}

const diverging = { divergingEpoch: { epoch: 1, endOffset: 8 } };

test('an answer to what was asked in another epoch cuts nothing off, when a stand-in has fetched meanwhile', async () => {
  const scene = new Scene();
  const { partition } = scene;
  partition.leaderEpoch = 2;
  scene.follow();
  for (const callback of scene.timers.splice(0)) callback();
  await scene.answer(1, diverging);
  assert.equal(partition.log.logEndOffset, 8);
  await scene.answer(1, { records: new Uint8Array(4), highWatermark: 8 });
  assert.equal(partition.log.logEndOffset, 12);
  await scene.answer(0, diverging);
  assert.equal(partition.log.logEndOffset, 12);
  const [next] = scene.asked[0]!.request.topics;
  assert.deepEqual(
    next?.partitions.map(({ currentLeaderEpoch, fetchOffset }) => [currentLeaderEpoch, fetchOffset]),
    [[2, 12]],
  );
  scene.fetcher.close();
});

test('a refusal of an epoch that is over holds nothing back', async () => {
  const scene = new Scene();
  scene.partition.leaderEpoch = 2;
  scene.follow();
  await scene.answer(0, { errorCode: 74 });
  const [next] = scene.asked[0]!.request.topics;
  assert.deepEqual(
    next?.partitions.map(({ currentLeaderEpoch }) => currentLeaderEpoch),
    [2],
  );
  scene.fetcher.close();
});
