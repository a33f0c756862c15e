import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { defaultGroupCoordinatorConfig } from './group-coordinator-config.ts';
import { durableState, GroupWorld, subscription } from './group-world.ts';
import { randomFrom } from './seeded-random.ts';

const SEEDS = 150;
const STEPS = 80;
const HOUR_MS = 3_600_000;

/**
 * Between append and commit: decisions that are in the log and not committed, operations that were told they failed and are committed
 * all the same, a new leader that has them or has not. Clients of both protocols do whatever they like, and then nothing any more:
 * four hours later nobody may wait for an answer, and nobody may still be taken for a member.
 */
for (const protocols of ['classic', 'consumer', 'both'] as const) {
  test(`nobody waits and nobody stays for ever, however late commits are (${protocols})`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        run(seed, protocols);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  });
}

type ClassicClient = { readonly memberId: string; readonly instanceId: string | null; generationId: number };
type ConsumerClient = { readonly memberId: string; readonly instanceId: string | null; epoch: number };

function run(seed: number, protocols: 'classic' | 'consumer' | 'both'): void {
  const random = randomFrom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const oneOf = <Value>(values: readonly Value[]): Value => values[below(values.length)]!;
  const world = new GroupWorld({
    initialRebalanceDelayMs: oneOf([0, 3_000]),
    consumer: { ...defaultGroupCoordinatorConfig.consumer, regexRefreshIntervalMs: 60_000, mayDowngrade: below(2) === 0 },
  });
  world.setTopic('t', 4);
  world.commitsLate = true;
  const classic: ClassicClient[] = [];
  const consumers: ConsumerClient[] = [];
  /** Tokens of joins that are not answered, with the instance id of whom they are of. */
  const joins = new Map<number, string | null>();
  const tokens: number[] = [];

  for (let step = 0; step < STEPS; step++) {
    const what = below(100);
    if (what < 40) act();
    else if (what < 58) world.commitAppended();
    else if (what < 75) world.pass(oneOf([100, 1_000, 3_000, 6_000, 20_000]));
    else if (what < 80) world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
    else if (what < 88) world.appendError = null;
    else if (what < 91) move();
    else act();
    for (const [token, instanceId] of joins) learn(token, instanceId);
    world.coordinator.assertInvariants();
  }

  world.appendError = null;
  world.commitAppended();
  world.commitsLate = false;
  world.pass(4 * HOUR_MS);
  for (const group of world.coordinator.groups.values()) assert.ok(group.isEmpty, `${group.type}: somebody is still a member`);
  for (const token of tokens) assert.ok(world.answers.has(token), `request ${token} was never answered`);
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));

  function act(): void {
    if (protocols === 'classic' || (protocols === 'both' && below(2) === 0)) actAsClassic();
    else beat();
  }

  function actAsClassic(): void {
    const known = classic.length > 0 && below(10) > 2 ? oneOf(classic) : undefined;
    const what = known === undefined ? 0 : below(10);
    if (what < 4) {
      const instanceId = known === undefined ? oneOf([null, null, 'i', 'j']) : known.instanceId;
      // A static member that restarts comes back without its id.
      const memberId = known === undefined || (instanceId !== null && below(2) === 0) ? '' : known.memberId;
      const token = world.join(memberId, {
        apiVersion: oneOf([3, 9]),
        groupInstanceId: instanceId,
        sessionTimeoutMs: oneOf([4_000, 10_000]),
        rebalanceTimeoutMs: oneOf([8_000, 60_000]),
        protocols: oneOf([['range'], ['range', 'sticky'], ['sticky', 'range'], ['sticky']]).map((name) => ({
          name,
          metadata: subscription(['t']),
        })),
      });
      tokens.push(token);
      joins.set(token, instanceId);
      return;
    }
    const { memberId, generationId, instanceId: groupInstanceId } = known!;
    if (what < 7) {
      const assignments = classic.map((each) => ({ memberId: each.memberId, assignment: EMPTY_ASSIGNMENT }));
      tokens.push(world.sync(memberId, generationId, {}, { groupInstanceId, assignments }));
    } else if (what < 9) {
      world.heartbeat(memberId, generationId, { groupInstanceId });
    } else {
      world.leave([{ memberId, groupInstanceId }]);
    }
  }

  function learn(token: number, instanceId: string | null): void {
    const answer = world.answers.get(token) as { memberId?: string; generationId?: number } | undefined;
    if (answer === undefined) return;
    joins.delete(token);
    const { memberId = '', generationId = -1 } = answer;
    if (memberId === '') return;
    const known = classic.find((client) => client.memberId === memberId);
    if (known === undefined) classic.push({ memberId, instanceId, generationId });
    else known.generationId = generationId;
  }

  function beat(): void {
    const known = consumers.length > 0 && below(10) > 2 ? oneOf(consumers) : undefined;
    const instanceId = known === undefined ? oneOf([null, null, 'i', 'j']) : known.instanceId;
    const memberId = known?.memberId ?? `m${consumers.length}`;
    const leaving = instanceId === null ? -1 : -2;
    const epoch = known === undefined ? 0 : oneOf([known.epoch, known.epoch, known.epoch, 0, leaving, -1]);
    const regex = epoch === 0 && below(4) === 0 ? { subscribedTopicRegex: 't.*' } : {};
    const owned = below(2) === 0 ? { owned: [] } : {};
    const told = world.beat(memberId, epoch, {
      instanceId,
      ...regex,
      ...owned,
      ...(epoch === 0 && { rebalanceTimeoutMs: 20_000 }),
    });
    if (below(3) === 0) world.resolveRegexes();
    if (told.epoch === undefined) return;
    if (known === undefined) consumers.push({ memberId, instanceId, epoch: told.epoch });
    else known.epoch = Math.max(0, told.epoch);
  }

  function move(): void {
    world.submit(world.coordinator.unload(world.moment));
    world.takeOver({ losesUncommitted: below(2) === 0 });
  }
}

/** Version 0, no topics, no user data. */
const EMPTY_ASSIGNMENT = new Uint8Array([0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
