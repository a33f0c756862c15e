import type { Logger } from '@ottla/runtime';
import type { DirectoryFailure, LogManager } from '@ottla/storage';
import type { BrokerLifecycle } from './broker-lifecycle.ts';
import type { ReplicaMoves } from './replication/replica-moves.ts';
import type { ReplicaPublisher } from './replication/replica-publisher.ts';

export type DirectoryFailuresOptions = {
  readonly logManager: LogManager;
  readonly lifecycle: Pick<BrokerLifecycle, 'tellDirectories'>;
  readonly publisher: Pick<ReplicaPublisher, 'takeOffline'>;
  readonly moves: Pick<ReplicaMoves, 'takeOffline'>;
  readonly metadataDirectory: string;
  /** log.dir.failure.timeout.ms */
  readonly failureTimeoutMs: number;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
};

/**
 * A log directory that fails takes its replicas with it, and the controller is told, so that others may lead them. The node cannot go on
 * when it was the last, when the metadata log lies in it, or when the controller does not hear of it in time (KIP-112, KIP-858).
 */
export function onDirectoryFailures(options: DirectoryFailuresOptions): void {
  options.logManager.onDirectoryFailed = (failure) => handle(failure, options);
}

function handle(failure: DirectoryFailure, options: DirectoryFailuresOptions): void {
  const { path, error, logs } = failure;
  const { logManager, lifecycle, publisher, moves, metadataDirectory, failureTimeoutMs, logger, onFatal } = options;
  const stop = (why: string, cause: unknown): void => {
    logger.error(`${why}: the node cannot go on`, { directory: path, error: cause });
    onFatal(new Error(why, { cause }));
  };
  const movesEnded = moves.takeOffline(failure);
  publisher.takeOffline(logs);
  if (path === metadataDirectory) stop(`the log directory of the metadata log, ${path}, has failed`, error);
  else if (logManager.directoryIds.length === 0) stop('all log directories have failed', error);
  else {
    // A replica that is well must not lose its leadership because the metadata looks for it where its copy was.
    movesEnded
      .then(() => lifecycle.tellDirectories(failureTimeoutMs))
      .catch((cause: unknown) => stop(`the failure of the log directory ${path} cannot be told to the controller`, cause));
  }
}
