import { type Admin, ItemsError, type TopicDescription } from '@ottla/client';
import { KafkaError } from '@ottla/protocol';
import { Command } from 'commander';
import { assignments, collect, counted, wholeNumber } from '../terminal/arguments.ts';
import { type ClusterOptions, clusterCommand, withAdmin } from '../terminal/bootstrap-option.ts';
import { failuresOf, reportEach } from '../terminal/outcomes.ts';
import { printJson, printLine } from '../terminal/output.ts';
import { table } from '../terminal/table.ts';

type Options = ClusterOptions & { readonly json?: boolean };

export function topicsCommand(): Command {
  const command = new Command('topics').description(
    'Topics: named logs of records, cut into partitions. More partitions let more consumers of a group share the work.',
  );
  clusterCommand(command.command('list'))
    .description('The topics there are.')
    .option('--internal', 'also those that Kafka keeps for itself, such as __consumer_offsets')
    .action(list);
  clusterCommand(command.command('create'))
    .argument('<topic...>')
    .description('Create topics.')
    .option('-p, --partitions <number>', "how many partitions each has (default: the cluster's num.partitions)", wholeNumber(1))
    .option('-r, --replication-factor <number>', "how many brokers keep a copy (default: the cluster's)", wholeNumber(1))
    .option('-c, --config <name=value>', 'a setting of the topic; may be repeated', collect)
    .option('--if-not-exists', 'a topic that is there already is fine')
    .addHelpText(
      'after',
      `
Examples:
  ottla topics create greetings --partitions 3
  ottla topics create profiles --config cleanup.policy=compact
  ottla topics create events --config retention.ms=86400000     keep records for a day`,
    )
    .action(create);
  clusterCommand(command.command('describe'))
    .argument('[topic...]', 'all but the internal ones unless named')
    .description('Partitions, who keeps them, and what they hold.')
    .addHelpText(
      'after',
      `
Columns:
  LEADER        the broker that serves the partition
  REPLICAS      the brokers that keep a copy, ISR those of them that are up to date
  FIRST OFFSET  the oldest record that is still there
  NEXT OFFSET   where the next record will go
  RECORDS       the difference; fewer where a compacted topic dropped some`,
    )
    .action(describe);
  clusterCommand(command.command('alter'))
    .argument('<topic>')
    .description('Add partitions to a topic. Its settings are changed with "ottla configs set topic".')
    .requiredOption(
      '-p, --partitions <number>',
      'how many it shall have then; records of a key may move to another one',
      wholeNumber(1),
    )
    .action(alter);
  clusterCommand(command.command('delete'))
    .argument('<topic...>')
    .description('Delete topics and all their records.')
    .option('--if-exists', 'a topic that is not there is fine')
    .action(remove);
  return command;
}

async function list(options: Options & { readonly internal?: boolean }): Promise<void> {
  const topics = await withAdmin(options, (admin) => admin.listTopics({ internal: options.internal }));
  if (options.json) await printJson(topics);
  else if (topics.length === 0) await printLine('There are no topics yet. Create one: ottla topics create greetings');
  else
    await printLine(
      table(
        ['TOPIC', 'PARTITIONS'],
        topics.map(({ name, partitions }) => [name, partitions]),
      ),
    );
}

type CreateOptions = Options & {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly config?: readonly string[];
  readonly ifNotExists?: boolean;
};

async function create(names: readonly string[], options: CreateOptions): Promise<void> {
  const { partitions, replicationFactor } = options;
  const configs = assignments(options.config ?? []);
  const topics = names.map((name) => ({ name, partitions, replicationFactor, configs }));
  const failures = await withAdmin(options, (admin) => failuresOf(admin.createTopics(topics)));
  const accepted = options.ifNotExists ? ({ error: 'TOPIC_ALREADY_EXISTS', told: 'is there already' } as const) : undefined;
  await reportEach(names, failures, { item: 'name', verb: 'created', accepted }, options.json ?? false);
}

async function describe(names: readonly string[], options: Options): Promise<void> {
  await withAdmin(options, async (admin) => {
    const wanted = names.length > 0 ? names : (await admin.listTopics()).map(({ name }) => name);
    const descriptions = await describeExisting(admin, wanted);
    const details = await Promise.all(descriptions.map((topic) => detailsOf(admin, topic)));
    if (options.json) return printJson(details);
    if (details.length === 0) return printLine('There are no topics yet. Create one: ottla topics create greetings');
    return printLine(details.map(textOf).join('\n\n'));
  });
}

/** Describes, or says what to do about what is missing. */
export async function describeExisting(admin: Admin, names: readonly string[]): Promise<TopicDescription[]> {
  try {
    return await admin.describeTopics(names);
  } catch (error) {
    if (!(error instanceof ItemsError) || error.name !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
    const missing = [...error.failures.keys()];
    throw new KafkaError(
      error.name,
      `there is no topic ${missing.join(', ')}: create it with "ottla topics create ${missing.join(' ')}"`,
    );
  }
}

async function detailsOf(admin: Admin, { name, topicId, isInternal, partitions }: TopicDescription) {
  const places = partitions.filter(({ leaderId }) => leaderId >= 0).map(({ partition }) => ({ topic: name, partition }));
  const [first, next, described] = await Promise.all([
    admin.listOffsets(places.map((place) => ({ ...place, at: 'earliest' as const }))),
    admin.listOffsets(places.map((place) => ({ ...place, at: 'latest' as const }))),
    admin.describeConfigs([{ type: 'topic', name }]),
  ]);
  const firstOffsets = new Map(first.map(({ partition, offset }) => [partition, offset]));
  const nextOffsets = new Map(next.map(({ partition, offset }) => [partition, offset]));
  const set = described[0]!.configs.filter(({ source }) => source === 'topic');
  return {
    name,
    topicId,
    isInternal,
    configs: Object.fromEntries(set.map((config) => [config.name, config.value])),
    partitions: partitions.map((partition) => ({
      ...partition,
      firstOffset: firstOffsets.get(partition.partition) ?? null,
      nextOffset: nextOffsets.get(partition.partition) ?? null,
    })),
  };
}

function textOf({ name, topicId, configs, partitions }: Awaited<ReturnType<typeof detailsOf>>): string {
  const copies = partitions[0]?.replicas.length ?? 0;
  const settings = Object.entries(configs).map(([config, value]) => `${config}=${value}`);
  const head = `${name}: ${counted(partitions.length, 'partition')}, ${counted(copies, 'replica')} each, id ${topicId}`;
  const rows = partitions.map(({ partition, leaderId, replicas, isr, firstOffset, nextOffset }) => [
    partition,
    leaderId < 0 ? 'none' : leaderId,
    replicas.join(','),
    isr.join(','),
    firstOffset,
    nextOffset,
    firstOffset === null || nextOffset === null ? null : nextOffset - firstOffset,
  ]);
  return [
    head,
    ...(settings.length > 0 ? [`set: ${settings.join(', ')}`] : []),
    table(['PARTITION', 'LEADER', 'REPLICAS', 'ISR', 'FIRST OFFSET', 'NEXT OFFSET', 'RECORDS'], rows),
  ].join('\n');
}

async function alter(name: string, options: Options & { readonly partitions: number }): Promise<void> {
  await withAdmin(options, async (admin) => {
    await describeExisting(admin, [name]);
    await admin.createPartitions({ [name]: options.partitions });
  });
  if (options.json) await printJson({ name, partitions: options.partitions });
  else await printLine(`${name} has ${counted(options.partitions, 'partition')}`);
}

async function remove(names: readonly string[], options: Options & { readonly ifExists?: boolean }): Promise<void> {
  const failures = await withAdmin(options, async (admin) => {
    const existing = new Set((await admin.listTopics({ internal: true })).map(({ name }) => name));
    const absent = names.filter((name) => !existing.has(name));
    if (absent.length > 0 && !options.ifExists) {
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no topic ${absent.join(', ')}: nothing was deleted`);
    }
    return failuresOf(admin.deleteTopics(names));
  });
  const accepted = options.ifExists ? ({ error: 'UNKNOWN_TOPIC_OR_PARTITION', told: 'was not there' } as const) : undefined;
  await reportEach(names, failures, { item: 'name', verb: 'deleted', accepted }, options.json ?? false);
}
