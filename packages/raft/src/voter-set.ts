import { type Uuid, type VotersRecord, type Writable, ZERO_UUID } from '@ottla/protocol';

export type VoterEndpoint = { readonly name: string; readonly host: string; readonly port: number };

/** What tells two voters apart. In a static quorum (kraft.version 0) the directory id is unknown: zero. */
export type VoterKey = { readonly id: number; readonly directoryId: Uuid };

/** Where a directory id is unknown, as in a static quorum, the id alone tells. */
export const isSameVoter = (a: VoterKey, b: VoterKey): boolean =>
  a.id === b.id && (a.directoryId === ZERO_UUID || b.directoryId === ZERO_UUID || a.directoryId === b.directoryId);

export type Voter = VoterKey & {
  readonly endpoints: readonly VoterEndpoint[];
  /** The levels of kraft.version the voter can speak. */
  readonly minKRaftVersion: number;
  readonly maxKRaftVersion: number;
};

/** The nodes whose majority decides. Immutable. */
export class VoterSet {
  readonly #voters: ReadonlyMap<number, Voter>;

  constructor(voters: readonly Voter[]) {
    this.#voters = new Map(voters.map((voter) => [voter.id, voter]));
    if (this.#voters.size < voters.length) throw new RangeError('a voter id appears twice');
  }

  static fromRecord(record: VotersRecord): VoterSet {
    return new VoterSet(
      record.voters.map((voter) => ({
        id: voter.voterId,
        directoryId: voter.voterDirectoryId,
        endpoints: voter.endpoints.map(({ name, host, port }) => ({ name, host, port })),
        minKRaftVersion: voter.kRaftVersionFeature.minSupportedVersion,
        maxKRaftVersion: voter.kRaftVersionFeature.maxSupportedVersion,
      })),
    );
  }

  toRecord(): Writable<VotersRecord> {
    return {
      voters: this.voters.map((voter) => ({
        voterId: voter.id,
        voterDirectoryId: voter.directoryId,
        endpoints: voter.endpoints.map((endpoint) => ({ ...endpoint })),
        kRaftVersionFeature: { minSupportedVersion: voter.minKRaftVersion, maxSupportedVersion: voter.maxKRaftVersion },
      })),
    };
  }

  get size(): number {
    return this.#voters.size;
  }

  get ids(): number[] {
    return [...this.#voters.keys()];
  }

  get voters(): Voter[] {
    return [...this.#voters.values()];
  }

  get(id: number): Voter | undefined {
    return this.#voters.get(id);
  }

  /** The smallest number of voters that is more than half. */
  get majority(): number {
    return Math.floor(this.size / 2) + 1;
  }

  /** A node is a voter if its id is one and, where the directory is known, the directory matches. */
  has({ id, directoryId }: VoterKey): boolean {
    const voter = this.#voters.get(id);
    return voter !== undefined && (voter.directoryId === ZERO_UUID || voter.directoryId === directoryId);
  }

  /** The set with `voter` in place of the one of its id. */
  with(voter: Voter): VoterSet {
    return new VoterSet(this.voters.map((each) => (each.id === voter.id ? voter : each)));
  }

  /** The set and one more, of a new id. */
  plus(voter: Voter): VoterSet {
    return new VoterSet([...this.voters, voter]);
  }

  without(voterId: number): VoterSet {
    return new VoterSet(this.voters.filter(({ id }) => id !== voterId));
  }

  equals(other: VoterSet): boolean {
    return JSON.stringify(this.toRecord()) === JSON.stringify(other.toRecord());
  }
}
