import process from 'node:process';

// Whoever reads our output may stop early, as `head` does: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  tell(`ottla: cannot write the output: ${error.message}`);
  process.exit(1);
});

/** Resolves when there is room for more. */
export function write(output: string | Uint8Array): Promise<void> {
  if (process.stdout.write(output)) return Promise.resolve();
  return new Promise((resolve) => void process.stdout.once('drain', resolve));
}

export function printLine(line = ''): Promise<void> {
  return write(`${line}\n`);
}

export function printJson(value: unknown): Promise<void> {
  return write(`${JSON.stringify(value, null, 2)}\n`);
}

/** For the person, not for the pipe. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}
