export type { Clock } from './clock.ts';
export { type File, type FileStat, type Files, IoError, type OpenMode } from './files.ts';
export type { LogFields, Logger } from './logger.ts';
export type { Address, Listener, Network, Socket } from './network.ts';
export type { Random } from './random.ts';
export type { Runtime } from './runtime.ts';
export { sleep, type Timer, type Timers } from './timers.ts';
