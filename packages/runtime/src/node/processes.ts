import type { Readable } from 'node:stream';
import type { ChildProcess, ParentProcess, Processes } from '../processes.ts';

export const nodeProcesses: Processes = {
  start({ program, args, onLine, onMessage, onExit }): ChildProcess {
    // Loaded here: a node that starts no others does not wait for them.
    const { spawn } = process.getBuiltinModule('node:child_process');
    const { createInterface } = process.getBuiltinModule('node:readline');
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [child.stdout, child.stderr] as Readable[])
      createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
    child.on('message', onMessage);
    let failure: Error | undefined;
    // Comes instead of an exit when it cannot be started at all.
    child.on('error', (error) => {
      failure = error;
      if (child.pid === undefined) onLine(`the process cannot be started: ${error.message}`);
    });
    child.on('close', (code, signal) => onExit({ code: child.pid === undefined && failure ? 1 : code, signal }));
    return {
      pid: child.pid,
      send: (message) => {
        if (child.connected) child.send(message as object, () => {});
      },
      signal: (name) => void child.kill(name),
    };
  },
};

/** Undefined in a process that nobody of ours started. */
export function nodeParentProcess(): ParentProcess | undefined {
  if (!process.send) return undefined;
  return {
    send: (message) => {
      if (process.connected) process.send!(message, undefined, undefined, () => {});
    },
    onMessage: (hear) => void process.on('message', hear),
    onGone: (hear) => void process.once('disconnect', hear),
  };
}
