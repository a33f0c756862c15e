import { Latencies } from './latencies.ts';
import { ProduceFrames } from './produce-frames.ts';
import type { ProduceLoad } from './produce-load.ts';
import { RawConnection } from './raw-connection.ts';

/** One connection with its ring of frames. */
export class ProduceLane {
  readonly frames: ProduceFrames;
  readonly latencies = new Latencies();
  /** Hears of each request as it is sent, and from when on its time counts. */
  onSent: (request: number, beganMs: number) => void = () => {};
  readonly #connection: RawConnection;
  readonly #inFlight: number;
  /** When each request in flight began to count, by slot. */
  readonly #beganMs: Float64Array;
  /** Requests that are due but found no slot, in the open loop: when they were due. */
  readonly #dueMs: number[] = [];
  /** Not due at any time, but as soon as there is room in flight; none any more after `#untilMs`. */
  #toSend = 0;
  #untilMs = Number.POSITIVE_INFINITY;
  #sent = 0;
  /** How many have been, since the lane is open. */
  answered = 0;
  #drained: () => void = () => {};

  static async open(load: ProduceLoad, index: number, failed: (error: Error) => void): Promise<ProduceLane> {
    const lane = new ProduceLane(load, await RawConnection.open(load.port, failed));
    const producer = load.producers?.[index];
    if (producer) lane.frames.setProducer(producer.producerId, producer.producerEpoch);
    return lane;
  }

  private constructor(load: ProduceLoad, connection: RawConnection) {
    this.frames = new ProduceFrames({ ...load, slots: load.inFlight });
    this.#inFlight = load.inFlight;
    this.#beganMs = new Float64Array(this.frames.slots);
    this.#connection = connection;
    connection.onAnswer = (bytes, start, end) => {
      this.frames.check(this.answered, bytes, start, end);
      this.latencies.record(performance.now() - this.#beganMs[this.answered % this.frames.slots]!);
      this.answered++;
    };
    connection.onTurnEnd = () => {
      if (this.#toSend > 0) this.#sendMore(performance.now());
      if (this.#dueMs.length > 0) this.sendEnqueued();
      if (this.#isDrained) this.#drained();
    };
  }

  sendAsFastAsAnswered(requests: number, untilMs: number): Promise<void> {
    this.#toSend = requests;
    this.#untilMs = untilMs;
    this.#sendMore(performance.now());
    return this.drained();
  }

  drained(): Promise<void> {
    if (this.#isDrained) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  get #isDrained(): boolean {
    return this.answered === this.#sent && this.#toSend === 0 && this.#dueMs.length === 0;
  }

  #sendMore(nowMs: number): void {
    if (nowMs >= this.#untilMs) this.#toSend = 0;
    const count = Math.min(this.#toSend, this.#inFlight - (this.#sent - this.answered));
    this.#toSend -= count;
    for (let index = 0; index < count; index++) this.#prepare(nowMs);
    this.#write(count);
  }

  enqueue(dueMs: number): void {
    this.#dueMs.push(dueMs);
  }

  sendEnqueued(): void {
    const count = Math.min(this.#dueMs.length, this.#inFlight - (this.#sent - this.answered));
    for (const dueMs of this.#dueMs.splice(0, count)) this.#prepare(dueMs);
    this.#write(count);
  }

  #prepare(beganMs: number): void {
    this.frames.prepare(this.#sent);
    this.#beganMs[this.#sent % this.frames.slots] = beganMs;
    this.onSent(this.#sent, beganMs);
    this.#sent++;
  }

  /** The last `count` frames that were prepared: at most two writes, for the ring may begin anew between them. */
  #write(count: number): void {
    if (count === 0) return;
    const { bytes, frameBytes, slots } = this.frames;
    const first = (this.#sent - count) % slots;
    const behind = Math.min(count, slots - first);
    this.#connection.write(bytes.subarray(first * frameBytes, (first + behind) * frameBytes));
    if (count > behind) this.#connection.write(bytes.subarray(0, (count - behind) * frameBytes));
  }

  close(): void {
    this.#connection.close();
  }
}
