import { errors, KafkaError } from '@ottla/protocol';
import type { Cluster } from '../cluster/cluster.ts';

/** Some of the things a call was asked to do were not done. Named as the first problem is; the others went well. */
export class ItemsError extends KafkaError {
  /** What failed, by the item's name: a topic, "topic-0", a group. */
  readonly failures: ReadonlyMap<string, KafkaError>;

  constructor(failures: ReadonlyMap<string, KafkaError>) {
    const [first] = failures.values();
    super(first!.name, [...failures].map(([item, error]) => describe(item, error)).join('; '), { cause: first });
    this.failures = failures;
  }
}

function describe(item: string, { name, message }: KafkaError): string {
  return message === errors[name].text || !message.includes(item) ? `${item}: ${message}` : message;
}

export type Outcome<Result> = Result | KafkaError;

/**
 * Does something to each item, where one request has a result for each of them. Items that failed in a way that may pass
 * are tried again with Kafka's backoff. Results come in the order of the items; rejects with ItemsError if one failed.
 */
export async function eachItem<Item, Result>(
  cluster: Cluster,
  items: readonly Item[],
  options: {
    readonly timeoutMs: number;
    readonly nameOf: (item: Item) => string;
    /** The outcome of each, in the order given. */
    readonly attempt: (items: readonly Item[]) => Promise<readonly Outcome<Result>[]>;
    /** Codes that may pass, but not here: the one who answers knows best. */
    readonly final?: readonly KafkaError['name'][];
    /** Called before another attempt. */
    readonly recover?: (error: KafkaError, item: Item) => void;
  },
): Promise<Result[]> {
  const { nameOf, attempt, recover, final = [] } = options;
  const { clock } = cluster.runtime;
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  const outcomes: Outcome<Result>[] = new Array(items.length);
  let remaining = items.map((_, index) => index);
  for (let failures = 1; remaining.length > 0; failures++) {
    cluster.assertOpen();
    const answers = await attemptAll(
      remaining.map((index) => items[index]!),
      attempt,
    );
    remaining.forEach((index, at) => {
      outcomes[index] = answers[at]!;
    });
    remaining = remaining.filter((index) => mayPass(outcomes[index], final));
    const delayMs = cluster.backoff.delayMs(failures);
    if (remaining.length === 0 || clock.monotonicMs() + delayMs > deadlineMs) break;
    for (const index of remaining) recover?.(outcomes[index] as KafkaError, items[index]!);
    cluster.askAnother();
    await cluster.pause(delayMs);
  }
  const failed = new Map<string, KafkaError>();
  outcomes.forEach((outcome, index) => {
    if (outcome instanceof KafkaError) failed.set(nameOf(items[index]!), outcome);
  });
  if (failed.size > 0) throw new ItemsError(failed);
  return outcomes as Result[];
}

/** What fails the whole request, fails each item. */
async function attemptAll<Item, Result>(
  items: readonly Item[],
  attempt: (items: readonly Item[]) => Promise<readonly Outcome<Result>[]>,
): Promise<readonly Outcome<Result>[]> {
  try {
    return await attempt(items);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return items.map(() => error);
  }
}

function mayPass(outcome: unknown, final: readonly KafkaError['name'][]): boolean {
  return outcome instanceof KafkaError && outcome.retriable && !final.includes(outcome.name);
}

export function missingAnswer(what: string): KafkaError {
  return new KafkaError('UNKNOWN_SERVER_ERROR', `the broker's answer says nothing about ${what}`);
}

export function asKafkaError(error: unknown): KafkaError {
  if (error instanceof KafkaError) return error;
  throw error;
}
