import { KafkaError } from '@ottla/protocol';
import { type Runtime, sleep } from '@ottla/runtime';
import type { TransactionMarker } from '../transactions/transaction-marker.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import type { CoordinatorMachine, MachineOutcome, Moment, RecordCodec } from './coordinator-machine.ts';
import { CoordinatorPartition, type CoordinatorPartitionConfig } from './coordinator-partition.ts';

export type CoordinatorRuntimeOptions<Machine, Record> = {
  /** The topic whose partitions hold the state, `__consumer_offsets` for groups. */
  readonly topic: string;
  readonly createMachine: () => Machine;
  readonly codec: RecordCodec<Record>;
  /** The log of a partition that this broker leads. */
  readonly log: (partition: number) => CoordinatorLog;
  readonly config: CoordinatorPartitionConfig;
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'logger'>;
  /** What the machine does bears the epoch of its partition, so that it begins anew in each. Otherwise it goes on while this broker leads on. */
  readonly isBoundToEpoch?: boolean;
  /** See `CoordinatorPartitionOptions.onEffects`. */
  readonly onEffects?: (machine: Machine, from: { readonly partition: number; readonly leaderEpoch: number }) => void;
};

/** A partition whose coordinator fails again as soon as it is loaded is not read all the time. */
const RELOAD_PAUSE_MS = 10_000;

/**
 * The partitions of one kind of coordinator that this broker leads, each with its own state machine. What differs between groups,
 * transactions and share groups is the machine; loading, batching, waiting for commits, undoing and timers are here, once.
 *
 * Every method throws, or rejects with: NOT_COORDINATOR when the partition is not led here, COORDINATOR_LOAD_IN_PROGRESS while it is
 * being read, what the operation throws, and what its append failed with, unmapped.
 */
export class CoordinatorRuntime<
  Machine extends CoordinatorMachine<Record, Continuation>,
  Record = Parameters<Machine['replay']>[0],
  Continuation = Parameters<Machine['continueWith']>[0],
> {
  readonly #options: CoordinatorRuntimeOptions<Machine, Record>;
  readonly #partitions = new Map<number, CoordinatorPartition<Machine, Record, Continuation>>();
  /** Partitions that are loaded at the same time, of which one line is logged. */
  #round: { readonly startedMs: number; partitions: number; pending: number; records: number } | undefined;
  #isShutDown = false;

  constructor(options: CoordinatorRuntimeOptions<Machine, Record>) {
    this.#options = options;
  }

  /**
   * This broker leads the partition from this epoch on; `leadsOn` if it has led it in the one before, with nobody in between. Resolves when it is
   * loaded, or was found to be unreadable.
   */
  elect(partition: number, leaderEpoch: number, leadsOn = false): Promise<void> {
    const known = this.#partitions.get(partition);
    if (this.#isShutDown || (known !== undefined && known.leaderEpoch >= leaderEpoch)) return Promise.resolve();
    const isHere = known?.state === 'active' || known?.state === 'loading';
    if (known !== undefined && isHere && leadsOn && leaderEpoch === known.leaderEpoch + 1 && !this.#options.isBoundToEpoch) {
      known.leadOn(leaderEpoch);
      return Promise.resolve();
    }
    known?.close();
    return this.#load(partition, leaderEpoch);
  }

  /** The partition went to another leader. An older epoch than the one it is led with here is old news. */
  resign(partition: number, leaderEpoch = Number.POSITIVE_INFINITY): void {
    const known = this.#partitions.get(partition);
    if (known === undefined || leaderEpoch < known.leaderEpoch) return;
    this.#partitions.delete(partition);
    known.close();
  }

  shutdown(): void {
    this.#isShutDown = true;
    for (const partition of [...this.#partitions.keys()]) this.resign(partition);
  }

  get partitions(): ReadonlyMap<number, CoordinatorPartition<Machine, Record, Continuation>> {
    return this.#partitions;
  }

  write<Response>(
    partition: number,
    decide: (machine: Machine, moment: Moment) => MachineOutcome<Record, Continuation, Response>,
  ): Promise<Response> {
    return this.#led(partition).write(decide);
  }

  writeTransactional<Response>(
    partition: number,
    writer: Parameters<CoordinatorPartition<Machine, Record, Continuation>['writeTransactional']>[0],
    decide: (machine: Machine, moment: Moment) => MachineOutcome<Record, Continuation, Response>,
  ): Promise<Response> {
    return this.#led(partition).writeTransactional(writer, decide);
  }

  /** Throws NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS. */
  requireActive(partition: number): void {
    this.#led(partition).read(() => undefined);
  }

  /** The marker that ends a producer's transaction in a partition, see `CoordinatorPartition.endTransaction`. */
  async endTransaction(partition: number, marker: TransactionMarker): Promise<void> {
    await this.#led(partition).endTransaction(marker);
  }

  park<Response>(
    partition: number,
    decide: (machine: Machine, moment: Moment, token: number) => MachineOutcome<Record, Continuation, undefined>,
  ): Promise<Response> {
    return this.#led(partition).park(decide);
  }

  read<Response>(partition: number, look: (machine: Machine) => Response): Response {
    return this.#led(partition).read(look);
  }

  /** Looks at every partition led here. Throws COORDINATOR_LOAD_IN_PROGRESS if one of them is not loaded yet. */
  readAll<Response>(look: (machine: Machine) => Response): Response[] {
    return [...this.#partitions.values()].filter(({ state }) => state !== 'failed').map((partition) => partition.read(look));
  }

  /** Tells every partition, also those that are being loaded. */
  configureAll(tell: (machine: Machine) => void): void {
    for (const partition of this.#partitions.values()) partition.configure(tell);
  }

  /** Runs an operation on every partition that is loaded. */
  writeAll<Response>(
    decide: (machine: Machine, moment: Moment) => MachineOutcome<Record, Continuation, Response>,
  ): Promise<Response>[] {
    return [...this.#partitions.values()].filter(({ state }) => state === 'active').map((partition) => partition.write(decide));
  }

  async #load(partition: number, leaderEpoch: number, notBeforeMs = Number.NEGATIVE_INFINITY): Promise<void> {
    const { topic, createMachine, codec, log, config, runtime, onEffects } = this.#options;
    const name = `${topic}-${partition}`;
    const coordinated = new CoordinatorPartition<Machine, Record, Continuation>({
      name,
      leaderEpoch,
      machine: createMachine(),
      log: log(partition),
      codec,
      config,
      runtime,
      onEffects: onEffects && ((machine) => onEffects(machine, { partition, leaderEpoch })),
      onDiverged: (reason) => {
        runtime.logger.error('coordinator state is not to be relied on: loading it again', { partition: name, error: reason });
        coordinated.close();
        if (this.#partitions.get(partition) !== coordinated) return;
        const nextMs = Math.max(runtime.clock.monotonicMs(), notBeforeMs + RELOAD_PAUSE_MS);
        this.#load(partition, coordinated.leaderEpoch, nextMs).catch((error: unknown) => {
          runtime.logger.error('coordinator could not be loaded again', { partition: name, error });
        });
      },
    });
    this.#partitions.set(partition, coordinated);
    const pauseMs = notBeforeMs - runtime.clock.monotonicMs();
    if (pauseMs > 0) await sleep(runtime.timers, pauseMs);
    await this.#loadInRound(coordinated);
  }

  async #loadInRound(coordinated: CoordinatorPartition<Machine, Record, Continuation>): Promise<void> {
    const { topic, runtime } = this.#options;
    this.#round ??= { startedMs: runtime.clock.monotonicMs(), partitions: 0, pending: 0, records: 0 };
    const round = this.#round;
    round.partitions++;
    round.pending++;
    // Others of the round are added to it meanwhile.
    const records = await coordinated.load();
    round.records += records;
    if (--round.pending > 0) return;
    this.#round = undefined;
    runtime.logger.info('coordinators loaded', {
      topic,
      partitions: round.partitions,
      records: round.records,
      ms: Math.round(runtime.clock.monotonicMs() - round.startedMs),
    });
  }

  #led(partition: number): CoordinatorPartition<Machine, Record, Continuation> {
    const known = this.#partitions.get(partition);
    if (known !== undefined) return known;
    throw new KafkaError('NOT_COORDINATOR', `${this.#options.topic}-${partition} is not led here: look the coordinator up again`);
  }
}
