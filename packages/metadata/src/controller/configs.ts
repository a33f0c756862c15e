/** Setting and deleting dynamic configs. */

import {
  type AlterConfigsRequest,
  type AlterConfigsResponse,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponse,
  KafkaError,
  type MetadataRecord,
  withoutStacks,
} from '@ottla/protocol';
import { configResource } from '../image/configs-image.ts';
import { clearElrRecord, configRecord } from '../records.ts';
import type { ControllerState } from './controller-state.ts';
import { assertWithinLimit, type Decision, itemError, success } from './decision.ts';
import { checkTopicName } from './topic-names.ts';

const minIsrConfig = 'min.insync.replicas';

export const configOperation = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

export interface ConfigChange {
  readonly name: string;
  readonly operation: number;
  readonly value: string | null;
}

export interface ResourceChanges {
  readonly type: number;
  readonly name: string;
  readonly changes: readonly ConfigChange[];
  /** Being created by the same decision. */
  readonly isNew?: boolean;
}

export function setConfigs(values: ReadonlyMap<string, string | null>): ConfigChange[] {
  return [...values].map(([name, value]) => ({ name, operation: configOperation.set, value }));
}

/** Answered resource by resource: one that fails keeps all its configs. */
export function incrementalAlterConfigs(
  state: ControllerState,
  request: IncrementalAlterConfigsRequest,
): Decision<IncrementalAlterConfigsResponse> {
  return alterEach(state, request, (resource) => {
    const { resourceType: type, resourceName: name } = resource;
    const changes = resource.configs.map((config) => ({
      name: config.name,
      operation: config.configOperation,
      value: config.value,
    }));
    checkOperations(changes);
    return alteredConfigRecords(state, { type, name, changes });
  });
}

/** Replaces all configs of a resource: what is not named goes back to its default. */
export function alterConfigs(state: ControllerState, request: AlterConfigsRequest): Decision<AlterConfigsResponse> {
  return alterEach(state, request, (resource) => {
    const { resourceType: type, resourceName: name } = resource;
    const wanted = new Map(resource.configs.map((config) => [config.name, config.value]));
    if (wanted.size !== resource.configs.length) throw new KafkaError('INVALID_REQUEST', 'Error due to duplicate config keys');
    const nullNames = [...wanted].filter(([, value]) => value === null).map(([key]) => key);
    if (nullNames.length > 0) throw new KafkaError('INVALID_REQUEST', `Null value not supported for : ${nullNames.join(',')}`);
    const existing = state.image.configs.of(type, name);
    const dropped = [...existing.keys()].filter((key) => !wanted.has(key));
    const removals = dropped.map((key) => ({ name: key, operation: configOperation.delete, value: null }));
    return alteredConfigRecords(state, { type, name, changes: [...setConfigs(wanted), ...removals] });
  });
}

type ResourceOf<Request extends IncrementalAlterConfigsRequest | AlterConfigsRequest> = Request['resources'][number];

function alterEach<Request extends IncrementalAlterConfigsRequest | AlterConfigsRequest>(
  state: ControllerState,
  request: Request,
  decide: (resource: ResourceOf<Request>) => MetadataRecord[],
): Decision<IncrementalAlterConfigsResponse> {
  const records: MetadataRecord[] = [];
  const resources: ResourceOf<Request>[] = request.resources;
  const keyOf = ({ resourceType, resourceName }: ResourceOf<Request>) => `${resourceType}:${resourceName}`;
  const times = new Map<string, number>();
  for (const resource of resources) times.set(keyOf(resource), (times.get(keyOf(resource)) ?? 0) + 1);
  const answer = (resource: ResourceOf<Request>) => {
    const { resourceType, resourceName } = resource;
    try {
      if (times.get(keyOf(resource))! > 1) throw new KafkaError('INVALID_REQUEST', 'Each resource must appear at most once.');
      for (const record of decide(resource)) records.push(record);
      return { ...success, resourceType, resourceName };
    } catch (error) {
      return { ...itemError(error), resourceType, resourceName };
    }
  };
  const responses = withoutStacks(() => resources.map(answer));
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records: request.validateOnly ? [] : records, response: { throttleTimeMs: 0, responses } };
}

function checkOperations(changes: readonly ConfigChange[]): void {
  const names = new Set(changes.map(({ name }) => name));
  if (names.size < changes.length) throw new KafkaError('INVALID_REQUEST', 'Error due to duplicate config keys');
  const nullNames = changes.filter(({ operation, value }) => operation !== configOperation.delete && value === null);
  if (nullNames.length > 0) {
    throw new KafkaError('INVALID_REQUEST', `Null value not supported for : ${nullNames.map(({ name }) => name).join(',')}`);
  }
  const unknown = changes.find(({ operation }) => operation < configOperation.set || operation > configOperation.subtract);
  if (unknown) throw new KafkaError('INVALID_REQUEST', `Unknown operation ${unknown.operation} for config ${unknown.name}.`);
}

/**
 * The records of one resource's changes, followed by a ClearElr where the minimum isr changes.
 * @throws INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, BROKER_ID_NOT_REGISTERED
 */
export function alteredConfigRecords(state: ControllerState, resource: ResourceChanges): MetadataRecord[] {
  const { type, name } = resource;
  const existing = state.image.configs.of(type, name);
  const after = new Map<string, string>(existing);
  const records: MetadataRecord[] = [];
  for (const change of resource.changes) {
    const before = existing.get(change.name) ?? null;
    const value = changedValue(state, type, change, before);
    // A broker reloads what its config names (a key store, say) whenever it is set, even to the same.
    if (value === before && type !== configResource.broker) continue;
    checkMinIsrChange(state, resource, change.name, value);
    records.push(configRecord(type, name, change.name, value));
    if (value === null) after.delete(change.name);
    else after.set(change.name, value);
  }
  state.schema.validate(type, name, after, existing);
  if (!resource.isNew) checkExists(state, type, name);
  const changesMinIsr = resource.changes.some((change) => change.name === minIsrConfig) && records.some(setsMinIsr);
  const isClusterOrTopic = type === configResource.topic || (type === configResource.broker && name === '');
  if (changesMinIsr && isClusterOrTopic && state.image.features.elrEnabled) records.push(clearElrRecord(name));
  return records;
}

const setsMinIsr = (record: MetadataRecord): boolean => record.type === 'ConfigRecord' && record.value.name === minIsrConfig;

function changedValue({ schema }: ControllerState, type: number, change: ConfigChange, before: string | null): string | null {
  if (change.operation === configOperation.set) return change.value;
  if (change.operation === configOperation.delete) return null;
  const isAppend = change.operation === configOperation.append;
  if (!schema.isList(type, change.name)) {
    const operation = isAppend ? 'APPEND' : 'SUBTRACT';
    throw new KafkaError('INVALID_CONFIG', `Can't ${operation} to key ${change.name} because its type is not LIST.`);
  }
  const members = (before ?? schema.defaultValue(type, change.name) ?? '').split(',').filter((member) => member !== '');
  const named = new Set((change.value ?? '').split(','));
  if (!isAppend) return members.filter((member) => !named.has(member)).join(',');
  const present = new Set(members);
  return members.concat([...named].filter((member) => !present.has(member))).join(',');
}

/** With eligible leader replicas the minimum isr must be the same for all who judge: by topic, else one for the cluster. */
function checkMinIsrChange({ image }: ControllerState, { type, name }: ResourceChanges, key: string, value: string | null): void {
  if (!image.features.elrEnabled || type !== configResource.broker || key !== minIsrConfig) return;
  if (name !== '') throw new KafkaError('INVALID_CONFIG', `Broker-level ${minIsrConfig} cannot be altered while ELR is enabled.`);
  if (value === null)
    throw new KafkaError('INVALID_CONFIG', `Cluster-level ${minIsrConfig} cannot be removed while ELR is enabled.`);
}

function checkExists({ image, settings }: ControllerState, type: number, name: string): void {
  if (type === configResource.topic && name !== '') checkTopicName(name);
  if (type === configResource.topic && !image.topics.byName(name)) {
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `The topic '${name}' does not exist.`);
  }
  if (type !== configResource.broker || name === '') return;
  if (!/^[+-]?\d+$/.test(name)) throw new KafkaError('INVALID_REQUEST', `Invalid broker name ${name}`);
  const id = Number(name);
  if (!image.brokers.has(id) && !image.controllers.has(id) && !settings.controllerIds.includes(id)) {
    throw new KafkaError('BROKER_ID_NOT_REGISTERED', `No node with id ${id} found.`);
  }
}
