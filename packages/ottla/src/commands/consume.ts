import process from 'node:process';
import { Consumer, type ConsumerRecord, type IsolationLevel, type TopicPartition } from '@ottla/client';
import { KafkaError } from '@ottla/protocol';
import { Command, InvalidArgumentError, Option } from 'commander';
import { counted, wholeNumber } from '../terminal/arguments.ts';
import { adminOf, type ClusterOptions, connect, jsonOption, withBootstrap, withClient } from '../terminal/bootstrap-option.ts';
import { NewsOfConnections } from '../terminal/news-of-connections.ts';
import { tell, write } from '../terminal/output.ts';
import { type RecordFormat, recordFormat, recordJson } from '../terminal/record-format.ts';
import { describeExisting } from './topics.ts';

type ConsumeOptions = ClusterOptions & {
  readonly fromBeginning?: boolean;
  readonly offset?: number | 'earliest' | 'latest';
  readonly partition?: number;
  readonly group?: string;
  readonly maxMessages?: number;
  readonly timeoutMs?: number;
  readonly keys?: boolean;
  readonly headers?: boolean;
  readonly offsets?: boolean;
  readonly timestamps?: boolean;
  readonly format?: string;
  readonly json?: boolean;
  readonly isolationLevel: IsolationLevel;
};

const batchRecords = 500;

export function consumeCommand(): Command {
  return withBootstrap(new Command('consume'))
    .argument('<topic>')
    .description('Print the records of a topic as they come, until Ctrl-C. Only new ones, unless told where to begin.')
    .option('--from-beginning', 'begin with the oldest record that is still there')
    .option(
      '-o, --offset <offset>',
      'begin at this offset of each partition; earliest, latest; or -N for the last N records',
      offsetOf,
    )
    .option('-p, --partition <number>', 'only this one', wholeNumber(0))
    .option('-g, --group <name>', 'share the partitions with others of this group, and go on where the group stopped')
    .option('-n, --max-messages <number>', 'stop after so many', wholeNumber(1))
    .option('--timeout-ms <ms>', 'stop when no record came for so long', wholeNumber(0))
    .option('-K, --keys', 'print keys too, before the value and a tab')
    .option('-H, --headers', 'print headers too')
    .option('-O, --offsets', 'print partition and offset too')
    .option('-T, --timestamps', 'print times too')
    .option(
      '-f, --format <text>',
      'print each record so: %t topic, %p partition, %o offset, %T time, %k key, %v value, %h headers, \\n, \\t, %%',
    )
    .addOption(jsonOption('print a JSON object in a line for each record; content that is not UTF-8 as base64'))
    .addOption(
      new Option('--isolation-level <level>', 'read_committed leaves out records of transactions that are open or were aborted')
        .choices(['read_uncommitted', 'read_committed'])
        .default('read_uncommitted'),
    )
    .addHelpText(
      'after',
      `
Examples:
  ottla consume greetings                                 what comes from now on
  ottla consume greetings --from-beginning                all there is, then what comes
  ottla consume greetings --from-beginning --keys -n 10   ten records with their keys
  ottla consume greetings --offset -5                     the last five of each partition, then what comes
  ottla consume greetings --group mailers                 as a member of a group: run it twice, they share
  ottla consume greetings --json | jq .value
A group's progress is shown by "ottla groups describe", and changed by "ottla groups reset-offsets".`,
    )
    .action(consume);
}

function offsetOf(text: string): number | 'earliest' | 'latest' {
  if (text === 'earliest' || text === 'latest') return text;
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError('It takes an offset, -N, earliest or latest.');
}

async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  if (options.group !== undefined && (options.partition !== undefined || options.offset !== undefined)) {
    throw new KafkaError(
      'INVALID_REQUEST',
      'with --group the group decides on partitions and offsets: drop --partition and --offset',
    );
  }
  if (options.fromBeginning && options.offset !== undefined)
    throw new KafkaError('INVALID_REQUEST', '--from-beginning and --offset both say where to begin: drop one');
  const partitions = await partitionsOf(topic, options);
  const news = new NewsOfConnections();
  const consumer = new Consumer({
    logger: news,
    bootstrapServers: options.bootstrap,
    clientId: 'ottla-consume',
    groupId: options.group,
    autoOffsetReset: options.fromBeginning ? 'earliest' : 'latest',
    isolationLevel: options.isolationLevel,
    maxPollRecords: batchRecords,
    allowAutoCreateTopics: false,
  });
  const interrupt = onInterrupt(() => consumer.close());
  try {
    await connect(consumer, options.bootstrap);
    news.isWanted = true;
    if (options.group === undefined) await assign(consumer, partitions, options);
    else consumer.subscribe([topic]);
    const total = await printAll(consumer, options, interrupt);
    if (process.stderr.isTTY) tell(counted(total, 'record'));
  } finally {
    interrupt.forget();
    await consumer.close();
  }
}

async function partitionsOf(topic: string, options: ConsumeOptions): Promise<TopicPartition[]> {
  const [description] = await withClient(adminOf(options), options, (admin) => describeExisting(admin, [topic]));
  const all = description!.partitions.map(({ partition }) => ({ topic, partition }));
  if (options.partition === undefined) return all;
  const asked = all.filter(({ partition }) => partition === options.partition);
  if (asked.length > 0) return asked;
  throw new KafkaError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `there is no partition ${topic}-${options.partition}: ${topic} has ${counted(all.length, 'partition')}, counted from 0`,
  );
}

async function assign(consumer: Consumer, partitions: readonly TopicPartition[], options: ConsumeOptions): Promise<void> {
  const { offset = options.fromBeginning ? 'earliest' : 'latest' } = options;
  consumer.assign(partitions);
  if (offset === 'earliest') consumer.seekToBeginning();
  else if (offset === 'latest') consumer.seekToEnd();
  else if (offset >= 0) for (const partition of partitions) consumer.seek(partition, offset);
  else {
    await withClient(adminOf(options), options, async (admin) => {
      const first = await admin.listOffsets(partitions.map((partition) => ({ ...partition, at: 'earliest' })));
      const next = await admin.listOffsets(partitions.map((partition) => ({ ...partition, at: 'latest' })));
      next.forEach((end, index) => {
        consumer.seek(end, Math.max(first[index]!.offset, end.offset + offset));
      });
    });
  }
}

async function printAll(consumer: Consumer, options: ConsumeOptions, interrupt: Interrupt): Promise<number> {
  const { maxMessages = Number.POSITIVE_INFINITY, timeoutMs = Number.POSITIVE_INFINITY } = options;
  const bytesOf: RecordFormat = options.json ? recordJson : recordFormat(options.format ?? defaultFormat(options));
  let total = 0;
  while (total < maxMessages && !interrupt.hasCome) {
    const records = await consumer.poll({ timeoutMs });
    if (records.length === 0) break;
    const wanted = records.slice(0, maxMessages - total);
    giveBack(consumer, records.slice(wanted.length));
    total += wanted.length;
    await write(Buffer.concat(wanted.map(bytesOf)));
  }
  return total;
}

/** What was not printed shall not be committed. */
function giveBack(consumer: Consumer, records: readonly ConsumerRecord[]): void {
  for (const record of [...records].reverse()) consumer.seek(record, record.offset);
}

function defaultFormat({ keys, headers, offsets, timestamps }: ConsumeOptions): string {
  const columns = [
    ...(timestamps ? ['%T'] : []),
    ...(offsets ? ['%p@%o'] : []),
    ...(headers ? ['%h'] : []),
    ...(keys ? ['%k'] : []),
    '%v',
  ];
  return `${columns.join('\\t')}\\n`;
}

type Interrupt = { readonly hasCome: boolean; forget(): void };

/** Ctrl-C ends politely, the second one at once. */
function onInterrupt(stop: () => Promise<void>): Interrupt {
  let isStopping = false;
  const handle = (): void => {
    if (isStopping) process.exit(130);
    isStopping = true;
    stop().catch((error: unknown) => tell(`ottla: ${(error as Error).message}`));
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return {
    get hasCome() {
      return isStopping;
    },
    forget: () => {
      process.off('SIGINT', handle);
      process.off('SIGTERM', handle);
    },
  };
}
