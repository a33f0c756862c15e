/** What replicas hold of each partition, and what may be told of it. */
import { batchesOf } from '@ottla/protocol';
import { isBroker, type Plan } from '../plan.ts';
import type { Image, Replica, ReplicaSight, Sight } from '../sight.ts';
import { type ClusterPromise, promise } from './cluster-promise.ts';
import { tell } from './ledger.ts';

/** Holds what each life of a replica said last, and checks what it says next. */
function eachLife(value: (replica: Replica) => number, check: (before: number, now: number, sight: ReplicaSight) => void) {
  const last = new Map<string, number>();
  return ({ changed }: Sight): void => {
    for (const each of changed) {
      const { life } = each;
      const now = value(each.replica);
      const before = last.get(life);
      if (before !== undefined) check(before, now, each);
      last.set(life, now);
    }
  };
}

function minIsr({ nodes }: Plan): number {
  return Math.min(2, nodes.filter(isBroker).length);
}

export const replication: readonly ClusterPromise[] = [
  promise('offsetsAreOrdered', 'log start <= last stable offset <= high watermark <= log end, on every replica', (broken) => ({
    look({ changed }) {
      for (const { node, replica } of changed) {
        const { highWatermark, lastStableOffset, log } = replica;
        const { logStartOffset, logEndOffset } = log;
        if (lastStableOffset <= highWatermark && highWatermark <= logEndOffset && logStartOffset <= logEndOffset) continue;
        broken(
          `${replica.name} on node ${node.id}: log start ${logStartOffset}, last stable offset ${lastStableOffset}, ` +
            `high watermark ${highWatermark}, log end ${logEndOffset}`,
        );
      }
    },
  })),

  promise(
    'highWatermarkNeverRetreats',
    'what a replica has called committed it calls committed as long as it lives',
    (broken) => ({
      look: eachLife(
        (replica) => replica.highWatermark,
        (before, now, { node, replica }) => {
          if (now < before) broken(`${replica.name} on node ${node.id} went back from high watermark ${before} to ${now}`);
        },
      ),
    }),
  ),

  promise('lastStableOffsetMonotone', 'what a replica has called stable stays stable as long as nothing is cut off', (broken) => {
    const logEnds = new Map<string, number>();
    const look = eachLife(
      (replica) => replica.lastStableOffset,
      (before, now, { node, replica, life }) => {
        // A log that is opened does not know which transactions have ended only in its tail, and the tail may have to go (as with Kafka).
        if (now >= before || replica.log.logEndOffset < logEnds.get(life)!) return;
        broken(`${replica.name} on node ${node.id} went back from last stable offset ${before} to ${now}`);
      },
    );
    return {
      look(sight) {
        look(sight);
        for (const { replica, life } of sight.changed) logEnds.set(life, replica.log.logEndOffset);
      },
    };
  }),

  promise('logStartNeverRetreats', 'what a replica has deleted does not come back as long as it lives', (broken) => ({
    look: eachLife(
      (replica) => replica.log.logStartOffset,
      (before, now, { node, replica }) => {
        if (now < before) broken(`${replica.name} on node ${node.id} went back from log start ${before} to ${now}`);
      },
    ),
  })),

  promise('committedRecordsAgree', 'what was committed once is the same on every replica, for ever', (broken, { ledger }) => ({
    look() {
      const [first] = ledger.disagreements;
      if (first !== undefined) broken(first);
    },
  })),

  promise(
    'leadersHaveAllThatIsCommitted',
    'whoever leads a partition in its latest epoch has everything that was committed',
    (broken, { ledger }) => {
      const latest = new Map<string, number>();
      return {
        look({ changed }) {
          for (const { replica, key } of changed) {
            if (replica.isLeader) latest.set(key, Math.max(latest.get(key) ?? -1, replica.leaderEpoch));
          }
          for (const { node, replica, key } of changed) {
            if (!replica.isLeader || replica.leaderEpoch !== latest.get(key)) continue;
            const committed = ledger.logs.get(key)?.endOffset ?? 0;
            if (replica.log.logEndOffset < committed) {
              broken(
                `${replica.name} is led by node ${node.id} in epoch ${replica.leaderEpoch}, whose log ends at ` +
                  `${replica.log.logEndOffset}, and ${committed} was committed`,
              );
            }
          }
        },
      };
    },
  ),

  promise('isrContainsOnlyCaughtUp', 'a member of the isr has everything below the high watermark of its leader', (broken) => {
    /** The broker epoch before each node's process: until it registers anew, nobody knows that it may have lost something. */
    const births = new Map<number, { lives: number; brokerEpoch: number }>();
    return {
      look({ changed, replicas, nodes }) {
        if (changed.length === 0) return;
        const newest = newestOf(nodes);
        for (const { node } of nodes) {
          if (births.get(node.id)?.lives === node.lives) continue;
          births.set(node.id, { lives: node.lives, brokerEpoch: newest?.brokers.get(node.id)?.epoch ?? -1 });
        }
        const keys = new Set(Array.from(changed, ({ key }) => key));
        for (const { node: leaderNode, replica: leader, key } of replicas) {
          if (!leader.isLeader || !keys.has(key)) continue;
          // As the controller has written it down: what the leader takes for it counts for nothing when the leader dies.
          const { isr, leaderEpoch } = isrOf(newest, leader) ?? { isr: [], leaderEpoch: -1 };
          if (leaderEpoch !== leader.leaderEpoch || isr.length < 2) continue;
          for (const { node, replica, key: other } of replicas) {
            if (other !== key || node === leaderNode || !isr.includes(node.id)) continue;
            if (replica.log.logEndOffset >= leader.highWatermark) continue;
            const hasRegistered = (newest?.brokers.get(node.id)?.epoch ?? -1) > births.get(node.id)!.brokerEpoch;
            if (!hasRegistered) continue;
            broken(
              `${leader.name}: node ${node.id} is in the isr ${isr}, its log ends at ${replica.log.logEndOffset}, ` +
                `and for node ${leaderNode.id}, which leads and takes ${leader.isr} for the isr, ${leader.highWatermark} is committed`,
            );
          }
        }
      },
    };
  }),

  promise('epochsInLogsAscend', 'the leader epochs of a log, and where they begin, ascend within the log', (broken) => ({
    lookClosely({ replicas }) {
      for (const { node, replica } of replicas) {
        const { epochs, logEndOffset } = replica.log;
        for (const [index, { epoch, startOffset }] of epochs.entries()) {
          const before = epochs[index - 1];
          const isAscending = !before || (before.epoch < epoch && before.startOffset <= startOffset);
          if (isAscending && startOffset <= logEndOffset && epoch <= Math.max(replica.leaderEpoch, replica.log.latestEpoch))
            continue;
          broken(`${replica.name} on node ${node.id} ends at ${logEndOffset}, with epochs ${JSON.stringify(epochs)}`);
        }
      }
    },
  })),

  promise(
    'acknowledgedIsCommitted',
    'a record is acknowledged to acks=all when it is committed, not before',
    (broken, { ledger }) => ({
      hear(news) {
        if (news.type !== 'acknowledged') return;
        const { topic, partition, offset, client } = news;
        if ((ledger.of(topic, partition)?.highestHighWatermark ?? 0) <= offset)
          broken(`${client} was told of ${topic}-${partition}@${offset}, of which no replica says that it is committed`);
      },
    }),
  ),

  promise('acknowledgedIsReplicated', 'an acknowledged record was on min.insync.replicas replicas', (broken, { plan }) => {
    /** Where the log of each replica ended at most, whatever became of it. */
    const ends = new Map<string, Map<number, number>>();
    const note = ({ changed }: Sight): void => {
      for (const { node, replica } of changed) {
        let known = ends.get(replica.name);
        if (!known) ends.set(replica.name, (known = new Map()));
        known.set(node.id, Math.max(known.get(node.id) ?? 0, replica.log.logEndOffset));
      }
    };
    return {
      look: note,
      hear(news) {
        if (news.type !== 'acknowledged') return;
        const { topic, partition, offset, client } = news;
        const holders = [...(ends.get(`${topic}-${partition}`) ?? [])].filter(([, end]) => end > offset);
        if (holders.length >= minIsr(plan)) return;
        broken(`${client} was told of ${topic}-${partition}@${offset}, which is on ${holders.length} replicas`);
      },
    };
  }),

  promise('readersSeeOnlyCommitted', 'no consumer is shown what is not committed', (broken, { ledger }) => ({
    hear(news) {
      if (news.type !== 'read') return;
      const { topic, partition, offset, client } = news;
      if ((ledger.of(topic, partition)?.highestHighWatermark ?? 0) <= offset)
        broken(`${client} was shown ${topic}-${partition}@${offset}, of which no replica says that it is committed`);
    },
  })),

  promise(
    'logsAgreeBelowHighWatermark',
    'when the cluster rests, all replicas of a partition are the same, byte for byte',
    (broken) => ({
      judge({ replicas }) {
        const firsts = new Map<string, ReplicaSight>();
        for (const each of replicas) {
          const first = firsts.get(each.key);
          if (!first) {
            firsts.set(each.key, each);
            continue;
          }
          const { replica: one } = first;
          const { replica: other } = each;
          // Each compacts and deletes in its own time.
          const from = Math.max(one.log.logStartOffset, other.log.logStartOffset);
          if (one.log.logEndOffset !== other.log.logEndOffset || one.highWatermark !== other.highWatermark) {
            broken(
              `${one.name}: node ${first.node.id} ends at ${one.log.logEndOffset}, committed to ${one.highWatermark}; ` +
                `node ${each.node.id} ends at ${other.log.logEndOffset}, committed to ${other.highWatermark}`,
            );
          }
          if (one.topic.startsWith('__')) continue;
          const difference = firstDifference(wholeLog(one, from), wholeLog(other, from));
          if (difference) broken(`${one.name} differs between nodes ${first.node.id} and ${each.node.id}: ${difference}`);
        }
      },
    }),
  ),

  promise('logsAreIntact', 'every batch in every log has the crc that it says', (broken) => ({
    judge({ replicas }) {
      for (const { node, replica } of replicas) {
        for (const batch of wholeLog(replica, replica.log.logStartOffset)) {
          if (!batch.isIntact) broken(`${replica.name} on node ${node.id}: the batch at ${batch.baseOffset} is corrupt`);
        }
      }
    },
  })),

  promise(
    'producerSequencesHaveNoGapsOrDuplicates',
    'what a producer wrote to a partition is there once and in order',
    (broken, { ledger }) => {
      const read = new Map<string, number>();
      /** By partition and producer. */
      const last = new Map<string, { epoch: number; sequence: number; at: string }>();
      return {
        look({ changed }) {
          for (const { key } of changed) {
            const log = ledger.logs.get(key)!;
            // Offsets that groups commit in transactions are all of sequence 0, as coordinators write them.
            if (log.topic.startsWith('__')) continue;
            for (let index = read.get(key) ?? 0; index < log.batches.length; index++) {
              const batch = log.batches[index]!;
              if (batch.producerId < 0 || batch.isControl || batch.baseSequence < 0) continue;
              const producer = `${key} ${batch.producerId}`;
              const before = last.get(producer);
              const count = batch.lastOffset - batch.baseOffset;
              last.set(producer, { epoch: batch.producerEpoch, sequence: batch.baseSequence + count, at: tell(batch) });
              const where = `${log.topic}-${log.index}`;
              if (before && batch.producerEpoch < before.epoch) {
                broken(
                  `${where}: ${tell(batch)} is of epoch ${batch.producerEpoch}, after ${before.at} of epoch ${before.epoch}`,
                );
              }
              const expected = before?.epoch === batch.producerEpoch ? before.sequence + 1 : 0;
              if (batch.baseSequence !== expected && !(before === undefined && batch.baseSequence > 0)) {
                broken(`${where}: ${tell(batch)} should begin with sequence ${expected}${before ? `, after ${before.at}` : ''}`);
              }
            }
            read.set(key, log.batches.length);
          }
        },
      };
    },
  ),

  promise(
    'everythingBecomesCommitted',
    'when the cluster rests, nothing is left that is not committed, and no transaction is open',
    (broken) => ({
      judge({ replicas }) {
        for (const { node, replica } of replicas) {
          const { highWatermark, lastStableOffset, log } = replica;
          if (highWatermark === log.logEndOffset && lastStableOffset === highWatermark) continue;
          broken(
            `${replica.name} on node ${node.id} ends at ${log.logEndOffset}, is committed to ${highWatermark} and stable to ${lastStableOffset}`,
          );
        }
      },
    }),
  ),
];

function newestOf(nodes: Sight['nodes']): Image | undefined {
  let newest: { image: Image; appliedOffset: number } | undefined;
  for (const { parts } of nodes) {
    if (parts.metadata.appliedOffset > (newest?.appliedOffset ?? -1)) newest = parts.metadata;
  }
  return newest?.image;
}

function isrOf(
  image: Image | undefined,
  { topicId, index }: Replica,
): { isr: readonly number[]; leaderEpoch: number } | undefined {
  return image?.topics.byId(topicId as never)?.partition(index);
}

type WholeBatch = { readonly baseOffset: number; readonly bytes: Buffer; readonly text: string; readonly isIntact: boolean };

function* wholeLog(replica: Replica, from: number): Generator<WholeBatch> {
  const { log } = replica;
  for (let offset = from; offset < log.logEndOffset; ) {
    const { records, release } = log.read({
      startOffset: offset,
      endOffset: log.logEndOffset,
      maxBytes: 1 << 20,
      minOneBatch: true,
    });
    const before = offset;
    for (const batch of batchesOf(records)) {
      const isIntact = batch.computeCrc() === batch.crc;
      yield { baseOffset: batch.baseOffset, bytes: Buffer.from(batch.bytes), text: tell(batch), isIntact };
      offset = batch.nextOffset;
    }
    release?.();
    if (offset === before) return;
  }
}

function firstDifference(one: Iterable<WholeBatch>, other: Iterable<WholeBatch>): string | undefined {
  const others = other[Symbol.iterator]();
  for (const batch of one) {
    const { value, done } = others.next();
    if (done) return `${batch.text} against nothing`;
    if (!batch.bytes.equals(value.bytes)) return `${batch.text} against ${value.text}`;
  }
  const { value, done } = others.next();
  return done ? undefined : `nothing against ${value.text}`;
}
