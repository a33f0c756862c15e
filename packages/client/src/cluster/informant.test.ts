import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FindCoordinator, KafkaError, Metadata } from '@ottla/protocol';
import { SeededRandom, World } from '@ottla/runtime';
import { withDefaults } from '../client-config.ts';
import { serveScripted } from '../testing/scripted-broker.ts';
import { Cluster } from './cluster.ts';
import { Informant } from './informant.ts';

const brokerIds = [1, 2, 3];

/** Three brokers, and a client that knows the first. One is behind: it knows neither the new leader nor the new coordinator, which is broker 2. */
class HalfInformed {
  readonly world: World;
  readonly cluster: Cluster;
  /** Who was asked, in order. */
  readonly asked: number[] = [];
  readonly run = <T>(promise: Promise<T>): Promise<T> => this.world.runUntil(promise);

  static async start(seed: number, { behind }: { behind: number }): Promise<HalfInformed> {
    const started = new HalfInformed(seed);
    for (const id of brokerIds) await started.#serve(id, { isBehind: id === behind });
    return started;
  }

  private constructor(seed: number) {
    this.world = new World({ seed, wires: { minLatencyMs: 1, maxLatencyMs: 5 } });
    const config = withDefaults({ bootstrapServers: 'broker1:9092', runtime: this.world.machine('client').boot() }, {});
    this.cluster = new Cluster(config, { client: 'tester', createsTopics: false });
  }

  async #serve(id: number, { isBehind }: { isBehind: boolean }): Promise<void> {
    const [leaderId, leaderEpoch] = isBehind ? [1, 5] : [2, 6];
    const answers = new Map<object, object>([
      [
        Metadata,
        {
          clusterId: 'here',
          brokers: brokerIds.map((nodeId) => ({ nodeId, host: `broker${nodeId}`, port: 9092 })),
          topics: [{ name: 'log', partitions: [{ partitionIndex: 0, leaderId, leaderEpoch }] }],
        },
      ],
      [FindCoordinator, { coordinators: [{ key: 'writer', nodeId: leaderId, host: `broker${leaderId}`, port: 9092 }] }],
    ]);
    await serveScripted(this.world, `broker${id}`, (api) => {
      this.asked.push(id);
      return answers.get(api)!;
    });
  }
}

describe('a client that asks a broker that is cut off from the controllers', () => {
  for (const behind of brokerIds) {
    for (const seed of [1, 2, 3]) {
      test(`broker ${behind}: finds the new leader: seed ${seed}`, async () => {
        const { cluster, world, run } = await HalfInformed.start(seed, { behind });
        const produce = async (): Promise<void> => {
          await cluster.topic('log');
          if (cluster.leaderIdOf('log', 0) === 2) return;
          cluster.askAnother();
          await cluster.refreshMetadata();
          throw new KafkaError('NOT_LEADER_OR_FOLLOWER');
        };
        await run(cluster.retry(10_000, produce));
        assert.ok(world.time.nowMs < 3000, `${world.time.nowMs} ms`);
        await run(cluster.close());
      });

      test(`broker ${behind}: finds the new coordinator: seed ${seed}`, async () => {
        const { cluster, world, run } = await HalfInformed.start(seed, { behind });
        await run(cluster.topic('log'));
        const commit = async (): Promise<void> => {
          const { address } = await cluster.transactionCoordinatorOf('writer');
          if (address.host === 'broker2') return;
          cluster.forgetTransactionCoordinator('writer');
          throw new KafkaError('NOT_COORDINATOR');
        };
        await run(cluster.retry(10_000, commit));
        assert.ok(world.time.nowMs < 3000, `${world.time.nowMs} ms`);
        await run(cluster.close());
      });
    }
  }

  test('and no other while its answers serve', async () => {
    const { cluster, asked, run } = await HalfInformed.start(1, { behind: 3 });
    await run(cluster.topic('log'));
    for (const id of brokerIds) await run(cluster.connectionTo(id));
    for (let count = 0; count < 10; count++) await run(cluster.refreshMetadata());
    assert.deepEqual(new Set(asked), new Set([1]));
    await run(cluster.close());
  });
});

test('who is doubted is asked again only if nobody else is there, and any of the others may be next', () => {
  const chosen = new Set<string | undefined>();
  for (let seed = 1; seed <= 20; seed++) {
    const informant = new Informant<string>(new SeededRandom(seed));
    assert.equal(informant.choose([]), undefined);
    assert.equal(informant.choose(['a']), 'a');
    assert.equal(informant.choose(['b', 'a', 'c']), 'a');
    informant.doubt();
    assert.equal(informant.choose(['a']), 'a');
    assert.ok(informant.isDoubted);
    const next = informant.choose(['a', 'b', 'c']);
    assert.ok(!informant.isDoubted);
    assert.equal(informant.choose(['c', 'b', 'a']), next);
    assert.equal(informant.choose(['a']), 'a', 'the other is gone');
    assert.equal(informant.choose([]), undefined);
    chosen.add(next);
  }
  assert.deepEqual([...chosen].sort(), ['b', 'c']);
});
