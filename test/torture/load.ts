/**
 * Load on a topic by an idempotent producer: numbered records of several streams, told apart by their keys. A stream is sent in
 * order, keeps to one partition, and is numbered from 0 without gaps; so is what the log must hold in the end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { Producer } from '@ottla/client';

export type LoadOptions = {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly streams: number;
  readonly recordsPerSecond: number;
  readonly valueBytes: number;
};

export interface Load {
  /** Records sent so far, by stream. */
  readonly sent: readonly number[];
  /** Where each acknowledged record is said to be, by stream and number. Empty where the producer does not tell. */
  readonly acknowledged: readonly ReadonlyMap<number, number>[];
  readonly failures: readonly unknown[];
  /** Sends no more, and resolves when all that was sent has been answered. */
  finish(): Promise<void>;
}

export const producers = ['ottla', 'librdkafka', 'java'] as const;
export type ProducerName = (typeof producers)[number];

export const streamOf = (key: string): number => Number(key.slice('stream-'.length));
export const numberOf = (value: Uint8Array): number => Number.parseInt(Buffer.from(value).toString('latin1', 0, 12), 10);
const keyOf = (stream: number): string => `stream-${stream}`;

export async function startLoad(name: ProducerName, options: LoadOptions): Promise<Load> {
  if (name === 'ottla') return new OwnLoad(options);
  return new PipedLoad(await (name === 'java' ? javaProducer(options) : kcat(options)), options);
}

/** At most what the rate allows, in small portions, and nothing while `isFull`. */
class Pace {
  readonly #timer: NodeJS.Timeout;

  constructor({ recordsPerSecond, streams }: LoadOptions, isFull: () => boolean, send: (stream: number) => void) {
    let last = performance.now();
    let stream = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      const due = Math.min(recordsPerSecond / 10, ((now - last) * recordsPerSecond) / 1000);
      last = now;
      for (let count = 0; count < due && !isFull(); count++) send(stream++ % streams);
    }, 5);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

class OwnLoad implements Load {
  readonly sent: number[];
  readonly acknowledged: Map<number, number>[];
  readonly failures: unknown[] = [];
  readonly #producer: Producer;
  readonly #pace: Pace;
  #inFlight = 0;

  constructor(options: LoadOptions) {
    const { bootstrapServers, topic, streams, valueBytes } = options;
    this.sent = Array.from({ length: streams }, () => 0);
    this.acknowledged = Array.from({ length: streams }, () => new Map());
    this.#producer = new Producer({
      bootstrapServers,
      deliveryTimeoutMs: 900_000,
      maxBlockMs: 900_000,
      requestTimeoutMs: 10_000,
    });
    this.#pace = new Pace(
      options,
      () => this.#inFlight >= 20_000,
      (stream) => {
        const number = this.sent[stream]!++;
        this.#inFlight++;
        this.#producer
          .send({ topic, partition: stream, key: keyOf(stream), value: `${number} `.padEnd(valueBytes, 'x') })
          .then(({ offset }) => this.acknowledged[stream]!.set(number, offset))
          .catch((error) => this.failures.push(error))
          .finally(() => this.#inFlight--);
      },
    );
  }

  async finish(): Promise<void> {
    this.#pace.stop();
    await this.#producer.flush();
    await this.#producer.close();
  }
}

/** A program that sends each line of its standard input, `key<tab>value`, and ends well when all of them are delivered. */
class PipedLoad implements Load {
  readonly sent: number[];
  readonly acknowledged: readonly ReadonlyMap<number, number>[] = [];
  readonly failures: unknown[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  readonly #pace: Pace;
  #complaints = '';

  constructor(child: ChildProcess, options: LoadOptions) {
    this.sent = Array.from({ length: options.streams }, () => 0);
    this.#child = child;
    this.#ended = once(child, 'close');
    process.once('exit', () => child.kill('SIGKILL'));
    child.stderr!.on('data', (chunk) => {
      this.#complaints = (this.#complaints + chunk).slice(-4000);
    });
    child.stdin!.on('error', (error) => this.failures.push(error));
    let isBlocked = false;
    child.stdin!.on('drain', () => {
      isBlocked = false;
    });
    this.#pace = new Pace(
      options,
      () => isBlocked,
      (stream) => {
        const value = `${this.sent[stream]!++} `.padEnd(options.valueBytes, 'x');
        isBlocked = !child.stdin!.write(`${keyOf(stream)}\t${value}\n`);
      },
    );
  }

  async finish(): Promise<void> {
    this.#pace.stop();
    this.#child.stdin!.end();
    const [status] = await this.#ended;
    if (status !== 0) this.failures.push(new Error(`the producer ended with ${status}\n${this.#complaints}`));
  }
}

const patience = { 'enable.idempotence': 'true', acks: 'all', 'linger.ms': '5' };

/** -E: that the node is down for a while is no reason for it to give up. */
function kcat({ bootstrapServers, topic }: LoadOptions): ChildProcess {
  const settings = Object.entries({ ...patience, 'message.timeout.ms': '900000' }).flatMap(([name, value]) => [
    '-X',
    `${name}=${value}`,
  ]);
  return spawn('kcat', ['-P', '-E', '-b', bootstrapServers, '-t', topic, '-K', '\t', ...settings], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
}

/** Kafka's own console producer, from what the interop tests have installed. */
async function javaProducer({ bootstrapServers, topic }: LoadOptions): Promise<ChildProcess> {
  const { compileJavaClient, installKafka, programCommand } = await import('../interop/kafka/kafka.ts');
  await installKafka();
  await compileJavaClient();
  const settings = { ...patience, 'delivery.timeout.ms': '900000', 'max.block.ms': '900000' };
  const args = [
    ...['--bootstrap-server', bootstrapServers, '--topic', topic],
    ...['--reader-property', 'parse.key=true', '--request-required-acks', 'all', '--timeout', '5', '--max-block-ms', '900000'],
    ...Object.entries(settings).flatMap(([name, value]) => ['--command-property', `${name}=${value}`]),
  ];
  const command = programCommand('org.apache.kafka.tools.ConsoleProducer', args);
  return spawn('java', command, { stdio: ['pipe', 'ignore', 'pipe'] });
}
