import { type Admin, type GroupDescription, ItemsError, type TopicPartition } from '@ottla/client';
import { KafkaError } from '@ottla/protocol';
import { Command, InvalidArgumentError } from 'commander';
import { collect, counted, integer, wholeNumber } from '../terminal/arguments.ts';
import { type ClusterOptions, clusterCommand, withAdmin } from '../terminal/bootstrap-option.ts';
import { failuresOf, reportEach } from '../terminal/outcomes.ts';
import { printJson, printLine, tell } from '../terminal/output.ts';
import { table } from '../terminal/table.ts';
import { describeExisting as describeExistingTopics } from './topics.ts';

type Options = ClusterOptions & { readonly json?: boolean };

export function groupsCommand(): Command {
  const command = new Command('groups').description(
    'Consumer groups: consumers that share the partitions of topics, and remember in committed offsets how far they are.',
  );
  clusterCommand(command.command('list'))
    .description('The groups there are.')
    .option(
      '-s, --state <state>',
      'only those: Stable (at work), Empty (no members), PreparingRebalance …; may be repeated',
      collect,
    )
    .action(list);
  clusterCommand(command.command('describe'))
    .argument('<group...>')
    .description('How far a group is in each partition, and who reads it.')
    .addHelpText(
      'after',
      `
Columns:
  COMMITTED  the next record the group wants
  END        where the next record will be written
  LAG        the difference: how many records wait for the group
  MEMBER     who reads the partition now; "-" when nobody does`,
    )
    .action(describe);
  clusterCommand(command.command('delete'))
    .argument('<group...>')
    .description('Forget groups and their offsets. They must not have members.')
    .action(remove);
  clusterCommand(command.command('reset-offsets'))
    .argument('<group>')
    .description(
      'Change where a group goes on. Shows what would change, until told to --execute. The group must not have members.',
    )
    .option('-t, --topic <topic[:partition,...]>', 'which; may be repeated', collect)
    .option('--all-topics', 'every partition the group has committed')
    .option('--to-earliest', 'to the oldest record that is still there')
    .option('--to-latest', 'to the end: only what is still to come')
    .option('--to-offset <offset>', 'to this offset, or the nearest one there is', wholeNumber(0))
    .option('--shift-by <number>', 'so many records on, or back if negative', integer)
    .option('--to-datetime <time>', 'to the first record of this time or later, such as 2026-01-31T08:00:00Z', timeOf)
    .option('-x, --execute', 'do it')
    .addHelpText(
      'after',
      `
Examples:
  ottla groups reset-offsets mailers --topic greetings --to-earliest            shows what it would do
  ottla groups reset-offsets mailers --topic greetings --to-earliest --execute
  ottla groups reset-offsets mailers --topic greetings:0,2 --shift-by -10 --execute
  ottla groups reset-offsets mailers --all-topics --to-datetime 2026-01-31T08:00:00Z`,
    )
    .action(resetOffsets);
  return command;
}

async function list(options: Options & { readonly state?: readonly string[] }): Promise<void> {
  const groups = await withAdmin(options, (admin) => admin.listConsumerGroups({ states: options.state }));
  if (options.json) await printJson(groups);
  else if (groups.length === 0)
    await printLine('There are no such groups. One comes to be with: ottla consume TOPIC --group NAME');
  else {
    const rows = groups.map(({ groupId, state, type, protocolType }) => [groupId, state, type, protocolType]);
    await printLine(table(['GROUP', 'STATE', 'TYPE', 'PROTOCOL'], rows));
  }
}

async function describe(groupIds: readonly string[], options: Options): Promise<void> {
  await withAdmin(options, async (admin) => {
    const groups = await describeExisting(admin, groupIds);
    const details = await Promise.all(groups.map(async (group) => ({ ...group, partitions: await progressOf(admin, group) })));
    if (options.json) return printJson(details);
    return printLine(details.map(textOf).join('\n\n'));
  });
}

async function describeExisting(admin: Admin, groupIds: readonly string[]): Promise<GroupDescription[]> {
  try {
    return await admin.describeConsumerGroups(groupIds);
  } catch (error) {
    if (!(error instanceof ItemsError) || error.name !== 'GROUP_ID_NOT_FOUND') throw error;
    const other = (await admin.listConsumerGroups()).find(({ groupId }) => error.failures.has(groupId));
    if (other) throw new KafkaError(error.name, ofAnotherKind(other));
    throw new KafkaError(
      error.name,
      `there is no group ${[...error.failures.keys()].join(', ')}: "ottla groups list" shows those there are`,
    );
  }
}

/** Groups that have no committed offsets, or other members: Kafka has a tool for each kind. */
function ofAnotherKind({ groupId, type }: { readonly groupId: string; readonly type: string }): string {
  return `${groupId} is a ${type} group, and no group of consumers: Kafka's kafka-${type}-groups.sh looks after it`;
}

type Progress = TopicPartition & {
  readonly committed: number | null;
  readonly end: number | null;
  readonly lag: number | null;
  readonly memberId: string | null;
};

/** Of every partition that the group has committed or is reading. */
async function progressOf(admin: Admin, { groupId, members }: GroupDescription): Promise<Progress[]> {
  const owners = new Map(
    members.flatMap(({ memberId, assignment }) => assignment.map((one) => [nameOf(one), memberId] as const)),
  );
  const committed = new Map((await admin.listConsumerGroupOffsets(groupId)).map((one) => [nameOf(one), one]));
  const all = new Map<string, TopicPartition>([
    ...members.flatMap(({ assignment }) => assignment.map((one) => [nameOf(one), one] as const)),
    ...committed,
  ]);
  const ends = await endOffsets(admin, [...all.values()]);
  return [...all]
    .map(([name, { topic, partition }]) => {
      const offset = committed.get(name)?.offset ?? null;
      const end = ends.get(name) ?? null;
      const lag = offset === null || end === null ? null : Math.max(0, end - offset);
      return { topic, partition, committed: offset, end, lag, memberId: owners.get(name) ?? null };
    })
    .sort((one, other) => (one.topic === other.topic ? one.partition - other.partition : one.topic < other.topic ? -1 : 1));
}

/** Without the partitions of topics that are gone. */
async function endOffsets(admin: Admin, partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
  const topics = new Set((await admin.listTopics({ internal: true })).map(({ name }) => name));
  const existing = partitions.filter(({ topic }) => topics.has(topic));
  const offsets = await admin.listOffsets(existing.map(({ topic, partition }) => ({ topic, partition, at: 'latest' })));
  return new Map(offsets.map((one) => [nameOf(one), one.offset]));
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

function textOf({
  groupId,
  state,
  assignor,
  members,
  partitions,
}: GroupDescription & { partitions: readonly Progress[] }): string {
  const clients = new Map(
    members.map(({ memberId, clientId, clientHost }) => [memberId, `${clientId} at ${clientHost.replace('/', '')}`]),
  );
  const lag = partitions.reduce((sum, one) => sum + (one.lag ?? 0), 0);
  const how = assignor === '' ? '' : `, ${assignor}`;
  const head = `${groupId}: ${state}${how}, ${counted(members.length, 'member')}, lag ${lag}`;
  if (partitions.length === 0) {
    const readers = members.length > 0 ? 'its members have no partitions yet' : 'nobody reads';
    return `${head}\nIt has committed nothing, and ${readers}.`;
  }
  const rows = partitions.map(({ topic, partition, committed, end, lag: behind, memberId }) => [
    topic,
    partition,
    committed,
    end,
    behind,
    memberId,
    memberId && clients.get(memberId),
  ]);
  return `${head}\n${table(['TOPIC', 'PARTITION', 'COMMITTED', 'END', 'LAG', 'MEMBER', 'CLIENT'], rows)}`;
}

async function remove(groupIds: readonly string[], options: Options): Promise<void> {
  const failures = await withAdmin(options, (admin) => failuresOf(admin.deleteConsumerGroups(groupIds)));
  const told = new Map([...failures].map(([groupId, error]) => [groupId, deletionRefusal(groupId, error)]));
  await reportEach(groupIds, told, { item: 'groupId', verb: 'deleted' }, options.json ?? false);
}

function deletionRefusal(groupId: string, error: KafkaError): KafkaError {
  if (error.name === 'NON_EMPTY_GROUP')
    return new KafkaError(error.name, `group ${groupId} has members: stop its consumers first`);
  if (error.name === 'GROUP_ID_NOT_FOUND') return new KafkaError(error.name, `there is no group ${groupId}`);
  return error;
}

type ResetOptions = Options & {
  readonly topic?: readonly string[];
  readonly allTopics?: boolean;
  readonly toEarliest?: boolean;
  readonly toLatest?: boolean;
  readonly toOffset?: number;
  readonly shiftBy?: number;
  readonly toDatetime?: number;
  readonly execute?: boolean;
};

function timeOf(text: string): number {
  const timestamp = Date.parse(text);
  if (Number.isNaN(timestamp)) throw new InvalidArgumentError('It takes a time such as 2026-01-31T08:00:00Z.');
  return timestamp;
}

async function resetOffsets(groupId: string, options: ResetOptions): Promise<void> {
  const ways = [options.toEarliest, options.toLatest, options.toOffset, options.shiftBy, options.toDatetime];
  if (ways.filter((way) => way !== undefined).length !== 1) {
    throw new KafkaError(
      'INVALID_REQUEST',
      'say where to with one of --to-earliest, --to-latest, --to-offset, --shift-by, --to-datetime',
    );
  }
  await withAdmin(options, async (admin) => {
    const partitions = await partitionsToReset(admin, groupId, options);
    const changes = await changesOf(admin, groupId, partitions, options);
    if (options.execute) {
      await requireNoMembers(admin, groupId);
      await admin.alterConsumerGroupOffsets(
        groupId,
        changes.map(({ topic, partition, after }) => ({ topic, partition, offset: after })),
      );
    }
    if (options.json) return printJson(changes.map((change) => ({ ...change, executed: options.execute ?? false })));
    await printLine(
      table(
        ['TOPIC', 'PARTITION', 'COMMITTED', 'NEW'],
        changes.map(({ topic, partition, before, after }) => [topic, partition, before, after]),
      ),
    );
    if (!options.execute) tell('Nothing was changed: add --execute to do it.');
  });
}

async function partitionsToReset(
  admin: Admin,
  groupId: string,
  { topic: asked, allTopics }: ResetOptions,
): Promise<TopicPartition[]> {
  if (allTopics) {
    const committed = await admin.listConsumerGroupOffsets(groupId);
    if (committed.length > 0) return committed.map(({ topic, partition }) => ({ topic, partition }));
    throw new KafkaError('GROUP_ID_NOT_FOUND', `group ${groupId} has committed nothing: name the topics with --topic`);
  }
  if (!asked) throw new KafkaError('INVALID_REQUEST', 'say which partitions with --topic TOPIC[:PARTITION,...] or --all-topics');
  const partitions: TopicPartition[] = [];
  for (const text of asked) {
    const [, topic = text, list] = /^(.*):([\d,]+)$/.exec(text) ?? [];
    const [description] = await describeExistingTopics(admin, [topic]);
    const existing = description!.partitions.map(({ partition }) => partition);
    const wanted = list === undefined ? existing : list.split(',').map(Number);
    const missing = wanted.filter((partition) => !existing.includes(partition));
    if (missing.length > 0) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `${topic} has no partition ${missing.join(', ')}`);
    partitions.push(...wanted.map((partition) => ({ topic, partition })));
  }
  return partitions;
}

type Change = TopicPartition & { readonly before: number | null; readonly after: number };

async function changesOf(
  admin: Admin,
  groupId: string,
  partitions: readonly TopicPartition[],
  options: ResetOptions,
): Promise<Change[]> {
  const { toOffset, shiftBy = 0, toDatetime } = options;
  const [first, end, committed] = await Promise.all([
    admin.listOffsets(partitions.map((partition) => ({ ...partition, at: 'earliest' }))),
    admin.listOffsets(partitions.map((partition) => ({ ...partition, at: 'latest' }))),
    admin.listConsumerGroupOffsets(groupId, partitions),
  ]);
  const timely =
    toDatetime === undefined
      ? []
      : await admin.listOffsets(partitions.map((partition) => ({ ...partition, at: { timestamp: toDatetime } })));
  const before = new Map(committed.map((one) => [nameOf(one), one.offset]));
  return partitions.map(({ topic, partition }, index) => {
    const earliest = first[index]!.offset;
    const latest = end[index]!.offset;
    const current = before.get(nameOf({ topic, partition })) ?? null;
    let after: number;
    if (options.toEarliest) after = earliest;
    else if (options.toLatest) after = latest;
    else if (toOffset !== undefined) after = toOffset;
    else if (toDatetime !== undefined) after = timely[index]!.offset < 0 ? latest : timely[index]!.offset;
    else if (current !== null) after = current + shiftBy;
    else
      throw new KafkaError(
        'INVALID_REQUEST',
        `group ${groupId} has committed nothing in ${topic}-${partition}: --shift-by has no start`,
      );
    return { topic, partition, before: current, after: Math.min(latest, Math.max(earliest, after)) };
  });
}

async function requireNoMembers(admin: Admin, groupId: string): Promise<void> {
  const group = (await admin.listConsumerGroups()).find((one) => one.groupId === groupId);
  if (group && (group.type === 'share' || group.type === 'streams'))
    throw new KafkaError('GROUP_ID_NOT_FOUND', ofAnotherKind(group));
  if (!group || group.state === 'Empty' || group.state === 'Dead') return;
  throw new KafkaError('NON_EMPTY_GROUP', `group ${groupId} is ${group.state}, it has members: stop its consumers first`);
}
