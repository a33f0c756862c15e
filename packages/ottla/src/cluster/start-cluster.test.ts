import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Admin, Producer } from '@ottla/client';

const bin = join(import.meta.dirname, '../../bin/ottla.js');

const bootstrapInWelcome = /bootstrap\.servers=([\d.:,]+)\. Ctrl-C/;

/** `ottla start` with what it says; what still runs when a test fails is ended. */
class Command implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly status: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(...args: string[]) {
    this.#child = spawn(process.execPath, [bin, 'start', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const output of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: output }).on('line', (line) => {
        this.lines.push(line);
        for (const look of this.#waiting) look();
      });
    }
    this.status = new Promise((resolve) => void this.#child.on('close', resolve));
  }

  /** The first line that matches after so many. */
  async line(pattern: RegExp, after = 0): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        for (const line of this.lines.slice(after)) {
          const found = pattern.exec(line);
          if (!found) continue;
          this.#waiting.delete(look);
          resolve(found);
          return;
        }
      };
      this.#waiting.add(look);
      void this.status.then(() => reject(new Error(`it ended before it said ${pattern}:\n${this.lines.join('\n')}`)));
      look();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.status;
  }

  stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.status;
  }
}

function processOf(properties: string): number {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  const found = pids.find((pid) => commandLineOf(pid).includes(properties));
  assert.ok(found, `nobody runs ${properties}`);
  return found;
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

test('three nodes serve, one that is killed comes back, and all start again where they stopped', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-cluster-'));
  const data = join(directory, 'data');
  try {
    await using cluster = new Command('--nodes', '3', '--port', '0', '--data', relative(process.cwd(), data));
    const [, bootstrapServers] = await cluster.line(bootstrapInWelcome);
    assert.equal(bootstrapServers!.split(',').length, 3);
    {
      await using admin = new Admin({ bootstrapServers: bootstrapServers! });
      const [topic] = await admin.createTopics([{ name: 'kept', partitions: 3 }]);
      assert.equal(topic?.replicationFactor, 3);
      await using producer = new Producer({ bootstrapServers: bootstrapServers!, acks: 'all' });
      await producer.send({ topic: 'kept', partition: 0, value: 'before' });
      if (process.platform === 'linux') {
        const before = cluster.lines.length;
        process.kill(processOf(join(data, 'node2.properties')), 'SIGKILL');
        await cluster.line(/node 2 ended by SIGKILL/, before);
        // The supervisor's word moves its leaderships: nobody waits for its session to end.
        await producer.send({ topic: 'kept', partition: 1, value: 'meanwhile' });
        await cluster.line(/node 2 \| .*the node serves/, before);
      }
    }
    assert.equal(await cluster.stop(), 0, cluster.lines.join('\n'));
    assert.ok(existsSync(join(data, 'node3/.kafka_cleanshutdown')));
    // Whoever starts a node by itself need not be in the same place.
    assert.ok(readFileSync(join(data, 'node3.properties'), 'utf8').includes(`\nlog.dirs=${join(data, 'node3')}\n`));

    await using refused = new Command('--nodes', '2', '--port', '0', '--data', data);
    assert.equal(await refused.status, 1);
    assert.match(refused.lines.join('\n'), /has 3 nodes.*start it with --nodes 3/);

    await using again = new Command('--port', '0', '--data', data);
    const [, where] = await again.line(bootstrapInWelcome);
    {
      await using admin = new Admin({ bootstrapServers: where! });
      assert.deepEqual(
        (await admin.listTopics()).map(({ name }) => name),
        ['kept'],
      );
    }
    assert.equal(await again.stop(), 0, again.lines.join('\n'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('settings that are wrong are refused before a node starts', async () => {
  await using cluster = new Command('--nodes', '3', '--port', '0', '--ephemeral', '--set', 'num.partitions=many');
  assert.equal(await cluster.status, 1);
  assert.match(cluster.lines.join('\n'), /^ottla: .*num\.partitions/);
});
