/**
 * `npm run bench produce-load [-- options]`: the cheap saturating producer alone, against a node that it starts or one that runs, for
 * whoever tunes the produce path. bench/README.md has the options.
 */

import { writeFileSync } from 'node:fs';
import type { CompressionCodec } from '@ottla/protocol';
import { readOptions } from '../scripts/command-line.ts';
import { installKafka } from '../test/interop/kafka/kafka.ts';
import type { TargetName } from '../test/interop/targets/node.ts';
import { BenchNode } from './broker/bench-node.ts';
import { BenchTopic, newProducerIds } from './broker/bench-topic.ts';
import { costliest, Profiler } from './broker/cpu-profile.ts';
import type { ProduceResult } from './broker/load/produce-load.ts';
import { runLoad } from './broker/load/run-load.ts';

const options = readOptions(
  {
    start: { type: 'string', default: 'ottla' },
    port: { type: 'string' },
    pid: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    acks: { type: 'string', default: '1' },
    partitions: { type: 'string', default: '1' },
    connections: { type: 'string', default: '1' },
    'in-flight': { type: 'string', default: '5' },
    'record-bytes': { type: 'string', default: '100' },
    'batch-bytes': { type: 'string', default: '16384' },
    'all-partitions': { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
    codec: { type: 'string', default: 'none' },
    idempotent: { type: 'boolean', default: false },
    requests: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string' },
    profile: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
  `npm run bench produce-load [-- options]: bench/README.md says which`,
);

const rounds = Number(options.rounds);
const connections = Number(options.connections);
const requests = Number(options.requests ?? (options.small ? 50_000 : options['all-partitions'] ? 5000 : 30_000));

if (options.port !== undefined) {
  const node = { bootstrap: `127.0.0.1:${options.port}`, port: Number(options.port) };
  await measure({ ...node, pid: options.pid === undefined ? undefined : Number(options.pid) });
} else {
  if (options.start === 'kafka') await installKafka();
  await using node = await BenchNode.start(options.start as TargetName, { inspected: options.profile !== undefined });
  const { bootstrap, port, pid, inspectorPort } = node;
  await measure({ bootstrap, port, pid, inspectorPort });
}

type Measured = { bootstrap: string; port: number; pid?: number; inspectorPort?: number };

async function measure(node: Measured): Promise<void> {
  // The first round warms both ends and is not counted.
  for (let round = 0; round <= rounds; round++) {
    await using topic = await BenchTopic.create(node, Number(options.partitions));
    const profiler = node.inspectorPort && round === rounds ? await Profiler.connect(node.inspectorPort) : undefined;
    await profiler?.start();
    const result = await runOnce(node, topic);
    if (round > 0) console.log(options.json ? JSON.stringify(result) : line(result));
    if (!profiler) continue;
    await profiler.stop();
    profiler.close();
    writeFileSync(options.profile!, JSON.stringify(profiler.last));
    for (const { where, share } of costliest(profiler.last!, 30))
      console.log(`${(share * 100).toFixed(1).padStart(6)} %  ${where}`);
  }
}

async function runOnce(node: Measured, topic: BenchTopic): Promise<ProduceResult> {
  const result = await runLoad('produce', {
    port: node.port,
    brokerPid: node.pid,
    topicId: topic.topicId,
    partitions: topic.partitions,
    acks: options.acks === 'all' ? -1 : Number(options.acks),
    recordBytes: Number(options['record-bytes']),
    batchBytes: options.small ? 1 : Number(options['batch-bytes']),
    codec: options.codec as CompressionCodec,
    spread: options['all-partitions'] ? 'all partitions a request' : 'one partition a request',
    connections,
    inFlight: Number(options['in-flight']),
    requests,
    maxSeconds: Number(options.seconds),
    warmRequests: Math.ceil(requests / 10),
    requestsPerSecond: options.rate === undefined ? undefined : Number(options.rate),
    producers: options.idempotent ? await newProducerIds(node.port, connections) : undefined,
  });
  await topic.assertStored(result.recordsAcknowledged);
  return result;
}

function line(result: ProduceResult): string {
  const { requests, records, batchBytes, seconds, ackP50Ms, ackP99Ms, clientCpuSeconds, brokerCpuSeconds } = result;
  const per = (cpuSeconds: number): string =>
    `${((cpuSeconds * 1e6) / requests).toFixed(1)} µs/request ${((cpuSeconds * 1e9) / batchBytes).toFixed(2)} s/GB`;
  return [
    `${(batchBytes / seconds / 1e6).toFixed(0)} MB/s`,
    `${(records / seconds).toFixed(0)} records/s`,
    `${(requests / seconds).toFixed(0)} requests/s`,
    `ack p50 ${ackP50Ms.toFixed(3)} p99 ${ackP99Ms.toFixed(3)} ms`,
    `broker ${per(brokerCpuSeconds)}`,
    `client ${per(clientCpuSeconds)}`,
  ].join(' | ');
}
