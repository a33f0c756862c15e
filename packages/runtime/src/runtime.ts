import type { Clock } from './clock.ts';
import type { Files } from './files.ts';
import type { Logger } from './logger.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';
import type { Timers } from './timers.ts';
import type { Workers } from './workers.ts';

/**
 * Everything a node takes from the world outside. Whoever constructs a server chooses it: `nodeRuntime()` for real machines,
 * `memoryRuntime()` for tests and the simulator. No other package may reach for a clock, timer, socket, file or random number.
 */
export type Runtime = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly files: Files;
  readonly network: Network;
  readonly logger: Logger;
  /** Absent: all work is done on the event loop, as in a simulation, or where `files` are not the machine's. */
  readonly workers?: Workers | undefined;
};
