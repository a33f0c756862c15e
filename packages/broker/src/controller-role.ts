import {
  BrokerConfigSchema,
  Controller,
  defaultFeatureLevels,
  featureLevelRecord,
  metadataLogDirectory,
  type ParsedBrokerConfig,
} from '@ottla/metadata';
import type { ServerConnection } from '@ottla/network';
import type { Api, MetadataRecord, Uuid, Writable } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import type { ClientRequest, ControllerChannel, LocalController } from './controller/controller-channel.ts';
import { operationOf } from './controller/controller-operations.ts';
import { ControllerRegistrar } from './controller/controller-registration.ts';
import { QuorumController } from './controller/quorum-controller.ts';
import type { ControllerParts } from './controller-parts.ts';
import { readBootstrapCheckpoint } from './format.ts';
import type { ControllerContext, ControllerHandler } from './handlers/handler.ts';
import { controllerHandlers } from './handlers/index.ts';
import type { RegisteredEndpoint } from './listeners.ts';
import type { NodeParts } from './node-parts.ts';
import { RequestDispatcher } from './request-dispatcher.ts';

export type ControllerRoleOptions = {
  readonly node: NodeParts;
  readonly parsed: ParsedBrokerConfig;
  readonly runtime: Runtime;
  /** A broker of this process has registered. */
  readonly hasRegisteredBroker: () => boolean;
  readonly onFatal: (error: unknown) => void;
};

/** The controller half of a node: follows the metadata log, and decides on what becomes of the cluster while this node leads the quorum. */
export class ControllerRole implements LocalController {
  readonly controller: QuorumController;
  readonly dispatcher: RequestDispatcher;
  readonly #parts: ControllerParts;
  readonly #handlers: ReadonlyMap<number, ControllerHandler>;
  #registrar: ControllerRegistrar | undefined;

  constructor({ node, parsed, runtime, hasRegisteredBroker, onFatal }: ControllerRoleOptions) {
    this.controller = new QuorumController({
      controller: pureController(parsed, node),
      nodeId: node.nodeId,
      log: node.quorum,
      runtime,
      metadata: node.metadata,
      bootstrap: readBootstrapCheckpoint(runtime.files, metadataLogDirectory(parsed.config)) ?? defaultBootstrap(),
      hasRegisteredBroker,
      onFatal,
    });
    const rules = { deletesTopics: () => node.config.get('delete.topic.enable') };
    this.#parts = { ...node, controller: this.controller, rules };
    this.#handlers = controllerHandlers();
    this.dispatcher = RequestDispatcher.forController(this.#parts, this.#handlers);
  }

  get isActive(): boolean {
    return this.controller.isActive;
  }

  send<Request, Response>(api: Api<Request, Response>, request: Request): Promise<Response> {
    const { decide } = operationOf(api);
    return this.controller.submit((decider, context) => decide(decider, request, context, this.#parts.rules));
  }

  /** As the handler of the controller's listener would, without a network. */
  async forward<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    client: ClientRequest,
  ): Promise<Writable<Response>> {
    const handler = this.#handlers.get(api.apiKey);
    if (!handler) throw new Error(`the controller does not serve ${api.name}`);
    const { apiVersion, correlationId, clientId } = client;
    const connection = client.connection as ServerConnection;
    const context: ControllerContext = {
      node: this.#parts,
      controller: this.#parts,
      connection,
      apiVersion,
      correlationId,
      clientId,
      releases: [],
    };
    return (await handler.handle(request as object, context)) as Writable<Response>;
  }

  /** Tells the cluster that this controller is there, and where. Resolves when the cluster knows, or when that takes another leader. */
  async register(channel: ControllerChannel, incarnationId: Uuid, listeners: RegisteredEndpoint[]): Promise<void> {
    const { nodeId: controllerId, metadata, runtime } = this.#parts;
    this.#registrar = new ControllerRegistrar({ metadata, runtime, channel, controllerId, incarnationId, listeners });
    const registration = this.#registrar.register();
    if (this.isActive) await registration;
  }

  stop(): void {
    this.#registrar?.stop();
    this.controller.stop();
  }
}

function pureController({ config, ...parsed }: ParsedBrokerConfig, { nodeId, clusterId, quorum }: NodeParts): Controller {
  return new Controller({
    schema: new BrokerConfigSchema({ config, ...parsed }),
    clusterId,
    nodeId,
    kraftVersion: {
      level: () => quorum.kRaftVersion,
      upgrade: (level, validateOnly) => quorum.upgradeKRaftVersion(level, validateOnly),
    },
    defaultPartitions: config['num.partitions'],
    defaultReplicationFactor: config['default.replication.factor'],
    brokerSessionTimeoutMs: config['broker.session.timeout.ms'],
    maxIdleIntervalMs: config['metadata.max.idle.interval.ms'],
    leaderBalance: config['auto.leader.rebalance.enable'],
    leaderBalanceIntervalMs: config['leader.imbalance.check.interval.seconds'] * 1000,
    uncleanElectionIntervalMs: config['unclean.leader.election.interval.ms'],
  });
}

/** For a directory that was formatted without saying: what this release would have written. */
const defaultBootstrap = (): MetadataRecord[] =>
  [...defaultFeatureLevels()].map(([name, level]) => featureLevelRecord(name, level));
