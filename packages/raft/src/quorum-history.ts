import { type BatchView, readControlRecord } from '@ottla/protocol';
import { VoterSet } from './voter-set.ts';

type Entry<Value> = { readonly offset: number; readonly value: Value };

/**
 * Who votes and at which kraft.version, by the offset of the record that says so. The newest word is in force from its append on, committed
 * or not (KIP-853), so a truncation brings back the one before. What the configuration or the bootstrap snapshot says stands at offset -1; what
 * a snapshot says at the last offset it contains.
 */
export class QuorumHistory {
  #voters: Entry<VoterSet>[];
  #kRaftVersions: Entry<number>[];

  constructor(initial: { readonly voters: VoterSet; readonly kRaftVersion: number }) {
    this.#voters = [{ offset: -1, value: initial.voters }];
    this.#kRaftVersions = [{ offset: -1, value: initial.kRaftVersion }];
  }

  get voters(): VoterSet {
    return this.#voters.at(-1)!.value;
  }

  /** Of the record that names the voters; -1: only the configuration or the bootstrap snapshot does. */
  get votersOffset(): number {
    return this.#voters.at(-1)!.offset;
  }

  /** Of the word before, if it is still kept: the one in force may not be committed. */
  get votersBeforeLast(): VoterSet | undefined {
    return this.#voters.at(-2)?.value;
  }

  get kRaftVersion(): number {
    return this.#kRaftVersions.at(-1)!.value;
  }

  get kRaftVersionOffset(): number {
    return this.#kRaftVersions.at(-1)!.offset;
  }

  /** As of the records before `endOffset`: what belongs into a snapshot that ends there. */
  votersBefore(endOffset: number): VoterSet {
    return before(this.#voters, endOffset);
  }

  kRaftVersionBefore(endOffset: number): number {
    return before(this.#kRaftVersions, endOffset);
  }

  addVoters(offset: number, voters: VoterSet): void {
    this.#voters.push({ offset, value: voters });
  }

  addKRaftVersion(offset: number, kRaftVersion: number): void {
    this.#kRaftVersions.push({ offset, value: kRaftVersion });
  }

  /** Takes in a batch of the log, in the order of the log. */
  addBatch(batch: BatchView): void {
    if (!batch.isControl) return;
    for (const record of batch.records()) {
      const control = readControlRecord(record);
      if (control.type === 'kraftVersion') this.addKRaftVersion(record.offset, control.value.kRaftVersion);
      if (control.type === 'kraftVoters') this.addVoters(record.offset, VoterSet.fromRecord(control.value));
    }
  }

  /** A snapshot that ends at `endOffset` takes the place of all of the log. */
  startFromSnapshot(endOffset: number, recorded: { readonly voters: VoterSet | null; readonly kRaftVersion: number }): void {
    this.#voters.length = 1;
    this.#kRaftVersions.length = 1;
    if (recorded.voters) this.addVoters(endOffset - 1, recorded.voters);
    this.addKRaftVersion(endOffset - 1, recorded.kRaftVersion);
  }

  /** The records from `endOffset` on are gone. */
  truncateTo(endOffset: number): void {
    this.#voters = this.#voters.filter(({ offset }) => offset < endOffset);
    this.#kRaftVersions = this.#kRaftVersions.filter(({ offset }) => offset < endOffset);
  }

  /** Forgets what is older than the word that is in force at `offset`, which is committed: nothing goes back behind it. */
  forgetBefore(offset: number): void {
    this.#voters = this.#voters.slice(
      Math.max(
        0,
        this.#voters.findLastIndex((entry) => entry.offset < offset),
      ),
    );
    this.#kRaftVersions = this.#kRaftVersions.slice(
      Math.max(
        0,
        this.#kRaftVersions.findLastIndex((entry) => entry.offset < offset),
      ),
    );
  }
}

const before = <Value>(entries: readonly Entry<Value>[], endOffset: number): Value =>
  (entries.findLast(({ offset }) => offset < endOffset) ?? entries[0]!).value;
