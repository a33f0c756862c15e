import type { ControlRecordToWrite, KafkaError } from '@ottla/protocol';
import type { ElectionState } from './election-state.ts';
import type { ReceivedRequest, ReceivedResponse, RequestToSend, ResponseToSend } from './messages.ts';
import type { SnapshotId } from './snapshot-id.ts';
import type { VoterSet } from './voter-set.ts';

/** What happened outside. */
export type RaftEvent =
  /** The time asked for has come, or the node has just started. One too many or too early does no harm. */
  | { readonly type: 'wake' }
  /** The leader's owner wants these records in the log, all of them or none: each value one record's. Throws NOT_CONTROLLER. */
  | { readonly type: 'append'; readonly values: readonly Uint8Array[] }
  /** Everything before `endOffset` can be read from this node's log, though a power cut may still take it. */
  | { readonly type: 'written'; readonly endOffset: number }
  /** Everything before `endOffset` is on this node's disk. */
  | { readonly type: 'flushed'; readonly endOffset: number }
  /** The disk did not take the batches from `endOffset` on, and nobody else has seen them: they were never appended. Of an only voter's leader. */
  | { readonly type: 'withdraw'; readonly endOffset: number }
  /** The node is about to stop: leave the leadership, tell the others, and take part in nothing any more. */
  | { readonly type: 'resign' }
  /** Another node asks. It is answered by a reply with this id, in this step or a later one; ids are the shell's to choose. */
  | ({
      readonly type: 'request';
      readonly requestId: number;
      /** The listener it came in by: the reply names the leader's endpoint there. */
      readonly listenerName: string;
    } & ReceivedRequest)
  /** The answer to a request of ours. Records in it are copied before they are kept. */
  | ({ readonly type: 'response'; readonly requestId: number } & ReceivedResponse)
  /** A request of ours got no answer; UNSUPPORTED_VERSION: the other node does not know it, or not this use of it. */
  | { readonly type: 'failed'; readonly requestId: number; readonly error: KafkaError }
  /** The log's start or the set of its snapshots changed: one was written here, or old ones were removed with the log before them. */
  | { readonly type: 'snapshots'; readonly snapshots: readonly SnapshotId[]; readonly logStartOffset: number }
  /** The fetched snapshot is whole, on disk and loaded, and the log is empty and begins at its end. `null`: no kraft.version or voters in it. */
  | { readonly type: 'snapshotLoaded'; readonly snapshotId: SnapshotId; readonly quorum: RecordedInSnapshot }
  /** The fetched snapshot is not what its name promises: it was thrown away, the log is as it was. It is fetched once more. */
  | { readonly type: 'snapshotRefused'; readonly snapshotId: SnapshotId }
  /** UpdateFeatures for kraft.version. Throws NOT_CONTROLLER, INVALID_UPDATE_VERSION; the records are in `batches`. */
  | { readonly type: 'upgradeKRaftVersion'; readonly kRaftVersion: number; readonly validateOnly: boolean };

export type RecordedInSnapshot = { readonly kRaftVersion: number; readonly voters: VoterSet | null };

/** A batch for the log, at `baseOffset`, which is where the log ends. Its records take consecutive offsets. */
export type RaftBatch = { readonly baseOffset: number; readonly leaderEpoch: number; readonly timestampMs: number } & (
  | { readonly kind: 'control'; readonly records: readonly ControlRecordToWrite[] }
  | { readonly kind: 'data'; readonly values: readonly Uint8Array[] }
);

/** Whole batches from the leader's log, checked (crc, offsets, epochs): to be appended as they are, at `baseOffset`, where the log ends. */
export type FetchedBatches = {
  /** A view on the response's bytes: whoever keeps it longer than this step copies it. */
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly endOffset: number;
};

/** A piece of the snapshot that is being fetched. */
export type SnapshotChunk = {
  readonly snapshotId: SnapshotId;
  /** 0: begin a new file, and forget one that was begun before. */
  readonly position: number;
  /** As with fetched batches, a view. */
  readonly bytes: Uint8Array;
  /**
   * The file is whole: check it, sync it, put it in its place, empty the log and let it begin at the snapshot's end, give the snapshot to the
   * listeners; then send `snapshotLoaded` (or `snapshotRefused`). Until then the node asks its leader for nothing.
   */
  readonly isLast: boolean;
};

/** Where a request goes. A bootstrap server has no id: who answers there is unknown. */
export type Destination = { readonly nodeId: number | null; readonly host: string; readonly port: number };

/**
 * A request to another node. It is to be answered by `response` or `failed`, the latter after `timeoutMs` at the latest. There is never more
 * than one on its way to one destination, except ApiVersions.
 */
export type RaftRequest = {
  readonly requestId: number;
  readonly destination: Destination;
  readonly timeoutMs: number;
} & RequestToSend;

/** The answer to a request of another node. */
export type RaftReply = {
  readonly requestId: number;
  /**
   * Of a Fetch: the shell reads the log there and puts the bytes into the only partition's `records`: whole batches, up to `maxBytes` but at
   * least one, and nothing from `endOffset` on.
   */
  readonly readLog?: { readonly startOffset: number; readonly endOffset: number; readonly maxBytes: number };
  /**
   * Of a FetchSnapshot: the shell puts `size` and `unalignedRecords` into the only partition, or its error code: SNAPSHOT_NOT_FOUND, or
   * POSITION_OUT_OF_RANGE for a position that is not in the file.
   */
  readonly readSnapshot?: { readonly snapshotId: SnapshotId; readonly position: number; readonly maxBytes: number };
} & ResponseToSend;

export type LeaderAndEpoch = { readonly leaderId: number | null; readonly leaderEpoch: number };

/**
 * What the node's shell must do, in this order, and before it gives the node the next event; only the disk's sync may take longer, its end is
 * told by `flushed`. Nothing has happened yet: the election state is durable before the batches are appended or anybody hears of it, the
 * batches are appended before anybody hears of the leadership, and what is committed is told last.
 *
 * The ways through a node that follows, for what concerns its log:
 * - append: a Fetch goes out, its response comes as an event with the bytes in it. The node checks the batches and reads the control records;
 *   `fetched` is appended to the log; once the disk has it, `flushed`. That lets the high watermark move and the next Fetch go out, whose
 *   offset tells the leader what this node has on disk.
 * - truncation: the leader answers with the epoch in which the logs part. `truncateTo` says what stays; batches still on their way into the
 *   log are dropped alike, and what this node itself had appended there is lost: whoever waits for it hears so. Voters and kraft.version of
 *   records behind it are no longer in force. The high watermark is never passed.
 * - snapshot: the leader answers with a snapshot's id. Its bytes come as `snapshotChunk`, one per FetchSnapshot, until `isLast`.
 */
export type RaftEffects = {
  /** To be made durable; null: unchanged. */
  readonly electionState: ElectionState | null;
  /** Remove everything from this offset on; null: nothing. */
  readonly truncateTo: number | null;
  /** A leader's own batches, in order. */
  readonly batches: readonly RaftBatch[];
  /** A follower's; null: none. */
  readonly fetched: FetchedBatches | null;
  readonly snapshotChunk: SnapshotChunk | null;
  /** What is wrong with batches that the leader gave: they are not in `fetched`, and are asked for again. For somebody to read. */
  readonly damage: string | null;
  readonly requests: readonly RaftRequest[];
  readonly replies: readonly RaftReply[];
  /**
   * Who leads from now on; null: unchanged. A new leader's log may hold what is not committed yet: it decides nothing (as the active
   * controller) before the high watermark has passed its `epochStartOffset`.
   */
  readonly leadership: LeaderAndEpoch | null;
  /** The new high watermark; null: unchanged. Everything before it is committed for good, and on this node's disk. */
  readonly highWatermark: number | null;
  /** Send a `wake` at this time at the latest; null: never. */
  readonly nextWakeMs: number | null;
};
