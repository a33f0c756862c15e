import type { IoError } from '@ottla/runtime';

/**
 * What an error of the disk asks for.
 *
 * failed: the directory can no longer be trusted, and goes offline with all that is in it.
 * full: nothing can be written for now (no space, no quota, read-only). What is there can be read, and whoever writes is told to come again.
 * shortage: the process is out of descriptors or memory; the disk is not to blame.
 */
export type DiskFault = 'failed' | 'full' | 'shortage';

const full = new Set(['ENOSPC', 'EDQUOT', 'EROFS']);
const shortage = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR', 'EBADF']);

export function diskFaultOf({ code, operation }: Pick<IoError, 'code' | 'operation'>): DiskFault {
  // The system may have dropped what it could not write, and a later sync would succeed without it.
  if (operation?.startsWith('sync')) return code === 'EBADF' ? 'shortage' : 'failed';
  if (full.has(code)) return 'full';
  return shortage.has(code) ? 'shortage' : 'failed';
}
