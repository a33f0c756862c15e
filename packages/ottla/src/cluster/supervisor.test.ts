import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChildProcess, memoryRuntime, type Processes, type ProcessOptions } from '@ottla/runtime';
import { NodeFailedError, Supervisor } from './supervisor.ts';

/** Processes that do what a test says, and a transcript of what was done to them. */
class PlayedProcesses implements Processes {
  readonly told: string[] = [];
  epoch = 0;
  readonly running = new Map<string, ProcessOptions>();

  start(options: ProcessOptions): ChildProcess {
    const name = options.args[0]!;
    this.told.push(`start ${name}`);
    this.running.set(name, options);
    return {
      pid: 1,
      send: (message) => void this.told.push(`send ${name} ${JSON.stringify(message)}`),
      signal: (signal) => void this.told.push(`${signal} ${name}`),
    };
  }

  serve(...names: string[]): void {
    for (const name of names) this.running.get(name)!.onMessage({ ottla: 'serves', brokerEpoch: ++this.epoch });
  }

  handOver(...names: string[]): void {
    for (const name of names) this.running.get(name)!.onMessage({ ottla: 'handedOver' });
  }

  end(name: string, code: number | null, signal: string | null = null): void {
    const { onExit } = this.running.get(name)!;
    this.running.delete(name);
    onExit({ code, signal });
  }

  /** What was told since it was last asked. */
  news(): string[] {
    return this.told.splice(0);
  }
}

function supervised(controllers: number, brokers = 0) {
  const runtime = memoryRuntime({ seed: 1 });
  const processes = new PlayedProcesses();
  const nodes = Array.from({ length: controllers + brokers }, (_, index) => ({
    nodeId: index + 1,
    isController: index < controllers,
    args: [`node${index + 1}`],
  }));
  const onDeath = ({ nodeId, brokerEpoch }: { nodeId: number; brokerEpoch: number }): void =>
    void processes.told.push(`broker ${nodeId} of epoch ${brokerEpoch} is dead`);
  const supervisor = new Supervisor({ ...runtime, processes, program: 'ottla', nodes, onLine: () => {}, onDeath });
  return { runtime, processes, supervisor };
}

test('nodes start together, and the cluster serves when all do', async () => {
  const { processes, supervisor } = supervised(3);
  let serves = false;
  const started = supervisor.start().then(() => (serves = true));
  assert.deepEqual(processes.news(), ['start node1', 'start node2', 'start node3']);
  processes.serve('node1', 'node3');
  await Promise.resolve();
  assert.equal(serves, false);
  processes.serve('node2');
  await started;
});

test('a node that refuses to start is not asked again, and the others are stopped', async () => {
  const { processes, supervisor } = supervised(3);
  const started = supervisor.start();
  processes.news();
  processes.end('node2', 1);
  await assert.rejects(started, NodeFailedError);
  const stopped = supervisor.stop();
  assert.deepEqual(processes.news(), ['send node1 {"ottla":"handOver"}', 'send node3 {"ottla":"handOver"}']);
  processes.end('node1', 0);
  processes.end('node3', 0);
  assert.equal(await stopped, true);
});

test('a node that dies is started again, ever later as long as it does not last', async () => {
  const { runtime, processes, supervisor } = supervised(1);
  const started = supervisor.start();
  processes.serve('node1');
  await started;
  processes.news();
  const waits: number[] = [];
  for (let death = 0; death < 9; death++) {
    processes.end('node1', null, 'SIGKILL');
    let waitedMs = 0;
    assert.deepEqual(processes.news(), death === 0 ? ['broker 1 of epoch 1 is dead'] : []);
    for (; processes.news().length === 0; waitedMs += 50) await runtime.advance(50);
    waits.push(waitedMs);
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  await runtime.advance(30_000);
  processes.end('node1', 1);
  await runtime.advance(100);
  assert.deepEqual(processes.news(), ['start node1']);
});

test('nodes without a controller stop first, and controllers when all brokers have handed over', async () => {
  const { processes, supervisor } = supervised(3, 2);
  const started = supervisor.start();
  processes.serve('node1', 'node2', 'node3', 'node4', 'node5');
  await started;
  processes.news();
  const stopped = supervisor.stop();
  assert.deepEqual(processes.news(), ['SIGTERM node4', 'SIGTERM node5']);
  processes.end('node5', 0);
  processes.end('node4', 0);
  await new Promise(setImmediate);
  const toAll = (message: string): string[] => ['node1', 'node2', 'node3'].map((name) => `send ${name} {"ottla":"${message}"}`);
  assert.deepEqual(processes.news(), toAll('handOver'));
  processes.handOver('node3', 'node1');
  await new Promise(setImmediate);
  assert.deepEqual(processes.news(), []);
  processes.handOver('node2');
  await new Promise(setImmediate);
  assert.deepEqual(processes.news(), toAll('stop'));
  for (const name of ['node2', 'node1', 'node3']) processes.end(name, 0);
  assert.equal(await stopped, true);
});

test('who waits to be started again is not when all stop, and whoever did not end cleanly is told', async () => {
  const { runtime, processes, supervisor } = supervised(2);
  const started = supervisor.start();
  processes.serve('node1', 'node2');
  await started;
  processes.end('node1', 1);
  processes.news();
  const stopped = supervisor.stop();
  assert.deepEqual(processes.news(), ['send node2 {"ottla":"handOver"}']);
  await runtime.advance(60_000);
  assert.deepEqual(processes.news(), []);
  processes.end('node2', 1);
  assert.equal(await stopped, false);
});

test('killed, they end now', async () => {
  const { processes, supervisor } = supervised(2);
  void supervisor.start().catch(() => {});
  processes.news();
  supervisor.kill();
  assert.deepEqual(processes.news(), ['SIGKILL node1', 'SIGKILL node2']);
  processes.end('node1', null, 'SIGKILL');
  assert.deepEqual(processes.news(), []);
});
