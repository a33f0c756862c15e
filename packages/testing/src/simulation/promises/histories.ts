/** What clients did and saw, judged with the names of Jepsen's anomalies. */
import type { Anomaly, AnomalyName } from '../../histories/anomalies.ts';
import { checkHistory } from '../../histories/check-history.ts';
import type { HistoryEvent } from '../../histories/history.ts';
import { type ClusterPromise, promise } from './cluster-promise.ts';
import type { CommittedBatch, Ledger } from './ledger.ts';

/** All promises judge one history; it is checked once. */
const verdicts = new WeakMap<readonly HistoryEvent[], readonly Anomaly[]>();

function forbiddenIn(history: readonly HistoryEvent[]): readonly Anomaly[] {
  let found = verdicts.get(history);
  if (!found) verdicts.set(history, (found = checkHistory(history).forbidden));
  return found;
}

function without(
  names: readonly AnomalyName[],
  name: string,
  says: string,
  isAllowed: (anomaly: Anomaly, ledger: Ledger) => boolean = () => false,
): ClusterPromise {
  return promise(name, says, (broken, { ledger }) => ({
    judge(_sight, history) {
      const found = forbiddenIn(history).find((anomaly) => names.includes(anomaly.name) && !isAllowed(anomaly, ledger));
      if (found) broken(`${found.name}: ${found.what}`);
    },
  }));
}

export const histories: readonly ClusterPromise[] = [
  without(
    ['lost-write', 'unseen'],
    'acknowledgedRecordsSurvive',
    'what was acknowledged, or read as committed, is there in the end',
  ),
  without(['duplicate'], 'recordsAreWrittenOnce', 'what was sent once is there once', isSentAgainInNewEpoch),
  without(
    ['inconsistent-offsets', 'unknown-value'],
    'offsetsAreWhatWasTold',
    'a record is where its producer was told, and nothing else is',
  ),
  without(
    ['nonmonotonic-send', 'int-nonmonotonic-send'],
    'sendsKeepTheirOrder',
    'what a producer sends to a partition keeps its order',
  ),
  without(['torn-transaction'], 'committedTransactionsAreWhole', 'a transaction is there whole, or not at all'),
  without(['G1a', 'precommitted-read'], 'abortedTransactionsAreInvisible', 'nobody reads as committed what is not'),
  without(['unfenced-zombie'], 'zombiesAreFenced', 'no producer commits whose transactional id another one has'),
  without(['hanging-transaction'], 'transactionsEnd', 'when all transactions have ended, everything is stable'),
  without(
    ['poll-skip', 'int-poll-skip'],
    'readersMissNothing',
    'a consumer that keeps its place goes on with the very next record',
  ),
  without(
    ['nonmonotonic-poll', 'int-nonmonotonic-poll'],
    'readersGoForward',
    'a consumer that keeps its place reads nothing again',
  ),
  without(['G1c'], 'readsHaveNoCircles', 'transactions do not read from each other in a circle'),
  without(
    ['processed-twice', 'processed-never'],
    'recordsAreProcessedOnce',
    'a record is processed once by transactions of a group',
  ),
  without(
    ['lost-offsets'],
    'offsetsOfTransactionsSurvive',
    'a group has the offsets that its last committed transaction gave it',
  ),
];

/**
 * Of a start a broker knows of each producer only the last batch before the snapshot: an earlier one that comes again it refuses as out of
 * order, and a producer without transactions then goes on in an epoch of its own, with all that was not answered. As in Kafka.
 */
function isSentAgainInNewEpoch({ what }: Anomaly, ledger: Ledger): boolean {
  const places = [...what.matchAll(/at (\S+)-(\d+)@(\d+)/g)];
  const batches = places.flatMap(([, topic, index, offset]): CommittedBatch[] => {
    const found = ledger.of(topic!, Number(index))?.batches;
    const at = Number(offset);
    return found?.filter(({ baseOffset, lastOffset }) => baseOffset <= at && at <= lastOffset) ?? [];
  });
  const [first, second] = batches;
  if (!first || !second || first.isTransactional || second.isTransactional) return false;
  return first.producerId === second.producerId && first.producerEpoch < second.producerEpoch;
}
