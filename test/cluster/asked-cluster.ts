/** What the nodes of a cluster say of it when they are asked. */
import { DescribeQuorum, Metadata } from '@ottla/protocol';
import { eventually } from '../interop/processes.ts';
import { type Address, ask } from './ask.ts';

export type AskedNode = {
  readonly id: number;
  readonly isBroker: boolean;
  readonly isRunning: boolean;
  readonly isPaused: boolean;
  readonly brokerAddress: Address;
};

export abstract class AskedCluster<Node extends AskedNode> {
  abstract readonly nodes: readonly Node[];

  get brokers(): readonly Node[] {
    return this.nodes.filter(({ isBroker }) => isBroker);
  }

  get bootstrap(): string {
    return this.brokers.map(({ brokerAddress: { host, port } }) => `${host}:${port}`).join();
  }

  /** Resolves when each running broker knows all of them, and every partition has a leader and all its replicas in sync. */
  async whole({ timeoutMs = 120_000 } = {}): Promise<void> {
    const running = this.brokers.filter(({ isRunning }) => isRunning);
    const ids = running.map(({ id }) => id).sort();
    await eventually(
      'the cluster is whole',
      async () => {
        for (const node of running) {
          const { brokers, topics } = await this.metadataAt(node);
          const known = brokers.map(({ nodeId }) => nodeId).sort();
          if (known.join() !== ids.join()) throw new Error(`${node} knows of brokers ${known}, not ${ids}`);
          for (const { name, partitions } of topics) {
            for (const { partitionIndex, leaderId, isrNodes, replicaNodes } of partitions) {
              const state = `leader ${leaderId}, isr ${isrNodes}, replicas ${replicaNodes}`;
              if (leaderId < 0 || isrNodes.length < replicaNodes.length)
                throw new Error(`${name}-${partitionIndex} to ${node}: ${state}`);
            }
          }
        }
        return true;
      },
      { timeoutMs, pauseMs: 200 },
    );
  }

  async metadataAt(node: Node) {
    return ask(node.brokerAddress, Metadata, 12, { topics: null, allowAutoTopicCreation: false });
  }

  /** What the first broker that answers says of the metadata. */
  async metadata() {
    return this.#anyBroker((node) => this.metadataAt(node));
  }

  /** Who leads a partition; -1 when nobody does. */
  async leaderOf(topic: string, partition: number): Promise<number> {
    const { topics } = await this.metadata();
    const found = topics.find(({ name }) => name === topic);
    return found?.partitions.find(({ partitionIndex }) => partitionIndex === partition)?.leaderId ?? -1;
  }

  /** The quorum as its leader describes it. */
  async quorum() {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
    return this.#anyBroker(async (node) => {
      const answer = await ask(node.brokerAddress, DescribeQuorum, 2, { topics });
      if (answer.errorCode !== 0) throw new Error(`DescribeQuorum: ${answer.errorCode} ${answer.errorMessage}`);
      const partition = answer.topics[0]!.partitions[0]!;
      if (partition.errorCode !== 0) throw new Error(`DescribeQuorum: ${partition.errorCode} ${partition.errorMessage}`);
      return partition;
    });
  }

  /** The id of the active controller. */
  async activeController(): Promise<number> {
    const found = await eventually('an active controller', async () => ({ id: (await this.quorum()).leaderId }));
    return found.id;
  }

  async #anyBroker<T>(question: (node: Node) => Promise<T>): Promise<T> {
    let failure: unknown;
    for (const node of this.brokers) {
      if (!node.isRunning || node.isPaused) continue;
      try {
        return await question(node);
      } catch (error) {
        failure = error;
      }
    }
    throw new Error('no broker answers', { cause: failure });
  }
}
