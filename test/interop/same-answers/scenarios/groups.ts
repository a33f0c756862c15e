import {
  DeleteGroups,
  DescribeGroups,
  FindCoordinator,
  Heartbeat,
  JoinGroup,
  type JoinGroupRequest,
  type JoinGroupResponse,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  OffsetDelete,
  OffsetFetch,
  SyncGroup,
  type Writable,
  writeSubscription,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import type { Connection } from '../../targets/connection.ts';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

const nowhere = new Uint8Array([0]);

const joining = (groupId: string, rest: Writable<JoinGroupRequest> = {}): Writable<JoinGroupRequest> => ({
  groupId,
  sessionTimeoutMs: 300_000,
  rebalanceTimeoutMs: 300_000,
  protocolType: 'probes',
  protocols: [{ name: 'one', metadata: new Uint8Array([1]) }],
  ...rest,
});

/** Joins a new member the way a client does, twice if it is sent back for its id. */
async function join(
  probe: Probe,
  groupId: string,
  name: string,
  rest: Writable<JoinGroupRequest> = {},
  on?: Connection,
): Promise<JoinGroupResponse> {
  const options = { quiet: true, ...(on ? { on } : {}) };
  let answer = await probe.ask(`join ${name}`, JoinGroup, 9, joining(groupId, rest), options);
  if (answer!.errorCode === 79) {
    probe.name(answer!.memberId, name);
    answer = await probe.ask(`join ${name}`, JoinGroup, 9, joining(groupId, { ...rest, memberId: answer!.memberId }), options);
  }
  probe.name(answer!.memberId, name);
  return answer!;
}

/** A group of one member that is Stable. */
async function stable(
  probe: Probe,
  groupId: string,
  rest: Writable<JoinGroupRequest> = {},
): Promise<{ memberId: string; generationId: number }> {
  const { memberId, generationId, protocolName } = await join(probe, groupId, `member of ${groupId}`, rest);
  await probe.ask(
    'sync',
    SyncGroup,
    5,
    {
      groupId,
      memberId,
      generationId,
      groupInstanceId: rest.groupInstanceId ?? null,
      protocolType: rest.protocolType ?? 'probes',
      protocolName,
      assignments: [{ memberId, assignment: new Uint8Array([9]) }],
    },
    { quiet: true },
  );
  return { memberId, generationId };
}

export async function coordinatorReady(probe: Probe): Promise<void> {
  await eventually('the coordinator is ready', async () => {
    const found = await probe.ask('find', FindCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] }, { quiet: true });
    const list = await probe.ask('list', ListGroups, 4, {}, { quiet: true });
    const fetched = await probe.ask('fetch', OffsetFetch, 7, { groupId: 'g', topics: null }, { quiet: true });
    return found!.coordinators[0]!.errorCode === 0 && list!.errorCode === 0 && fetched!.errorCode === 0;
  });
}

/** Waits until a group is in such a state. */
async function groupState(probe: Probe, groupId: string, isIt: (state: string) => boolean): Promise<void> {
  await eventually(`the state of ${groupId}`, async () => {
    const answer = await probe.ask('state', DescribeGroups, 5, { groups: [groupId] }, { quiet: true });
    return isIt(answer!.groups[0]!.groupState);
  });
}

export const groupScenarios: readonly Scenario[] = [
  {
    name: 'FindCoordinator',
    async run(probe) {
      await coordinatorReady(probe);
      for (const version of versionsOf(FindCoordinator)) {
        const key = (text: string) => (version >= 4 ? { coordinatorKeys: [text] } : { key: text });
        await probe.ask('a group', FindCoordinator, version, key('g'));
        await probe.ask('an empty group', FindCoordinator, version, key(''));
        for (const keyType of [2, 3, -1, 9])
          await probe.ask(`key type ${keyType}`, FindCoordinator, version, { keyType, ...key('g') });
        if (version >= 4) {
          await probe.ask('several', FindCoordinator, version, { coordinatorKeys: ['a', 'b', 'a', ''] });
          await probe.ask('none', FindCoordinator, version, { coordinatorKeys: [] });
        }
      }
    },
  },
  {
    name: 'JoinGroup',
    async run(probe) {
      await coordinatorReady(probe);
      for (const version of versionsOf(JoinGroup)) {
        const groupId = `jg-${version}`;
        const request = (rest: Writable<JoinGroupRequest> = {}): Writable<JoinGroupRequest> => {
          const { rebalanceTimeoutMs, ...others } = joining(groupId, rest);
          return version >= 1 ? { ...others, rebalanceTimeoutMs } : others;
        };
        const first = await probe.ask('the first', JoinGroup, version, request(), { quiet: true });
        probe.name(first!.memberId, `first of ${groupId}`);
        probe.note(`v${version}, the first`, {
          errorCode: first!.errorCode,
          generationId: first!.generationId,
          isLeader: first!.leader === first!.memberId,
          protocolName: first!.protocolName,
          protocolType: first!.protocolType,
          members: first!.members.length,
        });
        const { memberId } = first!;
        if (version >= 4) await probe.ask('with its id', JoinGroup, version, request({ memberId }));
        await probe.ask('again', JoinGroup, version, request({ memberId }));
        await probe.ask('an unknown member', JoinGroup, version, request({ memberId: 'nobody' }));
        await probe.ask('no group id', JoinGroup, version, { ...request(), groupId: '' });
        for (const sessionTimeoutMs of [999, 0, -1, 1_800_001])
          await probe.ask(`session timeout ${sessionTimeoutMs}`, JoinGroup, version, request({ sessionTimeoutMs }));
        await probe.ask('no protocols', JoinGroup, version, { ...request({ protocols: [] }), groupId: `${groupId}-empty` });
        await probe.ask('no protocol type', JoinGroup, version, {
          ...request({ protocolType: '' }),
          groupId: `${groupId}-empty`,
        });
        await probe.ask('another protocol type', JoinGroup, version, request({ memberId, protocolType: 'others' }));
        await probe.ask(
          'no common protocol',
          JoinGroup,
          version,
          request({ memberId, protocols: [{ name: 'two', metadata: nowhere }] }),
        );
        await probe.ask('a new member, another protocol type', JoinGroup, version, request({ protocolType: 'others' }));
        await probe.ask(
          'a new member, no common protocol',
          JoinGroup,
          version,
          request({ protocols: [{ name: 'two', metadata: nowhere }] }),
        );
        if (version >= 5)
          await probe.ask(
            'an unknown static member',
            JoinGroup,
            version,
            request({ memberId: 'nobody', groupInstanceId: 'static' }),
          );
        await probe.ask('leave', LeaveGroup, 3, { groupId, members: [{ memberId }] });
      }
    },
  },
  {
    name: 'a group of one',
    async run(probe) {
      await coordinatorReady(probe);
      const groupId = 'one';
      const { memberId, generationId } = await join(probe, groupId, 'the one');
      probe.note('generation', generationId);
      const sync = (what: string, rest: object, version = 5) =>
        probe.ask(what, SyncGroup, version, {
          groupId,
          memberId,
          generationId,
          ...(version >= 5 ? { protocolType: 'probes', protocolName: 'one' } : {}),
          ...rest,
        });
      const beat = (what: string, rest: object = {}, version = 4) =>
        probe.ask(what, Heartbeat, version, { groupId, memberId, generationId, ...rest });
      await beat('while completing');
      await probe.ask('commit while completing', OffsetCommit, 8, {
        groupId,
        memberId,
        generationIdOrMemberEpoch: generationId,
        topics: [],
      });
      await probe.ask('describe while completing', DescribeGroups, 5, { groups: [groupId] });
      await probe.ask('list while completing', ListGroups, 5, { statesFilter: ['CompletingRebalance'] });
      await sync('wrong generation', { generationId: 9 });
      await sync('unknown member', { memberId: 'nobody' });
      await sync('wrong protocol type', { protocolType: 'others' });
      await sync('wrong protocol name', { protocolName: 'two' });
      await sync('null protocol type', { protocolType: null });
      await sync('no group', { groupId: '' });
      await sync('unknown group', { groupId: 'nowhere' });
      await sync('assignment for a stranger', {
        assignments: [
          { memberId: 'nobody', assignment: nowhere },
          { memberId, assignment: new Uint8Array([7, 7]) },
        ],
      });
      for (const version of versionsOf(SyncGroup))
        await sync('again', { assignments: [{ memberId, assignment: new Uint8Array([8]) }] }, version);
      for (const version of versionsOf(Heartbeat)) {
        await beat('while stable', {}, version);
        await beat('wrong generation', { generationId: 7 }, version);
        await beat('unknown member', { memberId: 'nobody' }, version);
        await beat('unknown group', { groupId: 'nowhere' }, version);
        await beat('no group', { groupId: '' }, version);
      }
      for (const version of versionsOf(DescribeGroups)) {
        await probe.ask('stable', DescribeGroups, version, { groups: [groupId] });
        await probe.ask('unknown, empty', DescribeGroups, version, { groups: ['nowhere', ''] });
        await probe.ask('twice', DescribeGroups, version, { groups: [groupId, groupId] });
        await probe.ask('none', DescribeGroups, version, { groups: [] });
        if (version >= 3)
          await probe.ask('with operations', DescribeGroups, version, {
            groups: [groupId, 'nowhere'],
            includeAuthorizedOperations: true,
          });
      }
      const second = await probe.connect();
      const pending = probe.ask('a second member', JoinGroup, 9, joining(groupId), { on: second, quiet: true });
      const id = (await pending)!.memberId;
      probe.name(id, 'the second');
      await beat('with a pending member');
      const joined = probe.ask('the second joins', JoinGroup, 9, joining(groupId, { memberId: id }), { on: second });
      await groupState(probe, groupId, (state) => state === 'PreparingRebalance');
      await beat('while preparing');
      await sync('while preparing', {});
      await probe.ask('describe while preparing', DescribeGroups, 5, { groups: [groupId] });
      await probe.ask('commit while preparing', OffsetCommit, 8, {
        groupId,
        memberId,
        generationIdOrMemberEpoch: generationId,
        topics: [],
      });
      const rejoined = await probe.ask('the first rejoins', JoinGroup, 9, joining(groupId, { memberId }));
      await joined;
      const generation = rejoined!.generationId;
      await beat('the old generation');
      const follower = probe.ask(
        'the follower syncs',
        SyncGroup,
        5,
        { groupId, memberId: id, generationId: generation, protocolType: 'probes', protocolName: 'one' },
        { on: second },
      );
      await sync('the leader syncs', {
        generationId: generation,
        assignments: [
          { memberId, assignment: new Uint8Array([1]) },
          { memberId: id, assignment: new Uint8Array([2]) },
        ],
      });
      await follower;
      await probe.ask('two members', DescribeGroups, 5, { groups: [groupId] });
      await probe.ask('delete a group with members', DeleteGroups, 2, { groupsNames: [groupId] });
      await probe.ask('follower rejoins unchanged', JoinGroup, 9, joining(groupId, { memberId: id }));
      for (const version of versionsOf(LeaveGroup))
        await probe.ask(
          'nobody leaves',
          LeaveGroup,
          version,
          version >= 3 ? { groupId, members: [{ memberId: 'nobody' }, { memberId: '' }] } : { groupId, memberId: 'nobody' },
        );
      for (const version of versionsOf(LeaveGroup))
        await probe.ask(
          'from an unknown group',
          LeaveGroup,
          version,
          version >= 3 ? { groupId: 'nowhere', members: [{ memberId }] } : { groupId: 'nowhere', memberId },
        );
      for (const version of versionsOf(LeaveGroup))
        await probe.ask(
          'from no group',
          LeaveGroup,
          version,
          version >= 3 ? { groupId: '', members: [{ memberId }] } : { groupId: '', memberId },
        );
      await probe.ask('nobody in particular', LeaveGroup, 5, { groupId, members: [] });
      await probe.ask('the second leaves, twice', LeaveGroup, 5, {
        groupId,
        members: [{ memberId: id, reason: 'done' }, { memberId: id }],
      });
      await beat('after one left', { generationId: generation });
      await probe.ask('the first leaves', LeaveGroup, 2, { groupId, memberId });
      await beat('after all left', { generationId: generation });
      await probe.ask('empty', DescribeGroups, 5, { groups: [groupId] });
      for (const version of versionsOf(DeleteGroups))
        await probe.ask('delete', DeleteGroups, version, {
          groupsNames: version === 0 ? [groupId] : [groupId, 'nowhere', '', 'nowhere'],
        });
      await probe.ask('deleted', DescribeGroups, 5, { groups: [groupId] });
      await probe.ask('deleted, v6', DescribeGroups, 6, { groups: [groupId] });
    },
  },
  {
    name: 'static members',
    async run(probe) {
      await coordinatorReady(probe);
      const groupId = 'static';
      const instance = { groupInstanceId: 'instance' };
      const first = await stable(probe, groupId, instance);
      await probe.ask('stable', DescribeGroups, 5, { groups: [groupId] });
      const beat = (what: string, memberId: string, rest: object = instance, generationId = first.generationId) =>
        probe.ask(what, Heartbeat, 4, { groupId, memberId, generationId, ...rest });
      await beat('beat', first.memberId);
      await beat('beat without instance', first.memberId, {});
      await beat('beat as another', 'nobody');
      await beat('beat of an unknown instance', first.memberId, { groupInstanceId: 'unknown' });
      const again = await probe.ask('restarted', JoinGroup, 9, joining(groupId, instance), { quiet: true });
      probe.name(again!.memberId, 'restarted member');
      probe.note('restarted', {
        errorCode: again!.errorCode,
        generationId: again!.generationId,
        skipAssignment: again!.skipAssignment,
        isLeader: again!.leader === again!.memberId,
        members: again!.members.length,
      });
      await beat('the old one', first.memberId, instance, again!.generationId);
      await beat('the new one', again!.memberId, instance, again!.generationId);
      await probe.ask('the old one rejoins', JoinGroup, 9, joining(groupId, { ...instance, memberId: first.memberId }));
      await probe.ask('the old one syncs', SyncGroup, 5, {
        groupId,
        memberId: first.memberId,
        generationId: again!.generationId,
        protocolType: 'probes',
        protocolName: 'one',
        ...instance,
      });
      await probe.ask('the old one commits', OffsetCommit, 8, {
        groupId,
        memberId: first.memberId,
        generationIdOrMemberEpoch: again!.generationId,
        ...instance,
        topics: [],
      });
      await probe.ask('the new one syncs', SyncGroup, 5, {
        groupId,
        memberId: again!.memberId,
        generationId: again!.generationId,
        protocolType: 'probes',
        protocolName: 'one',
        ...instance,
      });
      await probe.ask('the old one leaves', LeaveGroup, 5, { groupId, members: [{ memberId: first.memberId, ...instance }] });
      await probe.ask('an unknown instance leaves', LeaveGroup, 5, {
        groupId,
        members: [{ memberId: '', groupInstanceId: 'unknown' }],
      });
      await probe.ask('removed by its instance', LeaveGroup, 5, { groupId, members: [{ memberId: '', ...instance }] });
      await probe.ask('restart in v5', JoinGroup, 5, joining(groupId, instance), { quiet: true });
      await probe.ask('then', DescribeGroups, 4, { groups: [groupId] }, { quiet: true });
    },
  },
  {
    name: 'offsets',
    async run(probe) {
      await coordinatorReady(probe);
      const topicId = await makeTopic(probe, 'off', { partitions: 2 });
      const named = (version: number, name = 'off', id = topicId) => (version >= 10 ? { topicId: id } : { name });
      for (const version of versionsOf(OffsetCommit)) {
        const groupId = `off-${version}`;
        const commit = (what: string, rest: object, partition: object = {}, topic = named(version)) =>
          probe.ask(what, OffsetCommit, version, {
            groupId,
            topics: [
              { ...topic, partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: 'note', ...partition }] },
            ],
            ...rest,
          });
        await commit('simple', {});
        if (version >= 6) await commit('with leader epoch', {}, { committedLeaderEpoch: 3 });
        await commit('null metadata', {}, { partitionIndex: 1, committedMetadata: null });
        await commit('an unknown partition', {}, { partitionIndex: 7 });
        await commit('partition -1', {}, { partitionIndex: -1 });
        await commit('an unknown topic', {}, {}, named(version, 'off-unknown', unknownId));
        await commit('a bad topic', {}, {}, named(version, 'a b', 'AAAAAAAAAAAAAAAAAAAAAA'));
        await commit('long metadata', {}, { committedMetadata: 'x'.repeat(4097) });
        await commit('longest metadata', {}, { committedMetadata: 'x'.repeat(4096) });
        await commit('offset -1', {}, { committedOffset: -1 });
        await commit('offset -5', {}, { committedOffset: -5 });
        await commit('generation without group', { groupId: `${groupId}-x`, generationIdOrMemberEpoch: 3 });
        await commit('member without group', { groupId: `${groupId}-x`, memberId: 'nobody' });
        await commit('generation and member without group', {
          groupId: `${groupId}-x`,
          generationIdOrMemberEpoch: 3,
          memberId: 'nobody',
        });
        await commit('a member in an empty group', { memberId: 'nobody' });
        await commit('a generation in an empty group', { generationIdOrMemberEpoch: 3 });
        await commit('no group', { groupId: '' });
        if (version <= 4) await commit('with retention', { retentionTimeMs: 100_000 });
        await probe.ask('nothing', OffsetCommit, version, { groupId, topics: [] });
        await probe.ask('a topic twice', OffsetCommit, version, {
          groupId,
          topics: [1, 2].map((committedOffset) => ({
            ...named(version),
            partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: '' }],
          })),
        });
        await probe.ask('a partition twice', OffsetCommit, version, {
          groupId,
          topics: [
            {
              ...named(version),
              partitions: [1, 2].map((committedOffset) => ({ partitionIndex: 0, committedOffset, committedMetadata: '' })),
            },
          ],
        });
      }
      for (const version of versionsOf(OffsetFetch)) {
        const fetch = (what: string, groupId: string, topics: object[] | null, rest: object = {}) =>
          probe.ask(
            what,
            OffsetFetch,
            version,
            version >= 8
              ? { groups: [{ groupId, topics: topics as never }], ...rest }
              : { groupId, topics: topics as never, ...rest },
          );
        await fetch('some', 'off-8', [{ ...named(version), partitionIndexes: [0, 1, 7, -1] }]);
        await fetch('with leader epoch', 'off-6', [{ ...named(version), partitionIndexes: [0] }]);
        if (version >= 2) await fetch('all', 'off-8', null);
        if (version >= 2) await fetch('all of an unknown group', 'off-nowhere', null);
        await fetch('none', 'off-8', []);
        await fetch('an unknown group', 'off-nowhere', [{ ...named(version), partitionIndexes: [0] }]);
        await fetch('no group', '', [{ ...named(version), partitionIndexes: [0] }]);
        await fetch('an unknown topic', 'off-8', [{ ...named(version, 'off-unknown', unknownId), partitionIndexes: [0] }]);
        await fetch('a bad topic', 'off-8', [{ ...named(version, 'a b', 'AAAAAAAAAAAAAAAAAAAAAA'), partitionIndexes: [0] }]);
        await fetch('a topic twice', 'off-8', [
          { ...named(version), partitionIndexes: [0, 0] },
          { ...named(version), partitionIndexes: [0] },
        ]);
        if (version >= 7) await fetch('stable', 'off-8', [{ ...named(version), partitionIndexes: [0] }], { requireStable: true });
        if (version >= 8)
          await probe.ask('two groups', OffsetFetch, version, {
            groups: [
              { groupId: 'off-8', topics: null },
              { groupId: 'off-nowhere', topics: null },
              { groupId: 'off-8', topics: null },
            ],
          });
        if (version >= 8) await probe.ask('no groups', OffsetFetch, version, { groups: [] });
        if (version >= 9)
          for (const [memberId, memberEpoch] of [
            ['nobody', 1],
            ['nobody', -1],
            [null, 1],
          ] as const)
            await probe.ask(`member ${memberId} ${memberEpoch}`, OffsetFetch, version, {
              groups: [{ groupId: 'off-8', memberId, memberEpoch, topics: null }],
            });
      }
      const member = await stable(probe, 'off-member', {
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: writeSubscription({ topics: ['off'] }, 3) }],
      });
      const held = (what: string, version: number, rest: object) =>
        probe.ask(what, OffsetCommit, version, {
          groupId: 'off-member',
          generationIdOrMemberEpoch: member.generationId,
          memberId: member.memberId,
          topics: [{ ...named(version), partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: '' }] }],
          ...rest,
        });
      for (const version of versionsOf(OffsetCommit)) {
        await held('by a member', version, {});
        await held('by a stranger', version, { memberId: 'nobody' });
        await held('of an old generation', version, { generationIdOrMemberEpoch: 0 });
        await held('of a future generation', version, { generationIdOrMemberEpoch: 9 });
        await held('without generation', version, { generationIdOrMemberEpoch: -1, memberId: '' });
      }
      const remove = (what: string, groupId: string, ...topics: object[]) =>
        probe.ask(what, OffsetDelete, 0, { groupId, topics: topics as never });
      await remove('subscribed', 'off-member', { name: 'off', partitions: [{ partitionIndex: 0 }] });
      await remove('simple', 'off-8', { name: 'off', partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }] });
      await remove(
        'unknown topic',
        'off-8',
        { name: 'off-unknown', partitions: [{ partitionIndex: 0 }] },
        { name: 'a b', partitions: [{ partitionIndex: 0 }] },
      );
      await remove('unknown group', 'off-nowhere', { name: 'off', partitions: [{ partitionIndex: 0 }] });
      await remove('no group', '', { name: 'off', partitions: [{ partitionIndex: 0 }] });
      await remove('nothing', 'off-8');
      await remove(
        'a topic twice',
        'off-8',
        { name: 'off', partitions: [{ partitionIndex: 1 }] },
        { name: 'off', partitions: [{ partitionIndex: 1 }] },
      );
      await probe.ask('described', DescribeGroups, 5, { groups: ['off-member', 'off-8'] });
      await probe.ask('leave', LeaveGroup, 5, { groupId: 'off-member', members: [{ memberId: member.memberId }] });
    },
  },
  {
    name: 'members that fall silent',
    async run(probe) {
      await coordinatorReady(probe);
      const stateOf = async (what: string, groupId: string) => {
        const answer = await probe.ask('state', DescribeGroups, 5, { groups: [groupId] }, { quiet: true });
        const { groupState, members, protocolData, protocolType } = answer!.groups[0]!;
        probe.note(what, { groupState, members: members.length, protocolData, protocolType });
      };
      const short = { sessionTimeoutMs: 1000, rebalanceTimeoutMs: 1000 };
      const pending = await probe.ask('pending', JoinGroup, 9, joining('pending', short), { quiet: true });
      const gone = await stable(probe, 'silent', short);
      await join(probe, 'unsynced', 'who never syncs', { ...short, sessionTimeoutMs: 300_000 });
      const kept = await stable(probe, 'kept', { ...short, groupInstanceId: 'instance' });
      // One member of two does not come back to a rebalance.
      const first = await stable(probe, 'pair', { rebalanceTimeoutMs: 3000 });
      const second = await probe.connect();
      const joined = join(probe, 'pair', 'the newcomer', { rebalanceTimeoutMs: 3000 }, second);
      await groupState(probe, 'pair', (state) => state === 'PreparingRebalance');
      await stateOf('while one is awaited', 'pair');
      probe.note('the newcomer', { generation: (await joined).generationId, members: (await joined).members.length });
      // Time has run out for the first of them before it did for those that came later.
      for (const groupId of ['kept', 'unsynced', 'silent'])
        await groupState(probe, groupId, (state) => state !== 'Stable' && state !== 'CompletingRebalance');
      await stateOf('after its session', 'silent');
      await stateOf('after the rebalance timeout', 'unsynced');
      await stateOf('after a pending join', 'pending');
      await stateOf('after a static one', 'kept');
      await probe.ask('too late', Heartbeat, 4, { groupId: 'silent', memberId: gone.memberId, generationId: gone.generationId });
      await probe.ask('too late, static', Heartbeat, 4, {
        groupId: 'kept',
        memberId: kept.memberId,
        generationId: kept.generationId,
        groupInstanceId: 'instance',
      });
      await probe.ask('too late to join', JoinGroup, 9, joining('pending', { memberId: pending!.memberId }));
      await probe.ask('left behind', Heartbeat, 4, {
        groupId: 'pair',
        memberId: first.memberId,
        generationId: first.generationId,
      });
    },
  },
  {
    name: 'ListGroups',
    async run(probe) {
      await coordinatorReady(probe);
      await stable(probe, 'lg-stable');
      for (const version of versionsOf(ListGroups)) {
        await probe.ask('all', ListGroups, version, {});
        if (version >= 4)
          for (const statesFilter of [['Stable'], ['stable'], ['Empty', 'Stable'], ['Dead'], ['Assigning'], ['Nonsense'], ['']])
            await probe.ask(`states ${statesFilter}`, ListGroups, version, { statesFilter });
        if (version >= 5)
          for (const typesFilter of [
            ['classic'],
            ['Classic'],
            ['consumer'],
            ['share'],
            ['streams'],
            ['unknown'],
            ['nonsense'],
            [''],
          ])
            await probe.ask(`types ${typesFilter}`, ListGroups, version, { typesFilter });
        if (version >= 5)
          await probe.ask('states and types', ListGroups, version, { statesFilter: ['Stable'], typesFilter: ['classic'] });
      }
    },
  },
];
