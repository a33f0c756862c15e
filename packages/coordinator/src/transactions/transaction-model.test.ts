import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ProducerIdAndEpoch, Transaction } from './transaction.ts';
import { TransactionWorld } from './transaction-world.ts';

const ids = ['a', 'b'];
const topics = ['x', 'y', 'z'];

type Step =
  | { readonly type: 'init'; readonly id: string; readonly as: Speaker }
  | { readonly type: 'add'; readonly id: string; readonly as: Speaker; readonly topic: string; readonly version: number }
  | { readonly type: 'end'; readonly id: string; readonly as: Speaker; readonly isCommit: boolean; readonly version: number }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'mode'; readonly commitsAtOnce: boolean }
  | { readonly type: 'failing'; readonly is: boolean }
  | { readonly type: 'commit' | 'perform' | 'reload' };

/** Who asks: the producer of that age, the youngest being 0; or nobody in particular. */
type Speaker = number | 'nobody';

const id = fc.constantFrom(...ids);
const speaker = fc.oneof({ weight: 5, arbitrary: fc.constant<Speaker>(0) }, fc.constantFrom<Speaker>(1, 2, 'nobody'));
const version = fc.constantFrom(0, 2);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('init' as const), id, as: speaker }) },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('add' as const), id, as: speaker, topic: fc.constantFrom(...topics), version }),
  },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('end' as const), id, as: speaker, isCommit: fc.boolean(), version }) },
  { weight: 4, arbitrary: fc.constant({ type: 'perform' as const }) },
  { weight: 2, arbitrary: fc.constantFrom({ type: 'commit' as const }, { type: 'reload' as const }) },
  fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(1, 5_000, 70_000) }),
  fc.record({ type: fc.constant('mode' as const), commitsAtOnce: fc.boolean() }),
  fc.record({ type: fc.constant('failing' as const), is: fc.boolean() }),
);

/**
 * The simple model. It knows nothing of states and epochs' rules: per transactional id, who was told to be its producer, in that order; which
 * partitions were acknowledged since the last end; and how transactions were told to end. It says what must never happen, whatever the steps.
 */
class Model {
  readonly producers = new Map<string, ProducerIdAndEpoch[]>();
  readonly #open = new Map<string, Set<string>>();
  readonly #told = new Map<string, boolean>();
  readonly #seen = new Set<string>();
  #uncommitted: { readonly endOffset: number; readonly happen: () => void }[] = [];

  /** What is answered, or true, only when all that is written by now is committed. */
  onceCommitted({ log }: TransactionWorld, happen: () => void): void {
    this.#uncommitted.push({ endOffset: log.length, happen });
  }

  hear({ committedOffset }: TransactionWorld): void {
    while (this.#uncommitted.length > 0 && this.#uncommitted[0]!.endOffset <= committedOffset)
      this.#uncommitted.shift()!.happen();
  }

  lose({ committedOffset }: TransactionWorld): void {
    this.#uncommitted = this.#uncommitted.filter(({ endOffset }) => endOffset <= committedOffset);
  }

  speaker(transactionalId: string, as: Speaker): ProducerIdAndEpoch {
    const known = this.producers.get(transactionalId) ?? [];
    return (as === 'nobody' ? undefined : known.at(-1 - as)) ?? { producerId: 1, producerEpoch: 0 };
  }

  isCurrent(transactionalId: string, { producerId, producerEpoch }: ProducerIdAndEpoch): boolean {
    const current = this.producers.get(transactionalId)?.at(-1);
    return current?.producerId === producerId && current.producerEpoch === producerEpoch;
  }

  /** A producer is told an id and epoch: nobody was told them before, unless it is the last one again. */
  become(transactionalId: string, producer: ProducerIdAndEpoch): void {
    if (this.isCurrent(transactionalId, producer)) return;
    const key = `${producer.producerId} ${producer.producerEpoch}`;
    assert.ok(!this.#seen.has(key), `${key} was given out twice`);
    this.#seen.add(key);
    const known = this.producers.get(transactionalId) ?? [];
    this.producers.set(transactionalId, [...known, producer]);
  }

  added(transactionalId: string, topic: string): void {
    this.#open.set(transactionalId, (this.#open.get(transactionalId) ?? new Set()).add(topic));
  }

  told(transactionalId: string, isCommit: boolean): void {
    this.#told.set(transactionalId, isCommit);
  }

  /** Markers go to every partition that a producer was told is part of the transaction, and say what it was told. */
  sent({ transactionalId, status, partitions }: Transaction): void {
    for (const topic of this.#open.get(transactionalId) ?? []) {
      assert.ok(partitions.has(topic), `${transactionalId}: no marker for ${topic}`);
    }
    const told = this.#told.get(transactionalId);
    if (told !== undefined) assert.equal(status === 'PrepareCommit', told, `${transactionalId} ends as nobody was told`);
    else assert.equal(status, 'PrepareAbort', `${transactionalId} is committed though nobody asked for it`);
  }

  completed(transactionalId: string): void {
    this.#open.delete(transactionalId);
    this.#told.delete(transactionalId);
  }
}

/** What a load cannot know is left out. */
const stored = (transactions: readonly Transaction[]): object[] =>
  transactions.map(({ lastProducerEpoch: _lost, ...transaction }) => transaction);

function take(world: TransactionWorld, model: Model, next: Step): void {
  switch (next.type) {
    case 'init': {
      const expected = next.as === 'nobody' ? undefined : model.speaker(next.id, next.as);
      const answer = world.init(next.id, expected);
      if (typeof answer !== 'string') model.onceCommitted(world, () => model.become(next.id, answer));
      return;
    }
    case 'add': {
      const producer = model.speaker(next.id, next.as);
      const answer = world.add(next.id, producer, next.topic, next.version);
      if (answer !== 'added') return;
      assert.ok(model.isCurrent(next.id, producer), 'a fenced producer adds partitions');
      model.onceCommitted(world, () => model.added(next.id, next.topic));
      return;
    }
    case 'end': {
      const producer = model.speaker(next.id, next.as);
      const before = world.log.length;
      const answer = world.end(next.id, producer, next.isCommit, next.version);
      if (typeof answer === 'string') return;
      if (world.log.length > before) {
        assert.ok(model.isCurrent(next.id, producer), 'a fenced producer ends a transaction');
        model.onceCommitted(world, () => model.told(next.id, next.isCommit));
      }
      if (next.version === 2) model.onceCommitted(world, () => model.become(next.id, answer));
      return;
    }
    case 'perform': {
      const sent = world.perform();
      for (const prepared of sent) model.sent(prepared);
      for (const { transactionalId } of sent) {
        if (world.state(transactionalId).startsWith('Complete'))
          model.onceCommitted(world, () => model.completed(transactionalId));
      }
      return;
    }
    case 'wait':
      world.advance(next.ms);
      return;
    case 'mode':
      world.commitsAtOnce = next.commitsAtOnce;
      return;
    case 'failing':
      world.failsAppends = next.is;
      return;
    case 'commit':
      world.commit();
      return;
    case 'reload':
      model.lose(world);
      world.reload();
  }
}

for (const transactionVersion of [1, 2]) {
  test(`whatever happens, a transaction ends once, as was told, by its producer (transaction.version ${transactionVersion})`, () =>
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const world = new TransactionWorld({ transactionVersion });
        const model = new Model();
        for (const next of steps) {
          // What is written and not committed was told to nobody, and may be lost: the model begins its next step after either.
          if (world.committedOffset < world.log.length && (next.type === 'init' || next.type === 'add' || next.type === 'end'))
            continue;
          take(world, model, next);
          model.hear(world);
          world.machine.assertInvariants();
          assert.deepEqual(stored(world.machine.transactions), stored(world.loaded().transactions));
        }
      }),
      { numRuns: 3_000 },
    ));
}
