export type ProcessExit = {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
};

export type ProcessOptions = {
  /** A JavaScript file and its arguments, run as this program was. */
  readonly program: string;
  readonly args: readonly string[];
  /** A line of its standard output or error, without the newline. */
  readonly onLine: (line: string) => void;
  /** What it sent with `toParent`. */
  readonly onMessage: (message: unknown) => void;
  /** Called once, after its last line. */
  readonly onExit: (exit: ProcessExit) => void;
};

export interface ChildProcess {
  readonly pid: number | undefined;
  /** To its `onParentMessage`; lost if it is gone. */
  send(message: unknown): void;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

/**
 * Other processes of this program. They have no terminal, so Ctrl-C reaches their parent alone; and each hears when its parent is gone
 * (`onParentGone`), however that ended.
 */
export interface Processes {
  start(options: ProcessOptions): ChildProcess;
}

/** What a process that `Processes` started has of its parent. */
export interface ParentProcess {
  send(message: unknown): void;
  onMessage(hear: (message: unknown) => void): void;
  onGone(hear: () => void): void;
}
