import { dirname } from 'node:path';
import {
  type BrokerConfig,
  featureLevelRecord,
  isController,
  metadataLogDirectory,
  metadataVersion,
  parseBrokerConfig,
  resolveListeners,
} from '@ottla/metadata';
import type { MetadataRecord, Uuid } from '@ottla/protocol';
import { VoterSet } from '@ottla/raft';
import type { Files, Random, Runtime } from '@ottla/runtime';
import { metaPropertiesName, readMetaProperties, writeMetaProperties } from '@ottla/storage';
import { writeBootstrapCheckpoint } from './format/bootstrap-checkpoint.ts';
import { bootstrapFeatures } from './format/bootstrap-features.ts';
import { allDirectories, randomUuid } from './format/directories.ts';
import { FormatError } from './format/format-error.ts';
import { initialVoter, parseInitialControllers } from './format/initial-controllers.ts';
import { scramArgument } from './format/scram-argument.ts';
import { metadataTopic } from './quorum/index.ts';
import { snapshotBatches } from './quorum/snapshot-content.ts';
import { snapshotName } from './quorum/snapshot-files.ts';

export { readBootstrapCheckpoint } from './format/bootstrap-checkpoint.ts';
export { isFormatted, randomUuid, type StorageInfo, storageInfo } from './format/directories.ts';
export { FormatError } from './format/format-error.ts';

export type FormatOptions = {
  readonly files: Files;
  readonly random: Random;
  readonly nowMs: number;
  readonly config: BrokerConfig;
  /** The names that server.properties set: which listeners are mapped depends on them. */
  readonly properties: ReadonlyMap<string, string>;
  readonly clusterId: string;
  /** A dynamic quorum of this controller alone. */
  readonly standalone?: boolean;
  /** `id@host:port:directoryId,...`: a dynamic quorum of these controllers. */
  readonly initialControllers?: string;
  /** A dynamic quorum that this node will join later. */
  readonly noInitialControllers?: boolean;
  readonly ignoreFormatted?: boolean;
  readonly releaseVersion?: string;
  /** `name=level` each. */
  readonly features?: readonly string[];
  /** `MECHANISM=[name=...,password=...]` each. */
  readonly addScram?: readonly string[];
};

/** `metadata.version` that first knew SCRAM records: 3.5-IV2. */
const scramSince = 11;

/**
 * Prepares fresh directories for a node, as Kafka's `storage format`: meta.properties, bootstrap.checkpoint, and for a dynamic quorum the
 * snapshot with its first voters. Returns what to tell the user. Throws FormatError, with nothing written.
 */
export function formatDirectories(options: FormatOptions): string[] {
  const { files, random, config, clusterId } = options;
  requireClusterId(clusterId);
  const voters = initialVoters(options);
  const isDynamicQuorum = voters !== undefined || options.noInitialControllers === true;
  const levels = bootstrapFeatures({ releaseVersion: options.releaseVersion, features: options.features, isDynamicQuorum });
  const version = metadataVersion(levels.get('metadata.version')!);
  const scram = (options.addScram ?? []).map((argument) => scramArgument(argument, random));
  if (scram.length > 0 && version.level < scramSince)
    throw new FormatError('SCRAM is only supported in metadata.version 3.5-IV2 or later.');
  const records = [...[...levels].map(([name, level]) => featureLevelRecord(name, level)), ...scram];

  const directories = allDirectories(config);
  const unformatted = directories.filter((directory) => !isFormattedForThis(files, directory, clusterId, config['node.id']));
  const formatted = directories.find((directory) => !unformatted.includes(directory));
  if (formatted !== undefined && !options.ignoreFormatted) {
    throw new FormatError(
      `Log directory ${formatted} is already formatted. Use --ignore-formatted to ignore this directory and format the others.`,
    );
  }
  if (unformatted.length === 0) return ['All of the log directories are already formatted.'];

  const lines = [`Bootstrap metadata: ${describeBootstrap(records, version.level)}`];
  const metadataDirectory = metadataLogDirectory(config);
  // The metadata directory comes last: a node whose formatting was cut short does not look ready.
  for (const directory of [...unformatted].sort((a, b) => Number(a === metadataDirectory) - Number(b === metadataDirectory))) {
    const isMetadata = directory === metadataDirectory;
    lines.push(`Formatting ${kindOf(isMetadata, voters, config)} ${directory} with metadata.version ${version.name}.`);
    formatDirectory(directory, options, { records, voters: isMetadata ? voters : undefined });
  }
  return lines;
}

/**
 * Formats what a lone developer's node needs: a dynamic quorum of itself, under the cluster id of the directories that are formatted, or a
 * fresh one. Throws FormatError also where there are records and the directory, or that of the metadata log, is not formatted: what nobody
 * asked for by name must not make them another cluster's, or strays. And where the settings tell of other nodes: alone, it would be taken for
 * their cluster by clients, and have none of its records.
 */
export function formatForDevelopment(
  { files, random, clock }: Pick<Runtime, 'files' | 'random' | 'clock'>,
  settings: Readonly<Record<string, string>>,
): string[] {
  const { config, properties } = parseBrokerConfig(withOwnQuorum(settings));
  const directories = allDirectories(config);
  for (const directory of directories) requireUsable(files, directory);
  for (const directory of directories) requireNoRecords(files, directory);
  requireMetadataOf(files, directories, metadataLogDirectory(config));
  const clusterIds = directories.flatMap((directory) => readMetaProperties(files, directory)?.clusterId ?? []);
  if (clusterIds.length === 0 && isOneOfSeveral(config)) {
    throw new FormatError(
      `${directories[0]} is not formatted, and the settings tell of other nodes: run "ottla storage format" with the id of their cluster. A controller that has lost its directory joins them anew, as docs/cluster.md says`,
    );
  }
  const standalone = config['controller.quorum.voters'].length === 0;
  return formatDirectories({
    files,
    random,
    nowMs: clock.nowMs(),
    config,
    properties,
    clusterId: clusterIds[0] ?? randomUuid(random),
    standalone,
    ignoreFormatted: true,
  });
}

/** A variable of a script that is not set leaves nothing, or the option that comes next. */
function requireClusterId(clusterId: string): void {
  if (clusterId.trim() !== '' && !clusterId.startsWith('--')) return;
  throw new FormatError(
    `"${clusterId}" is no cluster id: give --cluster-id that of the cluster's other nodes, or for a new cluster what "ottla storage random-uuid" prints`,
  );
}

function requireNoRecords(files: Files, directory: string): void {
  if (!files.stat(directory) || files.stat(`${directory}/${metaPropertiesName}`)) return;
  const log = aLogIn(files, directory);
  if (log === undefined) return;
  throw new FormatError(
    `${directory} has records (${log}) but no ${metaPropertiesName}: bring that file back, or give this node another directory`,
  );
}

/** Under an empty metadata log nobody would know the records of the other directories. */
function requireMetadataOf(files: Files, directories: readonly string[], metadataDirectory: string): void {
  if (readMetaProperties(files, metadataDirectory)) return;
  for (const directory of directories) {
    const log = readMetaProperties(files, directory) && aLogIn(files, directory);
    if (log === undefined) continue;
    throw new FormatError(
      `${directory} has records (${log}), but ${metadataDirectory}, where the metadata log lies, is not formatted: bring it back, or give this node other directories`,
    );
  }
}

/** The settings tell of other nodes, whose cluster it belongs to. */
export const isOneOfSeveral = (config: BrokerConfig): boolean =>
  !isController(config) ||
  config['controller.quorum.voters'].length > 1 ||
  config['controller.quorum.bootstrap.servers'].length > 1;

const aLogIn = (files: Files, directory: string): string | undefined => files.list(directory).find((name) => /.-\d+$/.test(name));

/** The settings, with the node's own controller listener as its quorum when they name none. */
export function withOwnQuorum(settings: Readonly<Record<string, string>>): Record<string, string> {
  if (settings['controller.quorum.voters'] || settings['controller.quorum.bootstrap.servers']) return { ...settings };
  const name = settings['controller.listener.names']?.split(',')[0]?.trim().toUpperCase();
  const listener = settings['listeners']?.split(',').find((each) => each.trim().toUpperCase().startsWith(`${name}://`));
  const address = listener?.trim().slice(`${name}://`.length);
  if (!address) return { ...settings };
  return { ...settings, 'controller.quorum.bootstrap.servers': address.startsWith(':') ? `localhost${address}` : address };
}

/** Undefined for a static quorum, and for a node that joins one later. */
function initialVoters({
  config,
  properties,
  random,
  standalone,
  initialControllers,
  noInitialControllers,
}: FormatOptions): VoterSet | undefined {
  const [endpoint] = resolveListeners(config, properties).advertisedControllerListeners;
  const listenerName = endpoint?.name ?? config['controller.listener.names'][0]!;
  const choices = [standalone, initialControllers !== undefined, noInitialControllers].filter(Boolean).length;
  if (choices > 1)
    throw new FormatError('Only one of --standalone, --initial-controllers and --no-initial-controllers can be given.');
  if (config['controller.quorum.voters'].length > 0 && (standalone || initialControllers !== undefined)) {
    throw new FormatError(
      'You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. ' +
        'If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.',
    );
  }
  if (initialControllers !== undefined) return parseInitialControllers(initialControllers, listenerName);
  if (standalone) {
    if (!isController(config)) throw new FormatError('You can only use --standalone on a controller.');
    if (!endpoint) throw new FormatError('No controller listeners found.');
    const { name, host, port } = endpoint;
    return new VoterSet([initialVoter(config['node.id'], randomUuid(random), { name, host: host || 'localhost', port })]);
  }
  if (!noInitialControllers && isController(config) && config['controller.quorum.voters'].length === 0) {
    throw new FormatError(
      'Because controller.quorum.voters is not set on this controller, you must specify one of the following: ' +
        '--standalone, --initial-controllers, or --no-initial-controllers.',
    );
  }
  return undefined;
}

/** Throws FormatError for a directory of another cluster or node. */
function isFormattedForThis(files: Files, directory: string, clusterId: string, nodeId: number): boolean {
  requireUsable(files, directory);
  const meta = readMetaProperties(files, directory);
  if (!meta) return false;
  const path = `${directory}/meta.properties`;
  if (meta.clusterId !== clusterId)
    throw new FormatError(`Invalid cluster.id in: ${path}. Expected ${clusterId}, but read ${meta.clusterId}`);
  if (meta.nodeId !== nodeId)
    throw new FormatError(`Stored node id ${meta.nodeId} doesn't match previous node id ${nodeId} in ${path}`);
  return true;
}

function requireUsable(files: Files, directory: string): void {
  const stat = files.stat(directory);
  if (stat && !stat.isDirectory)
    throw new FormatError(`I/O error trying to read log directory ${directory}: it is not a directory.`);
}

function kindOf(isMetadata: boolean, voters: VoterSet | undefined, config: BrokerConfig): string {
  if (!isMetadata) return 'data directory';
  if (!voters) return 'metadata directory';
  return voters.get(config['node.id']) ? 'dynamic metadata voter directory' : 'dynamic metadata directory';
}

type Content = { readonly records: readonly MetadataRecord[]; readonly voters: VoterSet | undefined };

/** meta.properties comes last: without it a directory counts as not formatted. */
function formatDirectory(
  directory: string,
  { files, random, nowMs, clusterId, config }: FormatOptions,
  { records, voters }: Content,
): void {
  const nodeId = config['node.id'];
  files.makeDirectory(directory);
  files.syncDirectory(dirname(directory));
  writeBootstrapCheckpoint(files, directory, records, nowMs);
  if (voters) {
    const metadataDirectory = `${directory}/${metadataTopic}-0`;
    files.makeDirectory(metadataDirectory);
    files.syncDirectory(directory);
    const batches = [...snapshotBatches([], { lastContainedLogTimestampMs: nowMs, epoch: 0, nowMs, kRaftVersion: 1, voters })];
    files.writeFileDurably(`${metadataDirectory}/${snapshotName({ endOffset: 0, epoch: 0 })}`, Buffer.concat(batches));
  }
  const directoryId: Uuid = voters?.get(nodeId)?.directoryId ?? randomUuid(random);
  writeMetaProperties(files, directory, { clusterId, nodeId, directoryId }, nowMs);
}

/** As Kafka prints it, but for the keys of SCRAM credentials. */
function describeBootstrap(records: readonly MetadataRecord[], metadataVersionLevel: number): string {
  const all = records.map(
    ({ type, version, value }) => `ApiMessageAndVersion(${type}(${describeFields(type, value)}) at version ${version})`,
  );
  return `BootstrapMetadata(records=[${all.join(', ')}], metadataVersionLevel=${metadataVersionLevel}, source=format command)`;
}

function describeFields(type: MetadataRecord['type'], value: object): string {
  const shown = Object.entries(value).filter(
    ([name]) => type !== 'UserScramCredentialRecord' || ['name', 'mechanism', 'iterations'].includes(name),
  );
  return shown.map(([name, field]) => `${name}=${typeof field === 'string' ? `'${field}'` : field}`).join(', ');
}
