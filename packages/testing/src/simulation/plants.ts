/** Bugs that are put into the sources on purpose, to see that the simulator finds them. */
export type Plant = {
  readonly name: string;
  /** What goes wrong. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** One of that many seeds, counted from the first, must find it. */
  readonly seeds: number;
  /** Of the clusters that show it; any unless given. */
  readonly shape?: string;
};

export type Edit = {
  /** From the root of the repository. */
  readonly file: string;
  /** Stands there once. */
  readonly find: string;
  readonly replace: string;
};

export const plants: readonly Plant[] = [
  {
    name: 'dedupe-off',
    what: 'a batch that comes again is appended again',
    edits: [
      {
        file: 'packages/storage/src/producer-append.ts',
        find: 'const repeated = duplicateOf(updated, batch);',
        replace: 'if (batch.baseSequence >= 0) return undefined;\n    const repeated = duplicateOf(updated, batch);',
      },
      {
        file: 'packages/storage/src/producer-append.ts',
        find: 'if (isNextSequence(lastSequence, firstSequence)) return;',
        replace: 'if (lastSequence >= -1) return;',
      },
    ],
    seeds: 40,
  },
  {
    name: 'reads-what-is-not-stable',
    what: 'readers of committed records are given those of open transactions',
    edits: [
      {
        file: 'packages/broker/src/replication/partition.ts',
        find: 'return Math.min(this.log.lastStableOffset, this.#highWatermark);',
        replace: 'return this.#highWatermark;',
      },
    ],
    seeds: 40,
  },
];

/** Throws for a name that is none. */
export function plantNamed(name: string): Plant {
  const found = plants.find((plant) => plant.name === name);
  if (!found) throw new Error(`there is no plant ${name}; there are ${plants.map((plant) => plant.name).join(', ')}`);
  return found;
}
