import { type Api, FindCoordinator, type Writable } from '@ottla/protocol';

export type ListenerOf = 'broker' | 'controller';

/** Three nodes that are brokers and controllers, of Ottla or of Kafka, as whoever asks them sees them. */
export type AskedNodes = {
  readonly ids: readonly number[];
  /** On one connection to each listener, as sessions end with theirs. */
  ask<Request, Response>(
    at: { readonly id: number; readonly listener?: ListenerOf },
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
  ): Promise<Response>;
  /** Lets some time pass. */
  pause(): Promise<void>;
};

const ATTEMPTS = 1_000;

/** Looks again and again until there is something. */
export async function until<T>(nodes: AskedNodes, what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let attempts = ATTEMPTS; attempts > 0; attempts--) {
    const found = await look();
    if (found !== undefined) return found;
    await nodes.pause();
  }
  throw new Error(`it never comes to pass: ${what}`);
}

export const coordinatorKinds = { group: 0, transaction: 1, share: 2 } as const;

/** The id of the node that answers for a group, a transactional id, or a partition that is shared. */
export function coordinatorOf(nodes: AskedNodes, kind: keyof typeof coordinatorKinds, key: string): Promise<number> {
  return until(nodes, `${kind} ${key} has a coordinator`, async () => {
    const asked = { keyType: coordinatorKinds[kind], coordinatorKeys: [key] };
    const { coordinators } = await nodes.ask({ id: nodes.ids[0]! }, FindCoordinator, 6, asked);
    return coordinators[0]!.errorCode === 0 ? coordinators[0]!.nodeId : undefined;
  });
}

/** The first error in an answer, however deep; 0 when there is none. */
export function errorCodeIn(answer: unknown): number {
  if (answer === null || typeof answer !== 'object' || answer instanceof Uint8Array) return 0;
  for (const [name, value] of Object.entries(answer)) {
    const code = /errorCode$/i.test(name) ? (value as number) : errorCodeIn(value);
    if (code !== 0) return code;
  }
  return 0;
}
