/** The cheap saturating consumer: everything that a topic holds, from its beginning, counted and not decoded. */
import type { Uuid } from '@ottla/protocol';
import { FetchLane } from './fetch-lane.ts';
import { failingAtOnce, startMeter, type Usage } from './meter.ts';

export type FetchLoad = {
  readonly port: number;
  readonly brokerPid?: number;
  readonly topicId: Uuid;
  readonly partitions: number;
  /** Partitions are dealt to connections in turn. */
  readonly connections: number;
  /** Over all partitions: when so many were read, or so much time is over, the load ends. */
  readonly records: number;
  readonly maxSeconds: number;
};

export type FetchResult = Usage & { readonly records: number; readonly batchBytes: number; readonly requests: number };

export function fetchLoad({
  port,
  brokerPid,
  topicId,
  partitions,
  connections,
  records,
  maxSeconds,
}: FetchLoad): Promise<FetchResult> {
  return failingAtOnce(async (failed) => {
    const lanes: FetchLane[] = [];
    for (let index = 0; index < connections; index++) {
      const ofLane = Array.from({ length: partitions }, (_, partition) => partition).filter((p) => p % connections === index);
      lanes.push(await FetchLane.open(port, topicId, ofLane, failed));
    }
    const read = (): number => lanes.reduce((sum, lane) => [...lane.nextOffsets.values()].reduce((a, b) => a + b, sum), 0);
    const elapsed = startMeter(brokerPid);
    const untilMs = performance.now() + maxSeconds * 1000;
    await new Promise<void>((resolve) => {
      for (const lane of lanes) {
        lane.onProgress = () => {
          if (read() >= records || performance.now() >= untilMs) resolve();
        };
        lane.fetch();
      }
    });
    const usage = elapsed();
    for (const lane of lanes) lane.close();
    const sum = (field: 'bytes' | 'requests'): number => lanes.reduce((total, lane) => total + lane[field], 0);
    return { ...usage, records: read(), batchBytes: sum('bytes'), requests: sum('requests') };
  });
}
