import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import fc from 'fast-check';
import { AcknowledgeType } from './acknowledge-type.ts';
import type { GroupSharing } from './group-sharing.ts';
import { RecordState } from './in-flight-runs.ts';
import { SharePartition } from './share-partition.ts';
import type { StateBatch, StateChange } from './state-change.ts';

/**
 * A share partition beside a model that knows one record at a time: random fetches, acknowledgements of every kind, writes that take their
 * time or fail, locks that end, a log that loses its beginning, and crashes, after which only what was written is known.
 */

const MEMBERS = ['m1', 'm2', 'm3'];
const LOCK_MS = 1000;

type Fate = {
  state: RecordState;
  deliveryCount: number;
  memberId: string;
  lockUntilMs: number;
  availableAtMs: number;
  /** What is being written about it. */
  pending: StateChange | undefined;
  /** As the share coordinator has it. */
  persisted: { state: RecordState; deliveryCount: number } | undefined;
  isDone: boolean;
};

type Write = { readonly change: StateChange; readonly startOffset: number };

type Step =
  | { do: 'produce'; records: number; hole: number }
  | { do: 'fetch'; member: number; batches: number; maxRecords: number; batchSize: number; isRecordLimit: boolean }
  | { do: 'acknowledge'; member: number; types: number[]; skip: number }
  | { do: 'acknowledgeAnything'; member: number; from: number; length: number; type: number }
  | { do: 'release'; member: number }
  | { do: 'pass'; ms: number }
  | { do: 'write'; isKept: boolean }
  | { do: 'trim'; records: number }
  | { do: 'crash' };

const member = fc.nat(MEMBERS.length - 1);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('produce' as const), records: fc.integer({ min: 1, max: 9 }), hole: fc.nat(2) }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('fetch' as const),
        member,
        batches: fc.integer({ min: 1, max: 4 }),
        maxRecords: fc.integer({ min: 1, max: 20 }),
        batchSize: fc.integer({ min: 1, max: 20 }),
        isRecordLimit: fc.boolean(),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('acknowledge' as const),
        member,
        types: fc.array(fc.nat(4), { minLength: 1, maxLength: 6 }),
        skip: fc.nat(3),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('acknowledgeAnything' as const),
        member,
        from: fc.nat(60),
        length: fc.integer({ min: 1, max: 9 }),
        type: fc.nat(4),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), member }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(1500) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), isKept: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('trim' as const), records: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  ),
  { minLength: 10, maxLength: 80, size: 'max' },
);

class World {
  readonly sharing: GroupSharing;
  nowMs = 0;
  partition = new SharePartition({ stateEpoch: 1, startOffset: 0, stateBatches: [] });
  /** The log: batches, and the offsets that have a record. */
  batches: { baseOffset: number; lastOffset: number }[] = [];
  logEndOffset = 0;
  logStartOffset = 0;
  readonly fates = new Map<number, Fate>();
  persistedStartOffset = 0;
  writes: Write[] = [];

  constructor(sharing: Partial<GroupSharing>) {
    this.sharing = {
      lockDurationMs: LOCK_MS,
      deliveryCountLimit: 5,
      maxRecordLocks: 40,
      isRenewEnabled: true,
      isReadCommitted: false,
      autoOffsetReset: 'earliest',
      redeliveryDelayMs: 0,
      deadLetterTopic: '',
      copiesDeadLetters: false,
      ...sharing,
    };
  }

  step(step: Step): void {
    if (step.do === 'produce') this.produce(step.records, step.hole);
    else if (step.do === 'fetch') this.fetch(step);
    else if (step.do === 'acknowledge') this.acknowledge(MEMBERS[step.member]!, step.types, step.skip);
    else if (step.do === 'acknowledgeAnything') this.acknowledgeAnything(step);
    else if (step.do === 'release') this.release(MEMBERS[step.member]!);
    else if (step.do === 'pass') this.pass(step.ms);
    else if (step.do === 'write') this.finishWrite(step.isKept);
    else if (step.do === 'trim') this.trim(Math.min(this.logEndOffset, this.logStartOffset + step.records));
    else this.crash();
    this.compare();
  }

  produce(records: number, hole: number): void {
    const baseOffset = this.logEndOffset + hole;
    this.logEndOffset = baseOffset + records;
    this.batches.push({ baseOffset, lastOffset: this.logEndOffset - 1 });
    for (let offset = baseOffset; offset < this.logEndOffset; offset++) this.fates.set(offset, freshFate());
  }

  fetch(step: { member: number; batches: number; maxRecords: number; batchSize: number; isRecordLimit: boolean }): number {
    const memberId = MEMBERS[step.member]!;
    const fetchOffset = this.partition.nextFetchOffset(this.nowMs);
    const read = this.batches.filter(({ lastOffset }) => lastOffset >= fetchOffset).slice(0, step.batches);
    const inFlightBefore = this.partition.endOffset - this.partition.startOffset;
    const acquired = this.partition.acquire({
      memberId,
      fetchOffset,
      batches: { baseOffsets: read.map((batch) => batch.baseOffset), lastOffsets: read.map((batch) => batch.lastOffset) },
      maxRecords: step.maxRecords,
      batchSize: step.batchSize,
      isRecordLimit: step.isRecordLimit,
      sharing: this.sharing,
      nowMs: this.nowMs,
    });
    let count = 0;
    let after = -1;
    for (const { firstOffset, lastOffset, deliveryCount } of acquired) {
      assert.ok(firstOffset > after && lastOffset >= firstOffset, 'ranges are in order');
      after = lastOffset;
      for (let offset = firstOffset; offset <= lastOffset; offset++) {
        const fate = this.fates.get(offset);
        count++;
        if (!fate) continue; // A hole in the log: the member will say so.
        assert.ok(!fate.isDone, `offset ${offset} was acknowledged, and is delivered again`);
        assert.ok(fate.state === RecordState.available && !fate.pending, `offset ${offset} is not available`);
        assert.ok(fate.availableAtMs <= this.nowMs, `offset ${offset} has to wait`);
        assert.ok(offset >= this.logStartOffset);
        assert.equal(deliveryCount, fate.deliveryCount + 1, `the delivery count of ${offset}`);
        assert.ok(deliveryCount <= this.sharing.deliveryCountLimit);
        Object.assign(fate, { state: RecordState.acquired, deliveryCount, memberId, lockUntilMs: this.nowMs + LOCK_MS });
      }
    }
    if (step.isRecordLimit) assert.ok(count <= step.maxRecords);
    assert.ok(
      this.partition.endOffset - this.partition.startOffset <= Math.max(inFlightBefore, this.sharing.maxRecordLocks + 12),
    );
    return count;
  }

  /** Of what the member holds, a stretch of as many offsets as there are types. */
  acknowledge(memberId: string, types: number[], skip: number): void {
    const held = this.heldBy(memberId);
    const firstOffset = held[Math.min(skip, held.length - 1)];
    if (firstOffset === undefined) return;
    let length = 0;
    while (length < types.length && held.includes(firstOffset + length)) length++;
    this.apply(memberId, firstOffset, types.slice(0, length));
  }

  apply(memberId: string, firstOffset: number, types: number[]): void {
    const lastOffset = firstOffset + types.length - 1;
    const change = this.partition.acknowledge(
      memberId,
      [{ firstOffset, lastOffset, acknowledgeTypes: types }],
      this.sharing,
      this.nowMs,
    );
    for (const [at, type] of types.entries()) {
      const fate = this.fates.get(firstOffset + at)!;
      if (type === AcknowledgeType.renew) fate.lockUntilMs = this.nowMs + LOCK_MS;
      else this.begin(fate, type, change);
    }
    this.write(change);
  }

  begin(fate: Fate, type: number, change: StateChange): void {
    fate.pending = change;
    if (type === AcknowledgeType.accept) fate.state = RecordState.acknowledged;
    else if (type !== AcknowledgeType.release || fate.deliveryCount >= this.sharing.deliveryCountLimit)
      fate.state = RecordState.archived;
    else {
      fate.state = RecordState.available;
      fate.availableAtMs = this.nowMs + this.sharing.redeliveryDelayMs;
    }
  }

  /** Mostly of what he does not hold: refused, and nothing has happened. */
  acknowledgeAnything({ member, from, length, type }: { member: number; from: number; length: number; type: number }): void {
    const memberId = MEMBERS[member]!;
    const held = new Set(this.heldBy(memberId));
    const offsets = Array.from({ length }, (_, at) => from + at).filter((offset) => offset >= this.partition.startOffset);
    if (offsets.length === length && offsets.every((offset) => held.has(offset))) {
      const types = offsets.map(() => type);
      this.apply(memberId, from, types);
      return;
    }
    const before = JSON.stringify(this.partition.runs);
    try {
      const batch = { firstOffset: from, lastOffset: from + length - 1, acknowledgeTypes: [type] };
      const change = this.partition.acknowledge(memberId, [batch], this.sharing, this.nowMs);
      // What lies before the start offset, or has no record, is passed over.
      const known = offsets.filter((offset) => this.fates.has(offset));
      assert.ok(
        known.every((offset) => held.has(offset)),
        'records of others were acknowledged',
      );
      for (const offset of known) {
        if (type === AcknowledgeType.renew) this.fates.get(offset)!.lockUntilMs = this.nowMs + LOCK_MS;
        else this.begin(this.fates.get(offset)!, type, change);
      }
      this.write(change);
    } catch (error) {
      assert.ok(error instanceof KafkaError);
      assert.ok(error.name === 'INVALID_RECORD_STATE' || error.name === 'INVALID_REQUEST');
      assert.equal(JSON.stringify(this.partition.runs), before);
    }
  }

  heldBy(memberId: string): number[] {
    const held: number[] = [];
    for (const [offset, fate] of this.fates)
      if (fate.state === RecordState.acquired && !fate.pending && fate.memberId === memberId) held.push(offset);
    return held.sort((left, right) => left - right).filter((offset) => offset >= this.partition.startOffset);
  }

  release(memberId: string): void {
    const held = this.heldBy(memberId);
    const change = this.partition.release(memberId, this.sharing, this.nowMs);
    for (const offset of held) this.begin(this.fates.get(offset)!, AcknowledgeType.release, change);
    this.write(change);
  }

  pass(ms: number): void {
    const end = this.nowMs + ms;
    while (this.partition.wakeMs <= end) {
      this.nowMs = Math.max(this.nowMs, this.partition.wakeMs);
      this.wake();
    }
    this.nowMs = end;
  }

  wake(): void {
    const change = this.partition.wake(this.sharing, this.nowMs);
    for (const fate of this.fates.values()) {
      if (fate.state !== RecordState.acquired || fate.pending || fate.lockUntilMs > this.nowMs) continue;
      this.begin(fate, AcknowledgeType.release, change);
      // With a dead-letter topic, what is delivered no more is so only when its letter is there.
      if (this.sharing.deadLetterTopic === '' || fate.deliveryCount < this.sharing.deliveryCountLimit) fate.pending = undefined;
      Object.assign(fate, { memberId: '', lockUntilMs: 0 });
    }
    this.write(change);
  }

  write(change: StateChange): void {
    if (change.isEmpty) this.partition.complete(change, this.nowMs);
    else this.writes.push({ change, startOffset: this.partition.startOffset });
  }

  finishWrite(isKept: boolean): void {
    const write = this.writes.shift();
    if (!write) return;
    const { change, startOffset } = write;
    if (isKept) {
      this.persistedStartOffset = Math.max(this.persistedStartOffset, startOffset);
      for (const batch of change.batches) this.#persist(batch);
      this.partition.complete(change, this.nowMs);
    } else this.partition.fail(change, this.sharing, this.nowMs);
    for (const { firstOffset, lastOffset } of change.batches)
      for (let offset = firstOffset; offset <= lastOffset; offset++) {
        const fate = this.fates.get(offset);
        if (fate?.pending !== change) continue;
        fate.pending = undefined;
        if (!isKept) this.#takeBack(fate);
        else if (fate.state !== RecordState.available) fate.isDone = true;
      }
  }

  #persist({ firstOffset, lastOffset, deliveryState, deliveryCount }: StateBatch): void {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      const fate = this.fates.get(offset);
      if (fate) fate.persisted = { state: deliveryState as RecordState, deliveryCount };
    }
  }

  #takeBack(fate: Fate): void {
    fate.availableAtMs = 0;
    if (fate.lockUntilMs > this.nowMs) fate.state = RecordState.acquired;
    else if (fate.deliveryCount < this.sharing.deliveryCountLimit) fate.state = RecordState.available;
    else if (this.sharing.deadLetterTopic === '') fate.state = RecordState.archived;
    else Object.assign(fate, { state: RecordState.acquired, memberId: '', lockUntilMs: this.nowMs + 1000 });
  }

  trim(logStartOffset: number): void {
    this.logStartOffset = logStartOffset;
    this.batches = this.batches.filter(({ lastOffset }) => lastOffset >= logStartOffset);
    for (const offset of this.fates.keys()) if (offset < logStartOffset) this.fates.delete(offset);
    this.partition.onLogStartOffset(logStartOffset);
  }

  crash(): void {
    this.writes = [];
    const stateBatches: StateBatch[] = [];
    for (const offset of [...this.fates.keys()].sort((left, right) => left - right)) {
      const fate = this.fates.get(offset)!;
      const { persisted } = fate;
      const isDone = persisted !== undefined && persisted.state !== RecordState.available;
      const isPassed = offset < this.persistedStartOffset;
      Object.assign(fate, freshFate(), { persisted, isDone: isDone || isPassed });
      if (isPassed) fate.state = RecordState.archived;
      if (!persisted || isPassed) continue;
      Object.assign(fate, persisted);
      stateBatches.push({
        firstOffset: offset,
        lastOffset: offset,
        deliveryState: persisted.state,
        deliveryCount: persisted.deliveryCount,
      });
    }
    this.partition = new SharePartition({ stateEpoch: 1, startOffset: this.persistedStartOffset, stateBatches });
    this.partition.onLogStartOffset(this.logStartOffset);
  }

  /** The partition says of each record what the model says. */
  compare(): void {
    this.partition.assertInvariants();
    const { startOffset, endOffset, runs } = this.partition;
    const byOffset = new Map<number, (typeof runs)[number]>();
    for (const run of runs) for (let at = run.firstOffset; at <= run.lastOffset; at++) byOffset.set(at, run);
    let complete = 0;
    for (const [offset, fate] of this.fates) {
      const isTerminal = fate.state === RecordState.acknowledged || fate.state === RecordState.archived;
      if (offset < startOffset) {
        assert.ok(isTerminal, `offset ${offset} was passed over in state ${fate.state}`);
        continue;
      }
      const run = byOffset.get(offset);
      if (offset >= endOffset) assert.ok(fate.state === RecordState.available && fate.deliveryCount === 0);
      else {
        assert.ok(run, `nothing is known of offset ${offset}`);
        assert.equal(
          run.state === RecordState.archiving ? RecordState.archived : run.state,
          fate.state,
          `the state of ${offset}`,
        );
        assert.equal(run.deliveryCount, fate.deliveryCount, `the delivery count of ${offset}`);
        assert.equal(run.change !== undefined, fate.pending !== undefined, `whether ${offset} is being written`);
        if (isTerminal) complete++;
      }
    }
    assert.ok(this.partition.deliveryCompleteCount >= complete);
  }

  /** From here on everybody accepts what he gets, and every write is kept: then every record is done with. */
  drain(): void {
    for (let round = 0; round < 500; round++) {
      while (this.writes.length > 0) this.finishWrite(true);
      for (const memberId of MEMBERS) {
        const held = this.heldBy(memberId);
        for (const offset of held) this.apply(memberId, offset, [AcknowledgeType.accept]);
      }
      while (this.writes.length > 0) this.finishWrite(true);
      // Nobody holds the holes of the log in this model: they come back, until they are archived.
      this.pass(LOCK_MS + 1);
      const isDone = [...this.fates].every(([offset]) => offset < this.partition.startOffset);
      if (isDone) return;
      this.fetch({ member: round % 3, batches: 100, maxRecords: 100, batchSize: 100, isRecordLimit: false });
      this.compare();
    }
    assert.fail(`records were never done with from offset ${this.partition.startOffset} on`);
  }
}

function freshFate(): Omit<Fate, 'persisted'> & { persisted: undefined } {
  return {
    state: RecordState.available,
    deliveryCount: 0,
    memberId: '',
    lockUntilMs: 0,
    availableAtMs: 0,
    pending: undefined,
    persisted: undefined,
    isDone: false,
  };
}

const kinds: readonly [string, Partial<GroupSharing>][] = [
  ['with Kafka’s defaults', {}],
  ['with few deliveries', { deliveryCountLimit: 2 }],
  ['with many deliveries and few locks', { deliveryCountLimit: 10, maxRecordLocks: 12 }],
  ['with a delay before redelivery', { redeliveryDelayMs: 700 }],
  ['with a dead-letter topic', { deadLetterTopic: 'dlq.t', deliveryCountLimit: 2 }],
];

for (const [name, sharing] of kinds) {
  test(`a share partition ${name} agrees with a model of single records, through failures and crashes`, () =>
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World(sharing);
        for (const step of all) world.step(step);
        world.drain();
      }),
      { numRuns: 3000 },
    ));
}
