/**
 * `cluster.json`, in the directory of a cluster on one machine: what must be the same at each of its starts.
 *
 *   { "version": 1, "clusterId": "…", "controllers": [{ "port": 9192, "directoryId": "…" }, …], "nodes": 3 }
 *
 * The voters of the quorum are in the metadata log with their ports: had these changed while no node ran, no controller would find another.
 */
import { freePorts, localControllerCount, randomUuid } from '@ottla/broker';
import { isUuid, KafkaError, type Uuid } from '@ottla/protocol';
import type { Files, Network, Random } from '@ottla/runtime';

export const clusterFileName = 'cluster.json';

export type ClusterFile = {
  readonly version: 1;
  readonly clusterId: Uuid;
  readonly controllers: readonly { readonly port: number; readonly directoryId: Uuid }[];
  /** Nodes whose directories have been formatted; 0 until the first have. */
  readonly nodes: number;
};

/** Undefined where no cluster has been. Throws INVALID_CONFIG for a file that is none. */
export function readClusterFile(files: Files, directory: string): ClusterFile | undefined {
  const path = `${directory}/${clusterFileName}`;
  if (!files.stat(path)) return undefined;
  const refuse = (why: string): never => {
    throw new KafkaError('INVALID_CONFIG', `${path} ${why}: bring back what was there, the nodes cannot find each other without`);
  };
  let read: Partial<ClusterFile> = {};
  try {
    read = JSON.parse(new TextDecoder().decode(files.readFile(path)));
  } catch {
    refuse('is not JSON');
  }
  const { version, clusterId, controllers, nodes } = read;
  if (version !== 1) refuse(`is of version ${version}, and this release knows 1`);
  const isWhole =
    typeof clusterId === 'string' &&
    Number.isInteger(nodes) &&
    Array.isArray(controllers) &&
    controllers.length > 0 &&
    controllers.every(({ port, directoryId }) => Number.isInteger(port) && isUuid(directoryId));
  if (!isWhole) refuse('is not whole');
  return read as ClusterFile;
}

export function writeClusterFile(files: Files, directory: string, file: ClusterFile): void {
  files.writeFileDurably(`${directory}/${clusterFileName}`, `${JSON.stringify(file, undefined, 2)}\n`);
}

export type NewCluster = { readonly nodes: number; readonly firstPort: number; readonly host: string };

/** Controllers listen a hundred ports above the nodes, where these have ports that were asked for, and wherever it is free otherwise. */
export async function newClusterFile(
  { random, network }: { readonly random: Random; readonly network: Network },
  { nodes, firstPort, host }: NewCluster,
): Promise<ClusterFile> {
  const controllers: { port: number; directoryId: Uuid }[] = [];
  const ports = await freePorts(network, {
    host,
    count: localControllerCount(nodes),
    from: firstPort === 0 ? 0 : firstPort + 100,
  });
  for (const port of ports) controllers.push({ port, directoryId: randomUuid(random) });
  return { version: 1, clusterId: randomUuid(random), controllers, nodes: 0 };
}
