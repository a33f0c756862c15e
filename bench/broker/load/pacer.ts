import { Worker } from 'node:worker_threads';

/**
 * Calls back `intervalMs` (fractions of a millisecond count) after `startMs` and then again and again, from a thread that sleeps
 * meanwhile: the event loop's own timers are late by up to a millisecond, as much as what is measured. A tick that the last one has
 * not been heard of yet is left out.
 */
export function startPacer(startMs: number, intervalMs: number, onTick: () => void): { stop(): void } {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.timeOrigin + startMs;
  const worker = new Worker(ticks, { eval: true, workerData: { shared, start, intervalMs } });
  worker.on('message', () => {
    Atomics.store(shared, 0, 0);
    onTick();
  });
  return { stop: () => void worker.terminate() };
}

const ticks = `
const { parentPort, workerData: { shared, start, intervalMs } } = require('node:worker_threads');
const nobody = new Int32Array(new SharedArrayBuffer(4));
for (let next = start + intervalMs; ; next += intervalMs) {
  const leftMs = next - performance.timeOrigin - performance.now();
  if (leftMs > 0) Atomics.wait(nobody, 0, 0, leftMs);
  if (Atomics.exchange(shared, 0, 1) === 0) parentPort.postMessage(0);
}
`;
