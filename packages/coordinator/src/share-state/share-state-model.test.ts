import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ShareStateWorld, TOPIC_ID } from './share-state-world.ts';

/** The simplest thing that could keep share state: what is said of each offset, and the epochs. */
type Model = {
  stateEpoch: number;
  highestStateEpoch: number;
  leaderEpoch: number;
  highestLeaderEpoch: number;
  startOffset: number;
  deliveryCompleteCount: number;
  lives: Map<number, { deliveryState: number; deliveryCount: number }>;
};

const OTHER_TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';

const batches = fc.array(
  fc.record({
    firstOffset: fc.nat(30),
    more: fc.nat(8),
    deliveryState: fc.constantFrom(0, 2, 4),
    deliveryCount: fc.integer({ min: 1, max: 3 }),
  }),
  { maxLength: 4 },
);

const key = fc.record({ partition: fc.nat(1), topicId: fc.constantFrom(TOPIC_ID, OTHER_TOPIC_ID) });
const epoch = fc.integer({ min: -1, max: 4 });
const startOffset = fc.integer({ min: -1, max: 30 });

const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant('initialize' as const), key, stateEpoch: epoch, startOffset }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('read' as const), key, leaderEpoch: epoch }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      key,
      stateEpoch: epoch,
      leaderEpoch: epoch,
      startOffset,
      deliveryCompleteCount: fc.integer({ min: -1, max: 9 }),
      batches,
      isLost: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('topicDeleted' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.nat(600) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('prune' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('takeOver' as const) }) },
);

test('share state is what a map of offsets would be, whatever is asked, pruned, lost and taken over', () =>
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(4), (steps, updatesPerSnapshot) => {
      const world = new ShareStateWorld({ updatesPerSnapshot, coldPartitionSnapshotIntervalMs: 1000 });
      const models = new Map<string, Model>();
      for (const each of steps) {
        if (each.type === 'pass') world.pass(each.ms);
        else if (each.type === 'prune') world.prune();
        else if (each.type === 'takeOver') takeOver(world, models);
        else apply(world, models, each);
        compare(world, models);
      }
      // Another broker sees the same; of what was pruned it may know less about epochs that are over, and nothing else.
      if (world.logStartOffset === 0) assert.deepEqual(world.reloaded().states, world.coordinator.states);
      else assert.deepEqual(withoutHighest(world.reloaded()), withoutHighest(world.coordinator));
    }),
    { numRuns: 3000 },
  ));

type Operation = Exclude<typeof step extends fc.Arbitrary<infer Step> ? Step : never, { type: 'pass' | 'prune' | 'takeOver' }>;

function apply(world: ShareStateWorld, models: Map<string, Model>, operation: Operation): void {
  const { partition, topicId } = operation.key;
  const asked = world.asked(partition, topicId);
  const text = `g:${topicId}:${partition}`;
  const model = models.get(text);
  if (operation.type === 'initialize') {
    const { stateEpoch, startOffset } = operation;
    const isFenced = model !== undefined && stateEpoch !== -1 && stateEpoch < model.highestStateEpoch;
    assert.equal(world.initialize(stateEpoch, startOffset, asked), isFenced ? 'FENCED_STATE_EPOCH' : 'NONE');
    if (isFenced) return;
    models.set(text, {
      stateEpoch,
      highestStateEpoch: Math.max(model?.highestStateEpoch ?? stateEpoch, stateEpoch),
      leaderEpoch: 0,
      highestLeaderEpoch: model?.highestLeaderEpoch ?? 0,
      startOffset,
      deliveryCompleteCount: startOffset === -1 ? -1 : 0,
      lives: new Map(),
    });
  } else if (operation.type === 'delete') {
    assert.equal(world.delete(asked), 'NONE');
    models.delete(text);
  } else if (operation.type === 'topicDeleted') {
    world.submit(world.coordinator.onTopicsDeleted(new Set([topicId])));
    for (const other of [...models.keys()]) if (other.includes(topicId)) models.delete(other);
  } else if (operation.type === 'read') {
    const { error } = world.read(operation.leaderEpoch, asked);
    if (model === undefined) assert.equal(error, 'INVALID_REQUEST');
    else if (operation.leaderEpoch !== -1 && operation.leaderEpoch < model.highestLeaderEpoch) {
      assert.equal(error, 'FENCED_LEADER_EPOCH');
    } else {
      assert.equal(error, 'NONE');
      if (operation.leaderEpoch === -1 || operation.leaderEpoch === model.highestLeaderEpoch) return;
      model.leaderEpoch = operation.leaderEpoch;
      model.highestLeaderEpoch = operation.leaderEpoch;
    }
  } else write(world, model, operation);
}

function write(world: ShareStateWorld, model: Model | undefined, operation: Extract<Operation, { type: 'write' }>): void {
  const { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = operation;
  const asked = world.asked(operation.key.partition, operation.key.topicId);
  const stateBatches = operation.batches.map(({ firstOffset, more, ...life }) => ({
    firstOffset,
    lastOffset: firstOffset + more,
    ...life,
  }));
  const change = { partition: asked.partition, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches };
  if (operation.isLost) {
    // Decided and replayed, but the append failed.
    const { records } = world.coordinator.write(asked, change, world.moment);
    for (const record of records) world.coordinator.replay(record, { offset: world.log.length });
    world.coordinator.rollbackTo(world.log.length);
    return;
  }
  const error = world.write({ ...change, batches: stateBatches }, asked);
  assert.equal(error, expectedOfWrite(model, operation));
  if (model === undefined || error !== 'NONE') return;
  if (startOffset !== -1) model.startOffset = startOffset;
  model.deliveryCompleteCount = deliveryCompleteCount;
  for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of stateBatches) {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      const known = model.lives.get(offset);
      // What a report says of records before its own start offset is not kept.
      if (startOffset !== -1 && offset < startOffset) continue;
      const isLater =
        known === undefined ||
        deliveryCount > known.deliveryCount ||
        (deliveryCount === known.deliveryCount && deliveryState > known.deliveryState);
      if (isLater) model.lives.set(offset, { deliveryState, deliveryCount });
    }
  }
  for (const offset of [...model.lives.keys()]) if (offset < model.startOffset) model.lives.delete(offset);
}

function expectedOfWrite(
  model: Model | undefined,
  { leaderEpoch, stateEpoch }: { leaderEpoch: number; stateEpoch: number },
): string {
  if (model === undefined) return 'INVALID_REQUEST';
  if (leaderEpoch !== -1 && leaderEpoch < model.highestLeaderEpoch) return 'FENCED_LEADER_EPOCH';
  return stateEpoch !== -1 && stateEpoch < model.highestStateEpoch ? 'FENCED_STATE_EPOCH' : 'NONE';
}

/** Another broker leads from here on: of what was pruned it knows only what is left in the log. */
function takeOver(world: ShareStateWorld, models: Map<string, Model>): void {
  world.coordinator = world.reloaded();
  world.coordinator.activate(world.moment);
  for (const [text, model] of models) {
    const { highestStateEpoch, highestLeaderEpoch } = world.coordinator.states.get(text)!;
    assert.ok(highestStateEpoch <= model.highestStateEpoch && highestLeaderEpoch <= model.highestLeaderEpoch);
    if (world.logStartOffset === 0)
      assert.deepEqual([highestStateEpoch, highestLeaderEpoch], [model.highestStateEpoch, model.highestLeaderEpoch]);
    Object.assign(model, { highestStateEpoch, highestLeaderEpoch });
  }
}

function compare(world: ShareStateWorld, models: ReadonlyMap<string, Model>): void {
  assert.deepEqual([...world.coordinator.states.keys()].sort(), [...models.keys()].sort());
  for (const [text, model] of models) {
    const state = world.coordinator.states.get(text)!;
    const lives = new Map<number, object>();
    for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of state.stateBatches) {
      for (let offset = firstOffset; offset <= lastOffset; offset++) lives.set(offset, { deliveryState, deliveryCount });
    }
    const { stateEpoch, highestStateEpoch, leaderEpoch, highestLeaderEpoch, startOffset, deliveryCompleteCount } = state;
    assert.deepEqual(
      { stateEpoch, highestStateEpoch, leaderEpoch, highestLeaderEpoch, startOffset, deliveryCompleteCount, lives },
      model,
    );
  }
}

function withoutHighest({ states }: ShareStateWorld['coordinator']): object {
  return new Map([...states].map(([text, { highestStateEpoch: _s, highestLeaderEpoch: _l, ...state }]) => [text, state]));
}
