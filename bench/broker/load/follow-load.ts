/**
 * A producer and a consumer that follows it at the tail of one partition, in one process and so by one clock: end-to-end latency, and
 * what a broker carries when it takes in and gives out at once.
 */
import { FetchLane } from './fetch-lane.ts';
import { Latencies } from './latencies.ts';
import { failingAtOnce, startMeter } from './meter.ts';
import { ProduceLane } from './produce-lane.ts';
import { type ProduceLoad, type ProduceResult, produceResult, send, warming } from './produce-load.ts';

/** One connection produces to one partition, which must be empty. */
export type FollowLoad = Omit<ProduceLoad, 'connections' | 'partitions' | 'spread' | 'producers'>;

/** `seconds` and CPU time are until the last record was consumed. */
export type FollowResult = ProduceResult & { readonly endToEndP50Ms: number; readonly endToEndP99Ms: number };

export function followLoad(follow: FollowLoad): Promise<FollowResult> {
  const load: ProduceLoad = { ...follow, connections: 1, partitions: 1, spread: 'one partition a request' };
  return failingAtOnce(async (failed) => {
    const producer = await ProduceLane.open(load, 0, failed);
    const consumer = await FetchLane.open(load.port, load.topicId, [0], failed);
    const { recordsPerRequest } = producer.frames;
    const endToEnd = new Latencies();
    const beganMs = new Float64Array(load.warmRequests + load.requests);
    producer.onSent = (request, ms) => {
      beganMs[request] = ms;
    };
    let consumed = 0;
    let awaited = Number.POSITIVE_INFINITY;
    let caughtUp: () => void = () => {};
    consumer.onProgress = () => {
      const nowMs = performance.now();
      const end = Math.floor(consumer.nextOffsets.get(0)! / recordsPerRequest);
      for (; consumed < end; consumed++) endToEnd.record(nowMs - beganMs[consumed]!);
      if (consumed >= awaited) caughtUp();
    };
    const sendAndConsume = async (sending: Parameters<typeof send>[1]): Promise<void> => {
      await send([producer], sending);
      awaited = producer.answered;
      if (consumed < awaited) {
        await new Promise<void>((resolve) => {
          caughtUp = resolve;
        });
      }
      awaited = Number.POSITIVE_INFINITY;
    };

    consumer.fetch();
    await sendAndConsume(warming(load));
    producer.latencies.clear();
    endToEnd.clear();
    const elapsed = startMeter(load.brokerPid);
    await sendAndConsume(load);
    const usage = elapsed();
    producer.close();
    consumer.close();
    return {
      ...produceResult([producer], usage),
      endToEndP50Ms: endToEnd.quantileMs(0.5),
      endToEndP99Ms: endToEnd.quantileMs(0.99),
    };
  });
}
