/** What operators do to a cluster: they ask for it, and may be refused. */
import { Admin } from '@ottla/client';
import { BrokerConnection } from '@ottla/network';
import {
  AddRaftVoter,
  AlterPartitionReassignments,
  type Api,
  ElectLeaders,
  errorName,
  RemoveRaftVoter,
  type Writable,
} from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { clientTiming } from './clients/simulated-client.ts';
import { type Happening, hostOf, isBroker, type Plan } from './plan.ts';
import { CONTROLLER_PORT, clusterId, directoryIdOf, type SimulatedCluster } from './simulated-cluster.ts';

export class Operator {
  readonly admin: Admin;
  readonly #cluster: SimulatedCluster;
  readonly #plan: Plan;
  readonly #runtime: Runtime;

  constructor(cluster: SimulatedCluster, plan: Plan) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#runtime = cluster.clientRuntime('operator');
    this.admin = new Admin({ ...clientTiming, bootstrapServers: cluster.bootstrapServers, runtime: this.#runtime });
  }

  /** Resolves with what became of it; undefined when it is nothing that operators do. */
  async do(happening: Happening): Promise<string | undefined> {
    switch (happening.do) {
      case 'createTopic': {
        const { name, partitions, configs } = happening.topic;
        await this.admin.createTopics([{ name, partitions, configs }]);
        return 'created';
      }
      case 'deleteTopic':
        await this.admin.deleteTopics([happening.name]);
        return 'deleted';
      case 'configureTopic': {
        const { name, config, value } = happening;
        await this.admin.incrementalAlterConfigs([
          { type: 'topic', name, ...(value === null ? { unset: [config] } : { set: { [config]: value } }) },
        ]);
        return 'configured';
      }
      case 'electPreferred': {
        await this.#ask(ElectLeaders, { electionType: 0, topicPartitions: null, timeoutMs: 5_000 });
        return 'elected';
      }
      case 'reassign': {
        const { topic, partition, pick } = happening;
        const replicas = this.#someBrokers(pick);
        await this.#ask(AlterPartitionReassignments, {
          timeoutMs: 5_000,
          topics: [{ name: topic, partitions: [{ partitionIndex: partition, replicas }] }],
        });
        return `asked for ${replicas}`;
      }
      case 'cancelReassignments': {
        const topics = this.#plan.topics.map(({ name, partitions }) => ({
          name,
          partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, replicas: null })),
        }));
        await this.#ask(AlterPartitionReassignments, { timeoutMs: 5_000, topics });
        return 'cancelled';
      }
      case 'removeVoter': {
        const { node } = happening;
        const request = { clusterId, voterId: node, voterDirectoryId: directoryIdOf(node) };
        return errorName((await this.#ask(RemoveRaftVoter, request)).errorCode);
      }
      case 'addVoter': {
        const { node } = happening;
        const listeners = [{ name: 'CONTROLLER', host: hostOf(node), port: CONTROLLER_PORT }];
        const request = { clusterId, voterId: node, voterDirectoryId: directoryIdOf(node), timeoutMs: 5_000, listeners };
        return errorName((await this.#ask(AddRaftVoter, request)).errorCode);
      }
      default:
        return undefined;
    }
  }

  /** Three, or all, in an order that `pick` decides. */
  #someBrokers(pick: number): number[] {
    const ids = this.#plan.nodes.filter(isBroker).map(({ id }) => id);
    const chosen: number[] = [];
    for (let rest = pick; chosen.length < 3 && ids.length > 0; ) {
      rest = (rest * ids.length) % 1;
      chosen.push(ids.splice(Math.floor(rest * ids.length), 1)[0]!);
    }
    return chosen;
  }

  async #ask<Request, Response>(api: Api<Request, Response>, request: Writable<Request>): Promise<Response> {
    const up = this.#cluster.nodes.find(({ plan, state }) => isBroker(plan) && state === 'up');
    if (!up) throw new Error('no broker serves');
    const connection = await BrokerConnection.connect({
      ...this.#runtime,
      address: { host: up.host, port: 9092 },
      clientId: 'operator',
      connectTimeoutMs: 2_000,
      requestTimeoutMs: 6_000,
    });
    try {
      return await connection.send(api, request);
    } finally {
      connection.close();
    }
  }

  close(): Promise<void> {
    return this.admin.close();
  }
}
