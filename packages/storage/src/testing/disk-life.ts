/** Lives a story: a node's log directory on a disk that forgets what was not synced, beside an array that tells what must be there. */
import assert from 'node:assert/strict';
import { type BatchOptions, buildBatch, buildControlBatch } from '@ottla/protocol';
import { MemoryFiles, SeededRandom, silentLogger, type Timer } from '@ottla/runtime';
import { dirtOf } from '../clean-plan.ts';
import type { Log } from '../log.ts';
import { LogCleaning } from '../log-cleaning.ts';
import { defaultLogConfig, type LogConfig } from '../log-config.ts';
import { LogManager } from '../log-manager.ts';
import { writeMetaProperties } from '../meta-properties.ts';
import { checkSurvival } from './disk-checks.ts';
import type { DiskStep, DiskStory } from './disk-story.ts';
import { abortedBatches, appended, emptyArray, type LogArray, type ModelBatch, producersOf, truncated } from './log-array.ts';

const startMs = Date.UTC(2026, 0, 1);
const owner = { clusterId: 'c', nodeId: 1 };
const keys = 8;
const storms = 20;

/** Throws AssertionError, with the number of the step, when a promise was broken. */
export async function liveThrough(story: DiskStory): Promise<void> {
  const life = new DiskLife(story);
  await life.start();
  for (const [index, step] of story.steps.entries()) {
    try {
      await life.perform(step);
    } catch (error) {
      if (error instanceof Error) error.message = `step ${index} ${JSON.stringify(step)}: ${error.message}`;
      throw error;
    }
  }
}

class DiskLife {
  readonly #story: DiskStory;
  readonly #random: SeededRandom;
  readonly #files: MemoryFiles;
  readonly #config: LogConfig;
  #nowMs = startMs;
  #manager!: LogManager;
  #array: LogArray = emptyArray;
  #durableEnd = 0;
  #durableStart = 0;
  #epoch = 0;
  #records = 0;
  /** No follower would be told to go back behind it. */
  #cleanedEnd = 0;
  readonly #excused = new Set<ModelBatch>();
  /** File operations until the power fails; undefined: it does not. */
  #powerLeft: number | undefined;
  #isDark = false;
  /** Calls of `syncLater` that the disk has not finished. */
  #syncs: (() => void)[] = [];
  #flushing: { readonly endOffset: number; readonly promise: Promise<void> } | undefined;

  constructor(story: DiskStory) {
    this.#story = story;
    this.#random = new SeededRandom(story.seed);
    this.#config = {
      ...defaultLogConfig,
      cleanupPolicy: [story.cleanupPolicy],
      preallocate: story.preallocate,
      segmentBytes: 3000,
      segmentIndexBytes: 1200,
      indexIntervalBytes: 300,
      fileDeleteDelayMs: 3000,
      deleteRetentionMs: 5000,
      retentionBytes: story.cleanupPolicy === 'delete' ? 12_000 : -1,
      retentionMs: -1,
    };
    this.#files = new MemoryFiles({
      clock: { nowMs: () => this.#nowMs, monotonicMs: () => this.#nowMs },
      crashes: { random: this.#random.fork('disk'), tornWrites: true },
      timers: this.#timers,
      fault: () => this.#fault(),
    });
  }

  readonly #timers = {
    after: (_ms: number, callback: () => void): Timer => {
      this.#syncs.push(callback);
      return { cancel() {} };
    },
    soon: (callback: () => void): void => void Promise.resolve().then(callback),
  };

  #fault(): string | undefined {
    if (this.#powerLeft === undefined) return undefined;
    if (this.#powerLeft-- > 0) return undefined;
    this.#isDark = true;
    return 'EIO';
  }

  get #runtime() {
    return {
      files: this.#files,
      clock: { nowMs: () => this.#nowMs, monotonicMs: () => this.#nowMs },
      random: this.#random,
      logger: silentLogger,
      timers: this.#timers,
    };
  }

  get #log(): Log {
    return this.#manager.create('t', 0, { config: this.#config });
  }

  async start(): Promise<void> {
    this.#files.makeDirectory('/a');
    this.#files.syncDirectory('/');
    writeMetaProperties(this.#files, '/a', { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' }, startMs);
    await this.#open();
  }

  async #open(): Promise<void> {
    this.#manager = await LogManager.open({
      directories: ['/a'],
      ...owner,
      runtime: this.#runtime,
      configOf: () => this.#config,
    });
    this.#log.onHighWatermark(this.#log.logEndOffset);
  }

  async perform(step: DiskStep): Promise<void> {
    this.#nowMs += 5;
    if (step.do === 'powerCutDuring') {
      this.#powerLeft = step.operations;
      return;
    }
    if (this.#powerLeft === undefined) return this.#do(step);
    const before = this.#array;
    try {
      await this.#do(step);
    } catch (error) {
      if (!this.#isDark || error instanceof assert.AssertionError) throw error;
    }
    await this.#losePower([before, this.#array]);
  }

  async #do(step: DiskStep): Promise<void> {
    const log = this.#log;
    switch (step.do) {
      case 'append':
        return this.#append(step);
      case 'endTransaction':
        return this.#endTransaction(step);
      case 'replicate':
        return this.#replicate(step);
      case 'truncate': {
        const offset = Math.max(this.#at(step.share), Math.min(this.#cleanedEnd, this.#array.endOffset));
        this.#array = truncated(this.#array, offset);
        this.#weaken(offset);
        log.truncateTo(offset);
        return;
      }
      case 'truncateFully': {
        const offset = this.#array.endOffset + step.ahead;
        this.#array = { startOffset: offset, endOffset: offset, batches: [] };
        this.#weaken(0);
        log.truncateFullyAndStartAt(offset);
        this.#durableStart = offset;
        return;
      }
      case 'roll':
        return log.roll();
      case 'flush':
        log.flush();
        this.#durableEnd = this.#array.endOffset;
        return;
      case 'flushLater':
        await this.#settle();
        this.#flushing = { endOffset: this.#array.endOffset, promise: log.flushLater() };
        this.#flushing.promise.catch(() => {});
        return;
      case 'highWatermark':
        return log.onHighWatermark(this.#at(step.share));
      case 'deleteRecords': {
        const offset = Math.min(this.#at(step.share), log.highWatermark);
        log.advanceLogStartOffset(offset);
        this.#array = { ...this.#array, startOffset: log.logStartOffset };
        // A directory that fails goes offline, and whoever deletes hears of it otherwise.
        this.#manager.checkpointLogStartOffsets();
        if (!this.#isDark) this.#durableStart = log.logStartOffset;
        return;
      }
      case 'tasks':
        await this.#settle();
        this.#nowMs += step.ms;
        await this.#finish(this.#manager.runTasks(this.#nowMs));
        this.#afterRetention();
        return;
      case 'retention':
        log.onHighWatermark(log.logEndOffset);
        log.deleteOldSegments({ highWatermark: log.highWatermark, nowMs: this.#nowMs });
        this.#afterRetention();
        return;
      case 'clean':
        return this.#clean();
      case 'releaseMemory':
        return log.releaseMemory();
      case 'restart':
        await this.#settle();
        await this.#finish(this.#manager.closeAhead());
        this.#manager.close();
        return this.#reopen({ arrays: [this.#array], isWhole: true });
      case 'kill':
        this.#files.kill();
        this.#syncs = [];
        this.#flushing = undefined;
        return this.#reopen({ arrays: [this.#array], isWhole: true });
      case 'powerCut':
        return this.#losePower([this.#array]);
      case 'powerCutDuring':
        throw new Error('it stands for itself');
    }
  }

  /** An offset of the log, by how far it lies on the way from start to end. */
  #at(share: number): number {
    const { startOffset, endOffset } = this.#array;
    return startOffset + Math.floor(share * (endOffset - startOffset));
  }

  /** What was promised of the offsets from here on is void. */
  #weaken(offset: number): void {
    this.#durableEnd = Math.min(this.#durableEnd, offset);
    this.#durableStart = Math.min(this.#durableStart, offset);
    if (this.#flushing) this.#flushing = { ...this.#flushing, endOffset: Math.min(this.#flushing.endOffset, offset) };
  }

  #afterRetention(): void {
    this.#array = { ...this.#array, startOffset: this.#log.logStartOffset };
  }

  #append({ sizes, codec, producerId, epochStep, timeStepMs }: DiskStep & { do: 'append' }): void {
    this.#nowMs += Math.max(0, timeStepMs);
    this.#epoch += epochStep;
    const values = sizes.map((size) => `${this.#records++}`.padEnd(size, 'x'));
    const timestamp = this.#nowMs + Math.min(0, timeStepMs) * 10;
    const isTransactional = producerId >= 10;
    const producer = producersOf(this.#array).get(producerId);
    const known = this.#log.activeProducers().find((each) => each.producerId === producerId);
    const baseSequence = (known?.lastSequence ?? producer?.lastSequence ?? -1) + 1;
    const options = producerId < 0 ? { codec } : { codec, producerId, producerEpoch: 0, baseSequence, isTransactional };
    const records = values.map((value, index) => ({ timestamp: timestamp + index, key: this.#keyOf(value), value }));
    const batch = this.#model(this.#array.endOffset, records, { producerId, baseSequence, isTransactional });
    const bytes = encoded(records, options);
    // Before the attempt: when the power fails in the middle of it, it may be there.
    this.#array = appended(this.#array, batch);
    const { firstOffset } = this.#log.append(bytes, { leaderEpoch: this.#epoch, origin: 'client' });
    assert.equal(firstOffset, batch.baseOffset);
  }

  #keyOf(value: string): string {
    return `k${Number.parseInt(value, 10) % keys}`;
  }

  #model(
    baseOffset: number,
    records: readonly { timestamp: number; key: string; value: string }[],
    more: { producerId?: number; baseSequence?: number; isTransactional?: boolean; ends?: 'commit' | 'abort' } = {},
  ): ModelBatch {
    return {
      baseOffset,
      lastOffset: baseOffset + Math.max(1, records.length) - 1,
      leaderEpoch: this.#epoch,
      producerId: more.producerId ?? -1,
      baseSequence: more.producerId === undefined || more.producerId < 0 ? -1 : (more.baseSequence ?? -1),
      isTransactional: more.isTransactional ?? false,
      ends: more.ends,
      records: records.map((record, index) => ({ offset: baseOffset + index, ...record })),
    };
  }

  #endTransaction({ producerId, type }: DiskStep & { do: 'endTransaction' }): void {
    if ((producersOf(this.#array).get(producerId)?.openSince ?? -1) < 0) return;
    const marker = buildControlBatch({
      records: [{ type, coordinatorEpoch: 0 }],
      timestamp: this.#nowMs,
      producerId,
      producerEpoch: 0,
      isTransactional: true,
    });
    const batch = this.#model(this.#array.endOffset, [], { producerId, isTransactional: true, ends: type });
    this.#array = appended(this.#array, batch);
    this.#log.append(marker, { leaderEpoch: this.#epoch, origin: 'coordinator' });
  }

  #replicate({ gaps, size, epochStep }: DiskStep & { do: 'replicate' }): void {
    this.#epoch += epochStep;
    let array = this.#array;
    const parts: Uint8Array[] = [];
    for (const gap of gaps) {
      const value = `${this.#records++}`.padEnd(size, 'y');
      const records = [{ timestamp: this.#nowMs, key: this.#keyOf(value), value }];
      const baseOffset = array.endOffset + gap;
      parts.push(encoded(records, { baseOffset, leaderEpoch: this.#epoch }));
      array = appended(array, this.#model(baseOffset, records));
    }
    this.#array = array;
    this.#log.append(Buffer.concat(parts), { leaderEpoch: this.#epoch, origin: 'replication' });
  }

  async #clean(): Promise<void> {
    if (this.#story.cleanupPolicy !== 'compact') return;
    await this.#settle();
    const log = this.#log;
    log.onHighWatermark(log.logEndOffset);
    const dirt = dirtOf(log, this.#nowMs);
    for (const batch of abortedBatches(this.#array).keys()) this.#excused.add(batch);
    if (log.recoveryPoint < dirt.upperBoundOffset || log.hasUnflushedRolledSegments)
      await this.#finish(log.flushRolledSegments());
    this.#durableEnd = Math.max(this.#durableEnd, Math.min(log.recoveryPoint, this.#array.endOffset));
    const cleaning = new LogCleaning(log, dirt, {
      files: this.#files,
      random: this.#random,
      nowMs: this.#nowMs,
      dedupeBufferBytes: 24 * 12,
      loadFactor: 0.9,
      ioBufferBytes: 512 * 1024,
    });
    const steps = cleaning.run();
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) {
        log.firstDirtyOffset = step.value.endOffset;
        this.#cleanedEnd = log.highWatermark;
        break;
      }
      step.value.flush?.flush();
    }
    this.#manager.checkpointFirstDirtyOffsets();
  }

  /** The disk comes to an end with what it was asked to sync. */
  async #settle(): Promise<void> {
    if (!this.#flushing) return;
    const { endOffset, promise } = this.#flushing;
    await this.#finish(promise);
    this.#durableEnd = Math.max(this.#durableEnd, Math.min(this.#flushing?.endOffset ?? endOffset, endOffset));
    this.#flushing = undefined;
  }

  async #finish(promise: Promise<void>): Promise<void> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    while (!isDone) {
      for (const finish of this.#syncs.splice(0)) finish();
      for (let turn = 0; turn < storms && !isDone; turn++) await Promise.resolve();
    }
    await done;
  }

  async #losePower(arrays: readonly LogArray[]): Promise<void> {
    this.#powerLeft = undefined;
    this.#isDark = false;
    this.#syncs = [];
    this.#flushing = undefined;
    this.#files.crash();
    await this.#reopen({ arrays, isWhole: false });
  }

  async #reopen({ arrays, isWhole }: { arrays: readonly LogArray[]; isWhole: boolean }): Promise<void> {
    await this.#open();
    const log = this.#log;
    const survived = (array: LogArray) =>
      checkSurvival(log, {
        array,
        durableEnd: isWhole ? array.endOffset : this.#durableEnd,
        durableStart: isWhole ? array.startOffset : this.#durableStart,
        isCompacted: this.#story.cleanupPolicy === 'compact',
        excused: this.#excused,
        isWhole,
      });
    this.#array = firstThatHolds(arrays, survived);
    this.#durableEnd = Math.min(this.#durableEnd, this.#array.endOffset);
    this.#durableStart = Math.min(this.#durableStart, this.#array.startOffset);
    this.#epoch = Math.max(this.#epoch, log.latestEpoch);
  }
}

/** A step that the power cut into was done or was not. */
function firstThatHolds(arrays: readonly LogArray[], check: (array: LogArray) => LogArray): LogArray {
  let failure: unknown;
  for (const array of arrays.toReversed()) {
    try {
      return check(array);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

function encoded(records: readonly { timestamp: number; key: string; value: string }[], options: BatchOptions): Uint8Array {
  const encoder = new TextEncoder();
  return buildBatch({
    ...options,
    records: records.map(({ timestamp, key, value }) => ({ timestamp, key: encoder.encode(key), value: encoder.encode(value) })),
  });
}
