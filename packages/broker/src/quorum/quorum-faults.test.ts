import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom, type World } from '@ottla/runtime';
import { defaultMetadataLogConfig } from './metadata-log-config.ts';
import { hostOf, level, type QuorumNode, TestQuorum } from './testing-quorum.ts';

const seeds = Number(process.env['OTTLA_QUORUM_SEEDS'] ?? 3);
const smallLogs = {
  ...defaultMetadataLogConfig,
  segmentBytes: 2_000,
  snapshotBytes: 4_000,
  retentionBytes: 8_000,
  deleteDelayMs: 1000,
};

/** Nodes that crash, are cut off, lose what they had not synced, and come back, while whoever leads appends. */
class Storm {
  readonly quorum: TestQuorum;
  readonly acknowledged = new Set<number>();
  #next = 1;
  /** By epoch, who led in it. */
  readonly #leaders = new Map<number, number>();

  constructor(quorum: TestQuorum) {
    this.quorum = quorum;
  }

  get #world(): World {
    return this.quorum.world;
  }

  async blow(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      await this.#turn(this.#world.random.below(12));
      for (let index = this.#world.random.below(5); index > 0; index--) this.#append();
      await this.#world.advance(this.#world.random.below(900));
      this.#check();
    }
  }

  async #turn(kind: number): Promise<void> {
    const nodes = [...this.quorum.nodes.values()];
    const node = nodes[this.#world.random.below(nodes.length)]!;
    const other = nodes[this.#world.random.below(nodes.length)]!;
    if (kind < 3) {
      if (!node.isUp) await this.#start(node);
    } else if (kind === 3) node.kill();
    else if (kind === 4) node.crash();
    else if (kind === 5 && node !== other)
      this.#world.wires.cut(hostOf(node.id), hostOf(other.id), { oneWay: this.#world.random.below(2) === 0 });
    else if (kind === 6) this.#world.wires.heal();
    else if (kind === 7 && node !== other) this.#world.dropConnections(hostOf(node.id), hostOf(other.id));
    else if (kind === 8 && this.quorum.leader) this.quorum.leader.crash();
  }

  async #start(node: QuorumNode): Promise<void> {
    await node.start();
  }

  #append(): void {
    const { leader } = this.quorum;
    if (!leader || leader.listener.leaders.at(-1)?.leaderId !== leader.id) return;
    const value = this.#next++;
    leader.quorum.append([level(value, `v${value}`), level(value)]).then(
      () => void this.acknowledged.add(value),
      () => {},
    );
  }

  #check(): void {
    for (const { id, listener, quorum, failures } of this.quorum.up) {
      assert.deepEqual(failures, [], `node ${id} failed`);
      listener.check();
      const { leaderId, leaderEpoch } = quorum.leaderAndEpoch;
      if (leaderId === null) continue;
      assert.equal(this.#leaders.get(leaderEpoch) ?? leaderId, leaderId, `two leaders of epoch ${leaderEpoch}`);
      this.#leaders.set(leaderEpoch, leaderId);
    }
  }

  async calm(): Promise<void> {
    this.#world.wires.heal();
    for (const node of this.quorum.nodes.values()) if (!node.isUp) await this.#start(node);
    await this.quorum.untilLed(120_000);
    await this.quorum.append(level(0, 'end'));
    await this.quorum.untilCaughtUp(120_000);
    this.#check();
    const [first] = this.quorum.up as [QuorumNode];
    for (const { id, listener } of this.quorum.up) {
      assert.deepEqual([...listener.levels].sort(), [...first.listener.levels].sort(), `nodes ${id} and ${first.id} disagree`);
      for (const value of this.acknowledged)
        assert.equal(listener.levels.get(`v${value}`), value, `node ${id} has lost ${value}`);
    }
  }
}

/** Mostly short, and sometimes so long that a leader is another one before it is done. */
function slowSyncs(seed: number): () => number {
  const random = new SeededRandom(`syncs ${seed}`);
  return () => (random.below(20) === 0 ? random.below(3_000) : random.below(8));
}

describe('what a quorum has acknowledged outlives', () => {
  for (let seed = 1; seed <= seeds; seed++) {
    test(`crashes, cuts and lost syncs, seed ${seed}`, async () => {
      const quorum = await TestQuorum.start({
        seed,
        observers: 2,
        options: { config: smallLogs, fetchSnapshotMaxBytes: 700 },
        machine: () => ({ tornWrites: true, syncMs: slowSyncs(seed) }),
      });
      const storm = new Storm(quorum);
      await quorum.untilLed();
      await storm.blow(120);
      await storm.calm();
      assert.ok(storm.acknowledged.size > 0, 'nothing was acknowledged');
    });
  }
});
