import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch } from '@ottla/protocol';
import { MemoryFiles } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';
import { requireWholeMetadataLog } from './whole-metadata-log.ts';

const directory = '/metadata';
const batch = (baseOffset: number) =>
  buildBatch({ baseOffset, records: [{ offset: baseOffset, timestamp: 1, key: null, value: new Uint8Array(50), headers: [] }] });
const whole = Buffer.concat([batch(0), batch(1), batch(2)]);
const size = whole.length / 3;

function check(...segments: Uint8Array[]): void {
  const files = new MemoryFiles();
  files.makeDirectory(directory);
  for (const [index, bytes] of segments.entries()) {
    files.writeFileDurably(`${directory}/${String(index).padStart(20, '0')}.log`, bytes);
  }
  requireWholeMetadataLog(files, directory);
}

test('whole segments pass, an empty one too', () => check(whole, whole, new Uint8Array(0)));

test('any flipped bit that a crc covers is refused, with its place', () => {
  for (let position = 0; position < whole.length; position++) {
    // The base offset and the leader epoch are not under the crc.
    const inBatch = position % size;
    if (inBatch < 8 || (inBatch >= 12 && inBatch < 16)) continue;
    const spoiled = Uint8Array.from(whole);
    spoiled[position]! ^= 0x10;
    assert.throws(
      () => check(spoiled),
      (error) => error instanceof CorruptFileError && error.message.includes(`at byte ${position - inBatch} of`),
      `byte ${position}`,
    );
  }
});

test('a tail that is torn is refused', () => {
  for (let length = 2 * size + 1; length < whole.length; length++)
    assert.throws(() => check(whole.subarray(0, length)), CorruptFileError);
});
