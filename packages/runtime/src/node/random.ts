import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '../random.ts';

export const nodeRandom: Random = {
  fraction: () => Math.random(),
  below: (bound) => randomInt(bound),
  bytes: (length) => {
    const bytes = randomBytes(length);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  },
};
