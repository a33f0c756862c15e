/**
 * `.kafka_cleanshutdown`: `{"version":0,"brokerEpoch":15}`. Written last at an orderly stop, so that the next start need not read
 * the logs again; taken away as soon as it was read, so that a crash after it does not count as orderly.
 */
import type { Files } from '@ottla/runtime';

export const cleanShutdownName = '.kafka_cleanshutdown';

export type CleanShutdown = {
  /** -1 when the file does not say. */
  readonly brokerEpoch: number;
};

/** Undefined when the last stop was not clean. */
export function readCleanShutdown(files: Files, directory: string): CleanShutdown | undefined {
  const path = `${directory}/${cleanShutdownName}`;
  if (!files.stat(path)) return undefined;
  try {
    const content: unknown = JSON.parse(new TextDecoder().decode(files.readFile(path)));
    const brokerEpoch = (content as { brokerEpoch?: unknown } | null)?.brokerEpoch;
    return { brokerEpoch: Number.isSafeInteger(brokerEpoch) ? (brokerEpoch as number) : -1 };
  } catch (error) {
    if (error instanceof SyntaxError) return { brokerEpoch: -1 };
    throw error;
  }
}

export function writeCleanShutdown(files: Files, directory: string, { brokerEpoch }: CleanShutdown): void {
  files.writeFileDurably(`${directory}/${cleanShutdownName}`, `{"version":0,"brokerEpoch":${brokerEpoch}}`);
}

export function removeCleanShutdown(files: Files, directory: string): void {
  files.remove(`${directory}/${cleanShutdownName}`);
  files.syncDirectory(directory);
}
