import type { Files } from '../files.ts';
import type { Logger } from '../logger.ts';
import type { Runtime } from '../runtime.ts';
import { nodeClock } from './clock.ts';
import { NodeFiles } from './files.ts';
import { silentLogger } from './logger.ts';
import { NodeNetwork } from './network.ts';
import { nodeRandom } from './random.ts';
import { nodeTimers } from './timers.ts';
import { nodeWorkers } from './workers.ts';

/** The real machine. `files` may be a MemoryFiles: a real node that leaves nothing behind. */
export function nodeRuntime(options: { logger?: Logger; files?: Files } = {}): Runtime {
  return {
    clock: nodeClock,
    timers: nodeTimers,
    random: nodeRandom,
    files: options.files ?? new NodeFiles(),
    network: new NodeNetwork(),
    logger: options.logger ?? silentLogger,
    ...(options.files ? {} : { workers: nodeWorkers }),
  };
}
