import { getSystemErrorMessage } from 'node:util';

/** What the system says, "permission denied (EACCES)", without the call and the path that Node's own text repeats. */
export function meaningOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { errno, code, message } = cause as NodeJS.ErrnoException;
  return errno === undefined || code === undefined ? message || 'failed' : `${getSystemErrorMessage(errno)} (${code})`;
}
