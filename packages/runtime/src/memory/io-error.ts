import { IoError } from '../files.ts';

export function ioError(operation: string, path: string, code: string): IoError {
  return new IoError(`${operation} ${path}: ${meanings[code] ?? 'failed'} (${code})`, { code, path, operation });
}

const meanings: Record<string, string> = {
  EACCES: 'permission denied',
  EBADF: 'the file was closed, or is open for reading only',
  EBUSY: 'it is the root',
  EDQUOT: 'the quota is used up',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the other side is gone',
  EADDRINUSE: 'somebody listens there already',
  EEXIST: 'it exists',
  EHOSTUNREACH: 'there is no such host',
  EINVAL: 'this cannot be',
  EIO: 'the device failed',
  EISDIR: 'it is a directory',
  ELOCKED: 'it is locked by a node of this process: stop that node, or choose another directory',
  ENOENT: 'there is no such file or directory',
  ENOSPC: 'no space is left',
  ENOTDIR: 'a part of the path is not a directory',
  ENOTEMPTY: 'the directory is not empty',
  EROFS: 'the file system is read-only',
  ETIMEDOUT: 'no answer in time',
};
