import { DescribeConfigs, errorOfCode, IncrementalAlterConfigs, KafkaError } from '@ottla/protocol';
import type { AdminContext } from './admin.ts';
import { asKafkaError, eachItem, missingAnswer, type Outcome } from './each-item.ts';

const resourceTypes = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const;

export type ConfigResource = {
  readonly type: keyof typeof resourceTypes;
  /** A topic, a broker's id, a group; '' with type broker is the default of all brokers. */
  readonly name: string;
};

/** Indexed by the number in the protocol. */
const configSources = [
  'unknown',
  'topic',
  'broker',
  'default-broker',
  'static-broker',
  'default',
  'broker-logger',
  'client-metrics',
  'group',
] as const;

export type ConfigSource = (typeof configSources)[number];

const configTypes = ['unknown', 'boolean', 'string', 'int', 'short', 'long', 'double', 'list', 'class', 'password'] as const;

export type ConfigEntry = {
  readonly name: string;
  /** Null when it is sensitive, or has none. */
  readonly value: string | null;
  /** Where the value in force was set. */
  readonly source: ConfigSource;
  readonly isReadOnly: boolean;
  readonly isSensitive: boolean;
  readonly type: (typeof configTypes)[number];
  /** All places that set it, the one in force first. */
  readonly synonyms: readonly { readonly name: string; readonly value: string | null; readonly source: ConfigSource }[];
  /** Only when asked for. */
  readonly documentation: string | null;
};

export type DescribedConfigs = ConfigResource & { readonly configs: readonly ConfigEntry[] };

export type ConfigChange = ConfigResource & {
  readonly set?: Readonly<Record<string, string>>;
  /** Back to the default. */
  readonly unset?: readonly string[];
  /** Adds to lists. */
  readonly append?: Readonly<Record<string, string>>;
  /** Takes from lists. */
  readonly subtract?: Readonly<Record<string, string>>;
};

export type DescribeConfigsOptions = {
  /** Only these; all unless given. */
  readonly names?: readonly string[];
  readonly documentation?: boolean;
};

export function describeConfigs(
  { cluster, timeoutMs }: AdminContext,
  resources: readonly ConfigResource[],
  { names, documentation = false }: DescribeConfigsOptions,
): Promise<DescribedConfigs[]> {
  return eachItem(cluster, resources, {
    timeoutMs,
    nameOf: resourceName,
    final: ['UNKNOWN_TOPIC_OR_PARTITION'],
    attempt: (asked) =>
      eachBroker(asked, async (brokerId, ofBroker) => {
        const connection = await connectionFor(cluster, brokerId);
        const response = await connection.send(DescribeConfigs, {
          resources: ofBroker.map(({ type, name }) => ({
            resourceType: resourceTypes[type],
            resourceName: name,
            configurationKeys: names ? [...names] : null,
          })),
          includeSynonyms: true,
          includeDocumentation: documentation,
        });
        return ofBroker.map(({ type, name }): Outcome<DescribedConfigs> => {
          const result = response.results.find((one) => one.resourceType === resourceTypes[type] && one.resourceName === name);
          if (!result) return missingAnswer(resourceName({ type, name }));
          const error = errorOfCode(result.errorCode, result.errorMessage);
          if (error) return error;
          const configs = result.configs.map((config) => ({
            name: config.name,
            value: config.value,
            source: configSources[config.configSource] ?? 'unknown',
            isReadOnly: config.readOnly,
            isSensitive: config.isSensitive,
            type: configTypes[config.configType] ?? 'unknown',
            synonyms: config.synonyms.map((synonym) => ({ ...synonym, source: configSources[synonym.source] ?? 'unknown' })),
            documentation: config.documentation,
          }));
          return { type, name, configs };
        });
      }),
  });
}

export async function incrementalAlterConfigs(
  { cluster, timeoutMs }: AdminContext,
  changes: readonly ConfigChange[],
  { validateOnly = false }: { validateOnly?: boolean },
): Promise<void> {
  await eachItem(cluster, changes, {
    timeoutMs,
    nameOf: resourceName,
    final: ['UNKNOWN_TOPIC_OR_PARTITION'],
    attempt: (asked) =>
      eachBroker(asked, async (brokerId, ofBroker) => {
        const connection = await connectionFor(cluster, brokerId);
        const response = await connection.send(IncrementalAlterConfigs, {
          resources: ofBroker.map((change) => ({
            resourceType: resourceTypes[change.type],
            resourceName: change.name,
            configs: operationsOf(change),
          })),
          validateOnly,
        });
        return ofBroker.map(({ type, name }): Outcome<undefined> => {
          const result = response.responses.find((one) => one.resourceType === resourceTypes[type] && one.resourceName === name);
          if (!result) return missingAnswer(resourceName({ type, name }));
          return errorOfCode(result.errorCode, result.errorMessage) ?? undefined;
        });
      }),
  });
}

function operationsOf({ set = {}, unset = [], append = {}, subtract = {} }: ConfigChange) {
  return [
    ...Object.entries(set).map(([name, value]) => ({ name, configOperation: 0, value })),
    ...unset.map((name) => ({ name, configOperation: 1, value: null })),
    ...Object.entries(append).map(([name, value]) => ({ name, configOperation: 2, value })),
    ...Object.entries(subtract).map(([name, value]) => ({ name, configOperation: 3, value })),
  ];
}

function resourceName({ type, name }: ConfigResource): string {
  return name === '' ? `default ${type}` : `${type} ${name}`;
}

/** What concerns one broker only that broker answers; the rest goes to any. */
async function eachBroker<Item extends ConfigResource, Result>(
  items: readonly Item[],
  send: (brokerId: number | undefined, items: readonly Item[]) => Promise<readonly Outcome<Result>[]>,
): Promise<Outcome<Result>[]> {
  const outcomes: Outcome<Result>[] = new Array(items.length);
  const byBroker = new Map<number | undefined, number[]>();
  items.forEach(({ type, name }, index) => {
    const isOneBrokers = (type === 'broker' || type === 'brokerLogger') && /^\d+$/.test(name);
    const brokerId = isOneBrokers ? Number(name) : undefined;
    const indexes = byBroker.get(brokerId) ?? [];
    byBroker.set(brokerId, indexes);
    indexes.push(index);
  });
  // One that is down is no reason not to ask the others.
  await Promise.all(
    [...byBroker].map(async ([brokerId, indexes]) => {
      try {
        const answers = await send(
          brokerId,
          indexes.map((index) => items[index]!),
        );
        indexes.forEach((index, at) => {
          outcomes[index] = answers[at]!;
        });
      } catch (error) {
        for (const index of indexes) outcomes[index] = asKafkaError(error);
      }
    }),
  );
  return outcomes;
}

async function connectionFor(cluster: AdminContext['cluster'], brokerId: number | undefined) {
  if (brokerId === undefined) return cluster.anyConnection();
  if (!cluster.metadata.nodes.has(brokerId)) await cluster.refreshMetadata();
  if (!cluster.metadata.nodes.has(brokerId))
    throw new KafkaError('BROKER_NOT_AVAILABLE', `there is no broker ${brokerId} in the cluster, or it is down`);
  return cluster.connectionTo(brokerId);
}
