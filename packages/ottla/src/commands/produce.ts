import process from 'node:process';
import { type Acks, Producer, type ProducerRecord, type SentRange } from '@ottla/client';
import { type CompressionCodec, compressionCodecs, KafkaError, recordBytesAtMost } from '@ottla/protocol';
import { Command, InvalidArgumentError, Option } from 'commander';
import { assignments, collect, counted, wholeNumber } from '../terminal/arguments.ts';
import { type ClusterOptions, jsonOption, withBootstrap, withClient } from '../terminal/bootstrap-option.ts';
import { type Line, linesOf } from '../terminal/lines.ts';
import { NewsOfConnections } from '../terminal/news-of-connections.ts';
import { printJson, printLine, tell } from '../terminal/output.ts';

type ProduceOptions = ClusterOptions & {
  readonly value?: string;
  readonly key?: string;
  readonly keySeparator?: string;
  readonly tombstone?: boolean;
  readonly header?: readonly string[];
  readonly compression: CompressionCodec;
  readonly acks: 'all' | '0' | '1';
  readonly partition?: number;
  readonly maxRequestSize: number;
  readonly json?: boolean;
};

/** Enough to keep the producer busy, little enough to notice a failure before all is read. */
const sendsAtATime = 8;

export function produceCommand(): Command {
  return withBootstrap(new Command('produce'))
    .argument('<topic>')
    .description('Send records to a topic: one for each line of the standard input, or one with --value.')
    .option('-v, --value <text>', 'one record with this value, instead of reading lines')
    .option('-k, --key <text>', 'the key of every record; records of equal keys share a partition, and stay in order')
    .option('-s, --key-separator <text>', 'each line is key, separator, value; \\t is a tab', separatorOf)
    .option('--tombstone', 'a record without value under the --key: it deletes the key from a compacted topic')
    .option('-H, --header <name=value>', 'a header of every record; may be repeated', collect)
    .addOption(new Option('-z, --compression <codec>', 'how batches are compressed').choices(compressionCodecs).default('none'))
    .addOption(
      new Option('-a, --acks <acks>', 'who must have a record before it counts').choices(['all', '1', '0']).default('all'),
    )
    .option('-p, --partition <number>', 'where to, instead of by key', wholeNumber(0))
    .option(
      '--max-request-size <bytes>',
      'the largest record; the topic has a limit of its own, max.message.bytes',
      wholeNumber(1),
      1_048_576,
    )
    .addOption(jsonOption('print where records went as JSON'))
    .addHelpText(
      'after',
      `
Examples:
  echo hello | ottla produce greetings
  ottla produce greetings --key anna --value "hello, Anna"
  ottla produce orders --key-separator : < orders.txt           lines such as 17:{"total":12}
  ottla produce profiles --key anna --tombstone                 forget anna
Lines are sent byte by byte as they come in, without their ends (\\n or \\r\\n). At a line that cannot be sent, those before it were.
Without input redirected, type lines and end with Ctrl-D.`,
    )
    .action(produce);
}

async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const { bootstrap, compression, acks, tombstone } = options;
  if (tombstone && options.key === undefined)
    throw new KafkaError('INVALID_REQUEST', '--tombstone deletes a key: name it with --key');
  const news = new NewsOfConnections();
  const producer = new Producer({
    logger: news,
    bootstrapServers: bootstrap,
    clientId: 'ottla-produce',
    acks: (acks === 'all' ? 'all' : Number(acks)) as Acks,
    compressionType: compression,
    maxBlockMs: 15_000,
    maxRequestSize: options.maxRequestSize,
    bufferMemory: Math.max(33_554_432, options.maxRequestSize),
  });
  const common = { topic, partition: options.partition, headers: assignments(options.header ?? []), key: options.key };
  await withClient(producer, options, async () => {
    news.isWanted = true;
    const isOne = tombstone || options.value !== undefined;
    const ranges = isOne
      ? await producer.sendAll([{ ...common, value: tombstone ? null : options.value! }])
      : await sendLines(producer, longestLine(options), (line) => ({ ...common, ...keyAndValue(line, options.keySeparator) }));
    await report(topic, ranges, options.json ?? false);
  });
}

function longestLine({ maxRequestSize, key = '', header = [] }: ProduceOptions): number {
  const headers = Object.entries(assignments(header)).map(([name, value]) => ({ key: name, value: Buffer.from(value) }));
  return Math.max(0, maxRequestSize - recordBytesAtMost(Buffer.from(key), null, headers));
}

/** Sends what comes before the first line that cannot be sent. A failure says how much was sent. */
async function sendLines(producer: Producer, mostBytes: number, recordOf: (line: Line) => ProducerRecord): Promise<SentRange[]> {
  if (process.stdin.isTTY) tell('Each line becomes a record. Ctrl-D ends.');
  const ranges: SentRange[] = [];
  const sending: Promise<SentRange[]>[] = [];
  let refusal: unknown;
  let failure: unknown;
  const settle = async (sent: Promise<SentRange[]>): Promise<void> => {
    try {
      ranges.push(...(await sent));
    } catch (error) {
      failure ??= error;
    }
  };
  try {
    for await (const lines of linesOf(process.stdin, mostBytes)) {
      const records: ProducerRecord[] = [];
      try {
        for (const line of lines) records.push(recordOf(line));
      } finally {
        if (records.length > 0) sending.push(watched(producer.sendAll(records)));
      }
      if (sending.length >= sendsAtATime) await settle(sending.shift()!);
      if (failure !== undefined) break;
    }
  } catch (error) {
    refusal = error;
  }
  for (const sent of sending) await settle(sent);
  const sent = totalOf(ranges);
  if (failure !== undefined) throw told(failure, sent, 'at least');
  if (refusal !== undefined) throw told(refusal, sent, 'before it');
  return ranges;
}

/** It is awaited later, maybe later than it fails. */
function watched<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function told(error: unknown, sent: number, which: 'at least' | 'before it'): unknown {
  if (!(error instanceof KafkaError) || sent === 0) return error;
  const records = counted(sent, 'record');
  const what = which === 'at least' ? `at least ${records} sent` : `${records} before it sent`;
  return new KafkaError(error.name, `${error.message} (${what})`, { cause: error });
}

function totalOf(ranges: readonly SentRange[]): number {
  return ranges.reduce((sum, { count }) => sum + count, 0);
}

function separatorOf(text: string): string {
  if (text === '') throw new InvalidArgumentError('It takes at least one character.');
  return text.replaceAll('\\t', '\t');
}

function keyAndValue({ number, bytes }: Line, separator: string | undefined): { key?: Uint8Array; value: Uint8Array } {
  if (separator === undefined) return { value: bytes };
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(separator);
  if (at < 0)
    throw new KafkaError('INVALID_REQUEST', `line ${number} has no separator "${separator}": it must be key${separator}value`);
  return { key: bytes.subarray(0, at), value: bytes.subarray(at + Buffer.byteLength(separator)) };
}

async function report(topic: string, ranges: readonly SentRange[], isJson: boolean): Promise<void> {
  const total = totalOf(ranges);
  if (isJson) await printJson(ranges);
  else if (total === 1) {
    const { partition, firstOffset } = ranges[0]!;
    await printLine(firstOffset < 0 ? `sent to ${topic}-${partition}` : `sent to ${topic}-${partition} at offset ${firstOffset}`);
  } else {
    const partitions = new Set(ranges.map(({ partition }) => partition)).size;
    await printLine(`${counted(total, 'record')} sent to ${topic}, ${counted(partitions, 'partition')}`);
  }
}
