/**
 * The cheap saturating producer: frames made beforehand on raw sockets, answers checked and not decoded, so that the broker and not
 * the client is what a run measures.
 */
import { Latencies } from './latencies.ts';
import { failingAtOnce, startMeter, type Usage } from './meter.ts';
import { startPacer } from './pacer.ts';
import type { FrameOptions } from './produce-frames.ts';
import { ProduceLane } from './produce-lane.ts';

export type ProduceLoad = Omit<FrameOptions, 'slots'> & {
  readonly port: number;
  readonly connections: number;
  /** Requests in flight on each connection. */
  readonly inFlight: number;
  /** How many requests to send at most, over all connections; before them `warmRequests` that do not count. */
  readonly requests: number;
  readonly warmRequests: number;
  /** Without a rate, the load also ends (and its warming, after a third of it) when so much time is over. */
  readonly maxSeconds: number;
  /** Requests a second, over all connections. A latency then counts from when the request was due. Default: as many as go. */
  readonly requestsPerSecond?: number;
  /** A producer of each connection: its batches then carry sequences. */
  readonly producers?: readonly { readonly producerId: number; readonly producerEpoch: number }[];
  /** The broker's process, to read its CPU time at both ends of what counts. */
  readonly brokerPid?: number;
};

export type ProduceResult = Usage & {
  readonly requests: number;
  readonly records: number;
  /** What was written to the log. */
  readonly batchBytes: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly ackMaxMs: number;
  /** All that were acknowledged, those of the warming included: what must be in the log. */
  readonly recordsAcknowledged: number;
};

export function produceLoad(load: ProduceLoad): Promise<ProduceResult> {
  return failingAtOnce(async (failed) => {
    const lanes: ProduceLane[] = [];
    for (let index = 0; index < load.connections; index++) lanes.push(await ProduceLane.open(load, index, failed));
    await send(lanes, warming(load));
    for (const { latencies } of lanes) latencies.clear();
    const elapsed = startMeter(load.brokerPid);
    await send(lanes, load);
    const usage = elapsed();
    for (const lane of lanes) lane.close();
    return produceResult(lanes, usage);
  });
}

export function produceResult(lanes: readonly ProduceLane[], usage: Usage): ProduceResult {
  const latencies = Latencies.together(lanes.map((lane) => lane.latencies));
  const requests = latencies.count;
  const { recordsPerRequest, batchBytesPerRequest } = lanes[0]!.frames;
  return {
    ...usage,
    requests,
    records: requests * recordsPerRequest,
    batchBytes: requests * batchBytesPerRequest,
    ackP50Ms: latencies.quantileMs(0.5),
    ackP99Ms: latencies.quantileMs(0.99),
    ackMaxMs: latencies.quantileMs(1),
    recordsAcknowledged: lanes.reduce((sum, { answered }) => sum + answered, 0) * recordsPerRequest,
  };
}

type Sending = Pick<ProduceLoad, 'requests' | 'maxSeconds' | 'requestsPerSecond'>;

/** The part of a load that is not measured. */
export function warming({ warmRequests: requests, maxSeconds, requestsPerSecond }: ProduceLoad): Sending {
  return { requests, maxSeconds: maxSeconds / 3, requestsPerSecond };
}

/** Sends over all lanes and waits for the last answer. */
export function send(lanes: readonly ProduceLane[], { requests, maxSeconds, requestsPerSecond }: Sending): Promise<unknown> {
  if (requestsPerSecond !== undefined) return sendOnTime(lanes, requests, requestsPerSecond);
  const untilMs = performance.now() + maxSeconds * 1000;
  const share = (index: number): number => Math.floor((requests + index) / lanes.length);
  return Promise.all(lanes.map((lane, index) => lane.sendAsFastAsAnswered(share(index), untilMs)));
}

/** An open loop: what the broker is late with does not hold back what is due next. */
async function sendOnTime(lanes: readonly ProduceLane[], requests: number, requestsPerSecond: number): Promise<void> {
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
