/** One large group of the new protocol: how long until everybody has what is theirs, when it begins, and when one comes or goes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { failingAtOnce, startMeter, type Usage } from '../../broker/load/meter.ts';
import { areSettled, ConsumerMember } from './consumer-member.ts';
import { findCoordinator, Wire } from './wire.ts';

export type LargeGroupLoad = {
  readonly port: number;
  readonly brokerPid?: number;
  readonly groupId: string;
  readonly members: number;
  readonly topic: string;
  readonly topicPartitions: number;
  /** How often one comes and goes. */
  readonly changes: number;
};

/** Medians over the changes. */
export type LargeGroupResult = {
  readonly begin: Usage;
  readonly joinSeconds: number;
  readonly leaveSeconds: number;
  readonly brokerCpuSecondsPerChange: number;
};

export function largeGroupLoad(load: LargeGroupLoad): Promise<LargeGroupResult> {
  return failingAtOnce(async (failed) => {
    const wires = await Wire.openMany(load.port, load.members + 1, failed);
    await findCoordinator(wires[0]!, 'group', load.groupId);
    const late = wires.pop()!;
    const members = wires.map((wire) => new ConsumerMember(wire, load.groupId, load.topic));
    let isOver = false;
    /** Each at the interval that it is told, from its own beginning. */
    const live = async (member: ConsumerMember): Promise<void> => {
      await member.join();
      while (!isOver && !member.isLeaving) {
        await sleep(member.heartbeatIntervalMs);
        if (!isOver && !member.isLeaving) await member.beat();
      }
    };
    const lives: Promise<void>[] = [];
    const start = (member: ConsumerMember): void => {
      const life = live(member);
      life.catch(failed);
      lives.push(life);
    };
    const stable = async (expected: readonly ConsumerMember[], beyond: number): Promise<void> => {
      while (expected[0]!.epoch <= beyond || !(await areSettled(expected, load.topicPartitions))) await sleep(2);
    };

    const elapsed = startMeter(load.brokerPid);
    for (const member of members) start(member);
    await stable(members, 0);
    const begin = elapsed();
    const [joins, leaves] = [[] as Usage[], [] as Usage[]];
    for (let change = 0; change < load.changes; change++) {
      const another = new ConsumerMember(late, load.groupId, load.topic);
      const joining = startMeter(load.brokerPid);
      const before = members[0]!.epoch;
      start(another);
      await stable([...members, another], before);
      joins.push(joining());
      const leaving = startMeter(load.brokerPid);
      const whole = members[0]!.epoch;
      await another.leave();
      await stable(members, whole);
      leaves.push(leaving());
    }
    isOver = true;
    await Promise.all(lives);
    await Promise.all(members.map((member) => member.leave()));
    for (const wire of [...wires, late]) wire.close();
    const cpu = [...joins, ...leaves].reduce((sum, { brokerCpuSeconds }) => sum + brokerCpuSeconds, 0);
    return {
      begin,
      joinSeconds: median(joins.map(({ seconds }) => seconds)),
      leaveSeconds: median(leaves.map(({ seconds }) => seconds)),
      brokerCpuSecondsPerChange: cpu / (joins.length + leaves.length),
    };
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1]!;
}
