import type { HistoryEvent } from '../../histories/history.ts';
import type { ClientNews } from '../clients/client-news.ts';
import type { LoggedLine } from '../node-log.ts';
import type { Plan } from '../plan.ts';
import type { Sight } from '../sight.ts';
import type { SimulatedNode } from '../simulated-cluster.ts';
import type { Ledger } from './ledger.ts';

/** What a cluster promises. It is watched over during a run, and found broken by a `BrokenPromise`. */
export type ClusterPromise = {
  readonly name: string;
  /** The sentence that it keeps. */
  readonly says: string;
  readonly watch: (run: WatchedRun) => Watch;
};

export type WatchedRun = {
  readonly plan: Plan;
  /** Is ahead of those who look. */
  readonly ledger: Ledger;
};

/** One run's memory of one promise. Each of these throws a BrokenPromise. */
export type Watch = {
  /** After each event that something to be seen of a node follows from, and before and after everything that happens from outside. */
  readonly look?: (sight: Sight) => void;
  /** As `look`, but seldom, for what takes long to look at. */
  readonly lookClosely?: (sight: Sight) => void;
  /** A client was told something. */
  readonly hear?: (news: ClientNews) => void;
  readonly readLine?: (node: SimulatedNode, line: LoggedLine) => void;
  /** Everything was mended, and the cluster had time to come to rest. */
  readonly judge?: (sight: Sight, history: readonly HistoryEvent[]) => void;
};

export class BrokenPromise extends Error {
  readonly promise: string;

  constructor(promise: string, what: string) {
    super(what);
    this.name = 'BrokenPromise';
    this.promise = promise;
  }
}

type Broken = (what: string) => never;

/** A promise under its name. */
export function promise(name: string, says: string, watch: (broken: Broken, run: WatchedRun) => Watch): ClusterPromise {
  const broken: Broken = (what) => {
    throw new BrokenPromise(name, what);
  };
  return { name, says, watch: (run) => watch(broken, run) };
}
