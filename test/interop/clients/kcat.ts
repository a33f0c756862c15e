/** kcat (librdkafka on the command line) with the operations of the other clients that it has. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { end, start } from '../processes.ts';
import type { Client, Operation, Operations, ReadRecord, Start } from './client.ts';

/** Runs kcat to its end with this standard input; throws with its complaint when it fails. */
export function kcat(args: readonly string[], input = '', timeoutMs = 60_000): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('kcat', args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status === 0) resolve({ stdout, stderr });
      else reject(new Error(`kcat ${args.join(' ')} ended with ${status ?? signal}\n${stdout}${stderr}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** One line of `kcat -J`. Header names and values come as one flat list. */
type JsonLine = {
  partition: number;
  offset: number;
  ts: number;
  key: string | null;
  payload: string | null;
  headers?: (string | null)[];
};

export function parseJsonLines(stdout: string): ReadRecord[] {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => {
    const { partition, offset, ts, key, payload, headers = [] } = JSON.parse(line) as JsonLine;
    const pairs: [string, string | null][] = [];
    for (let i = 0; i < headers.length; i += 2) pairs.push([headers[i]!, headers[i + 1] ?? null]);
    return { partition, offset, timestamp: ts, key, value: payload, headers: pairs };
  });
}

export class KcatClient implements Client {
  readonly #bootstrap: string;
  readonly #members = new Map<string, KcatMember>();
  readonly #operations: { [Name in Operation]?: (args: Operations[Name]['args']) => Promise<unknown> };

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap;
    this.#operations = {
      topics: async () => (await this.#metadata([])).topics.map(({ topic }) => topic).sort(),
      partitions: async ({ topic }) => (await this.#metadata(['-t', topic])).topics[0]!.partitions.length,
      offsets: async ({ topic }) => {
        const count = (await this.#metadata(['-t', topic])).topics[0]!.partitions.length;
        const at = (timestamp: number) =>
          Promise.all(Array.from({ length: count }, (_, p) => this.#offsetAt(topic, p, timestamp)));
        return { earliest: await at(-2), latest: await at(-1) };
      },
      produce: (args) => this.#produce(args),
      read: async ({ topic, partition, start, count }) => {
        const offset = await this.#resolve(topic, partition, start);
        const place = ['-t', topic, '-p', String(partition), '-o', offset, '-c', String(count)];
        return parseJsonLines((await this.#run(['-C', '-J', '-q', '-e', ...place])).stdout);
      },
      join: async ({ member, group, topics, assignor = 'range', clientId = 'kcat' }) => {
        this.#members.set(member, new KcatMember(this.#bootstrap, { group, topics, assignor, clientId }));
      },
      assignment: async ({ member }) => this.#members.get(member)!.assignment,
      poll: ({ member, count, timeoutMs = 60_000 }) => this.#members.get(member)!.take(count, timeoutMs),
      leave: async ({ member }) => {
        await this.#members.get(member)!.leave();
        this.#members.delete(member);
      },
    };
  }

  call<Name extends Operation>(name: Name, args: Operations[Name]['args']): Promise<Operations[Name]['result']> {
    const operation = this.#operations[name];
    if (!operation) throw new Error(`kcat has no ${name}`);
    return operation(args) as Promise<Operations[Name]['result']>;
  }

  async close(): Promise<void> {
    for (const member of this.#members.values()) await member.leave();
  }

  #run(args: readonly string[], input = ''): Promise<{ stdout: string; stderr: string }> {
    return kcat(['-b', this.#bootstrap, ...args], input);
  }

  async #metadata(args: readonly string[]): Promise<{ topics: { topic: string; partitions: object[] }[] }> {
    return JSON.parse((await this.#run(['-L', '-J', ...args])).stdout);
  }

  /** `-Q -t topic:partition:timestamp` prints "topic [0] offset 12". */
  async #offsetAt(topic: string, partition: number, timestamp: number): Promise<number> {
    const { stdout } = await this.#run(['-Q', '-t', `${topic}:${partition}:${timestamp}`]);
    return Number(/offset (-?\d+)/.exec(stdout)![1]);
  }

  async #resolve(topic: string, partition: number, start: Start): Promise<string> {
    if (start === 'earliest') return 'beginning';
    return String(typeof start === 'number' ? start : await this.#offsetAt(topic, partition, start.timestamp));
  }

  /** kcat writes one partition and one set of headers per run, and cannot choose timestamps. */
  async #produce({
    topic,
    records,
    codec = 'none',
    acks = 'all',
    idempotent = false,
  }: Operations['produce']['args']): Promise<void> {
    const runs = new Map<string, string>();
    for (const { partition, key, value, headers = [] } of records) {
      const args = [
        ...(partition === undefined ? [] : ['-p', String(partition)]),
        ...headers.flatMap(([name, text]) => ['-H', text === null ? name : `${name}=${text}`]),
      ];
      const run = JSON.stringify(args);
      runs.set(run, `${runs.get(run) ?? ''}${key ?? ''}\t${value ?? ''}\n`);
    }
    const settings = ['-X', `acks=${acks}`, '-X', `enable.idempotence=${idempotent}`, '-X', 'linger.ms=20'];
    const compression = codec === 'none' ? [] : ['-z', codec];
    for (const [args, input] of runs) {
      await this.#run(['-P', '-t', topic, '-K', '\t', '-Z', ...compression, ...settings, ...JSON.parse(args)], input);
    }
  }
}

/** A balanced consumer: `kcat -G`, which tells its assignments on standard error. */
class KcatMember {
  assignment: [topic: string, partition: number][] = [];
  readonly #child: ChildProcess;
  readonly #records: ReadRecord[] = [];

  constructor(
    bootstrap: string,
    { group, topics, assignor, clientId }: { group: string; topics: string[]; assignor: string; clientId: string },
  ) {
    const settings = {
      'client.id': clientId,
      'partition.assignment.strategy': assignor,
      'auto.offset.reset': 'earliest',
      'session.timeout.ms': '10000',
      'heartbeat.interval.ms': '500',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-X', `${name}=${value}`]);
    const args = ['-b', bootstrap, '-J', '-u', ...options, '-G', group, ...topics];
    this.#child = start('kcat', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#records.push(...parseJsonLines(line)));
    createInterface({ input: this.#child.stderr! }).on('line', (line) => this.#hear(line));
  }

  async take(count: number, timeoutMs: number): Promise<ReadRecord[]> {
    const deadline = Date.now() + timeoutMs;
    while (this.#records.length < count && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
    return this.#records.splice(0, count);
  }

  leave(): Promise<void> {
    return end(this.#child, 'SIGINT', 60_000);
  }

  /** "% Group g rebalanced (memberid m): assigned: t [0], t [1]" and "...: revoked: ...". */
  #hear(line: string): void {
    const told = /rebalanced \(memberid .*?\): (assigned|revoked): ?(.*)$/.exec(line);
    if (!told) return;
    const places = [...told[2]!.matchAll(/(\S+) \[(\d+)\]/g)].map((match): [string, number] => [match[1]!, Number(match[2])]);
    this.assignment = told[1] === 'assigned' ? places : [];
  }
}
