import process from 'node:process';
import { setImmediate } from 'node:timers';
import type { Timer } from '../timers.ts';

const eventsBetweenBreaths = 200;

/** Something that happens at a moment. */
class Event implements Timer {
  readonly atMs: number;
  /** Of two events at one moment the one planned first happens first. */
  readonly order: number;
  happen: (() => void) | undefined;

  constructor(atMs: number, order: number, happen: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.happen = happen;
  }

  cancel(): void {
    this.happen = undefined;
  }
}

/** Time that passes only when told to, and then at once: from event to event. */
export class VirtualTime {
  /** A binary heap, earliest first. */
  readonly #events: Event[] = [];
  #soon: (() => void)[] = [];
  #planned = 0;
  #nowMs = 0;
  #running = false;
  #eventsSinceBreath = 0;
  /** Called after each event, when all that follows from it at once has happened. What it throws ends the passing of time. */
  afterEach: (() => void) | undefined;

  /** Milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, happen: () => void): Timer {
    const event = new Event(this.#nowMs + Math.max(0, delayMs), this.#planned++, happen);
    this.#push(event);
    return event;
  }

  soon(happen: () => void): void {
    this.#soon.push(happen);
  }

  /** Lets that much time pass. Rejects with what an event threw. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.#run(untilMs, () => false);
    this.#nowMs = untilMs;
  }

  /** Lets time pass until the promise settles, and settles like it. Rejects when nothing more can happen, or the limit is reached. */
  async runUntil<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let settled = false;
    const settle = () => void (settled = true);
    promise.then(settle, settle);
    await this.#run(this.#nowMs + limitMs, () => settled);
    if (settled) return promise;
    const why = this.#events.length === 0 ? 'nothing more can happen' : `${limitMs} ms of virtual time were not enough`;
    throw new Error(`the promise is still pending at ${this.#nowMs} ms: ${why}`);
  }

  async #run(untilMs: number, enough: () => boolean): Promise<void> {
    if (this.#running) throw new Error('time is already passing: await the call that makes it pass');
    this.#running = true;
    try {
      for (;;) {
        await this.#settle();
        while (this.#soon.length > 0) {
          const soon = this.#soon;
          this.#soon = [];
          for (const happen of soon) happen();
          await this.#settle();
        }
        this.afterEach?.();
        if (enough()) return;
        const event = this.#next(untilMs);
        if (!event) return;
        this.#nowMs = Math.max(this.#nowMs, event.atMs);
        event.happen!();
      }
    } finally {
      this.#running = false;
    }
  }

  /** Resolves when every promise that can go on has gone on. Now and then the process may do what else it has to. */
  #settle(): Promise<void> {
    if (++this.#eventsSinceBreath < eventsBetweenBreaths) return microtasks();
    this.#eventsSinceBreath = 0;
    return new Promise((resolve) => void setImmediate(resolve));
  }

  /** Takes the earliest event that is not cancelled and not after `untilMs`. */
  #next(untilMs: number): Event | undefined {
    for (;;) {
      const earliest = this.#events[0];
      if (!earliest) return undefined;
      if (earliest.happen && earliest.atMs > untilMs) return undefined;
      this.#pop();
      if (earliest.happen) return earliest;
    }
  }

  #push(event: Event): void {
    const heap = this.#events;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#events;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** Ticks come when no microtask is left; one that is planned from a microtask comes after those that follow from the tick before. */
function microtasks(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));
}
