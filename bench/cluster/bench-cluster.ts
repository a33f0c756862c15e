/** Three nodes, each broker and controller, of Ottla or of Apache Kafka, with Kafka's default timers on both. */
import process from 'node:process';
import { Admin } from '@ottla/client';
import { ElectLeaders, ListOffsets } from '@ottla/protocol';
import { ask } from '../../test/cluster/ask.ts';
import type { ClusterNode } from '../../test/cluster/cluster-node.ts';
import { combined, ProcessCluster } from '../../test/cluster/process-cluster.ts';
import type { TargetName } from '../../test/interop/targets/node.ts';
import { cpuSeconds, memoryMiB } from '../broker/process-usage.ts';
import { publishedCommand } from '../broker/published-command.ts';
import { shippedKafka } from '../broker/shipped-kafka.ts';

const latest = -1;

export class BenchCluster implements AsyncDisposable {
  readonly processes: ProcessCluster;
  readonly admin: Admin;

  static async start(target: TargetName): Promise<BenchCluster> {
    const program = target === 'ottla' ? await publishedCommand() : '';
    const command = (node: ClusterNode): readonly string[] =>
      target === 'kafka' ? shippedKafka(node) : [process.execPath, program, 'start', '--config', node.propertiesFile];
    const nodes = combined(target, 3).map((node) => ({ ...node, command }));
    const properties = { 'log.segment.delete.delay.ms': '0' };
    return new BenchCluster(await ProcessCluster.create({ nodes, properties, onLoopback: true }));
  }

  private constructor(processes: ProcessCluster) {
    this.processes = processes;
    this.admin = new Admin({ bootstrapServers: processes.bootstrap });
  }

  get bootstrap(): string {
    return this.processes.bootstrap;
  }

  get residentMiB(): number {
    return this.processes.nodes.reduce((sum, { pid }) => sum + memoryMiB(pid!).resident, 0);
  }

  get cpuSeconds(): number {
    return this.processes.nodes.reduce((sum, { pid }) => sum + cpuSeconds(pid!), 0);
  }

  /** Partitions of three replicas, of which two must be in sync, led by the nodes in turn; resolves when all are in sync. */
  async topic(name: string, partitions: number, assignments?: readonly (readonly number[])[]): Promise<void> {
    const how = assignments ? { assignments } : { partitions, replicationFactor: 3 };
    await this.admin.createTopics([{ name, ...how, configs: { 'min.insync.replicas': '2' } }]);
    await this.processes.whole();
  }

  /** Each leader says where its partitions end. */
  async isServed(): Promise<boolean> {
    const { topics } = await this.processes.metadata();
    for (const node of this.processes.nodes) {
      const asked = topics.map(({ name, partitions }) => ({
        name: name ?? '',
        partitions: partitions
          .filter(({ leaderId }) => leaderId === node.id)
          .map(({ partitionIndex }) => ({ partitionIndex, currentLeaderEpoch: -1, timestamp: latest })),
      }));
      const answer = await ask(node.brokerAddress, ListOffsets, 7, { replicaId: -1, isolationLevel: 0, topics: asked }, 30_000);
      if (answer.topics.some(({ partitions }) => partitions.some(({ errorCode }) => errorCode !== 0))) return false;
    }
    return true;
  }

  /** A partition that is not led by the active controller's node, and the node that leads it. */
  async partitionApart(topic: string): Promise<{ partition: number; leader: ClusterNode }> {
    const controllerId = await this.processes.activeController();
    const { topics } = await this.processes.metadata();
    const partitions = topics.find(({ name }) => name === topic)!.partitions;
    const found = partitions.find(({ leaderId }) => leaderId !== controllerId);
    if (!found) throw new Error('the node of the active controller leads everything');
    return { partition: found.partitionIndex, leader: this.processes.node(found.leaderId) };
  }

  /** All nodes run and are in sync, and the first replicas lead again. */
  async mend(): Promise<void> {
    await this.processes.start();
    const [node] = this.processes.nodes;
    await ask(node!.brokerAddress, ElectLeaders, 2, { electionType: 0, topicPartitions: null, timeoutMs: 10_000 }, 15_000);
    await this.processes.whole();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.close();
    await this.processes.destroy();
  }
}
