import { BatchView } from '@ottla/protocol';
import type { Files, Random } from '@ottla/runtime';
import { type CleaningRound, cleanBatch } from './batch-cleaner.ts';
import { wholeBatches } from './batch-headers.ts';
import { type Dirt, groupSegments } from './clean-plan.ts';
import { CleanedTransactions } from './cleaned-transactions.ts';
import { CorruptFileError } from './corrupt-file-error.ts';
import { KeyOffsetMap, mapSizeFor } from './key-offset-map.ts';
import type { Log } from './log.ts';
import type { Segment } from './segment.ts';

export type CleaningOptions = {
  readonly files: Files;
  readonly random: Random;
  /** Of the whole round, so that all of it agrees on which tombstones are due. */
  readonly nowMs: number;
  /** log.cleaner.dedupe.buffer.size */
  readonly dedupeBufferBytes: number;
  /** log.cleaner.io.buffer.load.factor */
  readonly loadFactor: number;
  /** log.cleaner.io.buffer.size */
  readonly ioBufferBytes: number;
};

/** What a round did since it last said. `flush`: it goes on once that segment is durable. */
export type CleaningStep = { readonly bytes: number; readonly flush?: Segment };

export type CleaningResult = {
  /** Everything below is clean now. */
  readonly endOffset: number;
  readonly mappedKeys: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly segmentsBefore: number;
  readonly segmentsAfter: number;
};

const stepBytes = 64 * 1024;
/** What is well compressed is more work than its bytes say. */
const stepRecords = 500;
const smallestChunkBytes = 4096;

/**
 * One round of cleaning a log, in small steps: first the latest offset of each key in the dirty part, as far as memory reaches, then
 * every segment up to there anew, group by group. Whoever runs it must give it up (`return`) once `isObsolete`. Throws IoError, CorruptFileError, KafkaError for batches
 * that cannot be read; the log is whole at every step.
 */
export class LogCleaning {
  readonly #log: Log;
  readonly #dirt: Dirt;
  readonly #options: CleaningOptions;
  readonly #chunkBytes: number;
  #segmentsVersion: number;
  #bytes = 0;
  #records = 0;

  constructor(log: Log, dirt: Dirt, options: CleaningOptions) {
    this.#log = log;
    this.#dirt = dirt;
    this.#options = options;
    this.#chunkBytes = Math.max(smallestChunkBytes, Math.floor(options.ioBufferBytes / 2));
    this.#segmentsVersion = log.segmentsVersion;
  }

  /** The log is not what it was when the round began: it must not go on. */
  get isObsolete(): boolean {
    const { isClosed, config, segmentsVersion } = this.#log;
    return isClosed || !config.cleanupPolicy.includes('compact') || segmentsVersion !== this.#segmentsVersion;
  }

  *run(): Generator<CleaningStep, CleaningResult, undefined> {
    const log = this.#log;
    const { upperBoundOffset } = this.#dirt;
    const { map: offsets, latestOffset } = yield* this.#mapOffsets();
    const endOffset = latestOffset + 1;
    const round: CleaningRound = {
      offsets,
      latestOffset,
      upperBoundOffset,
      producers: log.lastRecordsOfProducers(),
      nowMs: this.#options.nowMs,
      deleteRetentionMs: log.config.deleteRetentionMs,
    };
    const segments = log.cleanerSegments.slice(0, -1).filter(({ baseOffset }) => baseOffset < endOffset);
    const { segmentBytes, segmentIndexBytes } = log.config;
    const grouped = segments.map((segment) => ({
      segment,
      baseOffset: segment.baseOffset,
      sizeBytes: segment.sizeBytes,
      indexBytes: Math.max(segment.offsetIndex.file.bytes, segment.timeIndex.file.bytes),
    }));
    const groups = groupSegments(grouped, { segmentBytes, segmentIndexBytes, endOffset: upperBoundOffset });
    const legacyHorizonMs = this.#legacyHorizonMs();
    const transactions = new GroupTransactions();
    let bytesAfter = 0;
    for (const group of groups) {
      const sources = group.map(({ segment }) => segment);
      bytesAfter += yield* this.#cleanGroup(sources, { round, transactions, legacyHorizonMs });
    }
    return {
      endOffset,
      mappedKeys: offsets.size,
      bytesBefore: grouped.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
      bytesAfter,
      segmentsBefore: segments.length,
      segmentsAfter: groups.length,
    };
  }

  *#mapOffsets(): Generator<CleaningStep, { map: KeyOffsetMap; latestOffset: number }, undefined> {
    const { firstDirtyOffset, upperBoundOffset } = this.#dirt;
    const { random, dedupeBufferBytes, loadFactor } = this.#options;
    const keys = upperBoundOffset - firstDirtyOffset;
    const size = mapSizeFor({ keys, bufferBytes: dedupeBufferBytes, loadFactor });
    const map = new KeyOffsetMap({ ...size, secret: random.bytes(16) });
    const transactions = new CleanedTransactions();
    transactions.add(this.#log.abortedTransactions(firstDirtyOffset, upperBoundOffset));
    let latestOffset = firstDirtyOffset - 1;
    const segments = this.#log.cleanerSegments;
    const first = segments.findLastIndex(({ baseOffset }) => baseOffset <= firstDirtyOffset);
    for (let index = Math.max(0, first); index < segments.length; index++) {
      const segment = segments[index]!;
      if (segment.baseOffset >= upperBoundOffset) break;
      const start = segment.find(Math.max(firstDirtyOffset, segment.baseOffset))?.position ?? segment.sizeBytes;
      for (const batch of this.#batchesOf(segment, start)) {
        const isMapped = !transactions.canDiscard(batch) && !batch.isControl;
        const mappedTo = isMapped ? putKeys(map, batch, firstDirtyOffset) : batch.lastOffset;
        latestOffset = Math.max(latestOffset, mappedTo);
        if (mappedTo < batch.lastOffset) return { map, latestOffset };
        yield* this.#worked(batch, batch.length);
      }
      // Offsets that no batch holds any more are done with as well.
      latestOffset = Math.max(latestOffset, (segments[index + 1]?.baseOffset ?? upperBoundOffset) - 1);
    }
    return { map, latestOffset };
  }

  *#cleanGroup(
    sources: readonly Segment[],
    { round, transactions, legacyHorizonMs }: GroupContext,
  ): Generator<CleaningStep, number, undefined> {
    const log = this.#log;
    const cleaned = log.createCleanedSegment(sources[0]!.baseOffset);
    let isSwapped = false;
    try {
      transactions.target = cleaned;
      for (const source of sources) {
        const { baseOffset } = source;
        const next = log.cleanerSegments[log.cleanerSegments.indexOf(source) + 1];
        transactions.cleaned.add(log.abortedTransactions(baseOffset, next?.baseOffset ?? source.readNextOffset()));
        const segment = {
          transactions: transactions.cleaned,
          keepsLegacyTombstones: source.log.modifiedMs > legacyHorizonMs,
        };
        yield* this.#cleanInto(cleaned, source, { round, segment });
      }
      cleaned.becomeInactive();
      yield { bytes: this.#takeBytes(), flush: cleaned };
      this.#options.files.setModifiedMs(cleaned.log.path, sources.at(-1)!.log.modifiedMs);
      isSwapped = true; // from here on, what is left of a failure is for the next start to complete or undo
      log.replaceSegments(sources, cleaned);
      this.#segmentsVersion = log.segmentsVersion;
      return cleaned.sizeBytes;
    } finally {
      if (!isSwapped) this.#discard(cleaned);
    }
  }

  *#cleanInto(
    cleaned: Segment,
    source: Segment,
    { round, segment }: { round: CleaningRound; segment: Parameters<typeof cleanBatch>[2] },
  ): Generator<CleaningStep, void, undefined> {
    for (const batch of this.#batchesOf(source, 0)) {
      const bytes = cleanBatch(batch, round, segment);
      // The batch lies in a buffer that is used again, but it is written at once.
      if (bytes) cleaned.append({ parts: [bytes], views: [new BatchView(bytes)] });
      yield* this.#worked(batch, batch.length + (bytes?.length ?? 0));
    }
  }

  /** Every batch of a segment, intact; what is damaged must not get a new crc. */
  *#batchesOf(segment: Segment, startPosition: number): Generator<BatchView, void, undefined> {
    let end = startPosition;
    let lastOffset = segment.baseOffset - 1;
    const endOffset = this.#log.cleanerSegments[this.#log.cleanerSegments.indexOf(segment) + 1]!.baseOffset;
    for (const { batch, position } of wholeBatches(segment.log, startPosition, segment.sizeBytes, this.#chunkBytes)) {
      batch.ensureCrc();
      // The crc does not cover the offset.
      if (batch.lastOffset <= lastOffset || batch.lastOffset >= endOffset)
        throw new CorruptFileError(segment.log.path, `the batch at position ${position} ends at offset ${batch.lastOffset}`);
      lastOffset = batch.lastOffset;
      end = position + batch.length;
      yield batch;
    }
    if (end < segment.sizeBytes) throw new CorruptFileError(segment.log.path, `at position ${end} a batch is not whole`);
  }

  *#worked(batch: BatchView, bytes: number): Generator<CleaningStep, void, undefined> {
    this.#bytes += bytes;
    this.#records += batch.recordsCount;
    if (this.#bytes >= stepBytes || this.#records >= stepRecords) yield { bytes: this.#takeBytes() };
  }

  #takeBytes(): number {
    const bytes = this.#bytes;
    this.#bytes = 0;
    this.#records = 0;
    return bytes;
  }

  /** Tombstones of the old formats go once the last clean segment is delete.retention.ms old. */
  #legacyHorizonMs(): number {
    const clean = this.#log.cleanerSegments.filter(({ baseOffset }) => baseOffset < this.#dirt.firstDirtyOffset).at(-1);
    return clean ? clean.log.modifiedMs - this.#log.config.deleteRetentionMs : 0;
  }

  /** When its partition's directory was taken away meanwhile, the files went with it. */
  #discard(cleaned: Segment): void {
    cleaned.close();
    if (this.#log.isClosed) return;
    for (const path of cleaned.filePaths) this.#options.files.remove(path);
  }
}

type GroupContext = {
  readonly round: CleaningRound;
  readonly transactions: GroupTransactions;
  readonly legacyHorizonMs: number;
};

/** One walk over all groups; what is still aborted is listed in the group at hand. */
class GroupTransactions {
  target: Segment | undefined;
  readonly cleaned = new CleanedTransactions((aborted) => this.target!.transactionIndex.append(aborted));
}

/** Returns the last offset that found room: the batch's last, or where the map was full. */
function putKeys(map: KeyOffsetMap, batch: BatchView, firstDirtyOffset: number): number {
  let mapped = batch.baseOffset - 1;
  if (batch.magic < 2) {
    for (const { key, offset } of batch.records()) {
      if (key !== null && offset >= firstDirtyOffset && !map.put(key, offset)) return mapped;
      mapped = offset;
    }
    return batch.lastOffset;
  }
  const cursor = batch.cursor();
  while (cursor.next()) {
    if (cursor.keyStart >= 0 && cursor.offset >= firstDirtyOffset && !map.put(cursor.key!, cursor.offset)) return mapped;
    mapped = cursor.offset;
  }
  return batch.lastOffset;
}
