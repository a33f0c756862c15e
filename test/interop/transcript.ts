/**
 * Transcripts: what a person would see who runs Kafka's tools one after another. Recorded from Apache Kafka
 * (`INTEROP_RECORD=1 INTEROP_TARGETS=kafka npm run interop -- test/interop/java-tools.test.ts`), and expected of every broker.
 *
 *   ## a title: one test from here to the next title
 *   # a remark
 *   $ topics --create --topic t      a tool and its arguments; --bootstrap-server is put where the tool wants it
 *   < a line of its standard input
 *   Created topic t.                 what it printed, error output included, log lines left out
 *   [status 1]                       how it ended, unless well
 *   @ produce {"topic": "t", ...}    an operation of the Java client (clients/client.ts); it prints nothing
 *   @ until describeTransaction {"transactionalId": "t"} => {"state": "CompleteCommit"}    it is repeated until its result is so
 *   @ hang {"topic": ...}            leaves a hanging transaction (targets/hanging.ts)
 *   % name.json                      a file in the node's directory, <dir>, with the `<` lines that follow
 *   $~ topics --list                 the order of what this one prints does not matter
 *   $? features describe             only the lines that start with `?` are expected, as patterns, in any order
 *   ? Feature: metadata.version.*
 *
 * What differs from run to run is replaced before comparing: <uuid>, <time>, <date>, <bootstrap>, <data>, <member>, <N ms>.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Client, Operation } from './clients/client.ts';
import { programCommand } from './kafka/kafka.ts';
import { toolCommand, toolsAlone } from './kafka/tools.ts';
import { eventually } from './processes.ts';
import { hang } from './targets/hanging.ts';

/** Where the tools are pointed. */
export type TranscriptTarget = {
  readonly bootstrap: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly directory: string;
  readonly dataDirectory: string;
  settled(): Promise<void>;
  /** What its transcripts may do to it besides: `@ NAME {arguments}`. */
  readonly operations?: { readonly [name: string]: (args: { readonly [name: string]: unknown }) => Promise<void> };
  /** What differs from run to run, and what is written instead. */
  readonly names?: readonly (readonly [text: string, name: string])[];
};

type TranscriptBench = { readonly node: TranscriptTarget; client(library: 'java'): Client };

type Step = { command: string; input: string[]; output: string[] };
type Chapter = { title: string; steps: Step[] };

export function expectTranscript(file: string, bench: TranscriptBench, recording: boolean): void {
  const chapters = parse(readFileSync(file, 'utf8'));
  for (const { title, steps } of chapters) {
    test(title, async () => {
      for (const step of steps) {
        const lines = await perform(step, bench.client('java'), bench.node);
        if (recording) record(step, lines);
        else compare(step, lines);
      }
      if (recording) writeFileSync(file, format(chapters));
    });
  }
}

async function perform(step: Step, java: Client, node: TranscriptTarget): Promise<string[]> {
  const [kind, name, ...rest] = step.command.split(' ');
  if (kind === '#') return [];
  if (kind === '@') {
    const text = rest.join(' ').replaceAll('<dir>', node.directory);
    const args = name === 'until' ? {} : (JSON.parse(text || '{}') as { [name: string]: unknown });
    if (name === 'until') await until(java, text);
    else if (node.operations?.[name!]) await node.operations[name!]!(args);
    else if (name === 'hang')
      await hang(node, args['topic'] as string, args['partition'] as number, args['transactionalId'] as string);
    else if (name === 'poll') assert.equal(((await java.call('poll', args as never)) as unknown[]).length, args['count']);
    else if (name === 'assignment')
      await eventually('an assignment', async () => ((await java.call('assignment', args as never)) as unknown[]).length > 0);
    else if (name === 'partitions') await eventually('partitions', () => java.call('partitions', args as never));
    else await java.call(name as Operation, args as never);
    return [];
  }
  if (kind === '%') {
    writeFileSync(join(node.directory, name!), step.input.map((line) => `${line}\n`).join(''));
    return [];
  }
  const words = split(rest.join(' ')).map((word) =>
    word.replaceAll('<data>', node.dataDirectory).replaceAll('<dir>', node.directory),
  );
  const command = toolCommand(name!, words, node.bootstrap);
  const stdin = step.input.map((line) => `${line}\n`).join('');
  const { status, stdout, stderr } = toolsAlone.includes(name!)
    ? spawnSync('java', programCommand(command.mainClass, command.args), { input: stdin, encoding: 'utf8', timeout: 120_000 })
    : await java.call('tool', { class: command.mainClass, args: command.args, stdin });
  if (words.some((word) => /^--(create|alter|delete|add|remove|upgrade|downgrade|unregister)/.test(word))) await node.settled();
  const lines = [...visible(stdout), ...visible(stderr)]
    .filter(isNotNoise)
    .map((line) => withoutWhatVaries(inOneOrder(line), node));
  if (status !== 0) lines.push(`[status ${status}]`);
  return lines;
}

/** OPERATION {arguments} => what its result must hold, or be */
async function until(java: Client, what: string): Promise<void> {
  const [, name, args, expected] = /^(\w+) (\{.*\}) => (.*)$/.exec(what)!;
  const awaited = JSON.parse(expected!);
  await eventually(what, async () => {
    const result = await java.call(name as Operation, JSON.parse(args!));
    return isDeepStrictEqual(typeof awaited === 'object' ? { ...(result as object), ...awaited } : awaited, result);
  });
}

function compare(step: Step, lines: string[]): void {
  const kind = step.command.slice(0, step.command.indexOf(' '));
  if (kind === '$?') {
    for (const expected of step.output) {
      const pattern = new RegExp(`^${expected.slice(2)}$`);
      assert.ok(
        lines.some((line) => pattern.test(line)),
        `${step.command}\nhas no line like ${pattern}\n${lines.join('\n')}`,
      );
    }
  } else if (kind === '$~') assert.deepEqual(lines.toSorted(), step.output.toSorted(), step.command);
  else assert.deepEqual(lines, step.output, step.command);
}

function record(step: Step, lines: string[]): void {
  if (step.command.startsWith('$?')) compare(step, lines);
  else step.output = lines;
}

function parse(text: string): Chapter[] {
  const chapters: Chapter[] = [];
  for (const line of text.split('\n')) {
    const steps = chapters.at(-1)?.steps;
    if (line.startsWith('## ')) chapters.push({ title: line.slice(3), steps: [] });
    else if (/^(\$[~?]?|@|%) /.test(line)) steps!.push({ command: line, input: [], output: [] });
    else if (line.startsWith('< ') && steps!.at(-1)!.output.length === 0) steps!.at(-1)!.input.push(line.slice(2));
    else if (line.startsWith('# ')) steps!.push({ command: line, input: [], output: [] });
    else if (line !== '') steps!.at(-1)!.output.push(line);
  }
  for (const { steps } of chapters) for (const remark of steps) if (remark.command.startsWith('# ')) remark.output = [];
  return chapters;
}

function format(chapters: readonly Chapter[]): string {
  const one = ({ command, input, output }: Step) => [command, ...input.map((line) => `< ${line}`), ...output].join('\n');
  return `${chapters.map(({ title, steps }) => `## ${title}\n${steps.map(one).join('\n\n')}\n`).join('\n')}`;
}

/** Words as a shell would see them, with '...' and "..." kept together. */
function split(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, bare]) => single ?? double ?? bare ?? '');
}

function visible(output: string): string[] {
  return output
    .split(/[\r\n]+/)
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
}

/** A line of JSON with its names sorted: in which order Java's tools write them changes from one run to the next. */
function inOneOrder(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    return JSON.stringify(JSON.parse(line), (_, value) =>
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
        : value,
    );
  } catch {
    return line;
  }
}

/** Neither a line of a logger nor one of the places in a stack trace; the line with the exception's own text stays. */
function isNotNoise(line: string): boolean {
  return !/^(\[\d{4}-\d\d-\d\d |\s+at |Caused by: |\s+\.\.\. \d+ more|\s+Suppressed: )/.test(line);
}

function withoutWhatVaries(line: string, node: TranscriptTarget): string {
  return withNames(line, node)
    .replaceAll(node.bootstrap, '<bootstrap>')
    .replaceAll(`127.0.0.1:${node.controllerPort}`, '<controller>')
    .replaceAll(node.dataDirectory, '<data>')
    .replaceAll(node.directory, '<dir>')
    .replace(new RegExp(`\\b${node.port}\\b`, 'g'), '<port>')
    .replace(new RegExp(`\\b${node.controllerPort}\\b`, 'g'), '<controller port>')
    .replace(/([\w.-]+)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<member of $1>')
    .replace(/(?<![\w-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
    .replace(/(TopicId: |"directoryId": ")[\w-]{22}/g, '$1<uuid>')
    .replace(
      // 16 bytes in base64url: the last letter holds two bits. One id in a hundred has neither a digit nor a sign.
      /(?<![\w-])(?!4L6g3nShT-eMCtK--X86sw)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{21}[AQgw](?![\w-])/g,
      '<uuid>',
    )
    .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.:,]\d{3})?(Z|[+-]\d\d:?\d\d)?/g, '<date>')
    .replace(/\b1[78]\d{11}\b/g, '<time>')
    .replace(/(<time> +\t)\d+/g, '$1<n>') // how long a transaction has been open
    .replace(/(\t1600000000000\t)\d+$/, '$1<n>')
    .replace(/\b\d+(\.\d+)? (ms|sec)\b/g, '<n> $2')
    .replace(/ {2,}/g, '  ');
}

function withNames(line: string, { names = [] }: TranscriptTarget): string {
  return names.reduce((text, [from, to]) => text.replaceAll(from, to), line);
}
