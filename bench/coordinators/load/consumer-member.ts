import { randomUUID } from 'node:crypto';
import { ConsumerGroupDescribe, ConsumerGroupHeartbeat, errorName } from '@ottla/protocol';
import type { Beating } from './beats.ts';
import { frameOf, passingErrors, type Wire } from './wire.ts';

export const consumerHeartbeatVersion = 1;

/** A member of a group of the new protocol: it says at once when it has let go of partitions or taken them. */
export class ConsumerMember {
  readonly wire: Wire;
  readonly groupId: string;
  readonly #topic: string;
  readonly memberId: string = randomUUID();
  epoch = 0;
  /** What it reads, and has told the coordinator so. */
  owned: readonly number[] = [];
  heartbeatIntervalMs = 0;
  isLeaving = false;
  #topicId = '';

  constructor(wire: Wire, groupId: string, topic: string) {
    this.wire = wire;
    this.groupId = groupId;
    this.#topic = topic;
  }

  async join(): Promise<void> {
    const request = { ...this.#base(0), rebalanceTimeoutMs: 60_000, subscribedTopicNames: [this.#topic], topicPartitions: [] };
    const patience = { errorOf: ({ errorCode }: { errorCode: number }) => errorCode, passing: passingErrors };
    await this.#take(await this.wire.askUntilDone(ConsumerGroupHeartbeat, consumerHeartbeatVersion, request, patience));
  }

  async beat(): Promise<void> {
    await this.#take(await this.wire.ask(ConsumerGroupHeartbeat, consumerHeartbeatVersion, this.#base(this.epoch)));
  }

  async leave(): Promise<void> {
    this.isLeaving = true;
    await this.wire.ask(ConsumerGroupHeartbeat, consumerHeartbeatVersion, this.#base(-1));
  }

  get beating(): Beating {
    return { wire: this.wire, frame: frameOf(ConsumerGroupHeartbeat, consumerHeartbeatVersion, 0, this.#base(this.epoch)) };
  }

  #base(memberEpoch: number) {
    return {
      ...{ groupId: this.groupId, memberId: this.memberId, memberEpoch, instanceId: null, rackId: null },
      ...{ rebalanceTimeoutMs: -1, subscribedTopicNames: null, subscribedTopicRegex: null, serverAssignor: null },
      topicPartitions: null,
    };
  }

  async #take(answer: HeartbeatAnswer): Promise<void> {
    if (this.isLeaving) return;
    if (answer.errorCode !== 0) {
      throw new Error(`ConsumerGroupHeartbeat answered ${errorName(answer.errorCode)}: ${answer.errorMessage}`);
    }
    this.epoch = answer.memberEpoch;
    this.heartbeatIntervalMs = answer.heartbeatIntervalMs;
    if (answer.assignment === null) return;
    const [assigned] = answer.assignment.topicPartitions;
    this.#topicId = assigned?.topicId ?? this.#topicId;
    const target = assigned?.partitions ?? [];
    if (target.length === this.owned.length && target.every((partition) => this.owned.includes(partition))) return;
    const topicPartitions = target.length > 0 ? [{ topicId: this.#topicId, partitions: target }] : [];
    const request = { ...this.#base(this.epoch), rebalanceTimeoutMs: 60_000, topicPartitions };
    const told = await this.wire.ask(ConsumerGroupHeartbeat, consumerHeartbeatVersion, request);
    this.owned = target;
    await this.#take(told);
  }
}

type HeartbeatAnswer = {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  readonly assignment: {
    readonly topicPartitions: readonly { readonly topicId: string; readonly partitions: readonly number[] }[];
  } | null;
};

/** Whether all are in one epoch, read every partition between them, and the coordinator has nothing more in mind. */
export async function areSettled(members: readonly ConsumerMember[], partitions: number): Promise<boolean> {
  if (!areStable(members, partitions)) return false;
  const { wire, groupId, epoch } = members[0]!;
  const { groups } = await wire.ask(ConsumerGroupDescribe, describeVersion, { groupIds: [groupId] });
  // With an assignment that is put off for a while, members may agree on what is no longer the last word.
  return groups[0]!.groupState === 'Stable' && groups[0]!.groupEpoch === epoch && areStable(members, partitions);
}

const describeVersion = 1;

function areStable(members: readonly ConsumerMember[], partitions: number): boolean {
  let owned = 0;
  for (const member of members) {
    if (member.epoch <= 0 || member.epoch !== members[0]!.epoch) return false;
    owned += member.owned.length;
  }
  return owned === partitions;
}
