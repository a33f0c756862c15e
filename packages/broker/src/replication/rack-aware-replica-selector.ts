/** The one value of replica.selector.class that Ottla knows; Kafka comes with no other. */
export const rackAwareSelector = 'org.apache.kafka.common.replica.RackAwareReplicaSelector';

/** A replica that a consumer could read from. */
export type ReplicaView = {
  readonly brokerId: number;
  readonly rack: string | null;
  readonly logEndOffset: number;
  readonly lastCaughtUpMs: number;
};

/**
 * The replica to read from in the consumer's rack: the leader if it is there, else the one that is furthest. Undefined: the leader, because
 * there is none in that rack (KIP-392).
 */
export function selectInRack(rack: string, leader: ReplicaView, others: Iterable<ReplicaView>): number | undefined {
  if (leader.rack === rack) return undefined;
  let best: ReplicaView | undefined;
  for (const replica of others) if (replica.rack === rack && (!best || isBetter(replica, best))) best = replica;
  return best?.brokerId;
}

function isBetter(replica: ReplicaView, than: ReplicaView): boolean {
  if (replica.logEndOffset !== than.logEndOffset) return replica.logEndOffset > than.logEndOffset;
  if (replica.lastCaughtUpMs !== than.lastCaughtUpMs) return replica.lastCaughtUpMs > than.lastCaughtUpMs;
  return replica.brokerId > than.brokerId;
}
