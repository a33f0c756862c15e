/**
 * Leads a member to its target assignment, one step with each heartbeat: it is first asked for the tasks that it is not to have any more;
 * when it has given them up its epoch grows, and it gets those of its tasks that nobody else still has.
 *
 *   Stable ──► UnrevokedTasks ──► UnreleasedTasks ──► Stable       (each step may be left out)
 */
import { KafkaError } from '@ottla/protocol';
import { type HeldTasks, holdsNothing, isReconciled, NOTHING_HELD, type StreamsMember, sameHeldTasks } from './streams-member.ts';
import { hasNoTasks, type TaskAssignment, type Tasks } from './tasks.ts';

export type ReconciliationTarget = {
  readonly assignmentEpoch: number;
  readonly target: TaskAssignment;
  /** What the member says that it has; null if it does not say, as nothing has changed for it. */
  readonly owned: TaskAssignment | null;
  /** Computed when asked for: most heartbeats find nothing to do. */
  readonly holders: () => TaskHolders;
};

/** The member after this step: itself if there was none to take. Throws FENCED_MEMBER_EPOCH. */
export function reconcile(member: StreamsMember, to: ReconciliationTarget): StreamsMember {
  if (isReconciled(member, to.assignmentEpoch)) return member;
  const next = nextStep(member, to);
  const isUnchanged =
    next.memberEpoch === member.memberEpoch &&
    next.previousMemberEpoch === member.previousMemberEpoch &&
    next.state === member.state &&
    sameHeldTasks(next.assigned, member.assigned) &&
    sameHeldTasks(next.pendingRevocation, member.pendingRevocation);
  return isUnchanged ? member : next;
}

/** Which processes have a task now, or may still have it. */
export class TaskHolders {
  readonly #active = new Map<string, string>();
  readonly #standby = new Map<string, Set<string>>();
  readonly #warmup = new Map<string, Set<string>>();

  constructor(members: Iterable<StreamsMember>) {
    for (const { processId, assigned, pendingRevocation } of members) {
      for (const held of [assigned, pendingRevocation]) {
        forEachTask(held.active, (task) => this.#active.set(task, processId));
        forEachTask(held.standby, (task) => add(this.#standby, task, processId));
        forEachTask(held.warmup, (task) => add(this.#warmup, task, processId));
      }
    }
  }

  /** One process alone may have a task active: two would write its results twice. */
  isActive(task: string): boolean {
    return this.#active.has(task);
  }

  /** A process keeps the state of a task in one place: it can have it in one role only. */
  has(processId: string, task: string): boolean {
    return this.#active.get(task) === processId || this.hasCopy(processId, task);
  }

  hasCopy(processId: string, task: string): boolean {
    return (this.#standby.get(task)?.has(processId) ?? false) || (this.#warmup.get(task)?.has(processId) ?? false);
  }
}

function nextStep(member: StreamsMember, to: ReconciliationTarget): StreamsMember {
  const { owned, assignmentEpoch } = to;
  switch (member.state) {
    case 'Stable':
    case 'UnreleasedTasks':
      return advance(member, member.memberEpoch, to);
    case 'UnrevokedTasks':
      // It has not given up all of it, or does not say.
      if (owned === null || overlap(owned, member.pendingRevocation)) return member;
      return advance(member, member.memberEpoch + 1, to);
    default:
      if (owned !== null && hasNoTasks(owned)) return advance(member, assignmentEpoch, to);
      throw new KafkaError(
        'FENCED_MEMBER_EPOCH',
        'The streams group member is in a unknown state. The member must abandon all its tasks and rejoin.',
      );
  }
}

function advance(member: StreamsMember, memberEpoch: number, to: ReconciliationTarget): StreamsMember {
  const { assignmentEpoch, target, owned } = to;
  const holders = to.holders();
  const { processId, assigned } = member;
  const hasAnyRole = (task: string): boolean => holders.has(processId, task);
  const active = compareActive(assigned.active, target.active, assignmentEpoch, (task) => {
    return holders.isActive(task) || holders.hasCopy(processId, task);
  });
  const standby = compare(assigned.standby, target.standby, hasAnyRole);
  const warmup = compare(assigned.warmup, target.warmup, hasAnyRole);
  const toRevoke = { active: active.gone, standby: standby.gone, warmup: warmup.gone };
  if (!holdsNothing(toRevoke) && (owned === null || overlap(owned, toRevoke))) {
    return {
      ...member,
      state: 'UnrevokedTasks',
      memberEpoch,
      previousMemberEpoch: member.memberEpoch,
      assigned: { active: active.kept, standby: standby.kept, warmup: warmup.kept },
      pendingRevocation: toRevoke,
    };
  }
  const isWaiting = active.isWaiting || standby.isWaiting || warmup.isWaiting;
  return {
    ...member,
    state: isWaiting ? 'UnreleasedTasks' : 'Stable',
    memberEpoch: assignmentEpoch,
    previousMemberEpoch: member.memberEpoch,
    assigned: { active: active.next, standby: standby.next, warmup: warmup.next },
    pendingRevocation: NOTHING_HELD,
  };
}

type Comparison<T> = {
  /** To be had and had already. */
  readonly kept: T;
  /** Had, and not to be had any more. */
  readonly gone: T;
  /** Kept, and what is free. */
  readonly next: T;
  /** Something is to be had that is not free. */
  readonly isWaiting: boolean;
};

function compareActive(
  current: HeldTasks['active'],
  target: Tasks,
  epoch: number,
  isTaken: (task: string) => boolean,
): Comparison<HeldTasks['active']> {
  const kept = new Map<string, Map<number, number>>();
  const gone = new Map<string, Map<number, number>>();
  const next = new Map<string, Map<number, number>>();
  for (const [id, epochs] of current) {
    for (const [partition, assignedAt] of epochs) {
      const isKept = target.get(id)?.has(partition) ?? false;
      put(isKept ? kept : gone, id, partition, assignedAt);
      if (isKept) put(next, id, partition, assignedAt);
    }
  }
  let isWaiting = false;
  for (const [id, partitions] of target) {
    for (const partition of partitions) {
      if (kept.get(id)?.has(partition)) continue;
      if (isTaken(taskName(id, partition))) isWaiting = true;
      else put(next, id, partition, epoch);
    }
  }
  return { kept, gone, next, isWaiting };
}

function compare(current: Tasks, target: Tasks, isTaken: (task: string) => boolean): Comparison<Tasks> {
  const withEpochs = new Map([...current].map(([id, partitions]) => [id, new Map([...partitions].map((at) => [at, 0]))]));
  const { kept, gone, next, isWaiting } = compareActive(withEpochs, target, 0, isTaken);
  const plain = (tasks: HeldTasks['active']): Tasks => new Map([...tasks].map(([id, epochs]) => [id, new Set(epochs.keys())]));
  return { kept: plain(kept), gone: plain(gone), next: plain(next), isWaiting };
}

function overlap(owned: TaskAssignment, held: HeldTasks): boolean {
  return (['active', 'standby', 'warmup'] as const).some((role) =>
    [...owned[role]].some(([id, partitions]) => [...partitions].some((partition) => held[role].get(id)?.has(partition))),
  );
}

function forEachTask(tasks: ReadonlyMap<string, { keys(): Iterable<number> }>, visit: (task: string) => void): void {
  for (const [id, partitions] of tasks) for (const partition of partitions.keys()) visit(taskName(id, partition));
}

function taskName(subtopologyId: string, partition: number): string {
  return `${partition} ${subtopologyId}`;
}

function put(tasks: Map<string, Map<number, number>>, id: string, partition: number, epoch: number): void {
  const epochs = tasks.get(id) ?? new Map<number, number>();
  tasks.set(id, epochs.set(partition, epoch));
}

function add(processes: Map<string, Set<string>>, task: string, processId: string): void {
  const known = processes.get(task) ?? new Set<string>();
  processes.set(task, known.add(processId));
}
