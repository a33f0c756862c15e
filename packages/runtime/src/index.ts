export type { Clock } from './clock.ts';
export { type File, type FileStat, type Files, IoError, type OpenMode } from './files.ts';
export type { LogFields, Logger } from './logger.ts';
export { type FileOperation, MemoryFiles, type MemoryFilesOptions } from './memory/files.ts';
export { SeededRandom } from './memory/random.ts';
export { Trace } from './memory/trace.ts';
export type { WireOptions, Wires, WireTrouble } from './memory/wires.ts';
export {
  type Machine,
  type MachineOptions,
  type MemoryRuntime,
  memoryRuntime,
  World,
  type WorldOptions,
} from './memory/world.ts';
export type { Address, Listener, Network, Socket } from './network.ts';
export { NodeFiles } from './node/files.ts';
export { type LogLevel, logLevels, type NodeLoggerOptions, nodeLogger, silentLogger } from './node/logger.ts';
export { nodeParentProcess, nodeProcesses } from './node/processes.ts';
export { nodeRuntime } from './node/runtime.ts';
export { serveWorkerTask, type WorkerLogLine, type WorkerRuntime } from './node/workers.ts';
export type { ChildProcess, ParentProcess, ProcessExit, Processes, ProcessOptions } from './processes.ts';
export type { Random } from './random.ts';
export type { Runtime } from './runtime.ts';
export { nextTurn, sleep, type Timer, type Timers } from './timers.ts';
export type { Workers, WorkerTask } from './workers.ts';
