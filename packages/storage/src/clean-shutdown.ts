/**
 * `.kafka_cleanshutdown`: `{"version":0,"brokerEpoch":15}`. Written last at an orderly stop, so that the next start need not read
 * the logs again; taken away as soon as it was read, so that a crash after it does not count as orderly.
 */
import type { Files, Logger } from '@ottla/runtime';

export const cleanShutdownName = '.kafka_cleanshutdown';

export type CleanShutdown = {
  /** -1 when the file does not say. */
  readonly brokerEpoch: number;
};

/** Undefined when the last stop was not clean, or what says so is damaged: then the logs are better read again. */
export function readCleanShutdown(files: Files, directory: string, logger?: Logger): CleanShutdown | undefined {
  const path = `${directory}/${cleanShutdownName}`;
  if (!files.stat(path)) return undefined;
  const text = new TextDecoder().decode(files.readFile(path));
  // As Kafka left it before 3.7.
  if (text.trim() === '') return { brokerEpoch: -1 };
  const match = /^\s*\{\s*"version"\s*:\s*0\s*,\s*"brokerEpoch"\s*:\s*(-1|\d{1,15})\s*\}\s*$/.exec(text);
  if (match) return { brokerEpoch: Number(match[1]) };
  logger?.warn('the marker of a clean stop is damaged: the stop counts as a crash', { file: path });
  return undefined;
}

export function writeCleanShutdown(files: Files, directory: string, { brokerEpoch }: CleanShutdown): void {
  files.writeFileDurably(`${directory}/${cleanShutdownName}`, `{"version":0,"brokerEpoch":${brokerEpoch}}`);
}

export function removeCleanShutdown(files: Files, directory: string): void {
  files.remove(`${directory}/${cleanShutdownName}`);
  files.syncDirectory(directory);
}
