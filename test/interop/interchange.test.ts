/**
 * A data directory passes from Apache Kafka to Ottla and back, stopped in order or killed, with writes by each: whoever opens it
 * serves all that the one before served (interchange/inventory.ts says what that is). And what each leaves after compacting the
 * same log is the same.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Client } from './clients/client.ts';
import { connectClient } from './clients/connect.ts';
import { type Inventory, inventoryOf } from './interchange/inventory.ts';
import { compactedTopics, makeTopics, transact, trimmedTo, write } from './interchange/workload.ts';
import { FileTools } from './kafka/file-tools.ts';
import { eventually } from './processes.ts';
import { describeDifferences, differencesOf } from './same-answers/differences.ts';
import { type TargetName, TargetNode, targets } from './targets/node.ts';

const properties = {
  'offsets.topic.num.partitions': '2',
  'transaction.state.log.num.partitions': '2',
  'broker.session.timeout.ms': '6000', // who was killed is awaited that long
  'log.cleaner.enable': 'false',
  'log.cleaner.backoff.ms': '200',
  'log.initial.task.delay.ms': '500',
  'log.flush.start.offset.checkpoint.interval.ms': '500',
};
const cleaning = { 'log.cleaner.enable': 'true' };
const notCleaning = { 'log.cleaner.enable': 'false' };

type Seen = { readonly inventory: Inventory; readonly consumed: ReadonlyMap<string, readonly string[]> };

describe('data directories pass from one to the other', { skip: targets.length === 2 ? false : 'needs both targets' }, () => {
  let node: TargetNode;
  let java: Client;

  let hasFailed = false;

  /** Each goes on from where the one before it came to. */
  const step = (name: string, run: () => void | Promise<void>) =>
    test(name, async (t) => {
      if (hasFailed) return t.skip('an earlier step failed');
      hasFailed = true;
      await run();
      hasFailed = false;
    });

  /** By a client that ends without a word to the broker, and so leaves its last transaction open. */
  async function transactAndVanish(round: number): Promise<void> {
    const vanishing = connectClient('java', node.bootstrap);
    try {
      await transact(vanishing, round);
    } finally {
      await vanishing.close();
    }
  }

  async function create(target: TargetName): Promise<void> {
    node = await TargetNode.create(target, properties, {}, target);
    java = connectClient('java', node.bootstrap);
    await makeTopics(java);
    await node.settled();
    await write(java, 1);
  }

  async function destroy(): Promise<void> {
    await java?.close();
    await node?.destroy();
  }

  async function look(before?: Seen): Promise<Seen> {
    const inventory = await inventoryOf(node, before?.inventory);
    const consumed = new Map<string, string[]>();
    for (const place of inventory.ends.keys()) {
      if (place.startsWith('__')) continue;
      const [, topic, partition] = /^(.*)-(\d+)$/.exec(place)!;
      for (const isolation of ['read_committed', 'read_uncommitted'] as const)
        consumed.set(
          `${place} ${isolation}`,
          await java.call('readAll', { topic: topic!, partition: Number(partition), isolation }),
        );
    }
    return { inventory, consumed };
  }

  const isOfCompacted = (label: string) =>
    compactedTopics.some((topic) => label.includes(` ${topic}-`) || label.startsWith(`${topic}-`));

  function assertSame(before: Seen, now: Seen, isCompared: (label: string) => boolean = () => true): void {
    const of = ({ inventory }: Seen) => inventory.entries.filter(({ label }) => isCompared(label));
    assert.ok(of(before).length > 0);
    const differences = differencesOf(of(before), of(now));
    assert.equal(differences.length, 0, `${differences.length} differences\n${describeDifferences(differences)}`);
    for (const [label, lines] of before.consumed) if (isCompared(label)) assert.deepEqual(now.consumed.get(label), lines, label);
  }

  async function passTo(target: TargetName, changes: Readonly<Record<string, string>> = {}): Promise<void> {
    node.become(target, changes);
    await node.start();
  }

  /** What was deleted stays so after a kill when the node has noted where the log starts, which it does now and then. */
  async function killWhenNoted(round: number): Promise<void> {
    await eventually('the start of the trimmed log is noted', () =>
      readFileSync(join(node.dataDirectory, 'log-start-offset-checkpoint'), 'utf8').includes(`trimmed 0 ${trimmedTo(round)}\n`),
    );
    await node.kill();
  }

  /** When all but the active segment of each compacted topic has been cleaned. */
  async function untilCompacted(): Promise<void> {
    for (const topic of compactedTopics) {
      await eventually(`${topic} is compacted`, () => {
        const segments = readdirSync(join(node.dataDirectory, `${topic}-0`)).filter((name) => name.endsWith('.log'));
        const active = Number.parseInt(segments.sort().at(-1)!, 10);
        const checkpoint = readFileSync(join(node.dataDirectory, 'cleaner-offset-checkpoint'), 'utf8');
        return checkpoint.includes(`${topic} 0 ${active}\n`);
      });
    }
  }

  async function assertSoundFiles(...kinds: ('indexes' | 'snapshots')[]): Promise<void> {
    const files = new FileTools(java, node);
    await files.dumpLog('[!_c]*-[0-9]/*.log', '--deep-iteration');
    await files.dumpCompacted('compacted*-[0-9]/*.log', '--deep-iteration');
    await files.dumpCompacted('__consumer_offsets-*/*.log', '--offsets-decoder');
    await files.dumpLog('__cluster_metadata-0/*.log', '--cluster-metadata-decoder');
    if (kinds.includes('indexes')) {
      assert.match(await files.dumpLog('*-[0-9]/*.index', '--index-sanity-check'), /passed sanity check/);
      await files.dumpLog('*-[0-9]/*.timeindex');
    }
    if (kinds.includes('snapshots')) await files.dumpLog('*-[0-9]/*.snapshot');
  }

  const swap = (name: string) => {
    renameSync(node.dataDirectory, join(node.directory, 'aside'));
    renameSync(join(node.directory, name), node.dataDirectory);
    renameSync(join(node.directory, 'aside'), join(node.directory, name));
  };

  describe('killed', () => {
    after(destroy);

    let written: Seen;
    let compactedByKafka: Seen;
    let compactedByOttla: Seen;
    let byOttla: Seen;
    let byKafka: Seen;

    step('Kafka writes, and is killed', async () => {
      await create('kafka');
      await transactAndVanish(1);
      written = await look();
      await killWhenNoted(1);
      cpSync(node.dataDirectory, join(node.directory, 'twin'), { recursive: true });
    });

    step('Kafka compacts one copy, and is killed', async () => {
      await passTo('kafka', cleaning);
      await untilCompacted();
      compactedByKafka = await look(written);
      await node.kill();
    });

    step('Ottla opens the other copy, and serves what Kafka served', async () => {
      swap('twin');
      await passTo('ottla', cleaning);
      await untilCompacted();
      compactedByOttla = await look(written);
      assertSame(written, compactedByOttla, (label) => !isOfCompacted(label));
    });

    step('what is left after compaction by each is the same', () => {
      assertSame(compactedByKafka, compactedByOttla, isOfCompacted);
      const lines = (seen: Seen) => seen.consumed.get('compacted-0 read_uncommitted')!.length;
      assert.ok(lines(compactedByOttla) < lines(written) / 2, `${lines(compactedByOttla)} of ${lines(written)}`);
    });

    step('Ottla goes on writing, and is killed; Kafka opens what it left', async () => {
      await write(java, 2);
      byOttla = await look();
      await killWhenNoted(2);
      await assertSoundFiles();
      await passTo('kafka', notCleaning);
      assertSame(byOttla, await look(byOttla));
    });

    step('Kafka goes on, ends the transaction that was left open, and is killed; Ottla opens what it left', async () => {
      await write(java, 3);
      await transactAndVanish(3);
      byKafka = await look();
      await killWhenNoted(3);
      await passTo('ottla');
      assertSame(byKafka, await look(byKafka));
      await node.stop();
      await assertSoundFiles('indexes', 'snapshots');
    });

    step('Ottla opens the copy that Kafka compacted', async () => {
      swap('twin');
      await passTo('ottla');
      assertSame(compactedByKafka, await look(compactedByKafka));
    });
  });

  describe('stopped', () => {
    before(() => {
      hasFailed = false;
    });
    after(destroy);

    step('Ottla formats and writes, and stops; Kafka opens what it left', async () => {
      await create('ottla');
      const before = await look();
      await node.stop();
      await assertSoundFiles('indexes', 'snapshots');
      await passTo('kafka');
      assertSame(before, await look(before));
    });

    step('Kafka goes on, and stops; Ottla opens what it left, goes on, and stops', async () => {
      await transactAndVanish(2);
      await write(java, 2);
      const byKafka = await look();
      await node.stop();
      await passTo('ottla');
      assertSame(byKafka, await look(byKafka));
      await write(java, 3);
      await node.stop();
      await assertSoundFiles('indexes', 'snapshots');
    });
  });
});
