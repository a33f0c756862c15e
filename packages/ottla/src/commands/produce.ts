import process from 'node:process';
import { type Acks, Producer, type ProducerRecord, type SentRange } from '@ottla/client';
import { type CompressionCodec, compressionCodecs, KafkaError } from '@ottla/protocol';
import { Command, Option } from 'commander';
import { assignments, collect, wholeNumber } from '../terminal/arguments.ts';
import { bootstrapOption, type ClusterOptions, jsonOption, withClient } from '../terminal/bootstrap-option.ts';
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
  readonly json?: boolean;
};

/** Enough to keep the producer busy, little enough to notice a failure before all is read. */
const sendsAtATime = 8;

export function produceCommand(): Command {
  return new Command('produce')
    .argument('<topic>')
    .description('Send records to a topic: one for each line of the standard input, or one with --value.')
    .addOption(bootstrapOption())
    .option('-v, --value <text>', 'one record with this value, instead of reading lines')
    .option('-k, --key <text>', 'the key of every record; records of equal keys share a partition, and stay in order')
    .option('-s, --key-separator <text>', 'each line is key, separator, value')
    .option('--tombstone', 'a record without value under the --key: it deletes the key from a compacted topic')
    .option('-H, --header <name=value>', 'a header of every record; may be repeated', collect)
    .addOption(new Option('-z, --compression <codec>', 'how batches are compressed').choices(compressionCodecs).default('none'))
    .addOption(
      new Option('-a, --acks <acks>', 'who must have a record before it counts').choices(['all', '1', '0']).default('all'),
    )
    .option('-p, --partition <number>', 'where to, instead of by key', wholeNumber(0))
    .addOption(jsonOption('print where records went as JSON'))
    .addHelpText(
      'after',
      `
Examples:
  echo hello | ottla produce greetings
  ottla produce greetings --key anna --value "hello, Anna"
  ottla produce orders --key-separator : < orders.txt           lines such as 17:{"total":12}
  ottla produce profiles --key anna --tombstone                 forget anna
Without input redirected, type lines and end with Ctrl-D.`,
    )
    .action(produce);
}

async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const { bootstrap, compression, acks, tombstone } = options;
  if (tombstone && options.key === undefined)
    throw new KafkaError('INVALID_REQUEST', '--tombstone deletes a key: name it with --key');
  const producer = new Producer({
    bootstrapServers: bootstrap,
    clientId: 'ottla-produce',
    acks: (acks === 'all' ? 'all' : Number(acks)) as Acks,
    compressionType: compression,
    maxBlockMs: 15_000,
  });
  const common = { topic, partition: options.partition, headers: assignments(options.header ?? []), key: options.key };
  await withClient(producer, options, async () => {
    const isOne = tombstone || options.value !== undefined;
    const ranges = isOne
      ? await producer.sendAll([{ ...common, value: tombstone ? null : options.value! }])
      : await sendLines(producer, (line) => ({ ...common, ...keyAndValue(line, options.keySeparator) }));
    await report(topic, ranges, options.json ?? false);
  });
}

async function sendLines(producer: Producer, recordOf: (line: string) => ProducerRecord): Promise<SentRange[]> {
  if (process.stdin.isTTY) tell('Each line becomes a record. Ctrl-D ends.');
  const ranges: SentRange[] = [];
  const sending: Promise<SentRange[]>[] = [];
  for await (const lines of linesOf(process.stdin)) {
    const sent = producer.sendAll(lines.map(recordOf));
    // It is awaited below, maybe later than it fails.
    sent.catch(() => {});
    sending.push(sent);
    if (sending.length >= sendsAtATime) ranges.push(...(await sending.shift()!));
  }
  for (const sent of sending) ranges.push(...(await sent));
  return ranges;
}

/** The lines that each chunk completes, without their ends. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    if (lines.length > 0) yield lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  }
  rest += decoder.decode();
  if (rest !== '') yield [rest];
}

function keyAndValue(line: string, separator: string | undefined): { key?: string; value: string } {
  if (separator === undefined) return { value: line };
  const at = line.indexOf(separator);
  if (at < 0)
    throw new KafkaError(
      'INVALID_REQUEST',
      `the line "${line}" has no separator "${separator}": each must be key${separator}value`,
    );
  return { key: line.slice(0, at), value: line.slice(at + separator.length) };
}

async function report(topic: string, ranges: readonly SentRange[], isJson: boolean): Promise<void> {
  const total = ranges.reduce((sum, { count }) => sum + count, 0);
  if (isJson) await printJson(ranges);
  else if (total === 1) {
    const { partition, firstOffset } = ranges[0]!;
    await printLine(firstOffset < 0 ? `sent to ${topic}-${partition}` : `sent to ${topic}-${partition} at offset ${firstOffset}`);
  } else {
    const partitions = new Set(ranges.map(({ partition }) => partition)).size;
    await printLine(`${total} records sent to ${topic}, ${partitions} partition${partitions === 1 ? '' : 's'}`);
  }
}
