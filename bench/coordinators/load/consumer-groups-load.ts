/** Many groups of the new protocol: each member joins, then all of them beat. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConsumerGroupHeartbeat } from '@ottla/protocol';
import { failingAtOnce, startMeter } from '../../broker/load/meter.ts';
import { beat } from './beats.ts';
import type { GroupsLoad, GroupsResult } from './classic-groups-load.ts';
import { areSettled, ConsumerMember, consumerHeartbeatVersion } from './consumer-member.ts';
import { findCoordinator, Wire } from './wire.ts';

export function consumerGroupsLoad(load: GroupsLoad): Promise<GroupsResult> {
  return failingAtOnce(async (failed) => {
    // Nobody waits for anybody in this protocol, so a connection carries members of many groups.
    const sets = Math.min(100, load.groups);
    const wires = await Wire.openMany(load.port, sets * load.members, failed);
    await findCoordinator(wires[0]!, 'group', load.prefix);
    const all: ConsumerMember[] = [];
    const elapsed = startMeter(load.brokerPid);
    await Promise.all(
      Array.from({ length: sets }, async (_, set) => {
        const own = wires.slice(set * load.members, (set + 1) * load.members);
        for (let group = set; group < load.groups; group += sets) {
          const members = own.map((wire) => new ConsumerMember(wire, `${load.prefix}-${group}`, load.topic));
          await Promise.all(members.map((member) => member.join()));
          while (!(await areSettled(members, load.topicPartitions))) {
            await Promise.all(members.map((member) => member.beat()));
            await sleep(formingBeatMs);
          }
          all.push(...members);
        }
      }),
    );
    const join = elapsed();
    const members = all.map(({ beating }) => beating);
    const beats = await beat(members, { api: ConsumerGroupHeartbeat, version: consumerHeartbeatVersion, ...load });
    // So that no session ends while something else is measured.
    for (let index = 0; index < all.length; index += 200) {
      await Promise.all(all.slice(index, index + 200).map((member) => member.leave()));
    }
    for (const wire of wires) wire.close();
    return { join, beats };
  });
}

const formingBeatMs = 50;
