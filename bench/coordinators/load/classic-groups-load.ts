/** Many classic groups: each member joins, then all of them beat. */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorName, Heartbeat, JoinGroup, LeaveGroup, SyncGroup } from '@ottla/protocol';
import { failingAtOnce, startMeter, type Usage } from '../../broker/load/meter.ts';
import { type Beating, type BeatResult, beat } from './beats.ts';
import { findCoordinator, frameOf, passingErrors, Wire } from './wire.ts';

export type GroupsLoad = {
  readonly port: number;
  readonly brokerPid?: number;
  /** Names them: groups of another run are others. */
  readonly prefix: string;
  readonly groups: number;
  readonly members: number;
  readonly topic: string;
  readonly topicPartitions: number;
  readonly intervalMs: number;
  readonly seconds: number;
};

/** `join` is from the first request until every group has all its members in one stable generation. */
export type GroupsResult = { readonly join: Usage; readonly beats: BeatResult };

const joinVersion = 9;
const syncVersion = 5;
const leaveVersion = 5;
export const heartbeatVersion = 4;
/** Longer than any run: the groups that join first send nothing until the last has joined. */
const sessionTimeoutMs = 600_000;
const protocol = { name: 'range', metadata: Buffer.alloc(6) };

export function classicGroupsLoad(load: GroupsLoad): Promise<GroupsResult> {
  return failingAtOnce(async (failed) => {
    // A broker reads a connection's next request when it has answered the last, and a member that joins waits for the others:
    // so the members of a group have a connection each, and a set of connections forms one group after the other.
    const sets = Math.min(100, load.groups);
    const wires = await Wire.openMany(load.port, sets * load.members, failed);
    await findCoordinator(wires[0]!, 'group', load.prefix);
    const members: Member[] = [];
    const elapsed = startMeter(load.brokerPid);
    await Promise.all(
      Array.from({ length: sets }, async (_, set) => {
        const own = wires.slice(set * load.members, (set + 1) * load.members);
        for (let group = set; group < load.groups; group += sets) {
          members.push(...(await formGroup(`${load.prefix}-${group}`, own)));
        }
      }),
    );
    const join = elapsed();
    const beats = await beat(members, { api: Heartbeat, version: heartbeatVersion, ...load });
    // So that no session ends while something else is measured.
    const groups = Map.groupBy(members, ({ groupId }) => groupId);
    for (const [groupId, of] of groups) {
      const leaving = of.map(({ memberId }) => ({ memberId, groupInstanceId: null }));
      await of[0]!.wire.ask(LeaveGroup, leaveVersion, { groupId, members: leaving });
    }
    for (const wire of wires) wire.close();
    return { join, beats };
  });
}

type Member = Beating & { readonly groupId: string; readonly memberId: string };

async function formGroup(groupId: string, wires: readonly Wire[]): Promise<Member[]> {
  /** The generation that has them all. */
  let whole = -1;
  return Promise.all(
    wires.map(async (wire) => {
      const join = (memberId: string) =>
        wire.ask(JoinGroup, joinVersion, {
          ...{ groupId, sessionTimeoutMs, rebalanceTimeoutMs: 60_000, memberId, groupInstanceId: null },
          ...{ protocolType: 'consumer', protocols: [protocol] },
        });
      let { memberId, errorCode } = await join('');
      while (passingErrors.includes(errorName(errorCode))) ({ memberId, errorCode } = await sleep(20).then(() => join('')));
      for (;;) {
        const joined = await join(memberId);
        if (errorName(joined.errorCode) !== 'NONE') throw new Error(`JoinGroup answered ${errorName(joined.errorCode)}`);
        const { generationId } = joined;
        if (joined.members.length === wires.length) whole = generationId;
        const assignments = joined.members.map((member) => ({ memberId: member.memberId, assignment: Buffer.alloc(6) }));
        const synced = await wire.ask(SyncGroup, syncVersion, { groupId, generationId, memberId, assignments, ...named });
        if (errorName(synced.errorCode) === 'REBALANCE_IN_PROGRESS') continue;
        if (errorName(synced.errorCode) !== 'NONE') throw new Error(`SyncGroup answered ${errorName(synced.errorCode)}`);
        const heartbeat = { groupId, generationId, memberId, groupInstanceId: null };
        while (whole !== generationId) {
          const { errorCode } = await wire.ask(Heartbeat, heartbeatVersion, heartbeat);
          if (errorName(errorCode) === 'REBALANCE_IN_PROGRESS') break;
          await sleep(formingBeatMs);
        }
        if (whole === generationId) return { wire, groupId, memberId, frame: frameOf(Heartbeat, heartbeatVersion, 0, heartbeat) };
      }
    }),
  );
}

const named = { groupInstanceId: null, protocolType: 'consumer', protocolName: protocol.name };
const formingBeatMs = 10;
