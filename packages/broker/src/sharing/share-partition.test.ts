import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { AcknowledgeType } from './acknowledge-type.ts';
import type { AcquireRequest, OffsetRange } from './acquire-records.ts';
import type { GroupSharing } from './group-sharing.ts';
import { SharePartition } from './share-partition.ts';
import type { StateBatch, StateChange } from './state-change.ts';

const { accept, release, reject, renew, gap } = AcknowledgeType;

const kafkasDefaults: GroupSharing = {
  lockDurationMs: 30_000,
  deliveryCountLimit: 5,
  maxRecordLocks: 2000,
  isRenewEnabled: true,
  isReadCommitted: false,
  autoOffsetReset: 'latest',
  redeliveryDelayMs: 0,
  deadLetterTopic: '',
  copiesDeadLetters: false,
};

/** A share partition with a clock, whose writes are kept when told so; each answer as a line. */
class Story {
  readonly partition: SharePartition;
  readonly sharing: GroupSharing;
  nowMs = 0;

  constructor({
    startOffset = 0,
    stateBatches = [],
    ...sharing
  }: Partial<GroupSharing> & { startOffset?: number; stateBatches?: StateBatch[] } = {}) {
    this.sharing = { ...kafkasDefaults, ...sharing };
    this.partition = new SharePartition({ stateEpoch: 1, startOffset, stateBatches });
  }

  /** `batches`: `[baseOffset, lastOffset]` each. */
  fetch(
    memberId: string,
    batches: [number, number][],
    { aborted = [], ...asked }: Partial<AcquireRequest> & { aborted?: OffsetRange[] } = {},
  ): string {
    const fetchOffset = this.partition.nextFetchOffset(this.nowMs);
    const read = batches.filter(([, lastOffset]) => lastOffset >= fetchOffset);
    const request = {
      memberId,
      fetchOffset,
      batches: { baseOffsets: read.map(([base]) => base), lastOffsets: read.map(([, last]) => last) },
      maxRecords: 500,
      batchSize: 500,
      isRecordLimit: false,
      sharing: this.sharing,
      nowMs: this.nowMs,
      ...asked,
    };
    const acquired = this.partition.acquire(request, aborted);
    this.partition.assertInvariants();
    return acquired
      .map(({ firstOffset, lastOffset, deliveryCount }) => `${firstOffset}-${lastOffset} #${deliveryCount}`)
      .join(', ');
  }

  acknowledge(memberId: string, firstOffset: number, lastOffset: number, ...acknowledgeTypes: number[]): StateChange {
    return this.partition.acknowledge(memberId, [{ firstOffset, lastOffset, acknowledgeTypes }], this.sharing, this.nowMs);
  }

  keep(change: StateChange): string {
    this.partition.complete(change, this.nowMs);
    this.partition.assertInvariants();
    return `${this.partition.startOffset}..${this.partition.endOffset}`;
  }

  fail(change: StateChange): string {
    this.partition.fail(change, this.sharing, this.nowMs);
    this.partition.assertInvariants();
    return this.state();
  }

  pass(ms: number): StateChange {
    this.nowMs += ms;
    const change = this.partition.wake(this.sharing, this.nowMs);
    this.partition.assertInvariants();
    return change;
  }

  state(): string {
    const letters = ['available', 'acquired', 'acknowledged', 'archiving', 'archived'];
    return this.partition.runs
      .map(
        ({ firstOffset, lastOffset, state, deliveryCount }) => `${firstOffset}-${lastOffset} ${letters[state]} #${deliveryCount}`,
      )
      .join(', ');
  }

  /** Delivered and given back. */
  failDelivery(batches: [number, number][]): string {
    const delivered = this.fetch('m', batches);
    this.keep(this.partition.release('m', this.sharing, this.nowMs));
    return delivered;
  }
}

const withError = (name: string) => (error: unknown) => error instanceof KafkaError && error.name === name;

function written({ batches }: StateChange): string {
  return batches
    .map(
      ({ firstOffset, lastOffset, deliveryState, deliveryCount }) =>
        `${firstOffset}-${lastOffset} ${deliveryState} #${deliveryCount}`,
    )
    .join(', ');
}

describe('what is acquired', () => {
  test('whole batches, the last of which may exceed the maximum of records', () => {
    const story = new Story();
    assert.equal(
      story.fetch(
        'm1',
        [
          [0, 9],
          [10, 19],
          [20, 29],
        ],
        { maxRecords: 12 },
      ),
      '0-19 #1',
    );
    assert.equal(story.fetch('m2', [[20, 29]]), '20-29 #1');
    assert.equal(story.fetch('m3', [[20, 29]]), '');
  });

  test('ranges of at least the batch size, cut where batches of the log end', () => {
    const story = new Story();
    assert.equal(
      story.fetch(
        'm1',
        [
          [0, 4],
          [5, 9],
          [10, 14],
          [15, 19],
        ],
        { batchSize: 8 },
      ),
      '0-9 #1, 10-19 #1',
    );
  });

  test('by record limit, exactly as many as were asked for, also in the middle of a batch', () => {
    const story = new Story();
    const batches: [number, number][] = [[0, 9]];
    assert.equal(story.fetch('m1', batches, { isRecordLimit: true, maxRecords: 3 }), '0-2 #1');
    assert.equal(story.fetch('m2', batches, { isRecordLimit: true, maxRecords: 3 }), '3-5 #1');
    story.keep(story.acknowledge('m1', 0, 2, release));
    assert.equal(story.fetch('m2', batches, { isRecordLimit: true, maxRecords: 5 }), '0-2 #2, 6-7 #1');
  });

  test('what was released comes before what is new', () => {
    const story = new Story();
    story.fetch('m1', [[0, 9]]);
    story.keep(story.acknowledge('m1', 0, 9, accept, accept, release, accept, accept, accept, release, release, accept, accept));
    assert.equal(story.partition.startOffset, 2);
    assert.equal(
      story.fetch('m2', [
        [0, 9],
        [10, 19],
      ]),
      '2-2 #2, 6-7 #2, 10-19 #1',
    );
  });

  test('no more than the locks of the partition, counted from the start offset', () => {
    const story = new Story({ maxRecordLocks: 100 });
    assert.equal(
      story.fetch('m1', [
        [0, 79],
        [80, 119],
        [120, 139],
      ]),
      '0-119 #1',
    );
    assert.equal(story.partition.canAcquire(story.partition.nextFetchOffset(0), story.sharing), false);
    assert.equal(story.fetch('m2', [[120, 139]]), '');
    story.keep(story.acknowledge('m1', 50, 79, release));
    assert.equal(
      story.fetch('m2', [
        [0, 79],
        [80, 119],
        [120, 139],
      ]),
      '50-79 #2',
      'what is in flight already needs no further lock',
    );
    story.keep(story.acknowledge('m1', 0, 49, accept));
    assert.equal(story.fetch('m2', [[120, 139]]), '120-139 #1');
  });

  test('no record of an aborted transaction: its batches are archived', () => {
    const story = new Story({ isReadCommitted: true });
    const aborted = [
      { firstOffset: 3, lastOffset: 5 },
      { firstOffset: 8, lastOffset: 8 },
    ];
    assert.equal(
      story.fetch(
        'm1',
        [
          [0, 2],
          [3, 5],
          [6, 7],
          [8, 8],
        ],
        { aborted },
      ),
      '0-2 #1, 6-7 #1',
    );
    assert.equal(story.state(), '0-2 acquired #1, 3-5 archived #1, 6-7 acquired #1, 8-8 archived #1');
    story.keep(story.acknowledge('m1', 0, 2, accept));
    assert.equal(story.keep(story.acknowledge('m1', 6, 7, accept)), '9..9');
  });

  test('where the log was compacted, holes are acquired with what surrounds them, and acknowledged as gaps', () => {
    const story = new Story();
    assert.equal(
      story.fetch('m1', [
        [5, 6],
        [9, 9],
      ]),
      '5-9 #1',
    );
    assert.equal(story.keep(story.acknowledge('m1', 5, 9, accept, accept, gap, gap, accept)), '10..10');
  });

  test('what was compacted away while it was available is archived', () => {
    const story = new Story();
    story.fetch('m1', [[0, 9]]);
    story.keep(story.partition.release('m1', story.sharing, 0));
    assert.equal(story.fetch('m1', [[7, 9]]), '7-9 #2');
    assert.equal(story.partition.startOffset, 7);
  });
});

describe('records that fail again and again', () => {
  test('come in half the batch, then half of that, and alone the last time', () => {
    const story = new Story({ deliveryCountLimit: 10 });
    for (let count = 1; count <= 5; count++) assert.equal(story.failDelivery([[0, 99]]), `0-99 #${count}`);
    assert.equal(story.fetch('m', [[0, 99]]), '0-49 #6');
    assert.equal(story.fetch('m', [[0, 99]]), '50-99 #6');
    story.keep(story.partition.release('m', story.sharing, 0));
    assert.equal(story.failDelivery([[0, 99]]), '0-24 #7');
    assert.equal(story.failDelivery([[0, 99]]), '0-11 #8');
    assert.equal(story.failDelivery([[0, 99]]), '0-5 #9');
    assert.equal(story.failDelivery([[0, 99]]), '0-0 #10');
    assert.equal(story.partition.startOffset, 1);
    assert.equal(story.fetch('m', [[0, 99]]), '1-1 #10');
  });

  test('do not come together with others', () => {
    const story = new Story();
    for (let count = 1; count <= 3; count++) story.failDelivery([[0, 3]]);
    assert.equal(
      story.fetch('m', [
        [0, 3],
        [4, 9],
      ]),
      '0-1 #4',
    );
    assert.equal(
      story.fetch('m', [
        [0, 3],
        [4, 9],
      ]),
      '2-3 #4',
    );
    assert.equal(story.fetch('m', [[4, 9]]), '4-9 #1');
  });

  test('are archived when the limit is reached, also by a lock that ends', () => {
    const story = new Story({ deliveryCountLimit: 2 });
    story.fetch('m', [[0, 3]]);
    assert.equal(written(story.pass(30_000)), '0-3 0 #1');
    story.fetch('m', [[0, 3]]);
    const change = story.pass(30_000);
    assert.equal(written(change), '0-3 4 #2');
    assert.equal(story.keep(change), '4..4');
  });
});

describe('acknowledgements', () => {
  test('are all done, or none', () => {
    const story = new Story();
    story.fetch('m1', [[0, 4]]);
    story.fetch('m2', [[5, 9]]);
    const both = [
      { firstOffset: 0, lastOffset: 4, acknowledgeTypes: [accept] },
      { firstOffset: 5, lastOffset: 9, acknowledgeTypes: [accept] },
    ];
    assert.throws(() => story.partition.acknowledge('m1', both, story.sharing, 0), withError('INVALID_RECORD_STATE'));
    assert.equal(story.state(), '0-4 acquired #1, 5-9 acquired #1');
  });

  test('of what nobody has, or what was not delivered, are refused', () => {
    const story = new Story();
    assert.throws(() => story.acknowledge('m', 0, 0, accept), withError('INVALID_RECORD_STATE'));
    story.fetch('m', [[0, 4]]);
    assert.throws(() => story.acknowledge('m', 3, 5, accept), withError('INVALID_REQUEST'));
    assert.throws(() => story.acknowledge('m', 7, 8, accept), withError('INVALID_REQUEST'));
  });

  test('of what is being written, or was acknowledged, are refused', () => {
    const story = new Story();
    story.fetch('m', [[0, 4]]);
    const change = story.acknowledge('m', 1, 2, accept);
    assert.throws(() => story.acknowledge('m', 0, 4, accept), withError('INVALID_RECORD_STATE'));
    story.keep(change);
    assert.throws(() => story.acknowledge('m', 2, 2, release), withError('INVALID_RECORD_STATE'));
    assert.equal(story.keep(story.acknowledge('m', 0, 0, accept)), '3..5');
  });

  test('of what was done with before are passed over', () => {
    const story = new Story();
    story.fetch('m', [[0, 4]]);
    story.keep(story.acknowledge('m', 0, 4, accept));
    assert.equal(story.acknowledge('m', 0, 4, accept).isEmpty, true);
  });

  test('that could not be written leave the records with the member', () => {
    const story = new Story();
    story.fetch('m', [[0, 4]]);
    assert.equal(story.fail(story.acknowledge('m', 0, 4, accept)), '0-4 acquired #1');
    assert.equal(story.keep(story.acknowledge('m', 0, 4, accept)), '5..5');
  });

  test('that could not be written before the lock was over leave the records to everybody', () => {
    const story = new Story();
    story.fetch('m', [[0, 4]]);
    const change = story.acknowledge('m', 0, 4, accept);
    assert.equal(story.pass(30_000).isEmpty, true);
    assert.equal(story.fail(change), '0-4 available #1');
    assert.equal(story.fetch('m2', [[0, 4]]), '0-4 #2');
  });

  test('to renew begin the lock anew, unless the group does not want it', () => {
    const story = new Story();
    story.fetch('m', [[0, 4]]);
    story.pass(20_000);
    assert.equal(story.acknowledge('m', 0, 2, renew).isEmpty, true);
    assert.equal(written(story.pass(10_000)), '3-4 0 #1');
    assert.equal(written(story.pass(20_000)), '0-2 0 #1');
    const other = new Story({ isRenewEnabled: false });
    other.fetch('m', [[0, 4]]);
    assert.throws(() => other.acknowledge('m', 0, 2, renew), withError('INVALID_RECORD_STATE'));
  });
});

test('what a member who is gone held is available again, its count kept', () => {
  const story = new Story();
  story.fetch('m1', [[0, 4]]);
  story.fetch('m2', [[5, 9]]);
  story.keep(story.partition.release('m1', story.sharing, 0));
  assert.equal(story.state(), '0-4 available #1, 5-9 acquired #1');
});

test('when the log loses its beginning, the start offset follows, over records that members hold', () => {
  const story = new Story();
  story.fetch('m', [[0, 9]]);
  const change = story.acknowledge('m', 0, 1, accept);
  story.partition.onLogStartOffset(5);
  assert.equal(story.state(), '5-9 acquired #1');
  assert.equal(story.keep(change), '5..10');
  assert.equal(story.keep(story.acknowledge('m', 3, 9, accept)), '10..10');
  story.partition.onLogStartOffset(20);
  assert.equal(story.fetch('m', [[20, 24]]), '20-24 #1');
});

describe('what was kept', () => {
  test('is loaded, and what lies between has to be delivered', () => {
    const stateBatches = [
      { firstOffset: 5, lastOffset: 6, deliveryState: 2, deliveryCount: 1 },
      { firstOffset: 7, lastOffset: 8, deliveryState: 0, deliveryCount: 3 },
      { firstOffset: 12, lastOffset: 14, deliveryState: 4, deliveryCount: 5 },
    ];
    const story = new Story({ startOffset: 5, stateBatches, deliveryCountLimit: 10 });
    assert.equal(story.state(), '7-8 available #3, 9-11 available #0, 12-14 archived #5');
    assert.equal(story.partition.deliveryCompleteCount, 3);
    assert.equal(story.fetch('m', [[0, 19]]), '7-8 #4, 9-11 #1, 15-19 #1');
  });

  test('is refused where it contradicts itself', () => {
    const stateBatches = [{ firstOffset: 3, lastOffset: 6, deliveryState: 2, deliveryCount: 1 }];
    assert.throws(() => new Story({ startOffset: 5, stateBatches }), withError('UNKNOWN_SERVER_ERROR'));
  });
});

describe('beyond Kafka', () => {
  test('what was released waits before it is delivered again, when the group wants it', () => {
    const story = new Story({ redeliveryDelayMs: 5000 });
    story.fetch('m', [[0, 4]]);
    story.keep(story.acknowledge('m', 0, 4, release));
    assert.equal(story.partition.wakeMs, 5000);
    assert.equal(
      story.fetch('m', [
        [0, 4],
        [5, 9],
      ]),
      '5-9 #1',
    );
    story.pass(5000);
    assert.equal(
      story.fetch('m', [
        [0, 4],
        [5, 9],
      ]),
      '0-4 #2',
    );
  });

  test('rejected records are dead letters first, and archived when those are written', () => {
    const story = new Story({ deadLetterTopic: 'dlq.t' });
    story.fetch('m', [[0, 4]]);
    const change = story.acknowledge('m', 0, 4, accept, reject, reject, accept, release);
    assert.deepEqual(change.deadLetters, [{ firstOffset: 1, lastOffset: 2, deliveryCount: 1, cause: 'rejected' }]);
    assert.equal(written(change), '0-0 2 #1, 1-2 4 #1, 3-3 2 #1, 4-4 0 #1');
    assert.equal(story.fail(change), '0-4 acquired #1');
    assert.equal(story.keep(story.acknowledge('m', 0, 4, reject)), '5..5');
  });

  test('dead letters that could not be written are tried again, and nobody gets the record meanwhile', () => {
    const story = new Story({ deadLetterTopic: 'dlq.t', deliveryCountLimit: 2 });
    story.failDelivery([[0, 0]]);
    story.fetch('m', [[0, 0]]);
    const change = story.pass(30_000);
    assert.deepEqual(change.deadLetters, [
      { firstOffset: 0, lastOffset: 0, deliveryCount: 2, cause: 'delivery count limit reached' },
    ]);
    assert.equal(story.fail(change), '0-0 acquired #2');
    assert.throws(() => story.acknowledge('m', 0, 0, accept), withError('INVALID_RECORD_STATE'));
    const again = story.pass(1000);
    assert.equal(again.deadLetters.length, 1);
    assert.equal(story.keep(again), '1..1');
  });
});
