/** CPU profiles of a Node.js process that was started with --inspect, over the inspector's own protocol. */

/** As .cpuprofile files have it. */
export type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

export class Profiler {
  /** What the last start and stop took. */
  last: CpuProfile | undefined;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #lastId = 0;

  static async connect(inspectorPort: number): Promise<Profiler> {
    const listed = await fetch(`http://127.0.0.1:${inspectorPort}/json/list`);
    const [target] = (await listed.json()) as { webSocketDebuggerUrl: string }[];
    const socket = new WebSocket(target!.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    const profiler = new Profiler(socket);
    await profiler.#call('Profiler.enable');
    await profiler.#call('Profiler.setSamplingInterval', { interval: 250 });
    return profiler;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const { id, result } = JSON.parse(data as string) as { id: number; result: unknown };
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    };
  }

  async start(): Promise<void> {
    await this.#call('Profiler.start');
  }

  async stop(): Promise<void> {
    this.last = ((await this.#call('Profiler.stop')) as { profile: CpuProfile }).profile;
  }

  close(): void {
    this.#socket.close();
  }

  #call(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }
}

/** A function with its file, and its share of the time. */
export type Cost = { readonly where: string; readonly share: number };

/**
 * The functions in which most of the time that was not idle went by, themselves, without what they called. The profiler goes by the
 * clock: on a busy machine, whoever wakes another process (a write to a socket does) seems to cost what that process then takes.
 */
export function costliest(profile: CpuProfile, count: number): Cost[] {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const spent = new Map<string, number>();
  let total = 0;
  for (const [index, id] of profile.samples.entries()) {
    const name = names.get(id)!;
    if (name === '(idle)' || name === '(program)' || name === '(root)') continue;
    const us = profile.timeDeltas[index]!;
    total += us;
    spent.set(name, (spent.get(name) ?? 0) + us);
  }
  return [...spent]
    .sort(([, one], [, other]) => other - one)
    .slice(0, count)
    .map(([where, us]) => ({ where, share: us / total }));
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName || '(anonymous)';
  if (url === '') return name;
  const place = url.startsWith('node:') ? url : (/(?:packages|node_modules)\/.*/.exec(url)?.[0] ?? url);
  return `${name} ${place}:${lineNumber + 1}`;
}
