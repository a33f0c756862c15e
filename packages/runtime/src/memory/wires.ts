import type { SeededRandom } from './random.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

export type WireOptions = {
  /** One way; each packet takes a time between the two. */
  readonly minLatencyMs?: number;
  readonly maxLatencyMs?: number;
  /** The part of the packets that arrive in pieces, 0 to 1. */
  readonly fragmentation?: number;
  /** How long a system sends a packet again and again before it takes the connection for dead: what Linux does, unless given. */
  readonly giveUpMs?: number;
};

/** How one way between two machines is worse than usual. */
export type WireTrouble = {
  /** The part of the packets that get lost, 0 to 1. TCP sends them again: they come late, and what was sent after them waits for them. */
  readonly lossRate?: number;
  /** One way, in place of what is usual. */
  readonly minLatencyMs?: number;
  readonly maxLatencyMs?: number;
};

const usualGiveUpMs = 924_600;
const firstResendMs = 200;
const longestResendMs = 120_000;

/**
 * What connects the simulated machines: it delays, and where it is cut it keeps packets until it is healed, as TCP's resending would.
 * Connections are TCP's, so nothing arrives twice or out of order within one; between connections nothing is promised.
 */
export class Wires {
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly fragmentation: number;
  readonly giveUpMs: number;
  readonly #minLatencyMs: number;
  readonly #maxLatencyMs: number;
  /** `from>to` of the ways that are cut. */
  readonly #cut = new Set<string>();
  readonly #down = new Set<string>();
  /** By `from>to`. */
  readonly #troubles = new Map<string, WireTrouble>();
  readonly #held = new Set<Lane>();

  constructor(time: VirtualTime, trace: Trace, random: SeededRandom, options: WireOptions = {}) {
    this.time = time;
    this.trace = trace;
    this.random = random;
    this.#minLatencyMs = options.minLatencyMs ?? 0.05;
    this.#maxLatencyMs = Math.max(this.#minLatencyMs, options.maxLatencyMs ?? 0.5);
    this.fragmentation = options.fragmentation ?? 0.1;
    this.giveUpMs = options.giveUpMs ?? usualGiveUpMs;
  }

  /** Nothing goes from one to the other; unless `oneWay`, nor back. */
  cut(from: string, to: string, options: { oneWay?: boolean } = {}): void {
    this.#cut.add(`${from}>${to}`);
    if (!options.oneWay) this.#cut.add(`${to}>${from}`);
  }

  /** From now on packets from one to the other, and unless `oneWay` back, get lost or take longer. */
  trouble(from: string, to: string, trouble: WireTrouble, options: { oneWay?: boolean } = {}): void {
    this.#troubles.set(`${from}>${to}`, trouble);
    if (!options.oneWay) this.#troubles.set(`${to}>${from}`, trouble);
  }

  /** Mends the ways between the two, or all. */
  heal(one?: string, other?: string): void {
    if (one === undefined || other === undefined) {
      this.#cut.clear();
      this.#troubles.clear();
    }
    for (const way of [`${one}>${other}`, `${other}>${one}`]) {
      this.#cut.delete(way);
      this.#troubles.delete(way);
    }
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

  /** How long the next packet takes, with all it takes to send it again. */
  latencyMs(from: string, to: string): number {
    const trouble = this.#troubles.size > 0 ? this.#troubles.get(`${from}>${to}`) : undefined;
    const least = trouble?.minLatencyMs ?? this.#minLatencyMs;
    const most = Math.max(least, trouble?.maxLatencyMs ?? this.#maxLatencyMs);
    let latencyMs = least + this.random.fraction() * (most - least);
    const lossRate = trouble?.lossRate ?? 0;
    for (let resendMs = firstResendMs; latencyMs < this.giveUpMs && this.random.chance(lossRate); resendMs *= 2) {
      latencyMs += Math.min(resendMs, longestResendMs);
    }
    return latencyMs;
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
  /** Called when a packet could not be brought over for so long that its sender takes the connection for dead. */
  onGivenUp: () => void = () => {};
  readonly #wires: Wires;
  readonly #from: string;
  readonly #to: string;
  /** Sent, not arrived; each has one arrival planned or held, and arrivals take the oldest packet. */
  readonly #packets: (() => void)[] = [];
  #heldArrivals = 0;
  #lastArrivalMs = 0;
  /** How often packets were given up. */
  #givenUp = 0;

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
    const { time, giveUpMs } = this.#wires;
    const givenUp = this.#givenUp;
    const latencyMs = this.#wires.latencyMs(this.#from, this.#to);
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, time.nowMs + latencyMs);
    if (latencyMs >= giveUpMs) time.after(giveUpMs, () => this.#giveUp(givenUp));
    else time.after(this.#lastArrivalMs - time.nowMs, () => this.#arrive(givenUp));
  }

  #arrive(givenUp: number): void {
    if (givenUp !== this.#givenUp) return;
    if (!this.#wires.isOpen(this.#from, this.#to)) {
      if (this.#heldArrivals++ === 0) {
        const held = this.#packets[0];
        this.#wires.time.after(this.#wires.giveUpMs, () => {
          if (this.#packets[0] === held) this.#giveUp(givenUp);
        });
      }
      this.#wires.hold(this);
      return;
    }
    this.#packets.shift()!();
  }

  #giveUp(givenUp: number): void {
    if (givenUp !== this.#givenUp) return;
    this.#givenUp++;
    this.#packets.length = 0;
    this.#heldArrivals = 0;
    this.onGivenUp();
  }
}
