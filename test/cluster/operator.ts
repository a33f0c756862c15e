/** Kafka's own tools on a cluster, as its operator uses them. They share a JVM, as their start takes most of their time. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../interop/clients/client.ts';
import { connectClient } from '../interop/clients/connect.ts';
import { toolCommand } from '../interop/kafka/tools.ts';
import { eventually } from '../interop/processes.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { ProcessCluster } from './process-cluster.ts';

export class Operator {
  readonly #cluster: ProcessCluster;
  #java: Client | undefined;

  constructor(cluster: ProcessCluster) {
    this.#cluster = cluster;
  }

  get java(): Client {
    this.#java ??= connectClient('java', this.#cluster.bootstrap);
    return this.#java;
  }

  /** What the tool printed; rejects when it does not end well. */
  async tool(name: string, ...words: string[]): Promise<string> {
    const { mainClass, args } = toolCommand(name, words, this.#cluster.bootstrap);
    const { status, stdout, stderr } = await this.java.call('tool', { class: mainClass, args });
    if (status !== 0) throw new Error(`${name} ${words.join(' ')} ended with ${status}\n${stdout}${stderr}`);
    return stdout + stderr;
  }

  /** The tool, until it has printed what is awaited. */
  async until(awaited: RegExp, name: string, ...words: string[]): Promise<void> {
    await eventually(
      `${name} ${words.join(' ')} says ${awaited}`,
      async () => {
        const printed = await this.tool(name, ...words);
        if (!awaited.test(printed)) throw new Error(printed);
        return true;
      },
      { timeoutMs: 120_000, pauseMs: 500 },
    );
  }

  /** Gives all partitions of all topics these replicas, the first of which is to lead, and waits until that is done. */
  async moveEverythingTo(replicas: (topic: string, partition: number) => readonly number[]): Promise<void> {
    const { topics } = await this.#cluster.metadata();
    const partitions = topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex }) => ({
        topic: name,
        partition: partitionIndex,
        replicas: replicas(name!, partitionIndex),
      })),
    );
    const file = join(this.#cluster.directory, 'reassignment.json');
    writeFileSync(file, JSON.stringify({ version: 1, partitions }));
    await this.tool('reassign-partitions', '--reassignment-json-file', file, '--execute');
    await eventually(
      'the reassignment is done',
      async () => {
        const printed = await this.tool('reassign-partitions', '--reassignment-json-file', file, '--verify');
        if (/in progress|is not complete|still/.test(printed)) throw new Error(printed);
        return true;
      },
      { timeoutMs: 120_000, pauseMs: 500 },
    );
    await this.tool('leader-election', '--election-type', 'preferred', '--all-topic-partitions');
  }

  /** Resolves when the broker leads all partitions of which it is the first replica, and is in sync in all others. */
  async leads(broker: ClusterNode): Promise<void> {
    await eventually(`${broker} leads`, async () => {
      const { topics } = await this.#cluster.metadata();
      let count = 0;
      for (const { name, partitions } of topics) {
        for (const { partitionIndex, leaderId, replicaNodes } of partitions) {
          if (replicaNodes[0] !== broker.id) continue;
          if (leaderId !== broker.id) throw new Error(`${name}-${partitionIndex} is led by ${leaderId}`);
          count++;
        }
      }
      if (count === 0) throw new Error(`${broker} is nowhere the first replica`);
      return true;
    });
  }

  /** Waits for the broker to be gone from the metadata. */
  async unregister(broker: ClusterNode): Promise<void> {
    await this.tool('cluster', 'unregister', '--bootstrap-server', '<bootstrap>', '--id', String(broker.id));
    const server = this.#cluster.bootstrap;
    await eventually(`${broker} is gone`, async () => {
      const { stdout } = await this.java.call('tool', {
        class: 'org.apache.kafka.tools.ClusterTool',
        args: ['list-endpoints', '--bootstrap-server', server, '--include-fenced-brokers'],
      });
      if (new RegExp(`^${broker.id}\\s`, 'm').test(stdout)) throw new Error(stdout);
      return true;
    });
  }

  async close(): Promise<void> {
    await this.#java?.close();
  }
}
