import type { GroupState } from '../group-state.ts';
import { type Moment, type Outcome, Turn } from '../outcome.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { epochRecord, regexRecord, regexTombstone } from './consumer-records.ts';
import type { MemberUpdate } from './member-update.ts';
import { type RegexResolution, type ResolvedRegex, requireRegex, UNRESOLVED } from './subscription-regexes.ts';

/** What became of the regular expression that a member subscribes with. `resolved`: its topics are known already, or none are wanted. */
export type RegexChange = 'none' | 'changed' | 'resolved';

/** Topics that are created one after another are looked at together. */
const SHORTEST_REFRESH_INTERVAL_MS = 10_000;

/**
 * The regular expressions of consumer groups. What they stand for is found out of the way of requests, a group at a time, and comes
 * back as an operation of its own: when an expression is new, when topics were created, and once in a while.
 */
export class RegexRefresh {
  readonly #state: GroupState;
  /** Handed out and not yet come back, or not yet handed out. At most one of each group. */
  readonly #resolving = new Set<string>();
  readonly #wanted: RegexResolution[] = [];

  constructor(state: GroupState) {
    this.#state = state;
  }

  /** What the caller is to resolve, if anything: it gives back each with `resolved` or `failed`. */
  take(): RegexResolution | undefined {
    return this.#wanted.shift();
  }

  /** Throws INVALID_REGULAR_EXPRESSION. */
  onMember({ group, before, after }: MemberUpdate, turn: Turn): RegexChange {
    const oldRegex = before.subscribedTopicRegex;
    const newRegex = after.subscribedTopicRegex;
    // Nobody subscribes so, as in most groups.
    const subscribers = group.regexSubscribers;
    if (newRegex === oldRegex && subscribers.size === 0) return 'none';
    const isNew = newRegex !== oldRegex && newRegex !== '' && !subscribers.has(newRegex);
    let change: RegexChange = 'none';
    if (newRegex !== oldRegex) {
      if (oldRegex !== '' && subscribers.get(oldRegex) === 1) turn.records.push(regexTombstone(group.groupId, oldRegex));
      if (isNew) requireRegex(newRegex);
      change = newRegex === '' || (!isNew && group.regexes.has(newRegex)) ? 'resolved' : 'changed';
    }
    if (isNew || subscribers.size > 0) this.#refresh({ group, before, after }, isNew, turn.moment.wallMs);
    return change;
  }

  /** The members go on with what they have, and the next heartbeat asks again. */
  failed(groupId: string): void {
    this.#resolving.delete(groupId);
  }

  resolved(groupId: string, resolved: ReadonlyMap<string, ResolvedRegex>, moment: Moment): Outcome {
    this.#resolving.delete(groupId);
    const turn = new Turn(moment);
    const group = this.#state.groups.get(groupId);
    if (!(group instanceof ConsumerGroup)) return turn.outcome();
    const names = group.subscribedTopicsOf(
      group.members.values(),
      [...group.regexes.keys()].filter((regex) => !resolved.has(regex)),
    );
    let grows = false;
    for (const [regex, now] of resolved) {
      // Whoever asked for it may have left meanwhile.
      const counts = group.regexSubscribers.has(regex) ? now : (group.regexes.get(regex) ?? UNRESOLVED);
      for (const name of counts.topics) names.add(name);
      if (counts !== now) continue;
      if (!sameTopics(now.topics, (group.regexes.get(regex) ?? UNRESOLVED).topics)) grows = true;
      turn.records.push(regexRecord(groupId, regex, now));
    }
    const metadataHash = this.#state.topicHashes.ofGroup(names);
    if (grows || metadataHash !== group.metadataHash) {
      const groupEpoch = group.groupEpoch + 1;
      turn.records.push(epochRecord(groupId, groupEpoch, metadataHash));
      group.refreshed(groupEpoch);
    }
    return turn.outcome();
  }

  #refresh({ group, before, after }: MemberUpdate, isNew: boolean, nowMs: number): void {
    const { groupId } = group;
    if (this.#resolving.has(groupId)) return;
    const [last] = group.regexes.values();
    // Of the wall clock, as the log has it: one that was set back since holds nothing up.
    const timestampMs = last?.timestamp ?? Number.NEGATIVE_INFINITY;
    const refreshedMs = timestampMs > nowMs ? Number.NEGATIVE_INFINITY : timestampMs;
    if (nowMs <= refreshedMs + SHORTEST_REFRESH_INTERVAL_MS) return;
    const regexes = new Set(group.regexSubscribers.keys());
    if (group.regexSubscribers.get(before.subscribedTopicRegex) === 1) regexes.delete(before.subscribedTopicRegex);
    if (after.subscribedTopicRegex !== '') regexes.add(after.subscribedTopicRegex);
    const isDue =
      isNew ||
      regexes.size !== group.regexes.size ||
      (last?.version ?? 0) < this.#state.newTopicsVersion ||
      nowMs > refreshedMs + this.#state.config.consumer.regexRefreshIntervalMs;
    if (!isDue || regexes.size === 0) return;
    this.#resolving.add(groupId);
    this.#wanted.push({ groupId, regexes: [...regexes] });
  }
}

function sameTopics(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((name) => right.has(name));
}
