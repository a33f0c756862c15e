/** A client library in a process of its own, driven by JSON lines (clients/worker.py, clients/worker.mjs and JavaClient.java say how). */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { interopDirectory, javascriptClients, python } from '../home.ts';
import { programCommand } from '../kafka/kafka.ts';
import { end, howItEnded, start } from '../processes.ts';

export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
export type Record = { partition?: number; timestamp?: number; key: string | null; value: string | null; headers?: Header[] };
export type Header = [name: string, value: string | null];
export type ReadRecord = Required<Record> & { offset: number };
/** Where to begin reading: an offset, the first record, or the first one that is not older than a timestamp. */
export type Start = number | 'earliest' | { timestamp: number };

export type Isolation = 'read_committed' | 'read_uncommitted';
export type Place = { topic: string; partition: number };

/** How to be a member of a group of consumers. What only Java has: several assignors, patterns, instances and configs. */
export type Joining = {
  member: string;
  group: string;
  topics: string[];
  pattern?: string;
  protocol?: 'classic' | 'consumer';
  assignor?: string;
  clientId?: string;
  instanceId?: string;
  configs?: { [name: string]: string };
};

/** Producers with a transactional.id, step by step. */
type TransactionOperations = {
  openProducer: { args: { producer: string; transactionalId: string; timeoutMs?: number }; result: unknown };
  beginTransaction: { args: { producer: string }; result: unknown };
  /** Done when all are acknowledged. */
  send: { args: { producer: string; topic: string; records: (Record & { partition: number })[] }; result: unknown };
  /** In the name of a group, or as one of its members, now or in an earlier generation. */
  sendOffsets: {
    args: { producer: string; group?: string; member?: string; generation?: number; offsets: (Place & { offset: number })[] };
    result: unknown;
  };
  commitTransaction: { args: { producer: string }; result: unknown };
  abortTransaction: { args: { producer: string }; result: unknown };
  closeProducer: { args: { producer: string }; result: unknown };
  describeTransaction: {
    args: { transactionalId: string };
    result: { state: string; producerId: number; producerEpoch: number; timeoutMs: number; partitions: string[] };
  };
};

export type Acknowledgement = [topic: string, partition: number, offset: number, type: 'ACCEPT' | 'RELEASE' | 'REJECT' | 'RENEW'];
export type SharedRecord = [topic: string, partition: number, offset: number, value: string, deliveryCount: number];

/** Members of share groups, which only the Java client knows. */
type ShareOperations = {
  shareJoin: {
    args: {
      member: string;
      group: string;
      topics: string[];
      clientId?: string;
      mode?: 'explicit' | 'implicit';
      configs?: { [name: string]: string };
    };
    result: unknown;
  };
  /** The first that come, or none in that time. */
  sharePoll: { args: { member: string; timeoutMs?: number }; result: SharedRecord[] };
  acknowledge: { args: { member: string; acknowledgements: Acknowledgement[] }; result: unknown };
  /** An error code for each partition. */
  shareCommit: { args: { member: string }; result: { [partition: string]: number } };
  shareLeave: { args: { member: string }; result: unknown };
  shareGroup: { args: { group: string }; result: { state: string; isSettled: boolean; members: string[] } };
  /** "START, lag LAG" of each partition; the start follows when something is acknowledged after those before it. */
  shareOffsets: { args: { group: string }; result: { [partition: string]: string } };
};

/** Programs that run by themselves, in Java. */
type AppOperations = {
  startLoop: {
    args: {
      app: string;
      group: string;
      protocol: 'classic' | 'consumer';
      instanceId?: string;
      transactionalId: string;
      in: string;
      out: string;
      seed: number;
    };
    result: unknown;
  };
  loop: { args: { app: string }; result: LoopState };
  stopLoop: { args: { app: string }; result: LoopState };
  startStreams: {
    args: {
      app: string;
      application: string;
      protocol: 'classic' | 'streams';
      guarantee: 'at_least_once' | 'exactly_once_v2';
      in: string;
      out: string;
      directory: string;
      threads?: number;
      standbys?: number;
      configs?: { [name: string]: string };
    };
    result: unknown;
  };
  streamsState: { args: { app: string }; result: string };
  streamsTasks: { args: { app: string }; result: { active: string[]; standby: string[] } };
  stopStreams: { args: { app: string; how?: 'LEAVE_GROUP' | 'REMAIN_IN_GROUP' }; result: unknown };
};
type LoopState = { committed: number; aborted: number; ended: string | null };

export type Operations = TransactionOperations &
  ShareOperations &
  AppOperations & {
    cluster: {
      args: object;
      result: { clusterId: string; controllerId: number; brokers: { id: number; host: string; port: number }[] };
    };
    createTopic: { args: { topic: string; partitions: number; configs?: { [name: string]: string } }; result: unknown };
    deleteTopic: { args: { topic: string }; result: unknown };
    topics: { args: object; result: string[] };
    partitions: { args: { topic: string }; result: number };
    addPartitions: { args: { topic: string; total: number }; result: unknown };
    topicConfig: { args: { topic: string; name: string }; result: { value: string; isDefault: boolean } };
    setTopicConfig: { args: { topic: string; name: string; value: string }; result: unknown };
    offsets: { args: { topic: string }; result: { earliest: number[]; latest: number[] } };
    deleteRecords: { args: { topic: string; partition: number; before: number }; result: unknown };
    produce: {
      args: { topic: string; records: Record[]; codec?: Codec; acks?: '0' | '1' | 'all'; idempotent?: boolean };
      result: unknown;
    };
    /** Only the Java client has it. The producer stays, and so does a transaction that has no end. */
    transaction: {
      args: {
        transactionalId: string;
        records: (Record & { topic: string; partition: number })[];
        end: 'commit' | 'abort' | 'none';
        group?: string;
        offsets?: { topic: string; partition: number; offset: number }[];
      };
      result: unknown;
    };
    read: { args: { topic: string; partition: number; start: Start; count: number }; result: ReadRecord[] };
    /** Only the Java client has it. A line for each record. */
    readAll: { args: { topic: string; partition: number; isolation: Isolation }; result: string[] };
    /** The values of each partition, up to where it ends for that isolation level. */
    values: { args: { topic: string; isolation: Isolation }; result: string[][] };
    join: { args: Joining; result: unknown };
    assignment: { args: { member: string }; result: [topic: string, partition: number][] };
    /** What was assigned, revoked and lost since the last time. */
    events: { args: { member: string }; result: string[] };
    membership: { args: { member: string }; result: { memberId: string; generation: number } };
    poll: { args: { member: string; count: number; timeoutMs?: number }; result: ReadRecord[] };
    commit: { args: { member: string }; result: unknown };
    leave: { args: { member: string; how?: 'DEFAULT' | 'LEAVE_GROUP' | 'REMAIN_IN_GROUP' }; result: unknown };
    committed: { args: { group: string; topic: string; partition: number }; result: number | null };
    setGroupOffset: { args: { group: string; topic: string; partition: number; offset: number }; result: unknown };
    groups: { args: object; result: string[] };
    describeGroup: { args: { group: string }; result: { state: string; members: number } };
    deleteGroup: { args: { group: string }; result: unknown };
    groupType: { args: { group: string }; result: { type: string; protocol: string; state: string } | null };
    setGroupConfig: { args: { group: string; name: string; value: string }; result: unknown };
    tool: { args: { class: string; args: string[]; stdin?: string }; result: { status: number; stdout: string; stderr: string } };
  };
export type Operation = keyof Operations;

/** An error that a client reported. `code` is Kafka's error code where the client kept it. */
export class ClientError extends Error {
  readonly code: number | null;
  constructor(message: string, code: number | null) {
    super(message);
    this.code = code;
  }
}

export type LibraryName =
  | 'java'
  | 'kafkajs'
  | 'platformatic'
  | 'confluent-javascript'
  | 'kafka-python'
  | 'confluent-python'
  | 'kcat';

/** What a library has no way to say to a broker, and which codecs it has. */
export type Library = {
  name: LibraryName;
  codecs: readonly Codec[];
  lacks: readonly (Operation | 'idempotence' | 'nullHeaders')[];
};
const allCodecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

export const libraries: { readonly [name in LibraryName]: Library } = {
  java: { name: 'java', codecs: allCodecs, lacks: [] },
  kafkajs: { name: 'kafkajs', codecs: ['none', 'gzip'], lacks: ['nullHeaders'] },
  platformatic: { name: 'platformatic', codecs: allCodecs, lacks: [] },
  'confluent-javascript': {
    name: 'confluent-javascript',
    codecs: allCodecs,
    lacks: ['cluster', 'addPartitions', 'topicConfig', 'setTopicConfig', 'setGroupOffset'],
  },
  'kafka-python': { name: 'kafka-python', codecs: allCodecs, lacks: [] },
  'confluent-python': { name: 'confluent-python', codecs: allCodecs, lacks: [] },
  kcat: {
    name: 'kcat',
    codecs: allCodecs,
    lacks: [
      'cluster',
      'createTopic',
      'deleteTopic',
      'addPartitions',
      'topicConfig',
      'setTopicConfig',
      'deleteRecords',
      'setGroupOffset',
    ],
  },
};

export function supports(library: Library, feature: Library['lacks'][number]): boolean {
  return !library.lacks.includes(feature);
}

export interface Client {
  call<Name extends Operation>(
    name: Name,
    args: Operations[Name]['args'],
    timeoutMs?: number,
  ): Promise<Operations[Name]['result']>;
  close(): Promise<void>;
}

export class WorkerClient implements Client {
  readonly #child: ChildProcess;
  readonly #library: LibraryName;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #lastId = 0;
  #complaints = '';

  constructor(library: Exclude<LibraryName, 'kcat'>, bootstrap: string, options: { recordArchive?: boolean } = {}) {
    const [command, ...args] = workerCommand(library, bootstrap, options.recordArchive ?? false);
    this.#library = library;
    this.#child = start(command!, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...process.env,
        INTEROP_CLIENTS: javascriptClients,
        KAFKAJS_NO_PARTITIONER_WARNING: '1',
        PYTHONDONTWRITEBYTECODE: '1',
      },
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (chunk) => {
      this.#complaints = (this.#complaints + chunk).slice(-4000);
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#settle(JSON.parse(line)));
    this.#child.stdin!.on('error', () => {});
    this.#child.on('error', (error) => this.#fail(error));
    this.#child.on('exit', (code, signal) => this.#fail(new Error(`it ended with ${code ?? signal}`)));
  }

  call<Name extends Operation>(
    name: Name,
    args: Operations[Name]['args'],
    timeoutMs = 120_000,
  ): Promise<Operations[Name]['result']> {
    const id = ++this.#lastId;
    const status = howItEnded(this.#child);
    if (status !== null) return Promise.reject(new Error(`${this.#library}: it ended with ${status}\n${this.#complaints}`));
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(id);
        reject(
          new Error(
            `${this.#library} ${name} ${JSON.stringify(args).slice(0, 200)}: no answer in ${timeoutMs} ms\n${this.#complaints}`,
          ),
        );
      }, timeoutMs);
      this.#waiting.set(id, {
        resolve: (value) => {
          clearTimeout(late);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(late);
          reject(error);
        },
      });
      this.#child.stdin!.write(`${JSON.stringify({ id, op: name, args })}\n`);
    });
  }

  /** Halts the process until it is resumed: nobody hears of it, and it does not know. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** It says goodbye to nobody. */
  kill(): Promise<void> {
    return end(this.#child, 'SIGKILL', 5000);
  }

  async close(): Promise<void> {
    this.#child.stdin!.end();
    await new Promise<void>((resolve) => {
      if (howItEnded(this.#child) !== null) return resolve();
      const late = setTimeout(resolve, 60_000); // a JVM that records its classes takes its time
      this.#child.once('exit', () => {
        clearTimeout(late);
        resolve();
      });
    });
    await end(this.#child, 'SIGKILL', 1000);
  }

  #settle(answer: { id: number; result?: unknown; error?: { code: number | null; message: string } }): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.error) waiting?.reject(new ClientError(`${this.#library}: ${answer.error.message}`, answer.error.code));
    else waiting?.resolve(answer.result as never);
  }

  #fail(error: Error): void {
    for (const waiting of this.#waiting.values())
      waiting.reject(new Error(`${this.#library}: ${error.message}\n${this.#complaints}`));
    this.#waiting.clear();
  }
}

function workerCommand(library: Exclude<LibraryName, 'kcat'>, bootstrap: string, recordArchive: boolean): string[] {
  const program = (name: string) => join(interopDirectory, 'clients', name);
  switch (library) {
    case 'java':
      return ['java', ...programCommand('JavaClient', [bootstrap], recordArchive ? 'record' : 'use')];
    case 'kafka-python':
      return [python, program('kafka_python.py'), bootstrap];
    case 'confluent-python':
      return [python, program('confluent_kafka_python.py'), bootstrap];
    case 'kafkajs':
      return [process.execPath, program('kafkajs.mjs'), bootstrap];
    case 'platformatic':
      return [process.execPath, program('platformatic.mjs'), bootstrap];
    case 'confluent-javascript': // its native part is built for the Node that npm runs on, which need not be ours
      return [systemNode(), program('confluent_javascript.mjs'), bootstrap];
  }
}

/** The machine's own `node`: the first on the path outside node_modules. */
export function systemNode(): string {
  return join(
    systemPath()
      .split(':')
      .find((directory) => existsSync(join(directory, 'node'))) ?? '',
    'node',
  );
}

/** The path without what npm put in front of it. */
export function systemPath(): string {
  const directories = (process.env['PATH'] ?? '').split(':');
  return directories.filter((directory) => !directory.includes('node_modules') && !directory.includes('node-gyp-bin')).join(':');
}
