import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildBatch, buildControlBatch } from '@ottla/protocol';
import { MemoryFiles } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';
import { requireOnlyTornTail, requireWholeMetadataLog } from './whole-metadata-log.ts';

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

describe('after a crash', () => {
  const at = (baseOffset: number, timestamp: number, leaderEpoch = 1) =>
    buildBatch({
      baseOffset,
      leaderEpoch,
      records: [{ offset: baseOffset, timestamp, key: null, value: new Uint8Array(50), headers: [] }],
    });
  const led = (...voterIds: number[]) => {
    const voters = voterIds.map((voterId) => ({ voterId }));
    const value = { leaderId: 1, voters, grantingVoters: voters };
    return buildControlBatch({ records: [{ type: 'leaderChange', value }], timestamp: 10, baseOffset: 0, leaderEpoch: 1 });
  };

  function checkAfterCrash(...segments: Uint8Array[][]): void {
    const files = new MemoryFiles();
    files.makeDirectory(directory);
    for (const [index, batches] of segments.entries())
      files.writeFileDurably(`${directory}/${String(index).padStart(20, '0')}.log`, Buffer.concat(batches));
    requireOnlyTornTail(files, directory, 1_000);
  }

  /** Every byte but those that no crc covers. */
  function spoil(batch: Uint8Array): Uint8Array[] {
    return Array.from({ length: batch.length }, (_, position) => {
      const spoiled = Uint8Array.from(batch);
      spoiled[position]! ^= 0x10;
      return spoiled;
    }).filter((_, position) => position >= 8 && (position < 12 || position >= 16));
  }

  const isRefused = (first: Uint8Array) => (error: unknown) =>
    error instanceof CorruptFileError && error.message.includes(`at byte ${first.length}, before`);

  test('a torn end passes, and so do sound batches behind it that were written along', () => {
    const torn = at(1, 20).subarray(0, 80);
    checkAfterCrash([]);
    for (const first of [led(1), led(1, 2, 3), at(0, 10)]) {
      checkAfterCrash([first, torn]);
      checkAfterCrash([first, new Uint8Array(200), at(2, 500)]);
      checkAfterCrash([first, torn], [at(2, 30)]);
    }
  });

  test('damage before what has been durable for long is refused to an only voter, with its place', () => {
    const first = led(1);
    for (const spoiled of spoil(at(1, 20))) {
      assert.throws(() => checkAfterCrash([first, spoiled, at(2, 100_000)]), isRefused(first));
      assert.throws(() => checkAfterCrash([first, spoiled, at(2, 30, 2)]), isRefused(first));
      assert.throws(() => checkAfterCrash([first, spoiled], [at(2, 30), at(3, 100_000)]), isRefused(first));
      checkAfterCrash([first, spoiled, at(2, 1_000)]);
    }
  });

  test('to any other node, that may have been fetching, where it lies further back than one fetch reaches', () => {
    const first = led(1, 2, 3);
    const later = Array.from({ length: 20 }, (_, index) => at(2 + index, 100_000));
    for (const spoiled of spoil(at(1, 20))) {
      checkAfterCrash([first, spoiled, at(2, 100_000), at(3, 100_000, 2)]);
      assert.throws(() => checkAfterCrash([first, spoiled, ...later]), isRefused(first));
    }
  });
});
