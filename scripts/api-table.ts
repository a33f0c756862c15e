/**
 * `npm run api-table [-- --ottla HOST:PORT] [--kafka HOST:PORT] [--controller]`
 *
 * Every API with the versions that Apache Kafka 4.3.1 advertises and those that Ottla does. Kafka's side is what a real
 * broker answered when the vectors were recorded, or with --kafka what a running one answers now. Ottla's side is the
 * table of its handlers, or with --ottla what a running node answers.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { servedVersions } from '../packages/broker/src/index.ts';
import {
  ApiVersions,
  type ApiVersionsResponse,
  apiByKey,
  errorName,
  Reader,
  readResponseHeader,
  Writer,
  writeRequestHeader,
} from '../packages/protocol/src/index.ts';
import { readOptions } from './command-line.ts';

/** By API key. */
type Versions = Map<number, { min: number; max: number }>;

const NOT_ADVERTISED = '-';
const ANSWER_TIMEOUT_MS = 10_000;

const options = readOptions(
  { ottla: { type: 'string' }, kafka: { type: 'string' }, controller: { type: 'boolean' } },
  'npm run api-table [-- --ottla HOST:PORT] [--kafka HOST:PORT] [--controller]',
);

const listener = options.controller ? 'controller' : 'broker';
const kafka = options.kafka === undefined ? recordedVersions(listener) : await askedVersions(options.kafka);
const ottla = options.ottla === undefined ? tableVersions(listener) : await askedVersions(options.ottla);
const kafkaTitle = options.kafka === undefined ? 'Kafka 4.3.1' : 'Kafka';

console.log(row('key', 'API', kafkaTitle, 'Ottla', ''));
const keys = [...new Set([...kafka.keys(), ...ottla.keys()])].sort((a, b) => a - b);
let same = 0;
for (const key of keys) {
  const [theirs, ours] = [shown(kafka.get(key)), shown(ottla.get(key))];
  if (theirs === ours && theirs !== NOT_ADVERTISED) same++;
  console.log(row(String(key), apiByKey(key)?.name ?? '?', theirs, ours, theirs === ours ? '' : remark(theirs, ours)));
}
console.log(`${same} of the ${kafka.size} APIs that Kafka advertises on its ${listener} listener are the same in Ottla`);

function row(key: string, name: string, theirs: string, ours: string, note: string): string {
  return `${key.padStart(3)}  ${name.padEnd(30)}${theirs.padEnd(14)}${ours.padEnd(16)}${note}`.trimEnd();
}

function shown(versions: { min: number; max: number } | undefined): string {
  return versions === undefined ? NOT_ADVERTISED : `${versions.min}-${versions.max}`;
}

function remark(theirs: string, ours: string): string {
  if (ours === NOT_ADVERTISED) return 'not yet';
  return theirs === NOT_ADVERTISED ? 'not advertised by Kafka' : 'differs';
}

function versionsOf({ apiKeys }: ApiVersionsResponse): Versions {
  return new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, { min: minVersion, max: maxVersion }]));
}

/** What a broker of 4.3.1 answered to ApiVersions v4. */
function recordedVersions(listenerName: string): Versions {
  const file = new URL('../packages/protocol/vectors/apiversions-exchange.jsonl', import.meta.url);
  const exchanges = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { listener: string; requestVersion: number; responseHex: string });
  const exchange = exchanges.find(({ listener, requestVersion }) => listener === listenerName && requestVersion === 4)!;
  return versionsOf(readAnswer(Buffer.from(exchange.responseHex, 'hex'), 4));
}

function tableVersions(listenerName: 'broker' | 'controller'): Versions {
  return new Map(
    servedVersions(listenerName).map(({ apiKey, minVersion, maxVersion }) => [apiKey, { min: minVersion, max: maxVersion }]),
  );
}

async function askedVersions(address: string): Promise<Versions> {
  const writer = new Writer();
  writer.int32(0);
  writeRequestHeader(writer, ApiVersions, 4, 1, 'api-table');
  ApiVersions.request.write(writer, { clientSoftwareName: 'ottla-api-table', clientSoftwareVersion: '1' }, 4);
  const request = Uint8Array.from(writer.bytes());
  new DataView(request.buffer).setInt32(0, request.length - 4);
  const answer = readAnswer(await exchange(address, request), 4);
  if (answer.errorCode !== 0) throw new Error(`${address} answers ${errorName(answer.errorCode)}`);
  return versionsOf(answer);
}

function readAnswer(frame: Uint8Array, version: number): ApiVersionsResponse {
  const reader = new Reader(frame);
  readResponseHeader(reader, ApiVersions, version);
  return ApiVersions.response.read(reader, version);
}

/** Sends a frame; answers the one that comes back, without its size. */
function exchange(address: string, request: Uint8Array): Promise<Buffer> {
  const at = address.lastIndexOf(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
    let received = Buffer.alloc(0);
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error(`${address} does not answer`)));
    socket.on('connect', () => socket.write(request));
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return;
      socket.destroy();
      resolve(received.subarray(4, 4 + received.readInt32BE(0)));
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${address} closed the connection`)));
  });
}
