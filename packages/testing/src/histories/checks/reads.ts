/** What consumers were shown: nothing that is not committed to those who asked for that, everything, and in order. */
import type { Anomaly, AnomalyName } from '../anomalies.ts';
import { type Evidence, isCommitted } from '../evidence.ts';
import type { Polled, Step } from '../history.ts';

export function checkReads(evidence: Evidence): Anomaly[] {
  return [...uncommitted(evidence), ...orderOfPolls(evidence)];
}

function* uncommitted(evidence: Evidence): Generator<Anomaly> {
  for (const reading of evidence.readings.filter(isCommitted)) {
    for (const [partition, offset, value] of reading.records) {
      const writer = evidence.origins.get(value)?.transaction;
      if (!writer) continue;
      const what = `${reading.process} read ${value} at ${partition}@${offset} as committed`;
      if (writer.outcome === 'aborted') {
        yield { name: 'G1a', what: `${what}, but the transaction of ${writer.process} was aborted` };
      } else if (writer === reading.transaction) {
        yield { name: 'precommitted-read', what: `${what} in the transaction that sent it` };
      } else if (writer.commitBeganMs !== null && reading.endedMs < writer.commitBeganMs) {
        yield {
          name: 'precommitted-read',
          what: `${what} at ${reading.endedMs} ms; its commit was asked for at ${writer.commitBeganMs}`,
        };
      }
    }
  }
  for (const [partition, log] of evidence.finals.read_committed) {
    for (const [offset, value] of log.values) {
      if (evidence.origins.get(value)?.transaction?.outcome !== 'aborted') continue;
      yield { name: 'G1a', what: `${value} at ${partition}@${offset} was aborted, and is read as committed at the end` };
    }
  }
}

/** Where a consumer is in a partition. */
type Place = {
  /** What it read last. */
  readonly offset: number;
  /** In which poll or transaction that was. */
  readonly within: unknown;
  /** It has been placed anew since. */
  moved: boolean;
};

function* orderOfPolls(evidence: Evidence): Generator<Anomaly> {
  const placesOf = new Map<string, Map<string, Place>>();
  const places = (process: string): Map<string, Place> => {
    let found = placesOf.get(process);
    if (!found) placesOf.set(process, (found = new Map()));
    return found;
  };
  const place = (process: string, partitions: readonly string[]): void => {
    for (const partition of partitions) {
      const known = places(process).get(partition);
      if (known) known.moved = true;
    }
  };
  function* poll(process: string, { isolation, records }: Polled, within: unknown): Generator<Anomaly> {
    for (const [partition, offset] of records) {
      const last = places(process).get(partition);
      if (last) {
        const kind = last.moved ? 'placed' : last.within === within ? 'internal' : 'between';
        const skipped = evidence.final(isolation, partition).between(last.offset + 1, offset);
        if (offset <= last.offset) {
          yield { name: back[kind], what: `${process} read ${partition}@${offset} after ${last.offset}` };
        } else if (skipped.count > 0) {
          const what = `${process} read ${partition}@${offset} after ${last.offset}, and not the ${skipped.count} between, as ${skipped.first}`;
          yield { name: skip[kind], what };
        }
      }
      places(process).set(partition, { offset, within, moved: false });
    }
  }
  for (const event of evidence.history) {
    if (event.type === 'placed') place(event.process, event.partitions);
    if (event.type === 'poll') yield* poll(event.process, event, event);
    if (event.type !== 'transaction') continue;
    for (const step of event.steps as readonly Step[]) {
      if ('placed' in step) place(event.process, step.placed);
      if ('poll' in step) yield* poll(event.process, step.poll, event);
    }
  }
}

const skip = { placed: 'placed-skip', internal: 'int-poll-skip', between: 'poll-skip' } satisfies Record<string, AnomalyName>;
const back = {
  ...{ placed: 'placed-back', internal: 'int-nonmonotonic-poll', between: 'nonmonotonic-poll' },
} satisfies Record<string, AnomalyName>;
