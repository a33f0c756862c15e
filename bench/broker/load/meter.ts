import process from 'node:process';
import { cpuSeconds } from '../process-usage.ts';

/** What a stretch of a load took. The client is this process. */
export type Usage = { readonly seconds: number; readonly clientCpuSeconds: number; readonly brokerCpuSeconds: number };

/** Starts now; the function gives what was used since. Without a pid the broker's CPU time is NaN. */
export function startMeter(brokerPid: number | undefined): () => Usage {
  const brokerCpu = (): number => (brokerPid === undefined ? Number.NaN : cpuSeconds(brokerPid));
  const broker = brokerCpu();
  const client = process.cpuUsage();
  const beganMs = performance.now();
  return () => {
    const seconds = (performance.now() - beganMs) / 1000;
    const { user, system } = process.cpuUsage(client);
    return { seconds, clientCpuSeconds: (user + system) / 1e6, brokerCpuSeconds: brokerCpu() - broker };
  };
}

/** Resolves or rejects with `work`, or at once with the first error that `work` was told of in a callback. */
export async function failingAtOnce<T>(work: (failed: (error: Error) => void) => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  return Promise.race([promise, work(reject)]);
}
