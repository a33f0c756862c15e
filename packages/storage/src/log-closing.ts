/**
 * The end of many logs: each has half a dozen files to sync, and one after the other would keep a node from stopping for as many times as the
 * device takes. So they are synced beforehand, several logs at once, by the threads that wait for the device; the orderly close, log by log,
 * then finds them durable.
 */
import type { Files } from '@ottla/runtime';
import type { Log } from './log.ts';

/** More would only wait for those threads. */
const logsAtOnce = 16;

/** Of the logs in one directory. Whatever fails is left to `close`, which meets it again; the logs not yet begun are left to it then, too. */
export async function closeLogsAhead(
  logs: readonly Log[],
  { files, directory }: { readonly files: Files; readonly directory: string },
): Promise<void> {
  const written = logs.filter((log) => log.recoveryPoint < log.logEndOffset);
  let hasFailed = false;
  const left = logs.values();
  const closeSome = async (): Promise<void> => {
    for (const log of left) {
      if (hasFailed) return;
      try {
        await log.closeAhead();
      } catch {
        hasFailed = true;
      }
    }
  };
  try {
    if (written.length > 0) await files.syncDirectoryLater(directory);
  } catch {
    return;
  }
  for (const log of written) log.onNameDurable();
  await Promise.all(Array.from({ length: logsAtOnce }, closeSome));
}
