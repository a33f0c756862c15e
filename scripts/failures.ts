/**
 * What failed in a run of tests, in few lines at its very end: who keeps only the end of a long output learns why, too.
 * A reporter for node's runner (`--test-reporter=./scripts/failures.ts`), and for the events of a run (`Failures`).
 */
import { relative } from 'node:path';
import process from 'node:process';
import { inspect } from 'node:util';

/** The line it begins with; .ci/run looks for it. */
const title = '✖ failures in short:';
/** All of them in no more than 150 lines: the first ones in full, the names of the others. */
const inFull = 5;
const byName = 20;
const most = { messageLines: 14, valueLines: 5, lineLength: 300 };

type Failed = {
  readonly name: string;
  readonly nesting: number;
  readonly file?: string;
  readonly details: { readonly error: Error };
};
type RunEvent =
  | { readonly type: 'test:start'; readonly data: { readonly name: string; readonly nesting: number } }
  | { readonly type: 'test:fail'; readonly data: Failed }
  | { readonly type: ''; readonly data?: undefined };

export default async function* (events: AsyncIterable<RunEvent>): AsyncGenerator<string> {
  const failures = new Failures();
  for await (const { type, data } of events) {
    if (type === 'test:start') failures.started(data);
    else if (type === 'test:fail') failures.failed(data);
  }
  yield failures.summary;
}

export class Failures {
  readonly #names: string[] = [];
  readonly #told: string[] = [];
  #count = 0;

  started({ name, nesting }: { readonly name: string; readonly nesting: number }): void {
    this.#names.length = nesting;
    this.#names.push(name);
  }

  /** A suite that failed by its tests alone says nothing new. */
  failed({ name, nesting, file, details: { error } }: Failed): void {
    if ((error as { failureType?: string }).failureType === 'subtestsFailed') return;
    const path = [...this.#names.slice(0, nesting), name].join(' > ');
    const place = file === undefined ? '' : ` (${relative(process.cwd(), file)})`;
    const head = `✖ ${path}${place}`;
    this.#count++;
    if (this.#count <= inFull) this.#told.push([head, ...reasons(error).map((line) => `    ${line}`)].join('\n'));
    else if (this.#count <= inFull + byName) this.#told.push(head);
  }

  /** Empty when nothing failed. */
  get summary(): string {
    if (this.#count === 0) return '';
    const left = this.#count - this.#told.length;
    const lines = [title, ...this.#told, ...(left > 0 ? [`and ${left} more`] : [])];
    return `\n${lines.join('\n')}\n`;
  }
}

/** What went wrong, what it came from, and the values that were compared. */
function reasons(failure: unknown): string[] {
  const lines: string[] = [];
  for (let error: unknown = failure, depth = 0; error !== undefined && error !== null && depth < 4; depth++) {
    const { message, cause, code, expected, actual } = Object(error) as Partial<Error> &
      Record<'code' | 'expected' | 'actual', unknown>;
    // The runner wraps what a test threw.
    if (code !== 'ERR_TEST_FAILURE' || !cause) {
      lines.push(...bounded(message ?? String(error), most.messageLines));
      if (code === 'ERR_ASSERTION' && !(typeof actual === 'boolean' && typeof expected === 'boolean'))
        lines.push(
          ...bounded(`actual: ${shown(actual)}`, most.valueLines),
          ...bounded(`expected: ${shown(expected)}`, most.valueLines),
        );
    }
    error = cause;
  }
  return lines;
}

const shown = (value: unknown): string =>
  inspect(value, { depth: 4, breakLength: 200, maxArrayLength: 50, maxStringLength: 1000 });

function bounded(text: string, lines: number): string[] {
  const all = text.split('\n').filter((line) => line.trim() !== '');
  const kept = all.slice(0, lines).map((line) => (line.length > most.lineLength ? `${line.slice(0, most.lineLength)}…` : line));
  return all.length > lines ? [...kept, `… and ${all.length - lines} lines more`] : kept;
}
