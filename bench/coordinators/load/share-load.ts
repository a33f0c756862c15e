/** Members of a share group that fetch what a topic holds, and accept all of it with the next fetch. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorName, ShareFetch, ShareGroupHeartbeat, type Uuid } from '@ottla/protocol';
import { failingAtOnce, startMeter, type Usage } from '../../broker/load/meter.ts';
import { findCoordinator, passingErrors, Wire } from './wire.ts';

export type ShareLoad = {
  readonly port: number;
  readonly brokerPid?: number;
  readonly groupId: string;
  readonly members: number;
  readonly topic: string;
  readonly topicId: Uuid;
  readonly partitions: number;
  /** Ends when so many were accepted, or so much time is over. */
  readonly records: number;
  readonly maxSeconds: number;
};

export type ShareResult = Usage & { readonly accepted: number; readonly redelivered: number; readonly fetches: number };

const heartbeatVersion = 1;
const fetchVersion = 2;
const accept = 1;
/** As Java's consumer asks, which has max.poll.records 500. */
const maxRecords = 500;

type Acquired = { readonly firstOffset: number; readonly lastOffset: number };

export function shareLoad(load: ShareLoad): Promise<ShareResult> {
  return failingAtOnce(async (failed) => {
    const wires = await Wire.openMany(load.port, load.members, failed);
    await findCoordinator(wires[0]!, 'group', load.groupId);
    const members = await Promise.all(wires.map((wire) => join(wire, load)));
    let [accepted, redelivered, fetches] = [0, 0, 0];
    let isOver = false;
    const elapsed = startMeter(load.brokerPid);
    const untilMs = performance.now() + load.maxSeconds * 1000;
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    const lives = members.map(async ({ wire, memberId, partitions }) => {
      let epoch = 0;
      let held = new Map<number, readonly Acquired[]>();
      while (!isOver) {
        const accepting = held;
        held = new Map();
        const response = await wire.ask(ShareFetch, fetchVersion, {
          ...{ groupId: load.groupId, memberId, shareSessionEpoch: epoch, maxWaitMs: 500, minBytes: 1, maxBytes: 50 << 20 },
          ...{ maxRecords, batchSize: maxRecords, shareAcquireMode: 0, isRenewAck: false, forgottenTopicsData: [] },
          topics: topics(load.topicId, epoch === 0 ? partitions : [...accepting.keys()], accepting),
        });
        fetches++;
        const error = errorName(response.errorCode);
        if (error !== 'NONE') throw new Error(`ShareFetch answered ${error}: ${response.errorMessage}`);
        epoch++;
        const refused = new Set<number>();
        for (const { partitions } of response.responses) {
          for (const { partitionIndex, errorCode, acknowledgeErrorCode, acquiredRecords } of partitions) {
            if (errorCode !== 0) throw new Error(`partition ${partitionIndex} answered ${errorName(errorCode)}`);
            if (acknowledgeErrorCode !== 0) refused.add(partitionIndex);
            if (acquiredRecords.length > 0) held.set(partitionIndex, acquiredRecords);
            for (const { deliveryCount, ...range } of acquiredRecords) if (deliveryCount > 1) redelivered += count(range);
          }
        }
        if (refused.size > 0) throw new Error(`acknowledgements of partitions ${[...refused]} were refused`);
        for (const ranges of accepting.values()) for (const range of ranges) accepted += count(range);
        if (accepted >= load.records || performance.now() >= untilMs) resolve();
      }
    });
    const ended = Promise.all(lives);
    ended.catch(failed);
    await enough;
    const usage = elapsed();
    const result = { ...usage, accepted, redelivered, fetches };
    isOver = true;
    await ended;
    for (const wire of wires) wire.close();
    return result;
  });
}

function topics(topicId: Uuid, partitions: readonly number[], accepting: ReadonlyMap<number, readonly Acquired[]>) {
  if (partitions.length === 0) return [];
  const asked = partitions.map((partitionIndex) => ({
    partitionIndex,
    acknowledgementBatches: (accepting.get(partitionIndex) ?? []).map(({ firstOffset, lastOffset }) => ({
      ...{ firstOffset, lastOffset, acknowledgeTypes: [accept] },
    })),
  }));
  return [{ topicId, partitions: asked }];
}

const count = ({ firstOffset, lastOffset }: Acquired): number => lastOffset - firstOffset + 1;

/** Resolves when it has been given partitions. */
async function join(wire: Wire, { groupId, topic }: ShareLoad) {
  const memberId = randomUUID();
  let memberEpoch = 0;
  let subscribedTopicNames: string[] | null = [topic];
  for (;;) {
    const answer = await wire.askUntilDone(
      ShareGroupHeartbeat,
      heartbeatVersion,
      { groupId, memberId, memberEpoch, rackId: null, subscribedTopicNames },
      { errorOf: ({ errorCode }) => errorCode, passing: passingErrors },
    );
    memberEpoch = answer.memberEpoch;
    subscribedTopicNames = null;
    const partitions = answer.assignment?.topicPartitions.flatMap((one) => one.partitions) ?? [];
    if (partitions.length > 0) return { wire, memberId, partitions };
    await sleep(50);
  }
}
