/**
 * Shares out the tasks of a streams group (KIP-1071): every task is active in one member, and has its standbys in other processes. A
 * task stays where it was, or goes to where a standby of it was, as long as that leaves nobody with more than a fair share; the rest goes to
 * the process with the least load. Racks and tags take no part in it, and there are no warm-up tasks, as in Kafka 4.3.
 *
 * Pure: the same members give the same result. Where several would do as well, the choice is the one that Kafka makes.
 */
import { inHashMapOrder } from './hash-map-order.ts';
import { LeastFirstQueue } from './least-first-queue.ts';
import type { TaskAssignment, Tasks } from './tasks.ts';

export type AssignableStreamsMember = {
  readonly memberId: string;
  /** Members of one process share its state directory. */
  readonly processId: string;
  /** What it was to have until now. */
  readonly assignment: Pick<TaskAssignment, 'active' | 'standby'>;
};

export type AssignableSubtopology = {
  readonly subtopologyId: string;
  readonly taskCount: number;
  /** Has state that a standby can keep a copy of. */
  readonly isStateful: boolean;
};

/** What each member is to have, by member id; everyone has an entry. */
export function assignTasks(
  members: readonly AssignableStreamsMember[],
  subtopologies: readonly AssignableSubtopology[],
  { standbyReplicas }: { readonly standbyReplicas: number },
): Map<string, TaskAssignment> {
  if (members.length === 0) return new Map();
  return new StickyAssignment(members, subtopologies, standbyReplicas).finish();
}

type Task = { readonly key: string; readonly subtopologyId: string; readonly partition: number };

class StickyAssignment {
  readonly #standbyReplicas: number;
  readonly #members = new Map<string, MemberLoad>();
  /** In the order in which ties are broken. */
  readonly #processes: readonly ProcessLoad[];
  readonly #previouslyActiveIn = new Map<string, MemberLoad>();
  readonly #previouslyStandbyIn = new Map<string, MemberLoad[]>();
  readonly #activeShare: FairShare;
  readonly #totalShare: FairShare;

  constructor(
    members: readonly AssignableStreamsMember[],
    subtopologies: readonly AssignableSubtopology[],
    standbyReplicas: number,
  ) {
    this.#standbyReplicas = standbyReplicas;
    const byId = new Map(members.map((member) => [member.memberId, member]));
    const processes = new Map<string, ProcessLoad>();
    for (const memberId of inHashMapOrder(byId.keys())) {
      const { processId, assignment } = byId.get(memberId)!;
      const process = processes.get(processId) ?? new ProcessLoad();
      processes.set(processId, process);
      const member = process.addMember(memberId);
      this.#members.set(memberId, member);
      for (const key of keysOf(assignment.active)) this.#previouslyActiveIn.set(key, member);
      for (const key of keysOf(assignment.standby)) {
        this.#previouslyStandbyIn.set(key, [...(this.#previouslyStandbyIn.get(key) ?? []), member]);
      }
    }
    this.#processes = inHashMapOrder(processes.keys(), { capacity: members.length }).map((id) => processes.get(id)!);
    const active = subtopologies.reduce((sum, { taskCount }) => sum + taskCount, 0);
    const stateful = subtopologies.reduce((sum, { taskCount, isStateful }) => sum + (isStateful ? taskCount : 0), 0);
    this.#activeShare = new FairShare(active, members.length);
    this.#totalShare = new FairShare(active + stateful * standbyReplicas, members.length);
    this.#assignActive(tasksOf(subtopologies));
    if (standbyReplicas > 0) this.#assignStandby(tasksOf(subtopologies.filter(({ isStateful }) => isStateful)));
  }

  finish(): Map<string, TaskAssignment> {
    return new Map(
      [...this.#members].map(([memberId, { active, standby }]) => [memberId, { active, standby, warmup: new Map() }]),
    );
  }

  #assignActive(tasks: readonly Task[]): void {
    const moved = tasks.filter((task) => !this.#activate(task, this.#previouslyActiveIn.get(task.key)));
    const fresh = moved.filter((task) => !this.#activate(task, leastLoaded(this.#previouslyStandbyIn.get(task.key), null)));
    const queue = new LeastFirstQueue<ProcessLoad>(({ load }) => load, this.#processes);
    for (const task of fresh.sort(bySubtopology)) {
      const process = queue.pop()!;
      this.#giveToLeastLoaded(task, process, 'active');
      queue.push(process);
    }
  }

  /** Whether the member could take the task. */
  #activate(task: Task, member: MemberLoad | undefined): boolean {
    if (member === undefined || !this.#activeShare.hasRoomFor(member)) return false;
    this.#give(task, member, 'active');
    return true;
  }

  #assignStandby(tasks: readonly Task[]): void {
    const remaining: { readonly task: Task; readonly replicas: number }[] = [];
    for (const task of tasks.toReversed()) {
      for (let replica = 0; replica < this.#standbyReplicas; replica++) {
        const member = this.#stickyStandbyOf(task);
        if (member === undefined) {
          remaining.push({ task, replicas: this.#standbyReplicas - replica });
          break;
        }
        this.#give(task, member, 'standby');
      }
    }
    const queue = new LeastFirstQueue<ProcessLoad>(({ load }) => load, this.#processes);
    for (const { task, replicas } of remaining.sort((one, other) => bySubtopology(other.task, one.task))) {
      // With fewer processes than copies, there are fewer copies.
      for (let replica = 0; replica < replicas && this.#giveStandbyToLeastLoaded(task, queue); replica++);
    }
  }

  /** A member that had the task, active or standby, and whose process has no copy of it yet. */
  #stickyStandbyOf(task: Task): MemberLoad | undefined {
    const active = this.#previouslyActiveIn.get(task.key);
    if (active !== undefined && !active.process.has(task) && this.#totalShare.hasRoomFor(active)) return active;
    const standby = leastLoaded(this.#previouslyStandbyIn.get(task.key), task);
    return standby !== undefined && this.#totalShare.hasRoomFor(standby) ? standby : undefined;
  }

  #giveStandbyToLeastLoaded(task: Task, queue: LeastFirstQueue<ProcessLoad>): boolean {
    const passed: ProcessLoad[] = [];
    let process = queue.pop();
    for (; process?.has(task); process = queue.pop()) passed.push(process);
    if (process !== undefined) {
      this.#giveToLeastLoaded(task, process, 'standby');
      queue.push(process);
    }
    for (const one of passed.reverse()) queue.push(one);
    return process !== undefined;
  }

  #give(task: Task, member: MemberLoad, role: Role): void {
    member.process.give(task, member, role);
    this.#counted(member, role);
  }

  #giveToLeastLoaded(task: Task, process: ProcessLoad, role: Role): void {
    this.#counted(process.giveToLeastLoaded(task, role), role);
  }

  #counted(member: MemberLoad, role: Role): void {
    if (role === 'active') this.#activeShare.counted(member);
    this.#totalShare.counted(member);
  }
}

type Role = 'active' | 'standby';

type MemberLoad = {
  readonly process: ProcessLoad;
  taskCount: number;
  readonly active: Map<string, Set<number>>;
  readonly standby: Map<string, Set<number>>;
};

/** A process with its members: where a copy of a task may be once, and how many tasks there are to a member. */
class ProcessLoad {
  readonly #members: { readonly memberId: string; readonly member: MemberLoad }[] = [];
  readonly #tasks = new Set<string>();
  #taskCount = 0;
  /** Of the members. Built when needed, and anew when a member was given a task by name. */
  #queue: LeastFirstQueue<MemberLoad> | null = null;

  get load(): number {
    return this.#taskCount / this.#members.length;
  }

  has({ key }: Task): boolean {
    return this.#tasks.has(key);
  }

  addMember(memberId: string): MemberLoad {
    const member = { process: this, taskCount: 0, active: new Map(), standby: new Map() };
    this.#members.push({ memberId, member });
    return member;
  }

  give(task: Task, member: MemberLoad, role: Role): void {
    this.#queue = null;
    this.#add(task, member, role);
  }

  giveToLeastLoaded(task: Task, role: Role): MemberLoad {
    if (this.#members.length === 1) {
      const { member } = this.#members[0]!;
      this.#add(task, member, role);
      return member;
    }
    this.#queue ??= this.#queueOfMembers();
    const member = this.#queue.pop()!;
    this.#add(task, member, role);
    this.#queue.push(member);
    return member;
  }

  #queueOfMembers(): LeastFirstQueue<MemberLoad> {
    const byId = new Map(this.#members.map(({ memberId, member }) => [memberId, member]));
    return new LeastFirstQueue(
      ({ taskCount }) => taskCount,
      inHashMapOrder(byId.keys()).map((memberId) => byId.get(memberId)!),
    );
  }

  #add({ key, subtopologyId, partition }: Task, member: MemberLoad, role: Role): void {
    this.#taskCount++;
    this.#tasks.add(key);
    member.taskCount++;
    const partitions = member[role].get(subtopologyId) ?? new Set();
    member[role].set(subtopologyId, partitions.add(partition));
  }
}

/** How many tasks a member may have at most. Whoever has that many drops out, and the others share what is left. */
class FairShare {
  #tasks: number;
  #members: number;
  #perMember: number;

  constructor(tasks: number, members: number) {
    this.#tasks = tasks;
    this.#members = members;
    this.#perMember = Math.ceil(tasks / members);
  }

  hasRoomFor({ taskCount }: MemberLoad): boolean {
    return taskCount < this.#perMember;
  }

  counted({ taskCount }: MemberLoad): void {
    if (taskCount !== this.#perMember) return;
    this.#members--;
    this.#tasks -= taskCount;
    this.#perMember = this.#members === 0 ? 0 : Math.ceil(this.#tasks / this.#members);
  }
}

/**
 * Of the candidates the first, unless another has less to do, itself and in its process. None if the first one's process has the task,
 * though another's may not: so Kafka has it, and a task that lies elsewhere after a change of coordinators would move for nothing.
 */
function leastLoaded(candidates: readonly MemberLoad[] | undefined, task: Task | null): MemberLoad | undefined {
  const first = candidates?.[0];
  if (first === undefined || (task !== null && first.process.has(task))) return undefined;
  let least = first;
  for (const other of candidates!) {
    if (task !== null && other.process.has(task)) continue;
    if (other.process.load < least.process.load && other.taskCount < least.taskCount) least = other;
  }
  return least;
}

/** Partition by partition, so that a member keeps something of every subtopology. */
function tasksOf(subtopologies: readonly AssignableSubtopology[]): Task[] {
  const tasks: Task[] = [];
  for (const { subtopologyId, taskCount } of subtopologies) {
    for (let partition = 0; partition < taskCount; partition++) {
      tasks.push({ key: keyOf(subtopologyId, partition), subtopologyId, partition });
    }
  }
  return tasks.sort((one, other) => one.partition - other.partition || compareTexts(one.subtopologyId, other.subtopologyId));
}

function* keysOf(tasks: Tasks): Iterable<string> {
  for (const [subtopologyId, partitions] of tasks) for (const partition of partitions) yield keyOf(subtopologyId, partition);
}

function keyOf(subtopologyId: string, partition: number): string {
  return `${partition} ${subtopologyId}`;
}

/** So that the tasks of one subtopology are dealt one after the other, each to another process. */
function bySubtopology(one: Task, other: Task): number {
  return compareTexts(one.subtopologyId, other.subtopologyId) || one.partition - other.partition;
}

function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
