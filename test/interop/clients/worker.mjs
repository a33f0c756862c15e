/**
 * A client program that does what it is told: one JSON request per line in, one JSON answer per line out (worker.py draws them).
 * Plain JavaScript, as one of the libraries needs the machine's own Node, which may not know TypeScript.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

export const bootstrap = process.argv[2];

/** Loads a package from where the clients are installed. */
export const load = createRequire(join(process.env.INTEROP_CLIENTS, 'package.json'));

const writeAnswer = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr); // what a library prints must not end up among the answers

export function serve(operations, errorCode) {
  const lines = createInterface({ input: process.stdin });
  lines.on('close', () => process.exit(0));
  lines.on('line', async (line) => {
    const { id, op, args } = JSON.parse(line);
    try {
      const result = await operations[op](args);
      writeAnswer(`${JSON.stringify({ id, result: result ?? null })}\n`);
    } catch (error) {
      if (process.env.INTEROP_DEBUG) console.error(error);
      writeAnswer(
        `${JSON.stringify({ id, error: { code: errorCode(error) ?? null, message: String(error?.stack ?? error) } })}\n`,
      );
    }
  });
}

/** What a member of a group has received; its consumer pushes, the test takes. */
export class Inbox {
  #records = [];
  #waiting = [];
  failure = null;

  push(record) {
    this.#records.push(record);
    for (const check of this.#waiting) check();
  }

  fail(error) {
    this.failure = error;
    for (const check of this.#waiting) check();
  }

  /** Resolves with `count` records, or with the fewer ones that came before the timeout. */
  take(count, timeoutMs = 60_000) {
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(late);
        this.#waiting = this.#waiting.filter((other) => other !== check);
        if (this.failure) reject(this.failure);
        else resolve(this.#records.splice(0, count));
      };
      const check = () => (this.failure || this.#records.length >= count) && finish();
      const late = setTimeout(finish, timeoutMs);
      this.#waiting.push(check);
      check();
    });
  }
}

export const text = (value) => (value === null || value === undefined ? null : value.toString());

/** Places of the last records by partition, as [topic, partition, offset after it]. */
export class Positions {
  #offsets = new Map();

  passed({ topic, partition, offset }) {
    this.#offsets.set(`${topic} ${partition}`, [topic, partition, Number(offset) + 1]);
  }

  all() {
    return [...this.#offsets.values()];
  }
}

/** The operations on members, given join(args) -> { inbox, assignment(), commit(), leave() }. */
export function memberOperations(join) {
  const members = new Map();
  return {
    join: async ({ member, ...args }) => {
      members.set(member, await join(args));
    },
    assignment: ({ member }) => {
      const { inbox, assignment } = members.get(member);
      if (inbox.failure) throw inbox.failure;
      return assignment().sort((a, b) => a[0].localeCompare(b[0]) || a[1] - b[1]);
    },
    poll: ({ member, count, timeoutMs }) => members.get(member).inbox.take(count, timeoutMs),
    commit: ({ member }) => members.get(member).commit(),
    leave: async ({ member }) => {
      await members.get(member).leave();
      members.delete(member);
    },
  };
}
