/** Heartbeats of many members at their interval, evenly spread, as they are when clients have started at different times. */
import { type Api, errorName, type Reader, readResponseHeader } from '@ottla/protocol';
import { Latencies } from '../../broker/load/latencies.ts';
import { startMeter, type Usage } from '../../broker/load/meter.ts';
import { startPacer } from '../../broker/load/pacer.ts';
import type { Wire } from './wire.ts';

export type Beating = {
  readonly wire: Wire;
  /** The same each time: a member that has nothing to say. */
  readonly frame: Buffer;
};

export type BeatOptions = {
  readonly api: Api;
  readonly version: number;
  readonly intervalMs: number;
  readonly seconds: number;
  readonly brokerPid?: number;
};

export type BeatResult = Usage & { readonly heartbeats: number; readonly p50Ms: number; readonly p99Ms: number };

const paceMs = 2;

/** A time counts from when the heartbeat was due. */
export async function beat(members: readonly Beating[], options: BeatOptions): Promise<BeatResult> {
  const { api, version, intervalMs, seconds, brokerPid } = options;
  const latencies = new Latencies();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const startMs = performance.now() + 100;
  const dueMs = (index: number): number => startMs + (index * intervalMs) / members.length;
  const total = Math.floor((seconds * 1000 * members.length) / intervalMs);
  let sent = 0;
  let answered = 0;
  const elapsed = startMeter(brokerPid);
  const pacer = startPacer(startMs, paceMs, () => {
    const nowMs = performance.now();
    for (; sent < total && dueMs(sent) <= nowMs; sent++) {
      const index = sent;
      const { wire, frame } = members[index % members.length]!;
      wire.send(frame, (reader) => {
        latencies.record(performance.now() - dueMs(index));
        const error = errorName(errorCode(reader, api, version));
        if (error !== 'NONE') reject(new Error(`a heartbeat was answered ${error}`));
        if (++answered === total) resolve();
      });
    }
  });
  try {
    await promise;
  } finally {
    pacer.stop();
  }
  const usage = elapsed();
  return { ...usage, heartbeats: total, p50Ms: latencies.quantileMs(0.5), p99Ms: latencies.quantileMs(0.99) };
}

/** Of any heartbeat's answer: it begins with the throttle time. */
function errorCode(reader: Reader, api: Api, version: number): number {
  readResponseHeader(reader, api, version);
  reader.int32();
  return reader.int16();
}
