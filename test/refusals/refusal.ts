import type { ErrorName } from '@ottla/protocol';

/** One wrong value of one field, and what is said to it. */
export type Wrong = {
  readonly what: 'older' | 'newer' | 'another';
  readonly expected: ErrorName;
  ask(): Promise<unknown>;
};

/** A field of a request, asked with what it should not hold. */
export type Row = {
  /** As in the schema: `Vote.topics.partitions.replicaEpoch`. */
  readonly field: string;
  readonly note: string;
  readonly wrong: readonly Wrong[];
  /** The same request with the true value: nothing else is wrong with it. None where it would change what others look at. */
  accepted?(): Promise<unknown>;
};

/** What rows are about, made for them, and all of its state that can be asked for. */
export type Subject = {
  readonly rows: readonly Row[];
  picture(): Promise<unknown>;
};

type EpochRow = {
  readonly api: { readonly name: string };
  readonly field: string;
  readonly note?: string;
  readonly truth: number;
  /** What is said to an epoch that is past, and to one to come; nothing where Kafka goes along with it. */
  readonly older?: ErrorName;
  readonly newer?: ErrorName;
  readonly isAccepted?: boolean;
  ask(epoch: number): Promise<unknown>;
};

export function epochRow({ api, field, note = '', truth, older, newer, isAccepted = true, ask }: EpochRow): Row {
  const wrong: Wrong[] = [];
  if (older) wrong.push({ what: 'older', expected: older, ask: () => ask(truth - 1) });
  if (newer) wrong.push({ what: 'newer', expected: newer, ask: () => ask(truth + 1) });
  return { field: `${api.name}.${field}`, note, wrong, ...(isAccepted ? { accepted: () => ask(truth) } : {}) };
}

export function clusterRow(api: { readonly name: string }, note: string, ask: (clusterId: string) => Promise<unknown>): Row {
  const wrong = { what: 'another', expected: 'INCONSISTENT_CLUSTER_ID', ask: () => ask('another-cluster-id-AAAA') } as const;
  return { field: `${api.name}.clusterId`, note, wrong: [wrong] };
}
