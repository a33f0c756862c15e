/**
 * The cheap saturating producer: frames made beforehand on raw sockets, answers checked and not decoded, so that the broker and not
 * the client is what a run measures.
 */
import process from 'node:process';
import { cpuSeconds } from '../process-usage.ts';
import { Latencies } from './latencies.ts';
import { startPacer } from './pacer.ts';
import { type FrameOptions, ProduceFrames } from './produce-frames.ts';
import { RawConnection } from './raw-connection.ts';

export type ProduceLoad = Omit<FrameOptions, 'slots'> & {
  readonly port: number;
  readonly connections: number;
  /** Requests in flight on each connection. */
  readonly inFlight: number;
  /** How many requests to send, over all connections; before them `warmRequests` that do not count. */
  readonly requests: number;
  readonly warmRequests: number;
  /** Requests a second, over all connections. A latency then counts from when the request was due. Default: as many as go. */
  readonly requestsPerSecond?: number;
  /** A producer of each connection: its batches then carry sequences. */
  readonly producers?: readonly { readonly producerId: number; readonly producerEpoch: number }[];
  /** The broker's process, to read its CPU time at both ends of what counts. */
  readonly brokerPid?: number;
};

export type ProduceResult = {
  readonly requests: number;
  readonly records: number;
  /** What was written to the log. */
  readonly batchBytes: number;
  readonly seconds: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly ackMaxMs: number;
  readonly clientCpuSeconds: number;
  readonly brokerCpuSeconds: number;
  /** All that were acknowledged, those of the warming included: what must be in the log. */
  readonly recordsAcknowledged: number;
};

export async function produceLoad(load: ProduceLoad): Promise<ProduceResult> {
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failure.catch(() => {});
  const lanes: Lane[] = [];
  try {
    for (let index = 0; index < load.connections; index++) lanes.push(await Lane.open(load, index, fail));
    await Promise.race([failure, send(lanes, load.warmRequests, load.requestsPerSecond)]);
    for (const { latencies } of lanes) latencies.clear();

    const brokerCpu = (): number => (load.brokerPid === undefined ? Number.NaN : cpuSeconds(load.brokerPid));
    const before = { broker: brokerCpu(), client: process.cpuUsage(), ms: performance.now() };
    await Promise.race([failure, send(lanes, load.requests, load.requestsPerSecond)]);
    const seconds = (performance.now() - before.ms) / 1000;
    const client = process.cpuUsage(before.client);
    const all = Latencies.together(lanes.map(({ latencies }) => latencies));
    const { recordsPerRequest, batchBytesPerRequest } = lanes[0]!.frames;
    return {
      requests: load.requests,
      records: load.requests * recordsPerRequest,
      batchBytes: load.requests * batchBytesPerRequest,
      seconds,
      ackP50Ms: all.quantileMs(0.5),
      ackP99Ms: all.quantileMs(0.99),
      ackMaxMs: all.quantileMs(1),
      clientCpuSeconds: (client.user + client.system) / 1e6,
      brokerCpuSeconds: brokerCpu() - before.broker,
      recordsAcknowledged: lanes.reduce((sum, { answered }) => sum + answered, 0) * recordsPerRequest,
    };
  } finally {
    for (const lane of lanes) lane.close();
  }
}

/** Sends so many over all lanes and waits for the last answer. */
function send(lanes: readonly Lane[], requests: number, requestsPerSecond: number | undefined): Promise<unknown> {
  if (requestsPerSecond === undefined) {
    const share = (index: number): number => Math.floor((requests + index) / lanes.length);
    return Promise.all(lanes.map((lane, index) => lane.sendAsFastAsAnswered(share(index))));
  }
  return sendOnTime(lanes, requests, requestsPerSecond);
}

/** An open loop: what the broker is late with does not hold back what is due next. */
async function sendOnTime(lanes: readonly Lane[], requests: number, requestsPerSecond: number): Promise<void> {
  if (requests === 0) return;
  const startMs = performance.now() + pacerStartsWithinMs;
  const dueMs = (index: number): number => startMs + (index * 1000) / requestsPerSecond;
  let sent = 0;
  await new Promise<void>((resolve) => {
    const pacer = startPacer(startMs, Math.max(1000 / requestsPerSecond, paceMs), () => {
      const nowMs = performance.now();
      for (; sent < requests && dueMs(sent) <= nowMs; sent++) lanes[sent % lanes.length]!.enqueue(dueMs(sent));
      for (const lane of lanes) lane.sendEnqueued();
      if (sent < requests) return;
      pacer.stop();
      resolve();
    });
  });
  await Promise.all(lanes.map((lane) => lane.drained()));
}

const pacerStartsWithinMs = 100;
/** The finest pace: what is due within so long is sent together. */
const paceMs = 0.5;

/** One connection with its ring of frames. */
class Lane {
  readonly frames: ProduceFrames;
  readonly latencies = new Latencies();
  readonly #connection: RawConnection;
  readonly #inFlight: number;
  /** When each request in flight began to count, by slot. */
  readonly #beganMs: Float64Array;
  /** Requests that are due but found no slot, in the open loop: when they were due. */
  readonly #dueMs: number[] = [];
  #toSend = 0;
  #sent = 0;
  answered = 0;
  #drained: () => void = () => {};

  static async open(load: ProduceLoad, index: number, failed: (error: Error) => void): Promise<Lane> {
    const lane = new Lane(load, await RawConnection.open(load.port, failed));
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

  sendAsFastAsAnswered(requests: number): Promise<void> {
    this.#toSend = requests;
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
