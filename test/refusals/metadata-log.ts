import { batchesOf, Fetch, type MetadataRecord, readMetadataRecord } from '@ottla/protocol';
import type { AskedNodes } from './asked-nodes.ts';

const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';

type RecordOf<Type extends MetadataRecord['type']> = Extract<MetadataRecord, { type: Type }>;

/** What a controller gives to whoever fetches its log as an observer: the way to learn what no API tells. */
export async function metadataRecords(
  nodes: AskedNodes,
  { leaderId, leaderEpoch }: { readonly leaderId: number; readonly leaderEpoch: number },
): Promise<MetadataRecord[]> {
  const records: MetadataRecord[] = [];
  let [fetchOffset, lastFetchedEpoch] = [0, 0];
  for (;;) {
    const partition = {
      partition: 0,
      fetchOffset,
      lastFetchedEpoch,
      currentLeaderEpoch: leaderEpoch,
      partitionMaxBytes: 1 << 20,
    };
    const asked = { maxWaitMs: 0, minBytes: 0, maxBytes: 1 << 20, topics: [{ topicId, partitions: [partition] }] };
    const answer = await nodes.ask({ id: leaderId, listener: 'controller' }, Fetch, 17, asked);
    const fetched = answer.responses[0]!.partitions[0]!;
    if (fetched.errorCode !== 0) throw new Error(`the metadata log cannot be read: ${fetched.errorCode}`);
    const before = fetchOffset;
    for (const batch of batchesOf(fetched.records ?? new Uint8Array(0))) {
      if (!batch.isControl) for (const { value } of batch.records()) records.push(readMetadataRecord(value!));
      fetchOffset = batch.lastOffset + 1;
      lastFetchedEpoch = batch.leaderEpoch;
    }
    if (fetchOffset === before) return records;
  }
}

export function recordsOf<Type extends MetadataRecord['type']>(records: readonly MetadataRecord[], type: Type): RecordOf<Type>[] {
  return records.filter((record): record is RecordOf<Type> => record.type === type);
}
