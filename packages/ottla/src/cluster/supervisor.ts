import type { ChildProcess, Clock, Logger, ProcessExit, Processes, Timer, Timers } from '@ottla/runtime';

export type SupervisedNode = {
  readonly nodeId: number;
  readonly isController: boolean;
  /** Of the command that runs it. */
  readonly args: readonly string[];
};

export type SupervisorOptions = {
  readonly processes: Processes;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The command's own file. */
  readonly program: string;
  readonly nodes: readonly SupervisedNode[];
  readonly onLine: (nodeId: number, line: string) => void;
  /** Of a node that served and has ended unasked: nobody else knows so soon, nor so surely. */
  readonly onDeath: (node: { readonly nodeId: number; readonly brokerEpoch: number }) => void;
};

/** What a node tells the process that started it: it serves; its broker has handed over, and its controller waits for leave to stop. */
export type NodeMessage = { readonly ottla: 'serves'; readonly brokerEpoch: number } | { readonly ottla: 'handedOver' };

/** What it is told: to hand over and wait, as its controller is still needed; and that it is needed no more. */
export type SupervisorMessage = { readonly ottla: 'handOver' } | { readonly ottla: 'stop' };

const FIRST_RESTART_MS = 100;
const LONGEST_RESTART_MS = 10_000;
/** Who has served that long did not die of how it was started. */
const STEADY_AFTER_MS = 30_000;

type Node = SupervisedNode & {
  child: ChildProcess | undefined;
  served: boolean;
  /** Of the incarnation that serves; -1 while none does. */
  brokerEpoch: number;
  startedMs: number;
  restartMs: number;
  restart: Timer | undefined;
  exited: PromiseWithResolvers<ProcessExit>;
  handedOver: PromiseWithResolvers<void>;
};

/**
 * A process for each node of a cluster: started together, started again when one dies, and stopped in an order in which each can still hand
 * over what it leads.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #nodes: readonly Node[];
  readonly #serving = Promise.withResolvers<void>();
  #stopping: Promise<boolean> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#nodes = options.nodes.map((node) => ({
      ...node,
      child: undefined,
      served: false,
      brokerEpoch: -1,
      startedMs: 0,
      restartMs: FIRST_RESTART_MS,
      restart: undefined,
      exited: Promise.withResolvers<ProcessExit>(),
      handedOver: Promise.withResolvers<void>(),
    }));
    this.#serving.promise.catch(() => {});
  }

  /** Resolves when all nodes serve. Rejects when one ends before it ever did: whoever refuses to start would refuse again. */
  start(): Promise<void> {
    for (const node of this.#nodes) this.#run(node);
    return this.#serving.promise;
  }

  /**
   * Nodes without a controller stop first. Then the brokers of the others hand over, and only when all have do the controllers go: a last
   * broker would otherwise ask a quorum that is no more. True when all ended as they should.
   */
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stopInOrder();
    return this.#stopping;
  }

  /** Ends everything now. */
  kill(): void {
    this.#stopping ??= Promise.resolve(false);
    for (const { child, restart } of this.#nodes) {
      restart?.cancel();
      child?.signal('SIGKILL');
    }
  }

  async #stopInOrder(): Promise<boolean> {
    this.#serving.reject(new Error('the nodes were told to stop while they started'));
    for (const { restart } of this.#nodes) restart?.cancel();
    const exits = this.#nodes.map((node) => (node.child ? node.exited.promise : { code: 0, signal: null }));
    const running = this.#nodes.filter(({ child }) => child);
    const brokersAlone = running.filter((node) => !node.isController);
    for (const { child } of brokersAlone) child!.signal('SIGTERM');
    if (brokersAlone.length > 0) await Promise.all(brokersAlone.map(({ exited }) => exited.promise));
    const controllers = running.filter((node) => node.isController);
    const told = (message: SupervisorMessage): void => {
      for (const { child } of controllers) child?.send(message);
    };
    told({ ottla: 'handOver' });
    await Promise.all(controllers.map(({ handedOver, exited }) => Promise.race([handedOver.promise, exited.promise])));
    told({ ottla: 'stop' });
    return (await Promise.all(exits)).every(({ code }) => code === 0);
  }

  #run(node: Node): void {
    const { processes, program, clock, onLine } = this.#options;
    node.restart = undefined;
    node.startedMs = clock.monotonicMs();
    node.exited = Promise.withResolvers();
    node.handedOver = Promise.withResolvers();
    node.child = processes.start({
      program,
      args: node.args,
      onLine: (line) => onLine(node.nodeId, line),
      onMessage: (message) => this.#heard(node, message as NodeMessage),
      onExit: (exit) => this.#ended(node, exit),
    });
  }

  #heard(node: Node, message: NodeMessage): void {
    if (message.ottla === 'handedOver') node.handedOver.resolve();
    if (message.ottla !== 'serves') return;
    node.served = true;
    node.brokerEpoch = message.brokerEpoch;
    if (this.#nodes.every(({ served }) => served)) this.#serving.resolve();
  }

  #ended(node: Node, exit: ProcessExit): void {
    node.child = undefined;
    node.exited.resolve(exit);
    if (this.#stopping) return;
    const { logger, clock, timers } = this.#options;
    const how = exit.signal === null ? `with status ${exit.code}` : `by ${exit.signal}`;
    if (!node.served) {
      this.#serving.reject(new NodeFailedError(`node ${node.nodeId} did not start: its last lines above say why`));
      return;
    }
    if (node.brokerEpoch >= 0) this.#options.onDeath({ nodeId: node.nodeId, brokerEpoch: node.brokerEpoch });
    node.brokerEpoch = -1;
    if (clock.monotonicMs() - node.startedMs >= STEADY_AFTER_MS) node.restartMs = FIRST_RESTART_MS;
    logger.error(`node ${node.nodeId} ended ${how}: it is started again`, { inMs: node.restartMs });
    node.restart = timers.after(node.restartMs, () => this.#run(node));
    node.restartMs = Math.min(node.restartMs * 2, LONGEST_RESTART_MS);
  }
}

/** The node has said itself what is wrong. */
export class NodeFailedError extends Error {
  override readonly name = 'NodeFailedError';
}
