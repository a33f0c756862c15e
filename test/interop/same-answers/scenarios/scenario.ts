import type { CreateTopicsRequest } from '@ottla/protocol';
import { CreateTopics, ListOffsets, Metadata, type Writable } from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import type { Probe } from '../probe.ts';

/** Asks one broker; it is run against each, and each gives a transcript. */
export type Scenario = { readonly name: string; readonly run: (probe: Probe) => Promise<void> };

/** An id that no topic has. */
export const unknownId = 'f3qa2q0ZQ5mZy1tJcKn0_A';

/** Records keep the times that a test gives them, however old. */
const forEver = { name: 'retention.ms', value: '-1' };

/** Makes a topic, waits until it is led, and gives its id, which is shown by the topic's name. */
export async function makeTopic(
  probe: Probe,
  name: string,
  { partitions = 1, configs = {} }: { partitions?: number; configs?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const settings = Object.entries(configs).map(([name, value]) => ({ name, value }));
  const topic = { name, numPartitions: partitions, replicationFactor: 1, configs: [forEver, ...settings] };
  const created = await probe.ask('make', CreateTopics, 7, { topics: [topic] }, { quiet: true });
  const { errorCode, errorMessage } = created!.topics[0]!;
  const topicAlreadyExists = 36;
  if (errorCode !== 0 && errorCode !== topicAlreadyExists) throw new Error(`${name} is not made: ${errorCode}, ${errorMessage}`);
  return eventually(`${name} is led`, async () => {
    const answer = await probe.ask('made', Metadata, 12, { topics: [{ name }], allowAutoTopicCreation: false }, { quiet: true });
    const made = answer!.topics[0]!;
    const of = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1 }));
    const ends = await probe.ask('led', ListOffsets, 7, { replicaId: -1, topics: [{ name, partitions: of }] }, { quiet: true });
    if (made.errorCode !== 0 || ends!.topics[0]!.partitions.some(({ errorCode }) => errorCode !== 0)) return null;
    probe.name(made.topicId, `id of ${name}`);
    return made.topicId;
  });
}

export const topicsOf = (
  ...topics: NonNullable<Writable<CreateTopicsRequest>['topics']>[number][]
): Writable<CreateTopicsRequest> => ({ topics });

/** What both brokers are started with, besides the usual. */
export const brokerProperties: Readonly<Record<string, string>> = {
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.session.timeout.ms': '1000',
  'group.consumer.min.heartbeat.interval.ms': '100',
  'group.consumer.assignment.interval.ms': '0',
  'group.share.assignment.interval.ms': '0',
  'group.streams.assignment.interval.ms': '0',
  'group.streams.initial.rebalance.delay.ms': '0',
  'group.share.min.session.timeout.ms': '1000',
  'group.share.min.heartbeat.interval.ms': '100',
  'group.share.min.record.lock.duration.ms': '1000',
  'group.share.initialize.retry.interval.ms': '500',
  'group.streams.min.session.timeout.ms': '1000',
  'group.streams.min.heartbeat.interval.ms': '100',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '200',
  // Somewhere for clients' metrics to go, in the way of each.
  'metric.reporters': 'TelemetryReporter',
  'ottla.telemetry.directory': 'client-metrics',
};
