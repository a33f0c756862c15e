/** What every other test here relies on: a node that does not start is told at once, and keeps nobody waiting. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { describe, test } from 'node:test';
import { pidsDirectory } from './home.ts';
import { TargetNode, targets } from './targets/node.ts';

describe('nodes to test against', { skip: targets.includes('ottla') ? false : 'needs Ottla' }, () => {
  test('one that ends while it starts is not waited for', async () => {
    const node = await TargetNode.format('ottla');
    try {
      const starting = assert.rejects(node.start(), ({ cause }: Error) => /ended with SIGKILL/.test(String(cause)));
      await node.kill();
      await starting;
    } finally {
      await node.destroy();
    }
  });

  test('when one of several does not start, none of them is left running', async (t) => {
    const path = process.env['PATH'];
    t.after(() => {
      process.env['PATH'] = path;
    });
    process.env['PATH'] = '/nowhere'; // no java, so no Kafka
    await assert.rejects(TargetNode.createEach(['kafka', 'ottla']), /java|kafka/i);
    assert.deepEqual(startedByUs(), []);
  });
});

function startedByUs(): string[] {
  if (!existsSync(pidsDirectory)) return [];
  return readdirSync(pidsDirectory).filter((pid) => {
    const note = join(pidsDirectory, pid);
    return existsSync(note) && JSON.parse(readFileSync(note, 'utf8')).parent === process.pid;
  });
}
