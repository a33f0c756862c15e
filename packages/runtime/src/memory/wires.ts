import type { SeededRandom } from './random.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

export type WireOptions = {
  /** One way; each packet takes a time between the two. */
  readonly minLatencyMs?: number;
  readonly maxLatencyMs?: number;
  /** The part of the packets that arrive in pieces, 0 to 1. */
  readonly fragmentation?: number;
};

/** What connects the simulated machines: it delays, and where it is cut it keeps packets until it is healed, as TCP's resending would. */
export class Wires {
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly fragmentation: number;
  readonly #minLatencyMs: number;
  readonly #maxLatencyMs: number;
  /** `from>to` of the ways that are cut. */
  readonly #cut = new Set<string>();
  readonly #down = new Set<string>();
  readonly #held = new Set<Lane>();

  constructor(time: VirtualTime, trace: Trace, random: SeededRandom, options: WireOptions = {}) {
    this.time = time;
    this.trace = trace;
    this.random = random;
    this.#minLatencyMs = options.minLatencyMs ?? 0.05;
    this.#maxLatencyMs = Math.max(this.#minLatencyMs, options.maxLatencyMs ?? 0.5);
    this.fragmentation = options.fragmentation ?? 0.1;
  }

  /** Nothing goes from one to the other; unless `oneWay`, nor back. */
  cut(from: string, to: string, options: { oneWay?: boolean } = {}): void {
    this.#cut.add(`${from}>${to}`);
    if (!options.oneWay) this.#cut.add(`${to}>${from}`);
  }

  /** Mends the ways between the two, or all. */
  heal(one?: string, other?: string): void {
    if (one === undefined || other === undefined) this.#cut.clear();
    this.#cut.delete(`${one}>${other}`);
    this.#cut.delete(`${other}>${one}`);
    this.#release();
  }

  /** A machine without power neither takes packets nor refuses them. */
  setDown(host: string, down: boolean): void {
    if (down) this.#down.add(host);
    else this.#down.delete(host);
    this.#release();
  }

  isOpen(from: string, to: string): boolean {
    return !this.#cut.has(`${from}>${to}`) && !this.#down.has(to);
  }

  latencyMs(): number {
    return this.#minLatencyMs + this.random.fraction() * (this.#maxLatencyMs - this.#minLatencyMs);
  }

  /** For Lane. */
  hold(lane: Lane): void {
    this.#held.add(lane);
  }

  #release(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const lane of held) lane.resume();
  }
}

/** One direction of a connection: packets arrive in the order they were sent. */
export class Lane {
  readonly #wires: Wires;
  readonly #from: string;
  readonly #to: string;
  /** Sent, not arrived; each has one arrival planned or held, and arrivals take the oldest packet. */
  readonly #packets: (() => void)[] = [];
  #heldArrivals = 0;
  #lastArrivalMs = 0;

  constructor(wires: Wires, from: string, to: string) {
    this.#wires = wires;
    this.#from = from;
    this.#to = to;
  }

  send(arrive: () => void): void {
    this.#packets.push(arrive);
    this.#planArrival();
  }

  /** For Wires. */
  resume(): void {
    const arrivals = this.#heldArrivals;
    this.#heldArrivals = 0;
    for (let i = 0; i < arrivals; i++) this.#planArrival();
  }

  #planArrival(): void {
    const { time } = this.#wires;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, time.nowMs + this.#wires.latencyMs());
    time.after(this.#lastArrivalMs - time.nowMs, () => this.#arrive());
  }

  #arrive(): void {
    if (!this.#wires.isOpen(this.#from, this.#to)) {
      this.#heldArrivals++;
      this.#wires.hold(this);
      return;
    }
    this.#packets.shift()!();
  }
}
