import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diskFaultOf } from './disk-fault.ts';

test('a full or read-only disk is waited for, a broken one is given up, and a want of descriptors is not its fault', () => {
  const faults = (operation: string, ...codes: string[]) => codes.map((code) => diskFaultOf({ code, operation }));
  assert.deepEqual(faults('write', 'ENOSPC', 'EDQUOT', 'EROFS'), ['full', 'full', 'full']);
  assert.deepEqual(faults('open', 'EIO', 'ENOENT', 'EACCES', 'ENOTDIR'), ['failed', 'failed', 'failed', 'failed']);
  assert.deepEqual(faults('open', 'EMFILE', 'ENFILE'), ['shortage', 'shortage']);
  assert.deepEqual(faults('sync directory', 'ENOSPC'), ['failed']);
  assert.deepEqual(faults('sync', 'EIO', 'ENOSPC', 'EDQUOT'), ['failed', 'failed', 'failed']);
});
