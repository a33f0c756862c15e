import { ItemsError } from '@ottla/client';
import type { KafkaError } from '@ottla/protocol';
import { printJson, printLine } from './output.ts';

type Failures = ReadonlyMap<string, KafkaError>;

/** What failed of the things a call was asked to do. Rejects with what failed all of it. */
export async function failuresOf(call: Promise<unknown>): Promise<Failures> {
  try {
    await call;
    return new Map();
  } catch (error) {
    if (error instanceof ItemsError) return error.failures;
    throw error;
  }
}

/**
 * Says of each thing what became of it, and rejects if one failed: what was done must be told even when something else was not.
 * `verb` is the past of what was asked for ("created"); `accepted` a failure that is as good as success, and how it is told.
 */
export async function reportEach(
  names: readonly string[],
  failures: Failures,
  words: {
    readonly item: string;
    readonly verb: string;
    readonly accepted?: { readonly error: KafkaError['name']; readonly told: string };
  },
  isJson: boolean,
): Promise<void> {
  const { item, verb, accepted } = words;
  const refused = new Map([...failures].filter(([, { name }]) => name !== accepted?.error));
  if (isJson) {
    await printJson(
      names.map((name) => ({
        [item]: name,
        [verb]: !failures.has(name),
        ...(refused.has(name) ? { error: refused.get(name)!.name, message: refused.get(name)!.message } : {}),
      })),
    );
  } else {
    for (const name of names) {
      if (!failures.has(name)) await printLine(`${verb} ${name}`);
      else if (!refused.has(name)) await printLine(`${name} ${accepted!.told}`);
    }
  }
  if (refused.size > 0) throw new ItemsError(refused);
}
