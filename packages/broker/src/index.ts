export {
  FormatError,
  type FormatOptions,
  formatDirectories,
  formatForDevelopment,
  isFormatted,
  randomUuid,
  type StorageInfo,
  storageInfo,
  withOwnQuorum,
} from './format.ts';
export { servedVersions } from './handlers/index.ts';
export {
  formatLocalNode,
  freePorts,
  type LocalCluster,
  type LocalNode,
  localCluster,
  localControllerCount,
  localNodeDirectory,
} from './local-cluster.ts';
export { BrokerServer, type ServerOptions, type ServerParts } from './server.ts';
