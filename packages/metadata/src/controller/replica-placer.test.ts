import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import fc from 'fast-check';
import { seededRandom } from '../../test/test-controller.ts';
import { type PlaceableBroker, placeReplicas } from './replica-placer.ts';

const brokersOf = (count: number, rack: (id: number) => string | null = () => null): PlaceableBroker[] =>
  Array.from({ length: count }, (_, id) => ({ id, rack: rack(id), fenced: false }));

const countBy = (values: readonly (string | number)[]): number[] => {
  const counts = new Map<string | number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts.values()];
};

test('replicas are distinct brokers, a live one first, whatever the racks', () => {
  const broker = fc.record({ rack: fc.constantFrom(null, 'a', 'b', 'c'), fenced: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(broker, { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.nat(),
      (shapes, wanted, seed) => {
        const brokers = shapes.map((shape, id) => ({ id, ...shape }));
        const replicationFactor = Math.min(wanted, brokers.length);
        const place = () => placeReplicas(brokers, { partitions: 20, replicationFactor }, seededRandom(seed));
        if (brokers.every(({ fenced }) => fenced)) {
          assert.throws(place, /All brokers are currently fenced/);
          return;
        }
        for (const replicas of place()) {
          assert.equal(new Set(replicas).size, replicationFactor);
          assert.equal(brokers[replicas[0]!]!.fenced, false);
          const racks = new Set(brokers.map(({ rack }) => rack));
          const usedRacks = new Set(replicas.map((id) => brokers[id]!.rack));
          assert.equal(usedRacks.size, Math.min(racks.size, replicationFactor), 'each rack is used before one is used twice');
        }
      },
    ),
  );
});

test('leaders and replicas spread evenly over equal brokers', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const placed = placeReplicas(
      brokersOf(6, (id) => `rack-${id % 3}`),
      { partitions: 60, replicationFactor: 3 },
      seededRandom(seed),
    );
    const leaders = countBy(placed.map(([first]) => first!));
    const replicas = countBy(placed.flat());
    assert.ok(leaders.length === 6 && Math.max(...leaders) - Math.min(...leaders) <= 4, `leaders ${leaders}`);
    assert.ok(Math.max(...replicas) - Math.min(...replicas) <= 12, `replicas ${replicas}`);
  }
});

test('many topics of one partition spread as well as one topic of many', () => {
  const random = seededRandom(7);
  const leaders = Array.from(
    { length: 300 },
    () => placeReplicas(brokersOf(3), { partitions: 1, replicationFactor: 1 }, random)[0]![0]!,
  );
  for (const count of countBy(leaders)) assert.ok(count > 70 && count < 130, `${count} of 300 on one of 3`);
});

test('fenced brokers are taken only where live ones run out', () => {
  const brokers = brokersOf(4).map((broker) => ({ ...broker, fenced: broker.id >= 2 }));
  for (const replicas of placeReplicas(brokers, { partitions: 10, replicationFactor: 3 }, seededRandom())) {
    assert.deepEqual(replicas.slice(0, 2).sort(), [0, 1]);
  }
});

test('more replicas than brokers cannot be placed', () => {
  const place = () => placeReplicas(brokersOf(2), { partitions: 1, replicationFactor: 3 }, seededRandom());
  assert.throws(
    place,
    (error) => error instanceof KafkaError && error.name.length > 0 && /only 2 broker\(s\) are registered/.test(error.message),
  );
});
