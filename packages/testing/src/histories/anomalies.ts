/**
 * What can be wrong with a history. The names are those of Jepsen's workload for Kafka (jepsen.tests.kafka) where it has one. G1b, an
 * intermediate read, has no meaning here: a value is written once, and a log keeps every one.
 */
export type Anomaly = { readonly name: AnomalyName; readonly what: string };

/** What an anomaly means, and why Kafka's model allows it, if it does. */
export const anomalies = {
  // What was written
  'lost-write': {
    means: 'what was acknowledged and committed, or was read as committed, is not in the log, but what came later is',
  },
  unseen: { means: 'what was acknowledged and committed is not in the log, nor is anything later' },
  duplicate: { means: 'one sending lies at two offsets' },
  'inconsistent-offsets': { means: 'an offset has two values, or an acknowledged value lies elsewhere than was told' },
  'unknown-value': { means: 'a value was read that nobody sent to that partition' },
  'torn-transaction': { means: 'one part of a transaction took effect, and another did not' },
  'nonmonotonic-send': { means: 'what a producer sent later to a partition has a lower offset' },
  'int-nonmonotonic-send': { means: 'the same inside one transaction' },
  'int-send-skip': {
    means: 'between two sendings of one transaction to a partition lies something else',
    allowed: 'transactions interleave in a log',
  },
  'unfenced-zombie': {
    means: 'a commit succeeded that was asked for when a later producer of the same id was already initialized',
  },
  'hanging-transaction': { means: 'when all transactions had ended the last stable offset stayed behind the end of the log' },

  // What was read
  G1a: { means: 'a record of an aborted transaction was read as committed' },
  'precommitted-read': {
    means: 'a record was read as committed before its commit was asked for, perhaps by its own transaction',
  },
  'poll-skip': { means: 'a consumer that kept its place went past a record that was there to be read' },
  'int-poll-skip': { means: 'the same inside one poll or one transaction' },
  'nonmonotonic-poll': { means: 'a consumer that kept its place read an offset again, or a lower one' },
  'int-nonmonotonic-poll': { means: 'the same inside one poll or one transaction' },
  'placed-skip': {
    means: 'a consumer that was placed anew in a partition, by a rebalance or a seek, went past records',
    allowed: 'Jepsen counts it as poll-skip; the records went to another member, or were passed on purpose',
  },
  'placed-back': {
    means: 'a consumer that was placed anew in a partition, by a rebalance or a seek, read records again',
    allowed: 'Jepsen counts it as nonmonotonic-poll; it goes on from what is committed, or went back on purpose',
  },

  // How transactions depend on one another
  G0: { means: 'transactions whose writes precede each other in a circle', allowed: 'transactions interleave in their logs' },
  G1c: { means: 'committed transactions that read from each other in a circle' },

  // Exactly-once between topics
  'processed-twice': { means: 'two committed transactions of a group have processed the same record' },
  'processed-never': { means: 'a group has committed an offset past a record that no committed transaction has processed' },
  'lost-offsets': { means: 'a group has not the offsets that its last committed transaction gave it' },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly allowed?: string }>>;

export type AnomalyName = keyof typeof anomalies;

export function isAllowed(name: AnomalyName): boolean {
  return 'allowed' in anomalies[name];
}
