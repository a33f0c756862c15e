import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerHeartbeat } from '@ottla/protocol';
import { ask } from '../../test/cluster/ask.ts';

/** Of a broker that is not registered, one after the other: how long each waits for its answer. */
export class Heartbeats {
  readonly #waitsMs: number[] = [];
  readonly #beating: Promise<void>;
  #isOver = false;

  constructor(port: number) {
    this.#beating = this.#beat(port);
  }

  async #beat(port: number): Promise<void> {
    const offsets = { brokerId: 99, brokerEpoch: 1, currentMetadataOffset: 1 };
    const request = { ...offsets, wantFence: false, wantShutDown: false, offlineLogDirs: [], cordonedLogDirs: null };
    while (!this.#isOver) {
      const sentMs = performance.now();
      await ask({ host: '127.0.0.1', port }, BrokerHeartbeat, 1, request, 60_000);
      this.#waitsMs.push(performance.now() - sentMs);
      await sleep(5);
    }
  }

  async end(): Promise<string> {
    this.#isOver = true;
    await this.#beating;
    const sorted = this.#waitsMs.sort((a, b) => a - b);
    const at = (share: number): string => `${sorted[Math.ceil(sorted.length * share) - 1]!.toFixed(0)} ms`;
    return `${sorted.length} heartbeats waited ${at(0.5)} (p50), ${at(0.99)} (p99), ${at(1)} at most`;
  }
}
