import type { Logger } from '../logger.ts';
import { silentLogger } from '../node/logger.ts';
import type { Runtime } from '../runtime.ts';
import type { Timer, Timers } from '../timers.ts';
import { type FileOperation, MemoryFiles } from './files.ts';
import { MemoryHosts, MemoryNetwork } from './network.ts';
import { SeededRandom } from './random.ts';
import { Trace } from './trace.ts';
import { VirtualTime } from './virtual-time.ts';
import { type WireOptions, Wires } from './wires.ts';

export type WorldOptions = {
  readonly seed: number | string;
  /** The wall clock when the world begins. */
  readonly startMs?: number;
  readonly wires?: WireOptions;
  /** How many of the last lines of the trace to keep. */
  readonly keepTrace?: number;
};

export type MachineOptions = {
  readonly logger?: Logger;
  readonly capacityBytes?: number;
  readonly tornWrites?: boolean;
  readonly fault?: (operation: FileOperation) => string | undefined;
  readonly syncMs?: () => number;
  /** How far its wall clock is off. */
  readonly clockOffsetMs?: number;
};

/** Simulated machines on simulated wires, in virtual time. The same seed and the same calls make the same things happen. */
export class World {
  readonly time = new VirtualTime();
  readonly trace: Trace;
  /** For whoever drives the world; the machines have their own. */
  readonly random: SeededRandom;
  readonly wires: Wires;
  readonly startMs: number;
  readonly #hosts: MemoryHosts;
  readonly #machines = new Map<string, Machine>();

  constructor(options: WorldOptions) {
    this.random = new SeededRandom(options.seed);
    this.startMs = options.startMs ?? Date.UTC(2026, 0, 1);
    this.trace = new Trace(options.keepTrace);
    this.wires = new Wires(this.time, this.trace, this.random.fork('wires'), options.wires);
    this.#hosts = new MemoryHosts(this.wires);
  }

  /** Adds a machine; the host is its name on the network. */
  machine(host: string, options: MachineOptions = {}): Machine {
    if (this.#machines.has(host)) throw new Error(`there is a machine ${host} already`);
    const machine = new Machine(this, this.#hosts, host, options);
    this.#machines.set(host, machine);
    return machine;
  }

  advance(ms: number): Promise<void> {
    return this.time.advance(ms);
  }

  runUntil<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.time.runUntil(promise, limitMs);
  }

  /** Resets the connections between the two hosts. */
  dropConnections(one: string, other: string): void {
    this.#hosts.dropConnections(one, other);
  }
}

/** A disk and a place on the network, for one process at a time. */
export class Machine {
  readonly host: string;
  readonly files: MemoryFiles;
  readonly #world: World;
  readonly #hosts: MemoryHosts;
  readonly #options: MachineOptions;
  readonly #random: SeededRandom;
  #process: { timers: ProcessTimers; network: MemoryNetwork } | undefined;
  #boots = 0;

  constructor(world: World, hosts: MemoryHosts, host: string, options: MachineOptions) {
    this.host = host;
    this.#world = world;
    this.#hosts = hosts;
    this.#options = options;
    this.#random = world.random.fork(host);
    this.files = new MemoryFiles({
      clock: this.#clock(),
      timers: world.time,
      syncMs: options.syncMs,
      capacityBytes: options.capacityBytes,
      crashes: { random: this.#random.fork('disk'), tornWrites: options.tornWrites },
      fault: (operation) => {
        const code = options.fault?.(operation);
        const { kind, path, position = '', bytes = '' } = operation;
        world.trace.record(`${host} ${kind} ${path} ${position} ${bytes} ${code ?? ''}`);
        return code;
      },
    });
  }

  /** What a process that starts now takes from outside. Ends the one before, as `kill` does. */
  boot(): Runtime {
    this.kill();
    this.#hosts.wires.setDown(this.host, false);
    const timers = new ProcessTimers(this.#world, this.host);
    const network = new MemoryNetwork(this.#hosts, this.host);
    this.#process = { timers, network };
    return {
      clock: this.#clock(),
      timers,
      random: this.#random.fork(`boot ${this.#boots++}`),
      files: this.files,
      network,
      logger: this.#options.logger ?? silentLogger,
    };
  }

  /** The process ends at once: its peers see resets, and what it wrote is there, synced or not. */
  kill(): void {
    this.#endProcess(true);
    this.files.kill();
  }

  /** The power fails: its peers hear nothing, and what was not synced is lost. */
  crash(): void {
    this.#endProcess(false);
    this.#hosts.wires.setDown(this.host, true);
    this.files.crash();
  }

  #endProcess(peersHear: boolean): void {
    this.#world.trace.record(`${this.host} ${peersHear ? 'kill' : 'crash'}`);
    this.#process?.timers.stop();
    this.#process?.network.abandon(peersHear);
    this.#process = undefined;
  }

  #clock() {
    const { time, startMs } = this.#world;
    const offsetMs = startMs + (this.#options.clockOffsetMs ?? 0);
    return { nowMs: () => offsetMs + Math.floor(time.nowMs), monotonicMs: () => time.nowMs };
  }
}

class ProcessTimers implements Timers {
  readonly #world: World;
  readonly #host: string;
  #stopped = false;

  constructor(world: World, host: string) {
    this.#world = world;
    this.#host = host;
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#world.time.after(delayMs, () => {
      if (this.#stopped) return;
      this.#world.trace.record(`${this.#host} timer at ${this.#world.time.nowMs}`);
      callback();
    });
  }

  soon(callback: () => void): void {
    this.#world.time.soon(() => {
      if (!this.#stopped) callback();
    });
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** A world of one machine, for tests: a runtime, and the controls of what is around it. */
export type MemoryRuntime = Runtime & {
  readonly world: World;
  readonly machine: Machine;
  readonly advance: (ms: number) => Promise<void>;
  readonly runUntil: <T>(promise: Promise<T>, limitMs?: number) => Promise<T>;
};

export function memoryRuntime(options: WorldOptions & MachineOptions): MemoryRuntime {
  const world = new World(options);
  const machine = world.machine('localhost', options);
  return {
    ...machine.boot(),
    world,
    machine,
    advance: (ms) => world.advance(ms),
    runUntil: (promise, limitMs) => world.runUntil(promise, limitMs),
  };
}
