/** Tasks: a task is a subtopology and the number of a partition of what it reads. */

/** Partition numbers by subtopology. A subtopology without a partition is left out. */
export type Tasks = ReadonlyMap<string, ReadonlySet<number>>;

/** What a member has, or is to have. */
export type TaskAssignment = {
  /** It processes records. */
  readonly active: Tasks;
  /** It keeps a copy of the state of another process's active task. */
  readonly standby: Tasks;
  /** It restores state, to become active later. Kafka 4.3 has a place for them and assigns none. */
  readonly warmup: Tasks;
};

/** As messages and records write tasks. */
export type TaskIds = { readonly subtopologyId: string; readonly partitions: readonly number[] };

export const NO_TASKS: TaskAssignment = { active: new Map(), standby: new Map(), warmup: new Map() };

export function tasksOf(ids: readonly TaskIds[]): Tasks {
  const tasks = new Map<string, Set<number>>();
  for (const { subtopologyId, partitions } of ids) {
    const known = tasks.get(subtopologyId) ?? new Set();
    for (const partition of partitions) known.add(partition);
    if (known.size > 0) tasks.set(subtopologyId, known);
  }
  return tasks;
}

/** In order of subtopology and partition. */
export function taskIdsOf(tasks: ReadonlyMap<string, { keys(): Iterable<number> }>): {
  subtopologyId: string;
  partitions: number[];
}[] {
  return [...tasks.keys()].sort().map((subtopologyId) => ({
    subtopologyId,
    partitions: [...tasks.get(subtopologyId)!.keys()].sort((one, other) => one - other),
  }));
}

export function sameAssignments(one: TaskAssignment, other: TaskAssignment): boolean {
  return sameTasks(one.active, other.active) && sameTasks(one.standby, other.standby) && sameTasks(one.warmup, other.warmup);
}

export function hasNoTasks({ active, standby, warmup }: TaskAssignment): boolean {
  return active.size === 0 && standby.size === 0 && warmup.size === 0;
}

function sameTasks(one: Tasks, other: Tasks): boolean {
  if (one.size !== other.size) return false;
  for (const [subtopologyId, partitions] of one) {
    const others = other.get(subtopologyId);
    if (others === undefined || others.size !== partitions.size) return false;
    for (const partition of partitions) if (!others.has(partition)) return false;
  }
  return true;
}
