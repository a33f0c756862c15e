/** Kafka's tools that read the files of a node, and need no broker. */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../clients/client.ts';
import type { TargetNode } from '../targets/node.ts';
import { toolCommand } from './tools.ts';

/**
 * How these tools say that something is wrong; most of them end with status 0 all the same. That "-1 is followed by" the first
 * offset of a later segment is how the tool begins, and no complaint.
 */
const complaint = /mismatch|corrupt|not valid|^\s+\d+ is followed by|could not|isvalid: false|exception/i;
/** Clients in the same JVM look for a node that has stopped. */
const ofClients = / org\.apache\.kafka\.clients\./;
/** What dump-log says of each offset that compaction took away. */
const gap = /^\s+\d+ is followed by/;

export class FileTools {
  readonly #java: Client;
  readonly #node: TargetNode;

  constructor(java: Client, node: TargetNode) {
    this.#java = java;
    this.#node = node;
  }

  /** What it prints. Fails where it complains. */
  tool(name: string, ...words: string[]): Promise<string> {
    return this.#run(name, words, false);
  }

  async #run(name: string, words: readonly string[], mayHaveGaps: boolean): Promise<string> {
    const { mainClass, args } = toolCommand(name, words, this.#node.bootstrap);
    const { status, stdout, stderr } = await this.#java.call('tool', { class: mainClass, args });
    assert.equal(status, 0, `${name} ${words.join(' ')}\n${stdout}${stderr}`);
    const lines = (stdout + stderr).split('\n').filter((line) => complaint.test(line) && !ofClients.test(line));
    assert.deepEqual(mayHaveGaps ? lines.filter((line) => !gap.test(line)) : lines, [], `${name} ${words.join(' ')}`);
    return stdout;
  }

  /** Of all files of the data directory that the pattern names. */
  dumpLog(pattern: string, ...options: string[]): Promise<string> {
    return this.#run('dump-log', [...options, '--files', this.#filesOf(pattern)], false);
  }

  /** The same of logs in which offsets may be missing. */
  dumpCompacted(pattern: string, ...options: string[]): Promise<string> {
    return this.#run('dump-log', [...options, '--files', this.#filesOf(pattern)], true);
  }

  #filesOf(pattern: string): string {
    const found = globSync(join(this.#node.dataDirectory, pattern)).sort();
    assert.ok(found.length > 0, `no file ${pattern}`);
    return found.join(',');
  }
}
