import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError, readAssignment, readSubscription, writeAssignment } from '@ottla/protocol';
import { type Beat, durableState, GroupWorld } from '../group-world.ts';
import type { Answer } from '../outcome.ts';
import { randomFrom } from '../seeded-random.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { partitionsIn } from './partition-epochs.ts';

/** `npm test` looks at these; a longer look takes OTTLA_MODEL_SEEDS. */
const SEEDS = Number(process.env['OTTLA_MODEL_SEEDS'] ?? 400);
const SESSION_TIMEOUT_MS = 45_000;
const CLASSIC_SESSION_TIMEOUT_MS = 10_000;

/**
 * Consumers of both protocols in one group. They join, beat, revoke, leave, vanish, come back, repeat themselves and do not hear
 * answers, while topics grow, appends fail and the coordinator moves. Whatever happens, no two of them have the same partition, and the
 * log says what the coordinator knows. Once they calm down, every partition is with somebody.
 */
test('consumer groups keep their promises under any mix of members, failures and moves', () => {
  for (let seed = Number(process.env['OTTLA_FIRST_SEED'] ?? 1); seed <= SEEDS; seed++) {
    try {
      new Run(seed).play();
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});

const allTopics = ['t', 'u', 'v'];

class Run {
  readonly world: GroupWorld;
  readonly #random: () => number;
  readonly #allowsClassic: boolean;
  #actors: Actor[] = [];
  #names = 0;
  #calm = false;

  constructor(seed: number) {
    this.#random = randomFrom(seed * 2_654_435_761);
    this.#allowsClassic = seed % 2 === 0;
    this.world = new GroupWorld({ initialRebalanceDelayMs: 0 });
    this.world.groupConfigs.set('g', { 'consumer.assignment.interval.ms': this.below(2) * 1_000 });
    this.world.setTopic('t', 1 + this.below(6));
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  /** Whether an answer gets lost, or a request is sent twice. */
  mishap(): boolean {
    return !this.#calm && this.below(8) === 0;
  }

  newId(): string {
    return `m${++this.#names}`;
  }

  play(): void {
    const { world } = this;
    for (let step = 0; step < 120; step++) {
      const what = this.below(100);
      const actor = this.#actors[this.below(this.#actors.length)];
      if (actor === undefined || (what < 8 && this.#actors.length < 6)) this.#actors.push(this.#newActor());
      else if (what < 55) actor.act();
      else if (what < 68) world.pass(this.below(3_000));
      else if (what < 70) world.pass(this.below(70_000));
      else if (what < 74) this.#remove(actor, () => actor.leave());
      else if (what < 77) this.#remove(actor, () => {});
      else if (what < 81) this.#changeTopics();
      else if (what < 84) world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
      else if (what < 90) world.appendError = null;
      else if (what < 92) this.#takeOver();
      else if (what < 97) world.resolveRegexes();
      else actor.changeSubscription();
      this.#check();
    }
    this.#calm = true;
    world.appendError = null;
    if (this.#actors.length === 0) this.#actors.push(this.#newActor());
    for (let round = 0; round < 300 && !this.#isSettled(); round++) {
      for (const actor of this.#actors) actor.act();
      world.resolveRegexes();
      world.pass(1_000);
      this.#check();
    }
    assert.ok(this.#isSettled(), `the group did not settle: ${this.#describe()}`);
    assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
  }

  #newActor(): Actor {
    const isClassic = this.#allowsClassic && this.below(2) === 0;
    const instanceId = this.below(4) === 0 ? `i${this.below(3)}` : null;
    if (instanceId !== null && this.#actors.some((actor) => actor.instanceId === instanceId)) return this.#newActor();
    return isClassic ? new ClassicActor(this, instanceId) : new ModernActor(this, instanceId);
  }

  #remove(actor: Actor, how: () => void): void {
    how();
    this.#actors = this.#actors.filter((each) => each !== actor);
  }

  #changeTopics(): void {
    const name = allTopics[this.below(allTopics.length)]!;
    const known = this.world.topics.byName(name);
    if (known !== undefined && known.name !== 't' && this.below(3) === 0) this.world.deleteTopic(name);
    else if (known === undefined || known.partitionCount < 8)
      this.world.setTopic(name, (known?.partitionCount ?? 0) + 1 + this.below(3));
  }

  #takeOver(): void {
    const { world } = this;
    world.submit(world.coordinator.unload(world.moment));
    world.takeOver();
  }

  #check(): void {
    const { world } = this;
    world.coordinator.assertInvariants();
    world.coordinator.list({ states: new Set(), types: new Set() });
    const owners = new Map<string, Actor>();
    for (const actor of this.#actors) {
      actor.collect();
      actor.expire();
      for (const partition of actor.owned) {
        assert.ok(!owners.has(partition), `${partition} is with ${owners.get(partition)?.memberId} and ${actor.memberId}`);
        owners.set(partition, actor);
      }
    }
    // A classic group that rebalances is further than its record.
    if (world.coordinator.groups.get('g')?.type === 'Consumer' && this.below(10) === 0) {
      assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
    }
  }

  #isSettled(): boolean {
    const group = this.world.coordinator.groups.get('g');
    if (group?.committedState !== 'Stable') return false;
    if (!this.#actors.every((actor) => actor.isSettled())) return false;
    const owned = new Set(this.#actors.flatMap((actor) => [...actor.owned]));
    for (const name of allTopics) {
      const topic = this.world.topics.byName(name);
      if (topic === undefined || !this.#actors.some((actor) => actor.subscribesTo(name))) continue;
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        if (!owned.has(`${topic.id}-${partition}`)) return false;
      }
    }
    return true;
  }

  #describe(): string {
    const group = this.world.coordinator.groups.get('g');
    return JSON.stringify([group?.type, group?.committedState, this.#actors.map((actor) => actor.toString())]);
  }
}

abstract class Actor {
  readonly run: Run;
  readonly instanceId: string | null;
  memberId = '';
  /** `topicId-partition` */
  owned = new Set<string>();
  heardMs: number;
  abstract readonly sessionTimeoutMs: number;

  constructor(run: Run, instanceId: string | null) {
    this.run = run;
    this.instanceId = instanceId;
    this.heardMs = run.world.nowMs;
  }

  abstract act(): void;
  abstract leave(): void;
  abstract isSettled(): boolean;
  abstract subscribesTo(topic: string): boolean;
  abstract changeSubscription(): void;
  collect(): void {}
  abstract beginAnew(): void;

  /** Who was not heard for so long knows that it is out. */
  expire(): void {
    if (this.run.world.nowMs - this.heardMs >= this.sessionTimeoutMs && this.owned.size > 0) this.beginAnew();
  }

  randomTopics(): string[] {
    const topics = allTopics.filter(() => this.run.below(2) === 0);
    return topics.length === 0 ? ['t'] : topics;
  }
}

class ModernActor extends Actor {
  readonly sessionTimeoutMs = SESSION_TIMEOUT_MS;
  epoch = 0;
  topics: string[];
  regex: string | null;
  assignor: string | null;
  #reports = true;

  constructor(run: Run, instanceId: string | null) {
    super(run, instanceId);
    this.memberId = run.newId();
    this.topics = this.randomTopics();
    this.regex = run.below(4) === 0 ? '[tu]' : null;
    this.assignor = [null, 'range', 'uniform'][run.below(3)]!;
  }

  act(): void {
    const beat = this.#beat();
    const again = this.run.mishap() ? this.#beat() : null;
    this.heardMs = this.run.world.nowMs;
    if (this.run.mishap()) {
      this.#reports = true;
      return;
    }
    this.#hear(beat);
    if (again !== null) this.#hear(again);
  }

  leave(): void {
    if (this.epoch > 0)
      this.run.world.beat(this.memberId, this.instanceId !== null && this.run.below(2) === 0 ? -2 : -1, {
        instanceId: this.instanceId,
      });
  }

  beginAnew(): void {
    this.owned.clear();
    this.epoch = 0;
  }

  isSettled(): boolean {
    const group = this.run.world.coordinator.groups.get('g');
    const member = group instanceof ConsumerGroup ? group.members.get(this.memberId) : undefined;
    if (member === undefined || member.memberEpoch !== this.epoch) return false;
    return sameSets(
      new Set([...partitionsIn(member.assigned)].map(({ topicId, partition }) => `${topicId}-${partition}`)),
      this.owned,
    );
  }

  subscribesTo(topic: string): boolean {
    return this.topics.includes(topic) || (this.regex !== null && /^[tu]$/.test(topic));
  }

  changeSubscription(): void {
    this.topics = this.randomTopics();
    this.#reports = true;
  }

  override toString(): string {
    return `modern ${this.memberId}@${this.epoch} ${[...this.owned]}`;
  }

  #beat(): Beat {
    const { world } = this.run;
    const isFull = this.epoch === 0 || this.#reports;
    return world.beat(this.memberId, this.epoch, {
      instanceId: this.instanceId,
      ...(isFull && {
        rebalanceTimeoutMs: 60_000,
        subscribedTopicNames: this.topics,
        subscribedTopicRegex: this.regex,
        serverAssignor: this.assignor,
        topicPartitions: this.epoch === 0 ? [] : asTopicPartitions(this.owned),
      }),
    });
  }

  #hear(beat: Beat): void {
    switch (beat.error) {
      case 'NONE':
        break;
      case 'FENCED_INSTANCE_ID':
        this.memberId = this.run.newId();
        this.beginAnew();
        return;
      case 'FENCED_MEMBER_EPOCH':
      case 'UNKNOWN_MEMBER_ID':
      case 'GROUP_ID_NOT_FOUND':
        this.beginAnew();
        return;
      default:
        // Not written, or not its turn yet: it says everything again.
        this.#reports = true;
        return;
    }
    this.#reports = false;
    this.epoch = beat.epoch!;
    if (beat.topicPartitions === undefined) return;
    const assigned = new Set(beat.topicPartitions);
    const revoked = [...this.owned].filter((partition) => !assigned.has(partition));
    if (!sameSets(assigned, this.owned)) this.#reports = true;
    for (const partition of revoked) this.owned.delete(partition);
    for (const partition of assigned) this.owned.add(partition);
  }
}

/** Eager: it gives up everything before it rejoins. */
class ClassicActor extends Actor {
  readonly sessionTimeoutMs = CLASSIC_SESSION_TIMEOUT_MS;
  topics = this.randomTopics();
  #generationId = -1;
  #join: number | null = null;
  #sync: number | null = null;
  #isStable = false;
  #knownTopics = '';

  act(): void {
    const { world } = this.run;
    this.collect();
    if (this.#join !== null || this.#sync !== null) return;
    this.heardMs = world.nowMs;
    // As a leader does that sees topics come and grow, and anyone who changes what it subscribes to.
    const topics = [...this.topics, ...allTopics.map((name) => world.topics.byName(name)?.partitionCount)].join();
    if (!this.#isStable || topics !== this.#knownTopics) {
      this.#knownTopics = topics;
      this.#isStable = false;
      this.owned.clear();
      this.#join = world.join(this.memberId, { topics: this.topics, groupInstanceId: this.instanceId });
      this.collect();
      return;
    }
    const answer = world.heartbeat(this.memberId, this.#generationId, { groupInstanceId: this.instanceId });
    if (answer !== 'NONE') this.#rejoin(answer);
  }

  leave(): void {
    if (this.memberId !== '') this.run.world.leave([{ memberId: this.memberId, groupInstanceId: this.instanceId }]);
  }

  beginAnew(): void {
    this.owned.clear();
    this.#isStable = false;
    this.memberId = '';
  }

  isSettled(): boolean {
    return this.#isStable;
  }

  subscribesTo(topic: string): boolean {
    return this.topics.includes(topic);
  }

  changeSubscription(): void {
    this.topics = this.randomTopics();
    if (this.#isStable) this.#rejoin('REBALANCE_IN_PROGRESS');
  }

  override toString(): string {
    return `classic ${this.memberId}@${this.#generationId} ${this.#isStable} ${this.#join} ${this.#sync} ${[...this.owned]}`;
  }

  override collect(): void {
    const { world } = this.run;
    const joined = this.#join === null ? undefined : world.answers.get(this.#join);
    if (joined !== undefined) {
      const error = world.errorOf(this.#join!)!;
      this.#join = null;
      this.heardMs = world.nowMs;
      if (error === 'NONE' || error === 'MEMBER_ID_REQUIRED') this.memberId = (joined as { memberId: string }).memberId;
      if (error === 'NONE') this.#doSync(joined);
      else if (error !== 'MEMBER_ID_REQUIRED') this.#rejoin(error);
    }
    const synced = this.#sync === null ? undefined : world.answers.get(this.#sync);
    if (synced === undefined) return;
    const error = world.errorOf(this.#sync!)!;
    this.#sync = null;
    this.heardMs = world.nowMs;
    if (error !== 'NONE') {
      this.#rejoin(error);
      return;
    }
    this.#isStable = true;
    const { assignment } = synced as { assignment?: Uint8Array };
    const assigned = assignment === undefined || assignment.length === 0 ? [] : readAssignment(assignment).assignedPartitions;
    for (const { topic, partitions } of assigned) {
      const id = world.topics.byName(topic)?.id;
      if (id !== undefined) for (const partition of partitions) this.owned.add(`${id}-${partition}`);
    }
  }

  #rejoin(error: string): void {
    this.owned.clear();
    this.#isStable = false;
    if (error === 'UNKNOWN_MEMBER_ID' || error === 'FENCED_INSTANCE_ID') this.memberId = '';
  }

  #doSync(joined: Answer['response']): void {
    const { world } = this.run;
    const { generationId, members = [] } = joined as {
      generationId: number;
      members?: readonly { memberId?: string; metadata?: Uint8Array }[];
    };
    this.#generationId = generationId;
    const shares = new Map(members.map(({ memberId }) => [memberId!, new Map<string, number[]>()]));
    for (const name of allTopics) {
      const takers = members.filter(({ metadata }) => readSubscription(metadata!).topics.includes(name));
      for (let partition = 0; takers.length > 0 && partition < (world.topics.byName(name)?.partitionCount ?? 0); partition++) {
        const share = shares.get(takers[partition % takers.length]!.memberId!)!;
        share.set(name, [...(share.get(name) ?? []), partition]);
      }
    }
    const assignments = [...shares].map(([memberId, share]) => {
      const assignedPartitions = [...share].map(([topic, partitions]) => ({ topic, partitions }));
      return { memberId, assignment: writeAssignment({ assignedPartitions, userData: null }, 0).slice() };
    });
    this.#sync = world.sync(this.memberId, generationId, {}, { groupInstanceId: this.instanceId, assignments });
  }
}

function asTopicPartitions(owned: ReadonlySet<string>): { topicId: string; partitions: number[] }[] {
  const byTopic = new Map<string, number[]>();
  for (const partition of owned) {
    const at = partition.lastIndexOf('-');
    const topicId = partition.slice(0, at);
    byTopic.set(topicId, [...(byTopic.get(topicId) ?? []), Number(partition.slice(at + 1))]);
  }
  return [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions }));
}

function sameSets(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((each) => right.has(each));
}
