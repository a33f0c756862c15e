import type { Logger } from '../logger.ts';
import { silentLogger } from '../node/logger.ts';
import type { Runtime } from '../runtime.ts';
import type { Timer, Timers } from '../timers.ts';
import { MemoryFiles } from './files.ts';
import { MachineClock } from './machine-clock.ts';
import { type DiskCondition, MachineDisk } from './machine-disk.ts';
import { MemoryHosts, MemoryNetwork } from './network.ts';
import { ProcessGate } from './process-gate.ts';
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

export type MachineOptions = DiskCondition & {
  readonly logger?: Logger;
  readonly tornWrites?: boolean;
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
  /** The hosts whose processes something has happened to, for who looks on and takes them out. */
  readonly touched = new Set<string>();
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

  /** The ends at `host` of its connections with `other` are reset. The other ends stay half-open: they hear of it when they send. */
  loseEnds(host: string, other: string): void {
    this.#hosts.loseEnds(host, other);
  }
}

/** A disk and a place on the network, for one process at a time. */
export class Machine {
  readonly host: string;
  readonly files: MemoryFiles;
  readonly clock: MachineClock;
  readonly disk: MachineDisk;
  readonly #world: World;
  readonly #hosts: MemoryHosts;
  readonly #options: MachineOptions;
  readonly #random: SeededRandom;
  #process: { gate: ProcessGate; timers: ProcessTimers; network: MemoryNetwork } | undefined;
  #boots = 0;

  constructor(world: World, hosts: MemoryHosts, host: string, options: MachineOptions) {
    this.host = host;
    this.#world = world;
    this.#hosts = hosts;
    this.#options = options;
    this.#random = world.random.fork(host);
    this.clock = new MachineClock(world.time, world.startMs + world.time.nowMs + (options.clockOffsetMs ?? 0));
    this.disk = new MachineDisk(options);
    this.files = new MemoryFiles({
      clock: this.clock,
      timers: world.time,
      syncMs: () => this.disk.syncMs?.() ?? 0,
      capacityBytes: () => this.disk.capacityBytes,
      whenRunning: (callback) => this.#process?.gate.pass(callback),
      crashes: { random: this.#random.fork('disk'), tornWrites: options.tornWrites },
      fault: (operation) => {
        const code = this.disk.fault?.(operation);
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
    const { touched } = this.#world;
    touched.add(this.host);
    const gate = new ProcessGate(this.#world.time, () => touched.add(this.host));
    const timers = new ProcessTimers(this.#world, this.host, gate);
    const network = new MemoryNetwork(this.#hosts, this.host, gate);
    this.#process = { gate, timers, network };
    return {
      clock: this.clock,
      timers,
      random: this.#random.fork(`boot ${this.#boots++}`),
      files: this.files,
      network,
      logger: this.#options.logger ?? silentLogger,
    };
  }

  /** Stops the process where it is, as SIGSTOP does: the system goes on taking connections and packets for it. */
  pause(): void {
    this.#world.trace.record(`${this.host} pause`);
    this.#process?.gate.pause();
  }

  /** The process goes on, and finds that all has happened at once. */
  resume(): void {
    this.#world.trace.record(`${this.host} resume`);
    this.#process?.gate.resume();
  }

  get isPaused(): boolean {
    return this.#process?.gate.isPaused === true;
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
    this.#world.touched.add(this.host);
    this.#process?.gate.end();
    this.#process?.network.abandon(peersHear);
    this.#process = undefined;
  }
}

class ProcessTimers implements Timers {
  readonly #world: World;
  readonly #host: string;
  readonly #gate: ProcessGate;

  constructor(world: World, host: string, gate: ProcessGate) {
    this.#world = world;
    this.#host = host;
    this.#gate = gate;
  }

  after(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const event = this.#world.time.after(delayMs, () =>
      this.#gate.pass(() => {
        // Between coming due and being heard of, when the process was stopped.
        if (isCancelled) return;
        this.#world.trace.record(`${this.#host} timer at ${this.#world.time.nowMs}`);
        callback();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        event.cancel();
      },
    };
  }

  soon(callback: () => void): void {
    this.#world.time.soon(() => this.#gate.pass(callback));
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
