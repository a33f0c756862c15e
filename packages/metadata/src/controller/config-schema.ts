/** What the controller must know of configs; `configs/` knows the names and types. */

export interface TopicConfigSources {
  /** Set on the topic. */
  readonly topic: ReadonlyMap<string, string>;
  /** Set dynamically on this node, under the broker's names. */
  readonly broker: ReadonlyMap<string, string>;
  /** Set dynamically for all brokers, under the broker's names. */
  readonly cluster: ReadonlyMap<string, string>;
}

export interface DescribedConfig {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  /** As in DescribeConfigs: 1 topic, 2 broker, 3 all brokers, 4 server.properties, 5 default. */
  readonly source: number;
  readonly isSensitive: boolean;
}

export interface ConfigSchema {
  /**
   * Throws INVALID_CONFIG, or INVALID_REQUEST for a resource that cannot have configs.
   * @param configs all that would be set on the resource after the change
   * @param existing all that is set before it
   */
  validate(
    resourceType: number,
    resourceName: string,
    configs: ReadonlyMap<string, string>,
    existing: ReadonlyMap<string, string>,
  ): void;
  /** Only lists can be appended to and subtracted from. */
  isList(resourceType: number, name: string): boolean;
  defaultValue(resourceType: number, name: string): string | null;
  /** The value that applies to a topic. */
  topicValue(name: string, sources: TopicConfigSources): string | null;
  /** All topic configs with the values that apply, by name. */
  describeTopic(sources: TopicConfigSources): DescribedConfig[];
}
